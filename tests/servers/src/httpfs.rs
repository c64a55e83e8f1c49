//! HttpFS: WebHDFS for a whole HDFS from one server, with tokens of its own.

use std::fs;

use crate::hdfs::spnego;
use crate::java::{JavaServer, Jvm, Ready};
use crate::{Client, Error, Kdc, Lasting, Site, lasting_ports};

/// The principal that acts for all users at the NameNode, which must permit it: see [`Site::proxy_user`].
const PRINCIPAL: &str = "httpfs/localhost";

/// A running HttpFS. Its port stays when it is stopped, and ends with this value. It keeps tokens in memory only.
pub struct HttpFs {
    server: JavaServer,
    port: u16,
    _place: Lasting,
}

impl HttpFs {
    /// Starts one for the file system that a client is configured for, with these settings besides its own. It takes a
    /// few seconds.
    ///
    /// # Errors
    /// When Java or its jars are not installed, or it does not start.
    pub fn start(kdc: &Kdc, hdfs: &Client, settings: &Site) -> Result<Self, Error> {
        let place = Lasting::new("httpfs-data")?;
        let [port] = lasting_ports()?;
        let folder = |name: &str| -> Result<String, Error> {
            let folder = place.path().join(name);
            let failed = |error| Error::new(format!("making the folder {}: {error}", folder.display()));
            fs::create_dir_all(&folder).map_err(failed)?;
            Ok(folder.display().to_string())
        };
        let site = spnego(kdc)?
            .set("hadoop.security.authentication", "kerberos")
            .set("httpfs.http.hostname", "localhost")
            .set("httpfs.http.port", port)
            .set("httpfs.hadoop.authentication.type", "kerberos")
            .set("httpfs.hadoop.authentication.kerberos.principal", kdc.full(PRINCIPAL))
            .set("httpfs.hadoop.authentication.kerberos.keytab", kdc.keytab(PRINCIPAL)?.display())
            .set("httpfs.hadoop.config.dir", hdfs.conf().display())
            .and(settings);
        let conf = place.path().join("conf");
        crate::java::write_log4j(&conf, "")?;
        fs::copy(conf.join("log4j.properties"), conf.join("httpfs-log4j.properties"))
            .map_err(|error| Error::new(format!("writing the log4j.properties of HttpFS: {error}")))?;
        site.write_whole(&conf.join("core-site.xml"))?;
        site.write_whole(&conf.join("httpfs-site.xml"))?;
        let main = "org.apache.hadoop.fs.http.server.HttpFSServerWebServer";
        let jvm = Jvm::new("hadoop", main, &kdc.krb5_conf(), &conf)
            .megabytes(256)
            .option(format!("-Dhttpfs.home.dir={}", folder("home")?))
            .option(format!("-Dhttpfs.config.dir={}", conf.display()))
            .option(format!("-Dhttpfs.log.dir={}", folder("log")?))
            .option(format!("-Dhttpfs.temp.dir={}", folder("tmp")?));
        let server = JavaServer::start("httpfs", jvm, Ready::Http(port, "/webhdfs/v1/?op=LISTSTATUS", 401))?;
        Ok(Self { server, port, _place: place })
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
}
