//! YARN: a real ResourceManager, secured by Kerberos. There is no NodeManager, since no application is run.

use std::path::Path;

use crate::hdfs::spnego;
use crate::java::{JavaServer, Jvm, Ready, write_log4j};
use crate::{Client, Error, Kdc, Lasting, Site, lasting_ports};

/// What clients read of the server's configuration.
const CLIENTS: [&str; 4] = [
    "hadoop.security.authentication",
    "hadoop.rpc.protection",
    "yarn.resourcemanager.principal",
    "yarn.resourcemanager.address",
];

/// A running ResourceManager. Its ports and tokens stay when it is stopped, and end with this value.
pub struct Yarn {
    server: JavaServer,
    client: Client,
    rpc: u16,
    http: u16,
    _place: Lasting,
}

impl Yarn {
    /// Starts one with these settings besides its own. It takes a few seconds.
    ///
    /// # Errors
    /// When Java or its jars are not installed, or it does not start.
    pub fn start(kdc: &Kdc, settings: &Site) -> Result<Self, Error> {
        let place = Lasting::new("yarn-data")?;
        let [rpc, scheduler, tracker, admin, http] = lasting_ports()?;
        let ports = [rpc, scheduler, tracker, admin, http];
        let site = cluster(kdc, place.path())?.and(&addresses("", ports)).and(settings);
        let conf = place.path().join("conf");
        write_log4j(&conf, "")?;
        site.write(&conf, "yarn-site.xml")?;
        // Else they try for a quarter of an hour.
        let clients = site.only(&CLIENTS).set("yarn.resourcemanager.connect.max-wait.ms", "4000");
        let clients = clients.set("yarn.resourcemanager.connect.retry-interval.ms", "500");
        let client = Client::new("hadoop", kdc, &place.path().join("client"), &clients, "yarn-site.xml")?;
        let main = "org.apache.hadoop.yarn.server.resourcemanager.ResourceManager";
        let jvm = Jvm::new("hadoop", main, &kdc.krb5_conf(), &conf).megabytes(384).opens(&["java.lang", "java.util"]);
        // Its port for REST is open before that.
        let server = JavaServer::start("yarn", jvm, Ready::Port(rpc))?;
        Ok(Self { server, client, rpc, http, _place: place })
    }

    /// The server's process, to stop it and to start it again.
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
    pub fn rpc_port(&self) -> u16 {
        self.rpc
    }

    /// Its port for REST, on `localhost`.
    #[must_use]
    pub fn http_port(&self) -> u16 {
        self.http
    }
}

/// What is the same for one ResourceManager and several.
pub(crate) fn cluster(kdc: &Kdc, place: &Path) -> Result<Site, Error> {
    let store = "org.apache.hadoop.yarn.server.resourcemanager.recovery.FileSystemRMStateStore";
    let fifo = "org.apache.hadoop.yarn.server.resourcemanager.scheduler.fifo.FifoScheduler";
    Ok(Site::new()
        .set("hadoop.security.authentication", "kerberos")
        .set("hadoop.tmp.dir", place.join("tmp").display())
        .set("hadoop.http.filter.initializers", "org.apache.hadoop.security.AuthenticationFilterInitializer")
        .and(&spnego(kdc)?)
        .set("yarn.resourcemanager.principal", kdc.full("yarn/localhost"))
        .set("yarn.resourcemanager.keytab", kdc.keytab("yarn/localhost")?.display())
        .set("yarn.resourcemanager.webapp.spnego-principal", kdc.full("HTTP/localhost"))
        .set("yarn.resourcemanager.webapp.spnego-keytab-file", kdc.keytab("HTTP/localhost")?.display())
        // The default one reads a file of its own.
        .set("yarn.resourcemanager.scheduler.class", fifo)
        // Else it forgets its tokens when it is stopped.
        .set("yarn.resourcemanager.recovery.enabled", "true")
        .set("yarn.resourcemanager.store.class", store)
        .set("yarn.resourcemanager.fs.state-store.uri", format!("file://{}/state", place.display())))
}

/// Where a ResourceManager listens: for clients, schedulers, nodes, administrators and over HTTP. `id` is behind the names.
pub(crate) fn addresses(id: &str, ports: [u16; 5]) -> Site {
    let names = ["address", "scheduler.address", "resource-tracker.address", "admin.address", "webapp.address"];
    let host = Site::new().set(&format!("yarn.resourcemanager.hostname{id}"), "localhost");
    names.into_iter().zip(ports).fold(host, |site, (name, port)| {
        site.set(&format!("yarn.resourcemanager.{name}{id}"), format!("localhost:{port}"))
    })
}

impl Site {
    /// Short lives of YARN's delegation tokens, in seconds: until a renewal, and at all.
    #[must_use]
    pub fn yarn_token_lives(self, renewal: u32, longest: u32) -> Self {
        self.set("yarn.resourcemanager.delegation.token.renew-interval", u64::from(renewal) * 1000)
            .set("yarn.resourcemanager.delegation.token.max-lifetime", u64::from(longest) * 1000)
    }
}
