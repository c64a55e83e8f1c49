//! Two metastores of Hive that share the tokens which they issue: both keep them in a ZooKeeper. Their databases are apart,
//! since an embedded one has one user.

use std::thread;

use crate::hive::{TOKEN_STORE, client, metastore, start};
use crate::java::{JavaServer, Jvm, Ready, write_log4j};
use crate::{Client, Error, Kdc, Lasting, Site, lasting_ports};

/// A running pair of metastores.
pub struct Metastores {
    servers: [JavaServer; 2],
    client: Client,
    ports: [u16; 2],
    _zookeeper: JavaServer,
    _place: Lasting,
}

impl Metastores {
    /// Starts them with these settings besides their own. It takes some seconds.
    ///
    /// # Errors
    /// When Java or its jars are not installed, or they do not start.
    pub fn start(kdc: &Kdc, settings: &Site) -> Result<Self, Error> {
        let place = Lasting::new("metastores-data")?;
        let [first, second, zookeeper] = lasting_ports()?;
        let store = "org.apache.hadoop.hive.metastore.security.ZooKeeperTokenStore";
        let shared = Site::new()
            .set(TOKEN_STORE, store)
            .set("hive.cluster.delegation.token.store.zookeeper.connectString", format!("localhost:{zookeeper}"))
            // The ZooKeeper is open.
            .set("metastore.zookeeper.kerberos.enabled", "false")
            .and(settings);
        let zookeeper = start_zookeeper(kdc, &place, zookeeper)?;
        let started = |name: &'static str, port: u16| {
            let folder = place.path().join(name);
            let site = metastore(kdc, &folder, port)?.and(&shared);
            start(name, kdc, &folder, port, &site)
        };
        let (second_server, first_server) = thread::scope(|scope| {
            let first = scope.spawn(|| started("metastore-1", first));
            (started("metastore-2", second), first.join())
        });
        let first_server = first_server.map_err(|_| Error::new("the thread that starts a metastore panicked"))?;
        let site = metastore(kdc, place.path(), first)?.and(&shared);
        let client = client(kdc, place.path(), &site, &[first, second])?;
        let servers = [first_server?, second_server?];
        Ok(Self { servers, client, ports: [first, second], _zookeeper: zookeeper, _place: place })
    }

    /// A metastore, to stop it and to start it again.
    pub fn server(&mut self, index: usize) -> Option<&mut JavaServer> {
        self.servers.get_mut(index)
    }

    /// A client that is configured for both, in their order.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Their ports, on `localhost`.
    #[must_use]
    pub fn ports(&self) -> [u16; 2] {
        self.ports
    }
}

fn start_zookeeper(kdc: &Kdc, place: &Lasting, port: u16) -> Result<JavaServer, Error> {
    let conf = place.path().join("zookeeper");
    write_log4j(&conf, "")?;
    let properties = conf.join("zoo.cfg");
    Site::new()
        .set("tickTime", "2000")
        .set("dataDir", conf.join("data").display())
        .set("clientPort", port)
        .set("clientPortAddress", "127.0.0.1")
        .set("admin.enableServer", "false")
        .write_properties(&properties)?;
    let jvm = Jvm::new("hive", "org.apache.zookeeper.server.ZooKeeperServerMain", &kdc.krb5_conf(), &conf)
        .megabytes(128)
        .arg(properties.display().to_string());
    JavaServer::start("zookeeper", jvm, Ready::Port(port))
}
