//! Hadoop KMS: keys for encryption zones, behind Kerberos.

use crate::java::{JavaServer, Jvm, Ready, write_log4j};
use crate::{Error, Kdc, Lasting, Site, Tls, lasting_ports};

/// A running KMS. Its port and keys stay when it is stopped, and end with this value.
pub struct Kms {
    server: JavaServer,
    scheme: &'static str,
    port: u16,
    _place: Lasting,
}

impl Kms {
    /// Starts one with these settings besides its own. It takes a few seconds.
    ///
    /// # Errors
    /// When Java or its jars are not installed, or it does not start.
    pub fn start(kdc: &Kdc, settings: &Site) -> Result<Self, Error> {
        Self::begin(kdc, settings, None)
    }

    /// Starts one that serves TLS alone.
    ///
    /// # Errors
    /// When Java or its jars are not installed, or it does not start.
    pub fn start_with_tls(kdc: &Kdc, settings: &Site, tls: &Tls) -> Result<Self, Error> {
        Self::begin(kdc, &settings.clone().set("hadoop.kms.ssl.enabled", "true"), Some(tls))
    }

    fn begin(kdc: &Kdc, settings: &Site, tls: Option<&Tls>) -> Result<Self, Error> {
        let place = Lasting::new("kms-data")?;
        let [port] = lasting_ports()?;
        let keytab = kdc.keytab("HTTP/localhost")?.display().to_string();
        let keys = place.path().join("keys.jceks");
        let site = Site::new()
            .set("hadoop.security.authentication", "kerberos")
            .set("hadoop.kms.http.host", "localhost")
            .set("hadoop.kms.http.port", port)
            .set("hadoop.kms.key.provider.uri", format!("jceks://file@{}", keys.display()))
            // Else each key needs a list of who may use it.
            .set("hadoop.kms.key.authorization.enable", "false")
            .set("hadoop.kms.authentication.type", "kerberos")
            .set("hadoop.kms.authentication.kerberos.principal", kdc.full("HTTP/localhost"))
            .set("hadoop.kms.authentication.kerberos.keytab", keytab)
            .set("hadoop.kms.authentication.signer.secret.provider", "random")
            .set("hadoop.kms.proxyuser.hdfs.hosts", "*")
            .set("hadoop.kms.proxyuser.hdfs.users", "*")
            .and(settings);
        let conf = place.path().join("conf");
        write_log4j(&conf, "")?;
        site.write_whole(&conf.join("core-site.xml"))?;
        site.write_whole(&conf.join("kms-site.xml"))?;
        Site::new().write_whole(&conf.join("kms-acls.xml"))?;
        let jvm = Jvm::new("hadoop", "org.apache.hadoop.crypto.key.kms.server.KMSWebServer", &kdc.krb5_conf(), &conf)
            .megabytes(256)
            .option(format!("-Dkms.config.dir={}", conf.display()))
            .option(format!("-Dlog4j.configuration=file:{}/log4j.properties", conf.display()));
        let mut ready = Ready::Http(port, "/kms/v1/keys/names", 401);
        if let Some(tls) = tls {
            tls.servers().write_whole(&conf.join("ssl-server.xml"))?;
            ready = Ready::Port(port);
        }
        let server = JavaServer::start("kms", jvm, ready)?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        Ok(Self { server, scheme, port, _place: place })
    }

    /// The server's process, to stop it and to start it again.
    pub fn server(&mut self) -> &mut JavaServer {
        &mut self.server
    }

    /// Its port, on `localhost`.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address as Hadoop's clients write it.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("kms://{}@localhost:{}/kms", self.scheme, self.port)
    }
}

impl Site {
    /// Short lives of a KMS's delegation tokens, in seconds: until a renewal, and at all.
    #[must_use]
    pub fn kms_token_lives(self, renewal: u32, longest: u32) -> Self {
        self.set("hadoop.kms.authentication.delegation-token.renew-interval.sec", renewal)
            .set("hadoop.kms.authentication.delegation-token.max-lifetime.sec", longest)
    }

    /// The KMS that has the keys of encryption zones.
    #[must_use]
    pub fn key_provider(self, kms: &Kms) -> Self {
        self.set("hadoop.security.key.provider.path", kms.uri())
    }
}
