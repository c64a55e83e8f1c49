//! TLS to etcd.

use std::sync::Arc;

use deputy_tls::client_config;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore};

/// What a connection is encrypted and authenticated with.
#[derive(Clone)]
pub struct EtcdTls(pub(crate) Arc<ClientConfig>);

impl EtcdTls {
    /// The given roots and no other, and a client certificate where one is given.
    ///
    /// # Errors
    /// If the cryptographic library lacks the TLS versions.
    pub fn new(roots: Arc<RootCertStore>, identity: Option<CertifiedKey>) -> Result<Self, rustls::Error> {
        Ok(Self(Arc::new(client_config(roots, identity, &[b"h2"])?)))
    }
}

impl std::fmt::Debug for EtcdTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EtcdTls")
    }
}
