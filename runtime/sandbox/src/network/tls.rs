//! TLS as one rule of one instance wants it: its roots, its client certificate, its own session store.
//!
//! A certificate is always verified. Nothing here is shared between instances but the system's roots. The files that the
//! rule names are compared at each use, so that a renewed certificate or a replaced authority needs no reload.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use deputy_core::grant::{Host, TlsOptions};
use deputy_core::{SecretBytes, SecretName};
use deputy_sources::FileFingerprint;
use deputy_support::timer_now;
use deputy_tls::{CertificatesError, KeyError, certificates, client_config};
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError, ClientConfig};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::{Connection, Deadline, DeadlineExceeded};
use crate::blocking::blocking;

/// How long the last configuration stays in use after one of its files can't be used any more: a certificate and its key
/// are replaced one after the other.
const REPLACEMENT_GRACE: Duration = Duration::from_secs(60);

/// What is spoken within TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http,
    /// Whatever the component speaks.
    Other,
}

/// TLS for one rule.
pub(crate) struct RuleTls {
    files: Arc<TlsFiles>,
    cached: Mutex<Option<CachedConfig>>,
}

/// The files that a rule names.
struct TlsFiles {
    roots: Option<PathBuf>,
    client: Option<(PathBuf, SecretName)>,
    protocol: Protocol,
}

/// A configuration, and the files and key that it was made from.
struct CachedConfig {
    config: Arc<ClientConfig>,
    key: Option<Arc<SecretBytes>>,
    versions: TlsFileVersions,
    /// The versions that could not be used since, and when they were first seen.
    failed: Option<(TlsFileVersions, Instant)>,
}

/// The versions of the files. A missing file has no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TlsFileVersions {
    roots: Option<FileFingerprint>,
    client: Option<FileFingerprint>,
}

/// Why a rule's TLS can't be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RuleTlsError {
    #[error(transparent)]
    Certificates(#[from] CertificatesError),
    /// The secret is not a key, or not the certificate's.
    #[error("secret {secret} is not the PEM key of the certificate in {}: {why}", path.display())]
    Key {
        secret: SecretName,
        path: PathBuf,
        /// What is wrong with it, without any of its text.
        why: KeyError,
    },
    /// The cryptographic library lacks the TLS versions.
    #[error(transparent)]
    Versions(rustls::Error),
}

/// Why a handshake failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    /// The server's certificate is not the host's, or its issuer is not trusted.
    #[error("the server's certificate is not trusted: {0}")]
    Certificate(CertificateError),
    #[error(transparent)]
    TimedOut(#[from] DeadlineExceeded),
    #[error("the TLS handshake failed: {0}")]
    Other(io::Error),
}

/// Why a connection has no TLS, or has it no longer: what is wrong, and what mends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TlsFault {
    #[error("its certificate is for another host: `allow` must have a name of the certificate")]
    Name,
    #[error("the issuer of its certificate is not trusted: name the authority's certificate in `roots`")]
    Issuer,
    #[error("its certificate has expired, or is not valid yet: the server needs a new one, or a clock is wrong")]
    Expired,
    #[error("its certificate cannot be used")]
    Certificate,
    #[error("it requires a client certificate: add `client-certificate`")]
    ClientRequired,
    #[error(
        "it refuses the client certificate: `client-certificate` needs one that the server trusts and that is valid"
    )]
    ClientRefused,
    #[error("it speaks no TLS, or no version or cipher suite in common: check that the port is the TLS port")]
    Protocol,
    #[error("the connection broke off without the end that TLS has")]
    Truncated,
}

impl TlsFault {
    /// The code for the audit log.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Name | Self::Issuer | Self::Expired | Self::Certificate => "tls-certificate",
            Self::ClientRequired | Self::ClientRefused => "tls-client-certificate",
            Self::Protocol => "tls",
            Self::Truncated => "tls-truncated",
        }
    }

    /// What an error of a connection with TLS means. `None` if it is the network's own.
    pub(crate) fn of(error: &io::Error) -> Option<Self> {
        if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return Some(Self::of_library(error));
        }
        (error.kind() == io::ErrorKind::UnexpectedEof).then_some(Self::Truncated)
    }

    fn of_library(error: &rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidCertificate(wrong) => Self::of_certificate(wrong),
            rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => Self::ClientRequired,
            rustls::Error::AlertReceived(
                AlertDescription::AccessDenied
                | AlertDescription::BadCertificate
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateUnknown
                | AlertDescription::DecryptError // its signature is not that of the authority of this name
                | AlertDescription::UnknownCA
                | AlertDescription::UnsupportedCertificate,
            ) => Self::ClientRefused,
            _ => Self::Protocol,
        }
    }

    fn of_certificate(wrong: &CertificateError) -> Self {
        match wrong {
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Self::Name,
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::Issuer,
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Self::Expired,
            _ => Self::Certificate,
        }
    }
}

impl HandshakeError {
    /// What is wrong, unless it is the network or the time.
    pub(crate) fn fault(&self) -> Option<TlsFault> {
        match self {
            Self::Certificate(wrong) => Some(TlsFault::of_certificate(wrong)),
            // Before its end, one that breaks off is no TLS.
            Self::Other(error) => TlsFault::of(error).map(|fault| match fault {
                TlsFault::Truncated => TlsFault::Protocol,
                other => other,
            }),
            Self::TimedOut(_) => None,
        }
    }
}

impl RuleTls {
    /// Reads the files that a rule names.
    pub(crate) fn load(options: &TlsOptions, protocol: Protocol) -> Result<Self, RuleTlsError> {
        let TlsOptions { roots, client } = options.clone();
        let files = TlsFiles { roots, client, protocol };
        deputy_tls::roots(files.roots.as_deref())?;
        if let Some((path, _)) = &files.client {
            certificates(path)?;
        }
        Ok(Self { files: Arc::new(files), cached: Mutex::new(None) })
    }

    /// The secret that holds the client certificate's key.
    pub(crate) fn key(&self) -> Option<&SecretName> {
        self.files.client.as_ref().map(|(_, secret)| secret)
    }

    /// Checks that this is the client certificate's key.
    pub(crate) fn check_key(&self, key: &SecretBytes) -> Result<(), RuleTlsError> {
        self.files.build(Some(key)).map(drop)
    }

    /// The configuration with this key. It is reused, sessions included, as long as the key and the files stay the same.
    pub(crate) async fn config(&self, key: Option<Arc<SecretBytes>>) -> Result<Arc<ClientConfig>, RuleTlsError> {
        let mut cached = self.cached.lock().await;
        // Taken before the files are read: a write in between shows at the next use.
        let versions = self.files.versions().await;
        if let Some(last) = cached.as_ref().filter(|last| last.is_current(key.as_deref(), versions)) {
            return Ok(Arc::clone(&last.config));
        }
        let files = Arc::clone(&self.files);
        let new_key = key.clone();
        match blocking(move |_| files.build(new_key.as_deref())).await {
            Ok(config) => {
                let config = Arc::new(config);
                *cached = Some(CachedConfig { config: Arc::clone(&config), key, versions, failed: None });
                Ok(config)
            }
            Err(error) => match cached.as_mut().and_then(|last| last.fall_back(&error, versions, timer_now())) {
                Some(config) => Ok(config),
                None => Err(error),
            },
        }
    }
}

impl CachedConfig {
    fn is_current(&self, key: Option<&SecretBytes>, versions: TlsFileVersions) -> bool {
        self.versions == versions && self.key.as_deref().map(SecretBytes::expose) == key.map(SecretBytes::expose)
    }

    /// The last configuration, within the grace period, although its files were replaced by unusable ones.
    fn fall_back(
        &mut self,
        error: &RuleTlsError,
        versions: TlsFileVersions,
        now: Instant,
    ) -> Option<Arc<ClientConfig>> {
        if versions == self.versions {
            return None;
        }
        let since = self.failed.map_or(now, |(_, since)| since);
        if self.failed.is_none_or(|(before, _)| before != versions) {
            let seconds = REPLACEMENT_GRACE.as_secs();
            tracing::warn!(%error, "new certificate or key cannot be used; keeping the last one for {seconds} s");
            self.failed = Some((versions, since));
        }
        (now.saturating_duration_since(since) < REPLACEMENT_GRACE).then(|| Arc::clone(&self.config))
    }
}

impl TlsFiles {
    async fn versions(&self) -> TlsFileVersions {
        TlsFileVersions {
            roots: fingerprint(self.roots.as_deref()).await,
            client: fingerprint(self.client.as_ref().map(|(path, _)| path.as_path())).await,
        }
    }

    fn build(&self, key: Option<&SecretBytes>) -> Result<ClientConfig, RuleTlsError> {
        let roots = deputy_tls::roots(self.roots.as_deref())?;
        let identity = match (&self.client, key) {
            (Some((path, secret)), Some(key)) => {
                let identity = deputy_tls::identity(certificates(path)?, key);
                let failed = |why| RuleTlsError::Key { secret: secret.clone(), path: path.clone(), why };
                Some(identity.map_err(failed)?)
            }
            _ => None,
        };
        let protocols: &[&[u8]] = match self.protocol {
            Protocol::Http => &[b"http/1.1"],
            Protocol::Other => &[],
        };
        client_config(roots, identity, protocols).map_err(RuleTlsError::Versions)
    }
}

async fn fingerprint(path: Option<&Path>) -> Option<FileFingerprint> {
    FileFingerprint::of_file(path?).await.ok()
}

/// Makes a TLS connection to the host that the component named, whatever its address.
pub(crate) async fn handshake(
    stream: TcpStream,
    host: &Host,
    config: Arc<ClientConfig>,
    deadline: Deadline,
) -> Result<Connection, HandshakeError> {
    let name = match host {
        Host::Address(address) => ServerName::from(*address),
        Host::Name(name) => ServerName::try_from(name.clone())
            .map_err(|_| HandshakeError::Other(io::Error::new(io::ErrorKind::InvalidInput, "not a TLS server name")))?,
    };
    match deadline.run(TlsConnector::from(config).connect(name, stream)).await? {
        Ok(stream) => Ok(Connection::Right(Box::new(stream))),
        Err(error) => Err(match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(rustls::Error::InvalidCertificate(wrong)) => HandshakeError::Certificate(wrong.clone()),
            _ => HandshakeError::Other(error),
        }),
    }
}
