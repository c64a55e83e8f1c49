//! TLS to etcd.

use std::sync::Arc;

use async_trait::async_trait;
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

/// Certificates that may be renewed while a client is in use.
#[async_trait]
pub trait TlsSource: Send + Sync {
    /// What the next connection is encrypted and authenticated with.
    async fn current(&self) -> EtcdTls;
}

/// The same for every connection.
#[async_trait]
impl TlsSource for EtcdTls {
    async fn current(&self) -> EtcdTls {
        self.clone()
    }
}

impl std::fmt::Debug for EtcdTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EtcdTls")
    }
}
