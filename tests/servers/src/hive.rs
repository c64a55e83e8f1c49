//! Hive's metastore, secured by Kerberos, with a database and delegation tokens in its folder.

use std::fs;
use std::path::Path;

use crate::java::{JavaServer, Jvm, Ready};
use crate::{Client, Error, Kdc, Lasting, Site, lasting_ports};

/// What clients read of the server's configuration.
const CLIENTS: [&str; 4] = [
    "hadoop.security.authentication",
    "metastore.kerberos.principal",
    "metastore.sasl.enabled",
    "metastore.thrift.uris",
];

/// What log4j writes: errors, on stderr.
const LOG4J: &str = "\
appender.stderr.type=Console
appender.stderr.name=stderr
appender.stderr.target=SYSTEM_ERR
appender.stderr.layout.type=PatternLayout
appender.stderr.layout.pattern=%d %p %c{1}: %m%n
rootLogger.level=ERROR
rootLogger.appenderRef.stderr.ref=stderr
";

/// A running metastore. Its port, database and tokens stay when it is stopped, and end with this value.
pub struct Hive {
    server: JavaServer,
    client: Client,
    port: u16,
    _place: Lasting,
}

impl Hive {
    /// What its clients look their token up by: `metastore.token.signature`.
    pub const SIGNATURE: &'static str = "test-metastore";

    /// Starts one with these settings besides its own. It takes some seconds.
    ///
    /// # Errors
    /// When Java or its jars are not installed, or it does not start.
    pub fn start(kdc: &Kdc, settings: &Site) -> Result<Self, Error> {
        let place = Lasting::new("hive-data")?;
        let [port] = lasting_ports()?;
        let store = "org.apache.hadoop.hive.metastore.security.DBTokenStore";
        let site = metastore(kdc, place.path(), port)?.set(TOKEN_STORE, store).and(settings);
        let client = client(kdc, place.path(), &site, &[port])?;
        let server = start("hive", kdc, place.path(), port, &site)?;
        Ok(Self { server, client, port, _place: place })
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

    /// Its port, on `localhost`.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// Names the class that keeps tokens. It is read under its old name only.
pub(crate) const TOKEN_STORE: &str = "hive.cluster.delegation.token.store.class";

/// A metastore at this port, with a database of its own in this folder.
pub(crate) fn metastore(kdc: &Kdc, folder: &Path, port: u16) -> Result<Site, Error> {
    let database = folder.join("database");
    Ok(Site::new()
        .set("hadoop.security.authentication", "kerberos")
        .set("metastore.thrift.port", port)
        .set("metastore.thrift.bind.host", "localhost")
        .set("metastore.thrift.uris", format!("thrift://localhost:{port}"))
        .set("metastore.sasl.enabled", "true")
        .set("metastore.kerberos.principal", kdc.full("hive/localhost"))
        .set("metastore.kerberos.keytab.file", kdc.keytab("hive/localhost")?.display())
        .set("metastore.warehouse.dir", format!("file://{}/warehouse", folder.display()))
        .set("metastore.schema.verification", "false")
        .set("metastore.metastore.event.db.notification.api.auth", "false")
        .set("datanucleus.schema.autoCreateAll", "true")
        .set("javax.jdo.option.ConnectionDriverName", "org.apache.derby.jdbc.EmbeddedDriver")
        .set("javax.jdo.option.ConnectionURL", format!("jdbc:derby:;databaseName={};create=true", database.display())))
}

/// A client of metastores with such a configuration at these ports, which it tries in turn.
pub(crate) fn client(kdc: &Kdc, folder: &Path, site: &Site, ports: &[u16]) -> Result<Client, Error> {
    let uris: Vec<String> = ports.iter().map(|port| format!("thrift://localhost:{port}")).collect();
    let clients = site
        .only(&CLIENTS)
        .set("metastore.thrift.uris", uris.join(","))
        .set("metastore.thrift.uri.selection", "SEQUENTIAL")
        .set("metastore.token.signature", Hive::SIGNATURE)
        // Else a client waits between its attempts to log in.
        .set("metastore.connect.retries", "1")
        .set("metastore.thrift.connection.retries", "1");
    Client::new("hive", kdc, &folder.join("client"), &clients, "metastore-site.xml")
}

/// Starts a metastore.
pub(crate) fn start(name: &'static str, kdc: &Kdc, folder: &Path, port: u16, site: &Site) -> Result<JavaServer, Error> {
    let conf = folder.join("conf");
    site.write(&conf, "metastore-site.xml")?;
    let log4j = conf.join("log4j2.properties");
    fs::write(&log4j, LOG4J).map_err(|error| Error::new(format!("writing {}: {error}", log4j.display())))?;
    let jvm = Jvm::new("hive", "org.apache.hadoop.hive.metastore.HiveMetaStore", &kdc.krb5_conf(), &conf)
        .megabytes(512)
        .opens(&["java.lang", "java.net", "java.util", "java.util.concurrent"])
        .option(format!("-Dlog4j2.configurationFile={}", log4j.display()))
        .arg("-p")
        .arg(port.to_string());
    JavaServer::start(name, jvm, Ready::Port(port))
}

impl Site {
    /// Short lives of the metastore's delegation tokens, in seconds: until a renewal, and at all.
    #[must_use]
    pub fn hive_token_lives(self, renewal: u32, longest: u32) -> Self {
        self.set("metastore.cluster.delegation.token.renew-interval", format!("{renewal}s"))
            .set("metastore.cluster.delegation.token.max-lifetime", format!("{longest}s"))
    }
}
