//! TLS to etcd: the given roots and no other, and a client certificate where one is given.

use std::sync::Arc;

use deputy_core::SecretBytes;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// What a connection is encrypted and authenticated with.
#[derive(Clone)]
pub struct EtcdTls(pub(crate) Arc<ClientConfig>);

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("the roots for etcd have no certificate in PEM")]
    Roots,
    #[error("the client certificate for etcd is not in PEM")]
    Certificate,
    #[error("the key of the client certificate for etcd is not in PEM")]
    Key,
    #[error("TLS to etcd cannot be set up: do the client certificate and its key belong together?")]
    Config(#[from] rustls::Error),
}

impl EtcdTls {
    /// From PEM: the roots, and a certificate with its chain and its key.
    pub fn new(roots: &[u8], identity: Option<(&[u8], &SecretBytes)>) -> Result<Self, TlsError> {
        let mut store = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(roots) {
            store.add(root.map_err(|_| TlsError::Roots)?).map_err(|_| TlsError::Roots)?;
        }
        if store.is_empty() {
            return Err(TlsError::Roots);
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let builder = builder.with_root_certificates(store);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>();
                let chain = chain.map_err(|_| TlsError::Certificate)?;
                if chain.is_empty() {
                    return Err(TlsError::Certificate);
                }
                let key = PrivateKeyDer::from_pem_slice(key.expose()).map_err(|_| TlsError::Key)?;
                builder.with_client_auth_cert(chain, key)?
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self(Arc::new(config)))
    }
}

impl std::fmt::Debug for EtcdTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EtcdTls")
    }
}
