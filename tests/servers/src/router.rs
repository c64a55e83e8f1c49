//! Router-based federation of HDFS: a real Router in front of an HDFS, with tokens of its own.

use crate::java::{JavaServer, Jvm, Ready, write_log4j};
use crate::{Client, Error, Hdfs, Kdc, Lasting, Site, lasting_ports};

/// The principal that acts for all users at the NameNode, which must permit it: see [`Site::proxy_user`].
const PRINCIPAL: &str = "router/localhost";

/// The file with which it says that it is ready.
const READY: &str = "ready";

/// A running Router. Its port and tokens end with this value.
pub struct Router {
    server: JavaServer,
    client: Client,
    port: u16,
    _place: Lasting,
}

impl Router {
    /// Starts one that has one nameservice behind it. It takes some seconds.
    ///
    /// # Errors
    /// When Java or its jars are not installed, or it does not start.
    pub fn start(kdc: &Kdc, hdfs: &Hdfs) -> Result<Self, Error> {
        let place = Lasting::new("router-data")?;
        let [port, zookeeper] = lasting_ports()?;
        let folder = place.path().display();
        let store = "org.apache.hadoop.hdfs.server.federation.store.driver.impl.StateStoreFileImpl";
        let site = Site::new()
            .set("hadoop.security.authentication", "kerberos")
            .set("dfs.namenode.kerberos.principal", kdc.full("hdfs/localhost"))
            .set("dfs.nameservices", "behind")
            .set("dfs.namenode.rpc-address.behind", format!("localhost:{}", hdfs.rpc_port()))
            .set("dfs.namenode.http-address.behind", format!("localhost:{}", hdfs.http_port()))
            .set("dfs.federation.router.default.nameserviceId", "behind")
            .set("dfs.federation.router.monitor.namenode", "behind")
            .set("dfs.federation.router.monitor.localnamenode.enable", "false")
            .set("dfs.federation.router.rpc-address", format!("localhost:{port}"))
            .set("dfs.federation.router.kerberos.principal", kdc.full(PRINCIPAL))
            .set("dfs.federation.router.keytab.file", kdc.keytab(PRINCIPAL)?.display())
            .set("dfs.federation.router.admin.enable", "false")
            .set("dfs.federation.router.http.enable", "false")
            .set("dfs.federation.router.store.driver.class", store)
            .set("dfs.federation.router.store.driver.file.directory", format!("{folder}/store"))
            .set("zk-dt-secret-manager.zkConnectionString", format!("localhost:{zookeeper}"))
            .set("zk-dt-secret-manager.zkAuthType", "none")
            // Ready as soon as the NameNode answers.
            .set("dfs.federation.router.safemode.enable", "false")
            .set("dfs.federation.router.heartbeat.interval", "300")
            .set("dfs.federation.router.cache.ttl", "300ms");
        let conf = place.path().join("conf");
        write_log4j(&conf, "")?;
        site.write(&conf, "hdfs-site.xml")?;
        let clients = Site::new()
            .set("fs.defaultFS", format!("hdfs://localhost:{port}"))
            .set("dfs.namenode.kerberos.principal", kdc.full(PRINCIPAL));
        let client = hdfs.client().with("router-client", &clients)?;
        let jvm = Jvm::new("hadoop", "FederationRouter", &kdc.krb5_conf(), &conf)
            .megabytes(256)
            .arg(READY)
            .arg(zookeeper.to_string())
            .arg(format!("{folder}/zookeeper"));
        let server = JavaServer::start("router", jvm, Ready::File(READY))?;
        Ok(Self { server, client, port, _place: place })
    }

    /// The server's process, to stop it.
    pub fn server(&mut self) -> &mut JavaServer {
        &mut self.server
    }

    /// A client that is configured for it.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Its port for RPC, on `localhost`.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}
