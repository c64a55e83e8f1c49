//! Files of certificates, and the system's roots.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use deputy_core::Timestamp;
use deputy_files::{ambient, fill, is_wrong_path};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{Error as PemFileError, PemObject as _};
use x509_parser::prelude::{ASN1Time, FromDer as _, X509Certificate};

/// The largest file: that of all public authorities has a quarter of it.
const MAX_FILE: usize = 1 << 20;

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
pub enum CertificatesError {
    /// A file without certificates, or an unreadable one.
    #[error("cannot read PEM certificates from {}: {why}", path.display())]
    Unreadable { path: PathBuf, why: PemFileError },
    /// A certificate that TLS can't use.
    #[error("a root certificate in {} cannot be used: {why}", path.display())]
    Root { path: PathBuf, why: rustls::Error },
    /// No root certificates on this machine.
    #[error("the system has no root certificates: install them, or name a file with `roots`")]
    NoSystemRoots,
}

/// Why a certificate is not good at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValidityError {
    #[error("expired at {0}: renew it")]
    Expired(Timestamp),
    #[error("is not valid before {0}: wait until then, or correct the clock of this machine")]
    Early(Timestamp),
}

impl CertificatesError {
    /// Whether the same fails until an operator changes something. What a disk fails with may pass by itself.
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::Unreadable { why: PemFileError::Io(error), .. } => {
                error.kind() == io::ErrorKind::Other || is_wrong_path(error)
            }
            Self::Unreadable { .. } | Self::Root { .. } | Self::NoSystemRoots => true,
        }
    }
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
        roots.add(certificate).map_err(|why| CertificatesError::Root { path: path.to_owned(), why })?;
    }
    Ok(Arc::new(roots))
}

/// The certificates in a file, which other users may read. Blocks while the disk does.
///
/// # Errors
/// If the file cannot be read, is larger than 1 MiB, or has none.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificatesError> {
    read(path).map_err(|why| CertificatesError::Unreadable { path: path.to_owned(), why })
}

/// Whether the first certificate of a chain is valid at this time. What cannot be read is left to TLS.
///
/// # Errors
/// If it has expired, or is not valid yet.
pub fn check_validity(chain: &[CertificateDer<'_>], now: Timestamp) -> Result<(), ValidityError> {
    let Some(Ok((_, certificate))) = chain.first().map(|first| X509Certificate::from_der(first)) else {
        return Ok(());
    };
    let validity = certificate.validity();
    match (timestamp(validity.not_before), timestamp(validity.not_after)) {
        (_, Some(end)) if end <= now => Err(ValidityError::Expired(end)),
        (Some(begin), _) if now < begin => Err(ValidityError::Early(begin)),
        _ => Ok(()),
    }
}

/// `None` before 1970.
fn timestamp(time: ASN1Time) -> Option<Timestamp> {
    let seconds = u64::try_from(time.timestamp()).ok()?;
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
        assert!(matches!(error, CertificatesError::Unreadable { why: PemFileError::NoItemsFound, .. }), "{error}");
    }
}
