//! Where traces go, as an operator configures it.

#![deny(missing_docs)]

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::SecretSource;
use crate::grant::{Scheme, Target, TargetError, split_url};
use crate::schedule::Ratio;

/// The collector of traces, and which of them it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracePlan {
    /// Where spans are posted.
    pub collector: CollectorUrl,
    /// The certificates that are trusted, instead of the system's.
    pub roots: Option<PathBuf>,
    /// Headers of each request, such as a token: names in lower case, and where their values are.
    pub headers: Vec<(String, SecretSource)>,
    /// The share of leases that are traced.
    pub sample: Ratio,
}

/// The URL of a collector without the path of the signal: `https://collector.example:4318`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectorUrl {
    target: Target,
    base: String,
}

/// A text is not the URL of a collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CollectorUrlError {
    /// Neither http nor https.
    #[error("not the URL of a collector, which takes OTLP over HTTP: write \"https://collector.example:4318\"")]
    Scheme,
    /// A query, a fragment, or characters that are not allowed in a path.
    #[error("the URL of a collector has no query and no fragment: write \"https://collector.example:4318\"")]
    Path,
    /// The path of a signal.
    #[error("`/v1/traces` is added to the URL of a collector: write \"https://collector.example:4318\"")]
    Signal,
    /// Its host or port.
    #[error(transparent)]
    Target(#[from] TargetError),
}

/// The path of traces in OTLP over HTTP.
const TRACES: &str = "/v1/traces";

impl CollectorUrl {
    /// Scheme, host and port.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Where traces are posted.
    pub fn path(&self) -> String {
        format!("{}{TRACES}", self.base)
    }
}

impl FromStr for CollectorUrl {
    type Err = CollectorUrlError;

    fn from_str(text: &str) -> Result<Self, CollectorUrlError> {
        let (scheme, authority, path) = split_url(text).ok_or(CollectorUrlError::Scheme)?;
        let scheme = match scheme {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(CollectorUrlError::Scheme),
        };
        let base = path.trim_end_matches('/');
        if !base.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#')) || authority.contains(['?', '#']) {
            return Err(CollectorUrlError::Path);
        }
        if base.ends_with(TRACES) {
            return Err(CollectorUrlError::Signal);
        }
        Ok(Self { target: Target::parse(scheme, authority)?, base: base.to_owned() })
    }
}

impl fmt::Display for CollectorUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.target, self.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collector_url_gets_the_path_of_traces() {
        for (text, whole) in [
            ("https://otel.example:4318", "https://otel.example:4318/v1/traces"),
            ("http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/traces"),
            ("https://otel.example/otlp/", "https://otel.example:443/otlp/v1/traces"),
            ("http://[::1]:4318", "http://[::1]:4318/v1/traces"),
        ] {
            assert_eq!(text.parse::<CollectorUrl>().unwrap().to_string(), whole);
        }
    }

    #[test]
    fn collector_url_that_is_none_is_refused() {
        for text in ["", "collector:4318", "grpc://a:4317", "HTTPS://a", "tcp://a:1"] {
            assert_eq!(text.parse::<CollectorUrl>(), Err(CollectorUrlError::Scheme), "{text}");
        }
        for text in ["https://a/?key=1", "https://a/x#y", "https://a?b", "https://a/\u{e9}", "https://a/ b"] {
            assert_eq!(text.parse::<CollectorUrl>(), Err(CollectorUrlError::Path), "{text}");
        }
        for text in ["https://a/v1/traces", "http://[::1]:4318/otlp/v1/traces/"] {
            assert_eq!(text.parse::<CollectorUrl>(), Err(CollectorUrlError::Signal), "{text}");
        }
        for text in ["https://user:password@a", "https://a:0", "https://"] {
            assert!(matches!(text.parse::<CollectorUrl>(), Err(CollectorUrlError::Target(_))), "{text}");
        }
    }
}
