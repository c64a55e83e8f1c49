//! TLS to the servers that an operator names, and at a port of this process: root certificates, certificates and their keys.
//!
//! Files are read up to a limit. A private key is decoded into memory that is wiped.

mod certificates;
mod identity;
mod pem;
mod server;

use std::sync::Arc;

use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};

pub use certificates::{CertificatesError, ValidityError, certificates, check_validity, roots};
pub use identity::{KeyError, identity, is_for};
pub use pem::{PemError, PrivateKey, private_key};
pub use server::{ServerIdentity, server_config};

/// A client that always verifies the server, shows a certificate if it has one, and speaks one of the ALPN protocols.
///
/// # Errors
/// If the cryptographic library lacks the TLS versions.
pub fn client_config(
    roots: Arc<RootCertStore>,
    identity: Option<CertifiedKey>,
    protocols: &[&[u8]],
) -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let mut config = match identity {
        Some(identity) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity))),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}
