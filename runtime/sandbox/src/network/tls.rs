//! TLS as one rule of one instance wants it: its roots, its client certificate, its own session store.
//!
//! A certificate is always verified. Nothing here is shared between instances but the system's roots.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use deputy_core::grant::{Host, Send};
use deputy_core::{SecretBytes, SecretName};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Deadline, Late, Stream};

/// TLS for one rule.
pub(crate) struct Tls {
    roots: Arc<RootCertStore>,
    client: Option<(PathBuf, SecretName)>,
    /// The last configuration, and the key that is in it.
    ready: Mutex<Option<Ready>>,
}

type Ready = (Option<Arc<SecretBytes>>, Arc<ClientConfig>);

/// Why there is no TLS to be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// A file without certificates, or one that can't be read.
    #[error("cannot read PEM certificates from {}: {source}", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// The secret is no key, or not the certificate's.
    #[error("secret {secret} is not the PEM key of the certificate in {}: {source}", path.display())]
    Key {
        /// The secret.
        secret: SecretName,
        /// The certificate.
        path: PathBuf,
        /// What is wrong with it, without any of its text.
        source: rustls::Error,
    },
    /// No root certificates on this machine.
    #[error("the system has no root certificates: install them, or name a file with `roots`")]
    Roots,
    /// A certificate that TLS can't use.
    #[error("a root certificate in {} cannot be used: {source}", path.display())]
    Root {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// The cryptography does not fit.
    #[error(transparent)]
    Versions(rustls::Error),
}

/// Why a handshake failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    /// The server's certificate is not the host's, or nobody trusted signed it.
    #[error("the server's certificate is not trusted: {0}")]
    Certificate(rustls::CertificateError),
    /// It took too long.
    #[error(transparent)]
    Late(#[from] Late),
    /// Something else.
    #[error("the TLS handshake failed: {0}")]
    Other(std::io::Error),
}

static SYSTEM: LazyLock<Arc<RootCertStore>> = LazyLock::new(|| {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "some of the system's root certificates could not be read");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    Arc::new(roots)
});

impl Tls {
    /// Reads the files that a rule names.
    pub(crate) fn load(send: &Send) -> Result<Self, TlsError> {
        let roots = match &send.roots {
            Some(path) => roots(path)?,
            None if SYSTEM.is_empty() => return Err(TlsError::Roots),
            None => Arc::clone(&SYSTEM),
        };
        if let Some((path, _)) = &send.client {
            certificates(path)?;
        }
        Ok(Self { roots, client: send.client.clone(), ready: Mutex::new(None) })
    }

    /// The secret that holds the client certificate's key.
    pub(crate) fn key(&self) -> Option<&SecretName> {
        self.client.as_ref().map(|(_, secret)| secret)
    }

    /// The configuration with this key; the last one, sessions included, as long as the key stays the same.
    pub(crate) fn config(&self, key: Option<Arc<SecretBytes>>) -> Result<Arc<ClientConfig>, TlsError> {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((last, config)) = &*ready
            && last.as_deref().map(SecretBytes::expose) == key.as_deref().map(SecretBytes::expose)
        {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(self.build(key.as_deref())?);
        *ready = Some((key, Arc::clone(&config)));
        Ok(config)
    }

    fn build(&self, key: Option<&SecretBytes>) -> Result<ClientConfig, TlsError> {
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Versions)?
            .with_root_certificates(Arc::clone(&self.roots));
        let mut config = match (&self.client, key) {
            (Some((path, secret)), Some(key)) => {
                let wrong = |source| TlsError::Key { secret: secret.clone(), path: path.clone(), source };
                let der = PrivateKeyDer::from_pem_slice(key.expose())
                    .map_err(|_| wrong(rustls::Error::General("no PEM private key in it".into())))?;
                builder.with_client_auth_cert(certificates(path)?, der).map_err(wrong)?
            }
            _ => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn roots(path: &Path) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|source| TlsError::Root { path: path.to_owned(), source })?;
    }
    Ok(Arc::new(roots))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |source| TlsError::Certificates { path: path.to_owned(), source };
    let found: Vec<_> = CertificateDer::pem_file_iter(path).map_err(wrong)?.collect::<Result<_, _>>().map_err(wrong)?;
    if found.is_empty() { Err(wrong(pem::Error::NoItemsFound)) } else { Ok(found) }
}

/// Shakes hands over a connection, as the host that the component named and not as the address that it has.
pub(crate) async fn handshake(
    stream: TcpStream,
    host: &Host,
    config: Arc<ClientConfig>,
    deadline: Deadline,
) -> Result<Stream, HandshakeError> {
    let name = match host {
        Host::Address(address) => ServerName::from(*address),
        Host::Name(name) => ServerName::try_from(name.clone()).map_err(|_| {
            HandshakeError::Other(std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a TLS server name"))
        })?,
    };
    match deadline.run(TlsConnector::from(config).connect(name, stream)).await? {
        Ok(stream) => Ok(Stream::Tls(Box::new(stream))),
        Err(error) => Err(match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(rustls::Error::InvalidCertificate(wrong)) => HandshakeError::Certificate(wrong.clone()),
            _ => HandshakeError::Other(error),
        }),
    }
}
