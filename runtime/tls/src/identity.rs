//! A certificate with its key.

use deputy_core::SecretBytes;
use rustls::client::verify_server_name;
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer, ServerName,
};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;

use crate::pem::{PemError, PrivateKey, private_key};

/// Why a secret is not a key for TLS.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It is not PEM.
    #[error(transparent)]
    Pem(#[from] PemError),
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

/// A certificate with its key, in PEM. The decoded key is wiped; the library wipes its own copy.
///
/// # Errors
/// If the key cannot be read, or is not the certificate's.
pub fn identity(chain: Vec<CertificateDer<'static>>, key: &SecretBytes) -> Result<CertifiedKey, KeyError> {
    let text = std::str::from_utf8(key.expose()).map_err(|_| PemError::Missing)?;
    let key = private_key(text)?;
    let der = match &key {
        PrivateKey::Pkcs1(der) => PrivateKeyDer::Pkcs1(PrivatePkcs1KeyDer::from(der.as_slice())),
        PrivateKey::Pkcs8(der) => PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der.as_slice())),
        PrivateKey::Sec1(der) => PrivateKeyDer::Sec1(PrivateSec1KeyDer::from(der.as_slice())),
    };
    let certified = CertifiedKey::new(chain, rustls::crypto::aws_lc_rs::sign::any_supported_type(&der)?);
    match certified.keys_match() {
        // The library can't tell for some kinds of keys.
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(certified),
        Err(error) => Err(error.into()),
    }
}

/// Whether clients take a server's certificate for this name or address, once they trust its issuer.
pub fn is_for(identity: &CertifiedKey, host: &ServerName<'_>) -> bool {
    let certificate = identity.end_entity_cert().and_then(ParsedCertificate::try_from);
    certificate.is_ok_and(|certificate| verify_server_name(&certificate, host).is_ok())
}
