//! HDFS with two NameNodes that share a directory of edits: one is active, the other takes over.

use crate::hdfs::{READY, SUPERUSER, client, jvm, servers};
use crate::java::{JavaServer, Ready};
use crate::{Client, Error, Kdc, Lasting, Proof, Site, lasting_ports};

/// Their ids, as `haadmin` knows them.
const IDS: [&str; 2] = ["nn1", "nn2"];

/// A running pair of NameNodes. The first is active at the start. The DataNode lives with the second.
pub struct NameNodes {
    servers: [JavaServer; 2],
    client: Client,
    rpc: [u16; 2],
    http: [u16; 2],
    _place: Lasting,
}

impl NameNodes {
    /// The name that clients know them by: `hdfs://pair`.
    pub const NAMESERVICE: &'static str = "pair";

    /// Starts them with these settings besides their own. It takes some seconds.
    ///
    /// # Errors
    /// When Java or its jars are not installed, or they do not start.
    pub fn start(kdc: &Kdc, settings: &Site) -> Result<Self, Error> {
        let place = Lasting::new("namenodes-data")?;
        let [rpc_1, rpc_2, http_1, http_2, data, data_http, data_ipc] = lasting_ports()?;
        let (rpc, http) = ([rpc_1, rpc_2], [http_1, http_2]);
        let shared = place.path().join("edits");
        std::fs::create_dir_all(&shared).map_err(|error| Error::new(format!("{}: {error}", shared.display())))?;
        let site = servers(kdc, place.path(), [data, data_http, data_ipc])?.and(&pair(rpc, http, &place)).and(settings);
        let conf = place.path().join("conf");
        site.write(&conf, "hdfs-site.xml")?;
        let client = client(kdc, &site, place.path())?;
        let first = jvm(kdc, &conf)?.arg("nn1");
        let second = jvm(kdc, &conf)?.arg("nn2").arg("datanode");
        // At the same time: each is ready when the other one is.
        let (first, second) = std::thread::scope(|scope| {
            let first = scope.spawn(|| JavaServer::start("nn1", first, Ready::File(READY)));
            (JavaServer::start("nn2", second, Ready::File(READY)), first.join())
        });
        let second = second.map_err(|_| Error::new("the thread that starts nn1 panicked"))?;
        Ok(Self { servers: [second?, first?], client, rpc, http, _place: place })
    }

    /// A NameNode, to stop it and to start it again: it is then not the active one.
    pub fn server(&mut self, index: usize) -> Option<&mut JavaServer> {
        self.servers.get_mut(index)
    }

    /// A client that is configured for both.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Their ports for RPC, on `localhost`.
    #[must_use]
    pub fn rpc_ports(&self) -> [u16; 2] {
        self.rpc
    }

    /// Their ports for WebHDFS, on `localhost`.
    #[must_use]
    pub fn http_ports(&self) -> [u16; 2] {
        self.http
    }

    /// Has one of them, 0 or 1, take over from the other, which becomes the standby if it runs.
    ///
    /// # Errors
    /// When `haadmin` fails.
    pub fn activate(&self, kdc: &Kdc, index: usize) -> Result<(), Error> {
        let (to, from) = (IDS.get(index).copied().unwrap_or_default(), IDS.get(1 - index).copied().unwrap_or_default());
        self.haadmin(kdc, &["-failover", from, to]).map(drop)
    }

    /// Runs `haadmin` as the superuser.
    ///
    /// # Errors
    /// When it fails: with what it printed.
    pub fn haadmin(&self, kdc: &Kdc, arguments: &[&str]) -> Result<String, Error> {
        let superuser = kdc.ticket(SUPERUSER)?;
        self.client.run("org.apache.hadoop.hdfs.tools.DFSHAAdmin", arguments, Proof::Ticket(&superuser))
    }
}

/// What the pair is configured with besides what every HDFS is.
fn pair(rpc: [u16; 2], http: [u16; 2], place: &Lasting) -> Site {
    let name = NameNodes::NAMESERVICE;
    let place = place.path().display();
    let directories = IDS.map(|id| format!("file://{place}/{id}"));
    let provider = "org.apache.hadoop.hdfs.server.namenode.ha.ConfiguredFailoverProxyProvider";
    let site = Site::new()
        .set("fs.defaultFS", format!("hdfs://{name}"))
        .set("dfs.nameservices", name)
        .set(&format!("dfs.ha.namenodes.{name}"), IDS.join(","))
        .set(&format!("dfs.client.failover.proxy.provider.{name}"), provider)
        .set("dfs.namenode.shared.edits.dir", format!("file://{place}/edits"))
        .set("test.name.dirs", directories.join(","))
        // A dead NameNode of a test stays dead, and needs no fence.
        .set("dfs.ha.fencing.methods", "shell(/bin/true)")
        .set("dfs.ha.tail-edits.period", "1s")
        .set("dfs.ha.standby.checkpoints", "false");
    let nodes = IDS.into_iter().zip(rpc).zip(http).zip(directories);
    nodes.fold(site, |site, (((id, rpc), http), directory)| {
        site.set(&format!("dfs.namenode.rpc-address.{name}.{id}"), format!("localhost:{rpc}"))
            .set(&format!("dfs.namenode.http-address.{name}.{id}"), format!("localhost:{http}"))
            .set(&format!("dfs.namenode.name.dir.{name}.{id}"), directory)
    })
}
