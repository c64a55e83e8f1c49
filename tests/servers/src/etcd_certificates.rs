//! Certificates for etcd and its clients: an authority of its own, a server on the loopback interface, and users.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};

use crate::{Error, Lasting};

/// An authority and what it signed. The files end with this value.
pub struct EtcdCertificates {
    folder: Lasting,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl EtcdCertificates {
    /// An authority, and the certificate of a server on `localhost` and `127.0.0.1`.
    ///
    /// # Errors
    /// When a certificate cannot be made or written.
    pub fn new() -> Result<Self, Error> {
        let mut params = CertificateParams::new(Vec::new()).map_err(failed)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "etcd's authority");
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().map_err(failed)?).map_err(failed)?;
        let certificates = Self { folder: Lasting::new("etcd-certificates")?, authority };
        certificates.write("roots.pem", &certificates.authority.pem())?;
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut server = CertificateParams::new(names).map_err(failed)?;
        // Members check each other's certificate as a client's.
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        certificates.sign("server", server)?;
        certificates.client("client", "deputy")?;
        Ok(certificates)
    }

    /// Signs a client's certificate, with a user's name in it, into `<file>.pem` and `<file>.key`.
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub fn client(&self, file: &str, user: &str) -> Result<(), Error> {
        self.client_of(file, user, None)
    }

    /// The same for a certificate that is valid from the first day of one year until that of another.
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub fn client_of_years(&self, file: &str, user: &str, years: Range<i32>) -> Result<(), Error> {
        self.client_of(file, user, Some(years))
    }

    fn client_of(&self, file: &str, user: &str, years: Option<Range<i32>>) -> Result<(), Error> {
        let mut params = CertificateParams::new(Vec::new()).map_err(failed)?;
        if let Some(years) = years {
            params.not_before = date_time_ymd(years.start, 1, 1);
            params.not_after = date_time_ymd(years.end, 1, 1);
        }
        params.distinguished_name.push(DnType::CommonName, user);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(file, params)
    }

    /// A file by name: `roots.pem`, `server.pem`, `server.key`, `client.pem`, `client.key`.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn sign(&self, file: &str, params: CertificateParams) -> Result<(), Error> {
        let key = KeyPair::generate().map_err(failed)?;
        let issuer: &Issuer<'_, KeyPair> = &self.authority;
        let certificate = params.signed_by(&key, issuer).map_err(failed)?;
        self.write(&format!("{file}.pem"), &certificate.pem())?;
        self.write(&format!("{file}.key"), &key.serialize_pem())
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        let path = self.file(name);
        fs::write(&path, text).map_err(|error| Error::new(format!("writing {}: {error}", path.display())))?;
        // Deputy refuses a key that others can read.
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))
            .map_err(|error| Error::new(format!("closing {}: {error}", path.display())))
    }
}

fn failed(error: rcgen::Error) -> Error {
    Error::new(format!("a certificate for etcd: {error}"))
}
