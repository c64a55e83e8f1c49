//! What a scripted server expects, and what it answers.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use deputy_core::Span;
use deputy_core::grant::{Host, Scheme};
use serde::Deserialize;

use super::{Parsed, TextMatch};

/// `[[call.http]]`: a request and its reply.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct HttpExchange {
    pub(crate) request: RequestMatch,
    #[serde(default)]
    pub(crate) reply: Reply,
}

/// What a request has to be. What is not named is not compared.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RequestMatch {
    #[serde(default = "get")]
    pub(crate) method: String,
    /// Without `query`, the whole URL; with it, the URL before the question mark.
    pub(crate) url: Parsed<ScriptUrl>,
    pub(crate) query: Option<BTreeMap<String, TextMatch>>,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, TextMatch>,
    pub(crate) body: Option<TextMatch>,
    #[serde(default)]
    pub(crate) form: BTreeMap<String, TextMatch>,
    pub(crate) json: Option<serde_json::Value>,
}

fn get() -> String {
    "GET".to_owned()
}

/// Scheme, host, port and the rest of a URL of the script.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ScriptUrl {
    pub(crate) endpoint: ScriptedRequest,
    /// Path and query.
    pub(crate) rest: String,
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ScriptedRequest {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) has_tls: bool,
}

/// What the server answers: by default, status 200 without a body.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Reply {
    pub(crate) status: Option<u16>,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Option<String>,
    pub(crate) json: Option<serde_json::Value>,
    pub(crate) base64: Option<String>,
    /// Bytes instead of a response, and then the end of the connection.
    pub(crate) raw: Option<String>,
    /// Before the first byte.
    pub(crate) delay: Option<Parsed<Span>>,
    /// Between two bytes of the body.
    pub(crate) drip: Option<Parsed<Span>>,
    /// Where the connection ends too early.
    pub(crate) drop: Option<EarlyEnd>,
    /// Whether it never answers.
    pub(crate) hang: bool,
    /// Whether the body goes on until the component has had enough.
    pub(crate) endless: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum EarlyEnd {
    BeforeHead,
    InHead,
    InBody,
}

/// `[[call.tcp]]`: a connection and what goes over it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct TcpExchange {
    /// Host and port.
    pub(crate) to: String,
    /// Whether the host of the sandbox speaks TLS there.
    #[serde(default)]
    pub(crate) tls: bool,
    #[serde(default)]
    pub(crate) steps: Vec<TcpStep>,
}

/// One step of a connection; exactly one key.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct TcpStep {
    /// A text that comes next.
    pub(crate) receive: Option<String>,
    /// A line that comes next, without its end.
    pub(crate) receive_line: Option<TextMatch>,
    /// The same in base64.
    pub(crate) receive_base64: Option<String>,
    /// This number of bytes, whatever they are.
    pub(crate) receive_bytes: Option<usize>,
    pub(crate) send: Option<String>,
    pub(crate) send_base64: Option<String>,
    pub(crate) delay: Option<Parsed<Span>>,
    /// Nothing more happens until the component closes the connection.
    pub(crate) hang: bool,
}

impl TcpExchange {
    pub(crate) fn endpoint(&self) -> Result<ScriptedRequest, ScriptUrlError> {
        let (host, port) = self.to.rsplit_once(':').ok_or(ScriptUrlError)?;
        let host: Host = host.parse().map_err(|_| ScriptUrlError)?;
        Ok(ScriptedRequest {
            host: host.to_string(),
            port: port.parse().map_err(|_| ScriptUrlError)?,
            has_tls: self.tls,
        })
    }
}

/// A text is not a URL of a scripted server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not the address of a server: write \"https://host/path\", \"http://host:port/path\", or \"host:port\" for TCP"
)]
pub(crate) struct ScriptUrlError;

impl FromStr for ScriptUrl {
    type Err = ScriptUrlError;

    fn from_str(text: &str) -> Result<Self, ScriptUrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(ScriptUrlError)?;
        let scheme = match scheme {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(ScriptUrlError),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at_checked(end).ok_or(ScriptUrlError)?;
        let (host, port) = match authority.rsplit_once(':').filter(|(_, port)| !port.contains(']')) {
            Some((host, port)) => (host, port.parse().map_err(|_| ScriptUrlError)?),
            None => (authority, scheme.default_port().ok_or(ScriptUrlError)?),
        };
        let host: Host = host.parse().map_err(|_| ScriptUrlError)?;
        let rest = if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") };
        let endpoint = ScriptedRequest { host: host.to_string(), port, has_tls: scheme == Scheme::Https };
        Ok(Self { endpoint, rest })
    }
}

impl fmt::Display for ScriptedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, .. } = self;
        match (self.has_tls, port) {
            (true, 443) => write!(f, "https://{host}"),
            (true, port) => write!(f, "https://{host}:{port}"),
            (false, 80) => write!(f, "http://{host}"),
            (false, port) => write!(f, "http://{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn script_url_has_a_port_and_a_path() {
        let parsed = |text: &str| text.parse::<ScriptUrl>().map(|url| format!("{} {}", url.endpoint, url.rest));
        assert_eq!(parsed("https://a.example").unwrap(), "https://a.example /");
        assert_eq!(parsed("http://a.example:81/b?c=d").unwrap(), "http://a.example:81 /b?c=d");
        assert_eq!(parsed("http://[::1]:81?c").unwrap(), "http://[::1]:81 /?c");
        for wrong in ["a.example", "ftp://a.example", "https://", "https://a.example:x/"] {
            assert_eq!(parsed(wrong), Err(ScriptUrlError), "{wrong}");
        }
    }
}
