//! YARN with two ResourceManagers that share a directory of state: `rmadmin` makes one of them active.

use crate::java::{JavaServer, Jvm, Ready, write_log4j};
use crate::yarn::{addresses, cluster};
use crate::{Client, Error, Kdc, Lasting, Proof, Site, lasting_ports};

/// Their ids, as `rmadmin` knows them.
const IDS: [&str; 2] = ["rm1", "rm2"];

/// What clients read of the servers' configuration.
const CLIENTS: [&str; 3] = ["hadoop.security.authentication", "hadoop.rpc.protection", "yarn."];

/// A running pair of ResourceManagers. None is active at the start.
pub struct ResourceManagers {
    servers: [JavaServer; 2],
    client: Client,
    rpc: [u16; 2],
    http: [u16; 2],
    _place: Lasting,
}

impl ResourceManagers {
    /// Starts them with these settings besides their own. It takes some seconds.
    ///
    /// # Errors
    /// When Java or its jars are not installed, or they do not start.
    pub fn start(kdc: &Kdc, settings: &Site) -> Result<Self, Error> {
        let place = Lasting::new("resourcemanagers-data")?;
        let ports: [[u16; 5]; 2] = [lasting_ports()?, lasting_ports()?];
        let both = IDS
            .into_iter()
            .zip(ports)
            .fold(cluster(kdc, place.path())?, |site, (id, ports)| site.and(&addresses(&format!(".{id}"), ports)));
        let site = both
            .set("yarn.resourcemanager.ha.enabled", "true")
            .set("yarn.resourcemanager.ha.automatic-failover.enabled", "false")
            .set("yarn.resourcemanager.ha.rm-ids", IDS.join(","))
            .set("yarn.resourcemanager.cluster-id", "pair")
            .and(settings);
        let clients = site
            .only(&CLIENTS)
            .set("yarn.client.failover-sleep-base-ms", "100")
            .set("yarn.client.failover-sleep-max-ms", "500");
        let client = Client::new("hadoop", kdc, &place.path().join("client"), &clients, "yarn-site.xml")?;
        let start = |id: &'static str, [.., admin, _]: [u16; 5]| {
            let conf = place.path().join(id);
            write_log4j(&conf, "")?;
            site.clone().set("yarn.resourcemanager.ha.id", id).write(&conf, "yarn-site.xml")?;
            let main = "org.apache.hadoop.yarn.server.resourcemanager.ResourceManager";
            let jvm = Jvm::new("hadoop", main, &kdc.krb5_conf(), &conf).megabytes(384);
            JavaServer::start(id, jvm.opens(&["java.lang", "java.util"]), Ready::Port(admin))
        };
        let ([first_id, second_id], [first_ports, second_ports]) = (IDS, ports);
        let (second, first) = std::thread::scope(|scope| {
            let first = scope.spawn(|| start(first_id, first_ports));
            (start(second_id, second_ports), first.join())
        });
        let first = first.map_err(|_| Error::new("the thread that starts rm1 panicked"))?;
        let (rpc, http) = (ports.map(|[rpc, ..]| rpc), ports.map(|[.., http]| http));
        Ok(Self { servers: [first?, second?], client, rpc, http, _place: place })
    }

    /// A ResourceManager, to stop it and to start it again: it is then not the active one.
    pub fn server(&mut self, index: usize) -> Option<&mut JavaServer> {
        self.servers.get_mut(index)
    }

    /// A client that is configured for both.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Their ports for RPC, on `localhost`. That of a standby is closed.
    #[must_use]
    pub fn rpc_ports(&self) -> [u16; 2] {
        self.rpc
    }

    /// Their ports for REST, on `localhost`. A standby redirects to the active one.
    #[must_use]
    pub fn http_ports(&self) -> [u16; 2] {
        self.http
    }

    /// Has one of them, 0 or 1, become active. Stop the other one first.
    ///
    /// # Errors
    /// When `rmadmin` fails.
    pub fn activate(&self, kdc: &Kdc, index: usize) -> Result<(), Error> {
        let yarn = kdc.ticket("yarn/localhost")?;
        // Forced: else it asks the other one first, which is dead.
        let arguments = ["-transitionToActive", "--forceactive", IDS.get(index).copied().unwrap_or_default()];
        self.client.run("org.apache.hadoop.yarn.client.cli.RMAdminCLI", &arguments, Proof::Ticket(&yarn)).map(drop)
    }
}
