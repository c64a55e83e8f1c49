//! Where a member of etcd listens for clients.

use std::fmt;
use std::str::FromStr;

use http::Uri;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub(crate) is_tls: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an endpoint of etcd: write it as \"https://etcd-1.example.com:2379\"")]
pub struct EndpointError(String);

const DEFAULT_PORT: u16 = 2379;

impl Endpoint {
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Whether it is on this machine, so that no other machine sees what is sent there.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let wrong = || EndpointError(text.chars().take(100).collect());
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong()),
        };
        let authority = uri.authority().ok_or_else(wrong)?;
        let is_bare = ["", "/"].contains(&uri.path()) && uri.query().is_none() && !authority.as_str().contains('@');
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if !is_bare || host.is_empty() {
            return Err(wrong());
        }
        Ok(Self { is_tls, host: host.to_owned(), port: authority.port_u16().unwrap_or(DEFAULT_PORT) })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        match self.host.contains(':') {
            true => write!(f, "{scheme}://[{}]:{}", self.host, self.port),
            false => write!(f, "{scheme}://{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_has_a_scheme_and_a_host() {
        for (text, shown) in [
            ("https://etcd-1.example.com:2379", "https://etcd-1.example.com:2379"),
            ("http://127.0.0.1:4001/", "http://127.0.0.1:4001"),
            ("https://[::1]", "https://[::1]:2379"),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), shown);
        }
        for text in
            ["", "etcd-1:2379", "unix:///x", "https://", "https://u:p@etcd", "https://etcd/v3", "https://etcd?x"]
        {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }
}
