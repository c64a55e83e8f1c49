//! HDFS: a real NameNode and a real DataNode, secured by Kerberos, in one JVM.

use std::path::Path;

use crate::java::{JavaServer, Jvm, Ready, write_log4j};
use crate::{Client, Error, Kdc, Lasting, Proof, Site, Tls, lasting_ports};

/// What clients read of the servers' configuration.
const CLIENTS: [&str; 12] = [
    "dfs.client.",
    "dfs.data.transfer.protection",
    "dfs.datanode.kerberos.principal",
    "dfs.ha.",
    "dfs.namenode.http-address",
    "dfs.namenode.kerberos.principal",
    "dfs.namenode.rpc-address",
    "dfs.nameservices",
    "fs.defaultFS",
    "hadoop.rpc.protection",
    "hadoop.security.authentication",
    "hadoop.security.key.provider.path",
];

/// The principal of the NameNode and the DataNode, which is the superuser of the file system, too.
pub(crate) const SUPERUSER: &str = "hdfs/localhost";

/// A running HDFS. Its ports and data stay when it is stopped, and end with this value.
pub struct Hdfs {
    server: JavaServer,
    client: Client,
    rpc: u16,
    http: u16,
    https: u16,
    place: Lasting,
}

impl Hdfs {
    /// Starts one with these settings besides its own. It takes a few seconds.
    ///
    /// # Errors
    /// When Java or its jars are not installed, or it does not start.
    pub fn start(kdc: &Kdc, settings: &Site) -> Result<Self, Error> {
        Self::begin(kdc, settings, None)
    }

    /// Starts one that serves WebHDFS over TLS, too.
    ///
    /// # Errors
    /// When Java or its jars are not installed, or it does not start.
    pub fn start_with_tls(kdc: &Kdc, settings: &Site, tls: &Tls) -> Result<Self, Error> {
        Self::begin(kdc, settings, Some(tls))
    }

    fn begin(kdc: &Kdc, settings: &Site, tls: Option<&Tls>) -> Result<Self, Error> {
        let place = Lasting::new("hdfs-data")?;
        let [rpc, http, https, data, data_http, data_https, data_ipc] = lasting_ports()?;
        let site = servers(kdc, place.path(), [data, data_http, data_ipc])?
            .set("fs.defaultFS", format!("hdfs://localhost:{rpc}"))
            .set("dfs.namenode.rpc-address", format!("localhost:{rpc}"))
            .set("dfs.namenode.http-address", format!("localhost:{http}"))
            .set("dfs.namenode.name.dir", format!("file://{}/name", place.path().display()))
            .and(settings);
        let conf = place.path().join("conf");
        let client = client(kdc, &site, place.path())?;
        match tls {
            None => site.write(&conf, "hdfs-site.xml")?,
            Some(tls) => {
                let ports = Site::new()
                    .set("dfs.http.policy", "HTTP_AND_HTTPS")
                    .set("dfs.namenode.https-address", format!("localhost:{https}"))
                    .set("dfs.datanode.https.address", format!("127.0.0.1:{data_https}"));
                site.and(&ports).write(&conf, "hdfs-site.xml")?;
                tls.servers().write_whole(&conf.join("ssl-server.xml"))?;
                tls.clients().write_whole(&client.conf().join("ssl-client.xml"))?;
            }
        }
        let jvm = jvm(kdc, &conf)?.arg("-").arg("datanode");
        let server = JavaServer::start("hdfs", jvm, Ready::File(READY))?;
        Ok(Self { server, client, rpc, http, https, place })
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

    /// The port of the NameNode for RPC, on `localhost`.
    #[must_use]
    pub fn rpc_port(&self) -> u16 {
        self.rpc
    }

    /// The port of the NameNode for WebHDFS, on `localhost`.
    #[must_use]
    pub fn http_port(&self) -> u16 {
        self.http
    }

    /// The port of the NameNode for WebHDFS over TLS, on `localhost`.
    #[must_use]
    pub fn https_port(&self) -> u16 {
        self.https
    }

    /// The folder of its data, a place for what belongs to it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.place.path()
    }

    /// Makes an encryption zone with a key of its own, which is made in the KMS that the settings name.
    ///
    /// # Errors
    /// When that fails.
    pub fn encryption_zone(&self, kdc: &Kdc, path: &str, key: &str) -> Result<(), Error> {
        let superuser = kdc.ticket(SUPERUSER)?;
        let proof = Proof::Ticket(&superuser);
        self.client.run("org.apache.hadoop.crypto.key.KeyShell", &["create", key, "-size", "128"], proof)?;
        self.client.fs(&["-mkdir", path], proof)?;
        self.client.fs(&["-chmod", "777", path], proof)?;
        let zone = ["-createZone", "-keyName", key, "-path", path];
        self.client.run("org.apache.hadoop.hdfs.tools.CryptoAdmin", &zone, proof).map(drop)
    }
}

impl Site {
    /// Short lives of HDFS's delegation tokens, in seconds: until a renewal, and at all.
    #[must_use]
    pub fn hdfs_token_lives(self, renewal: u32, longest: u32) -> Self {
        self.set("dfs.namenode.delegation.token.renew-interval", u64::from(renewal) * 1000)
            .set("dfs.namenode.delegation.token.max-lifetime", u64::from(longest) * 1000)
    }

    /// Lets a user act for all others.
    #[must_use]
    pub fn proxy_user(self, user: &str) -> Self {
        self.set(&format!("hadoop.proxyuser.{user}.hosts"), "*").set(&format!("hadoop.proxyuser.{user}.users"), "*")
    }

    /// The quality of protection of RPC and data transfer: `authentication`, `integrity` or `privacy`.
    #[must_use]
    pub fn protection(self, quality: &str) -> Self {
        self.set("hadoop.rpc.protection", quality).set("dfs.data.transfer.protection", quality)
    }
}

/// The file with which the servers say that they are ready.
pub(crate) const READY: &str = "ready";

/// What is the same for one NameNode and several.
pub(crate) fn servers(kdc: &Kdc, place: &Path, [data, http, ipc]: [u16; 3]) -> Result<Site, Error> {
    let service = kdc.full(SUPERUSER);
    let keytab = kdc.keytab(SUPERUSER)?.display().to_string();
    let site = Site::new()
        .set("hadoop.security.authentication", "kerberos")
        .set("dfs.namenode.kerberos.principal", &service)
        .set("dfs.datanode.kerberos.principal", &service)
        .set("dfs.namenode.keytab.file", &keytab)
        .set("dfs.datanode.keytab.file", &keytab)
        .set("dfs.namenode.kerberos.internal.spnego.principal", kdc.full("HTTP/localhost"))
        .set("dfs.datanode.kerberos.internal.spnego.principal", kdc.full("HTTP/localhost"))
        // Both are needed for WebHDFS to ask for a ticket.
        .set("hadoop.http.filter.initializers", "org.apache.hadoop.hdfs.web.AuthFilterInitializer")
        .and(&spnego(kdc)?)
        // SASL on the port for data, instead of a port that only root may open.
        .set("dfs.block.access.token.enable", "true")
        .set("dfs.data.transfer.protection", "authentication")
        .set("ignore.secure.ports.for.testing", "true")
        .set("dfs.http.policy", "HTTP_ONLY")
        .set("dfs.datanode.address", format!("127.0.0.1:{data}"))
        .set("dfs.datanode.http.address", format!("127.0.0.1:{http}"))
        .set("dfs.datanode.ipc.address", format!("127.0.0.1:{ipc}"))
        .set("dfs.datanode.hostname", "localhost")
        .set("dfs.datanode.data.dir", format!("file://{}/data", place.display()))
        .set("dfs.client.use.datanode.hostname", "true")
        .set("dfs.replication", "1")
        .set("dfs.heartbeat.interval", "1")
        // A test need not survive a loss of power.
        .set("dfs.namenode.edits.noeditlogchannelflush", "true");
    Ok(site)
}

/// Kerberos for what Hadoop's servers serve by HTTP.
pub(crate) fn spnego(kdc: &Kdc) -> Result<Site, Error> {
    let keytab = kdc.keytab("HTTP/localhost")?.display().to_string();
    Ok(Site::new()
        .set("hadoop.http.authentication.type", "kerberos")
        .set("hadoop.http.authentication.kerberos.principal", kdc.full("HTTP/localhost"))
        .set("hadoop.http.authentication.kerberos.keytab", keytab)
        .set("hadoop.http.authentication.signer.secret.provider", "random"))
}

/// A client for what this configuration serves.
pub(crate) fn client(kdc: &Kdc, site: &Site, place: &Path) -> Result<Client, Error> {
    Client::new("hadoop", kdc, &place.join("client"), &site.only(&CLIENTS), "hdfs-site.xml")
}

/// A JVM for NameNode and DataNode.
pub(crate) fn jvm(kdc: &Kdc, conf: &Path) -> Result<Jvm, Error> {
    write_log4j(conf, "log4j.logger.org.apache.hadoop.security.authentication.server.AuthenticationFilter=ERROR")?;
    // The jar has no pages for people. The servers look for the folders.
    for pages in ["hdfs", "datanode", "static"] {
        let folder = conf.join("webapps").join(pages);
        std::fs::create_dir_all(&folder).map_err(|error| Error::new(format!("{}: {error}", folder.display())))?;
    }
    Ok(Jvm::new("hadoop", "Hdfs", &kdc.krb5_conf(), conf).megabytes(512).arg(READY))
}
