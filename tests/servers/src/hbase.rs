//! HBase: a real master, region server and ZooKeeper in one JVM. The servers of HBase are secured by Kerberos, ZooKeeper
//! is open.

use std::fs;
use std::path::Path;

use crate::java::{JavaServer, Jvm, Ready, write_log4j};
use crate::{Client, Error, Kdc, Lasting, Site, lasting_ports};

/// What clients read of the servers' configuration.
const CLIENTS: [&str; 7] = [
    "hadoop.security.authentication",
    "hbase.master.kerberos.principal",
    "hbase.masters",
    "hbase.regionserver.kerberos.principal",
    "hbase.rpc.protection",
    "hbase.security.authentication",
    "hbase.zookeeper.",
];

/// Packages that HBase looks into.
const OPENED: [&str; 7] =
    ["java.io", "java.lang", "java.lang.reflect", "java.nio", "java.util", "java.util.concurrent", "sun.nio.ch"];

/// A running HBase. Its ports and data stay when it is stopped in an orderly way, and end with this value.
pub struct HBase {
    server: JavaServer,
    client: Client,
    ports: [u16; 3],
    place: Lasting,
}

impl HBase {
    /// Starts one with these settings besides its own. It takes some seconds.
    ///
    /// # Errors
    /// When Java or its jars are not installed, or it does not start.
    pub fn start(kdc: &Kdc, settings: &Site) -> Result<Self, Error> {
        let place = Lasting::new("hbase-data")?;
        let ports = lasting_ports()?;
        let site = servers(kdc, place.path(), ports)?.and(settings);
        let conf = place.path().join("conf");
        write_log4j(&conf, "log4j.logger.org.apache.hadoop.hbase.master.HMaster=INFO")?;
        site.write(&conf, "hbase-site.xml")?;
        let [master, ..] = ports;
        // Else a client tries for minutes to log in.
        let clients = site
            .only(&CLIENTS)
            .set("hbase.masters", format!("localhost:{master}"))
            .set("hbase.client.retries.number", "0")
            .set("hbase.client.pause", "100")
            // Else its second attempt fails because of its first one, and says nothing of the cause.
            .set("hbase.ipc.client.failed.servers.expiry.ms", "1")
            .set("hbase.client.operation.timeout", "12000")
            .set("hbase.client.meta.operation.timeout", "12000")
            .set("hbase.rpc.timeout", "8000");
        let client = Client::new("hbase", kdc, &place.path().join("client"), &clients, "hbase-site.xml")?;
        let jvm = Jvm::new("hbase", "org.apache.hadoop.hbase.master.HMaster", &kdc.krb5_conf(), &conf)
            .megabytes(768)
            .opens(&OPENED)
            .option("--add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED")
            .option("--add-exports=java.base/jdk.internal.misc=ALL-UNNAMED")
            .arg("start");
        let server = JavaServer::start("hbase", jvm, Ready::Logged("Master has completed initialization"))?;
        Ok(Self { server, client, ports, place })
    }

    /// The servers' process, to stop it in an orderly way and to start it again.
    pub fn server(&mut self) -> &mut JavaServer {
        &mut self.server
    }

    /// A client that is configured for it.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The port of the master, on `localhost`.
    #[must_use]
    pub fn master_port(&self) -> u16 {
        let [master, ..] = self.ports;
        master
    }

    /// The port of the region server, on `localhost`.
    #[must_use]
    pub fn region_server_port(&self) -> u16 {
        let [_, region_server, _] = self.ports;
        region_server
    }

    /// The port of ZooKeeper, on `localhost`.
    #[must_use]
    pub fn zookeeper_port(&self) -> u16 {
        let [.., zookeeper] = self.ports;
        zookeeper
    }

    /// The id of the cluster, which is the service of its tokens.
    ///
    /// # Errors
    /// When the file that has it cannot be read.
    pub fn cluster_id(&self) -> Result<String, Error> {
        let file = self.place.path().join("root/hbase.id");
        let bytes = fs::read(&file).map_err(|error| Error::new(format!("reading {}: {error}", file.display())))?;
        // Its text, with a few bytes of a header before it.
        let text = String::from_utf8_lossy(&bytes);
        let start =
            text.char_indices().rev().take_while(|(_, letter)| letter.is_ascii_hexdigit() || *letter == '-').last();
        Ok(start.and_then(|(start, _)| text.get(start..)).unwrap_or_default().to_owned())
    }
}

fn servers(kdc: &Kdc, place: &Path, [master, region_server, zookeeper]: [u16; 3]) -> Result<Site, Error> {
    let keytab = kdc.keytab("hbase/localhost")?.display().to_string();
    let principal = kdc.full("hbase/localhost");
    let each = ["master", "regionserver"].into_iter().zip([master, region_server]);
    let site = each.fold(Site::new(), |site, (server, port)| {
        site.set(&format!("hbase.{server}.kerberos.principal"), &principal)
            .set(&format!("hbase.{server}.keytab.file"), &keytab)
            .set(&format!("hbase.{server}.hostname"), "localhost")
            .set(&format!("hbase.{server}.ipc.address"), "127.0.0.1")
            .set(&format!("hbase.{server}.port"), port)
            .set(&format!("hbase.{server}.info.port"), "-1")
    });
    Ok(site
        .set("hadoop.security.authentication", "kerberos")
        .set("hbase.security.authentication", "kerberos")
        .set("hbase.security.authorization", "true")
        .set("hbase.coprocessor.region.classes", "org.apache.hadoop.hbase.security.token.TokenProvider")
        .set("hbase.localcluster.assign.random.ports", "false")
        .set("hbase.unsafe.regionserver.hostname", "localhost")
        .set("hbase.zookeeper.quorum", "localhost")
        .set("hbase.zookeeper.property.clientPort", zookeeper)
        .set("hbase.zookeeper.property.dataDir", place.join("zookeeper").display())
        .set("hbase.rootdir", format!("file://{}/root", place.display()))
        .set("hbase.tmp.dir", place.join("tmp").display())
        .set("hbase.wal.provider", "filesystem")
        .set("hbase.unsafe.stream.capability.enforce", "false")
        // Ready in 5 s instead of 14 s.
        .set("hbase.regionserver.msginterval", "100")
        .set("hbase.master.wait.on.regionservers.interval", "100")
        .set("hbase.master.wait.on.regionservers.maxtostart", "1")
        .set("hbase.master.wait.on.regionservers.mintostart", "1")
        .set("hbase.procedure.remote.dispatcher.delay.msec", "10")
        .set("hbase.regionserver.handler.count", "5"))
}
