//! A certificate for servers on `localhost`, by the JDK's `keytool`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Error, Lasting, Site};

/// A certificate that signs itself, with its key. The files end with this value.
pub struct Tls {
    folder: Lasting,
}

impl Tls {
    /// The password of both stores.
    pub const PASSWORD: &'static str = "not-secret";

    /// Makes one. It takes two seconds.
    ///
    /// # Errors
    /// When `keytool` is missing or fails.
    pub fn new() -> Result<Self, Error> {
        let tls = Self { folder: Lasting::new("tls")? };
        let names = ["-dname", "CN=localhost", "-ext", "san=dns:localhost,ip:127.0.0.1", "-validity", "30"];
        tls.keytool(&tls.keystore(), &["-genkeypair", "-keyalg", "EC", "-groupname", "secp256r1"], &names)?;
        let roots = tls.roots().display().to_string();
        tls.keytool(&tls.keystore(), &["-exportcert", "-rfc"], &["-file", &roots])?;
        tls.keytool(&tls.truststore(), &["-importcert", "-noprompt"], &["-file", &roots])?;
        Ok(tls)
    }

    /// The certificate and its key, as PKCS #12: for a server in Java.
    #[must_use]
    pub fn keystore(&self) -> PathBuf {
        self.folder.path().join("server.p12")
    }

    /// The certificate alone, as PKCS #12: for a client in Java.
    #[must_use]
    pub fn truststore(&self) -> PathBuf {
        self.folder.path().join("roots.p12")
    }

    /// The certificate alone, as PEM.
    #[must_use]
    pub fn roots(&self) -> PathBuf {
        self.folder.path().join("roots.pem")
    }

    /// What Hadoop's servers read of it in `ssl-server.xml`.
    #[must_use]
    pub fn servers(&self) -> Site {
        Self::site("ssl.server.keystore", &self.keystore())
            .set("ssl.server.keystore.keypassword", Self::PASSWORD)
            .and(&Self::site("ssl.server.truststore", &self.truststore()))
    }

    /// What Hadoop's clients read of it in `ssl-client.xml`.
    #[must_use]
    pub fn clients(&self) -> Site {
        Self::site("ssl.client.truststore", &self.truststore())
    }

    fn site(name: &str, store: &Path) -> Site {
        Site::new()
            .set(&format!("{name}.location"), store.display())
            .set(&format!("{name}.password"), Self::PASSWORD)
            .set(&format!("{name}.type"), "PKCS12")
    }

    fn keytool(&self, store: &Path, command: &[&str], more: &[&str]) -> Result<(), Error> {
        let failed = |text: String| Error::new(format!("keytool {}: {text}", command.join(" ")));
        let mut keytool = Command::new("keytool");
        keytool.args(command).args(["-alias", "server", "-storetype", "PKCS12", "-storepass", Self::PASSWORD]);
        let keytool = keytool.arg("-keystore").arg(store).args(more).stdin(Stdio::null());
        let output = keytool.output().map_err(|error| failed(error.to_string()))?;
        match output.status.success() {
            true => Ok(()),
            false => Err(failed(String::from_utf8_lossy(&output.stdout).into_owned())),
        }
    }
}
