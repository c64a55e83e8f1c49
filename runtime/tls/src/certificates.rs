//! Files of certificates, and the system's roots.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use deputy_core::Timestamp;
use deputy_files::{ambient, fill};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{Error as PemFileError, PemObject as _};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// The largest file: that of all public authorities has a quarter of it.
const MAX_FILE: usize = 1 << 20;

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
pub enum CertificatesError {
    /// A file without certificates, or an unreadable one.
    #[error("cannot read PEM certificates from {}: {source}", path.display())]
    Unreadable {
        path: PathBuf,
        /// What is wrong with it.
        source: PemFileError,
    },
    /// A certificate that TLS can't use.
    #[error("a root certificate in {} cannot be used: {source}", path.display())]
    Root {
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// No root certificates on this machine.
    #[error("the system has no root certificates: install them, or name a file with `roots`")]
    NoSystemRoots,
}

static SYSTEM: LazyLock<Arc<RootCertStore>> = LazyLock::new(|| {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "reading some of the system's root certificates failed");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    Arc::new(roots)
});

/// The roots in a file; without one, those of the system, which are read once. Blocks while the disk does.
///
/// # Errors
/// If there are none, or one of them cannot be used.
pub fn roots(path: Option<&Path>) -> Result<Arc<RootCertStore>, CertificatesError> {
    let Some(path) = path else {
        return if SYSTEM.is_empty() { Err(CertificatesError::NoSystemRoots) } else { Ok(Arc::clone(&SYSTEM)) };
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|source| CertificatesError::Root { path: path.to_owned(), source })?;
    }
    Ok(Arc::new(roots))
}

/// The certificates in a file, which other users may read. Blocks while the disk does.
///
/// # Errors
/// If the file cannot be read, is larger than 1 MiB, or has none.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificatesError> {
    read(path).map_err(|source| CertificatesError::Unreadable { path: path.to_owned(), source })
}

/// When the first certificate of a chain ends. `None` if that cannot be read.
pub fn expiry(chain: &[CertificateDer<'_>]) -> Option<Timestamp> {
    let (_, certificate) = X509Certificate::from_der(chain.first()?).ok()?;
    let seconds = u64::try_from(certificate.validity().not_after.timestamp()).ok()?;
    Some(Timestamp::from_millis(seconds.saturating_mul(1000)))
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, PemFileError> {
    let mut bytes = vec![0; MAX_FILE + 1];
    let filled = fill(ambient::open_file(path).map_err(PemFileError::Io)?, &mut bytes).map_err(PemFileError::Io)?;
    if filled > MAX_FILE {
        return Err(PemFileError::Io(io::Error::other("it is larger than 1 MiB")));
    }
    bytes.truncate(filled);
    let certificates = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>()?;
    if certificates.is_empty() { Err(PemFileError::NoItemsFound) } else { Ok(certificates) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_come_from_a_bounded_file() {
        let error = certificates(Path::new("/dev/zero")).unwrap_err();
        assert!(error.to_string().ends_with("it is larger than 1 MiB"), "{error}");
        let error = roots(Some(Path::new("/dev/null"))).unwrap_err();
        assert!(matches!(error, CertificatesError::Unreadable { source: PemFileError::NoItemsFound, .. }), "{error}");
    }
}
