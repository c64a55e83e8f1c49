//! Why spans cannot be sent.

use std::io;
use std::time::Duration;

use deputy_sources::SourceError;
use deputy_tls::CertificatesError;

/// Why the collector cannot be used, or did not take a batch.
#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    #[error("cannot connect to the collector of traces at {0}")]
    Connect(String, #[source] io::Error),
    #[error("the exchange with the collector of traces at {0} failed")]
    Exchange(String, #[source] hyper::Error),
    #[error("the value of the header {0} of `headers` in [traces] cannot be read")]
    Header(String, #[source] SourceError),
    #[error("the value of the header {0} of `headers` in [traces] is not valid in a header: remove control characters")]
    HeaderValue(String),
    #[error("the URL of the collector of traces, {0}, cannot be used: check `otlp` in [traces]")]
    Request(String),
    #[error("no roots to check the certificate of the collector of traces with: see `roots` in [traces]")]
    Roots(#[source] CertificatesError),
    #[error("the collector of traces at {url} answered {status}")]
    Status {
        url: String,
        status: u16,
        /// How long it asked to wait.
        retry_after: Option<Duration>,
    },
    #[error("the collector of traces at {0} did not answer in time")]
    Timeout(String),
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
}

impl CollectorError {
    /// Whether the same fails until an operator changes the configuration.
    pub fn is_misconfigured(&self) -> bool {
        match self {
            Self::Header(_, error) => error.is_lasting(),
            Self::HeaderValue(_) | Self::Request(_) => true,
            Self::Roots(error) => error.is_lasting(),
            _ => false,
        }
    }

    /// Whether the same batch may be taken later: the answers that OTLP names, and whatever hinders an answer.
    pub(crate) fn is_temporary(&self) -> bool {
        match self {
            Self::Status { status, .. } => matches!(status, 429 | 502 | 503 | 504),
            Self::HeaderValue(_) | Self::Request(_) => false,
            _ => true,
        }
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
