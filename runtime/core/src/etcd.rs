//! Where the state is, if it is in etcd.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::ByteSize;
use crate::text::excerpt;

/// Where a member of etcd listens for clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdEndpoint {
    is_tls: bool,
    host: String,
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not an endpoint of etcd: write a scheme, a host and a port, such as \"https://etcd-1.example.com:2379\""
)]
pub struct EtcdEndpointError(String);

/// What the names of all keys of one state begin with. It ends with a slash, so that no state is inside another one's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdPrefix(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a prefix of keys: use 1 to 200 letters, digits, `-`, `_`, `.` and `/`, with a slash at the end, such as \"deputy/\""
)]
pub struct EtcdPrefixError(String);

/// The largest payload that a lease may have in etcd, which is made for small values: each is copied to every member, and
/// kept with its older versions until etcd is compacted.
pub const MAX_ETCD_PAYLOAD: ByteSize = ByteSize::kib(512);

const DEFAULT_PORT: u16 = 2379;

const MAX_PREFIX: usize = 200;

/// Characters of a foreign text in an error.
const EXCERPT: usize = 80;

impl EtcdEndpoint {
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// A name, or an address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port, as in a URL.
    pub fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// Whether it is on this machine, so that no other one sees what is sent there.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl FromStr for EtcdEndpoint {
    type Err = EtcdEndpointError;

    fn from_str(text: &str) -> Result<Self, EtcdEndpointError> {
        parse(text).ok_or_else(|| EtcdEndpointError(excerpt(text, EXCERPT)))
    }
}

fn parse(text: &str) -> Option<EtcdEndpoint> {
    let (scheme, rest) = text.split_once("://")?;
    let is_tls = match scheme {
        "https" => true,
        "http" => false,
        _ => return None,
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let (host, port) = bracketed.split_once(']')?;
            host.parse::<IpAddr>().ok()?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => {
            let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
            let is_known = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
            (!host.is_empty() && host.chars().all(is_known)).then_some((host, port))?
        }
    };
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port > 0)?,
        None => DEFAULT_PORT,
    };
    Some(EtcdEndpoint { is_tls, host: host.to_owned(), port })
}

impl fmt::Display for EtcdEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.is_tls { "https" } else { "http" }, self.authority())
    }
}

impl EtcdPrefix {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for EtcdPrefix {
    fn default() -> Self {
        Self("deputy/".to_owned())
    }
}

impl FromStr for EtcdPrefix {
    type Err = EtcdPrefixError;

    fn from_str(text: &str) -> Result<Self, EtcdPrefixError> {
        let is_known = |letter: char| letter.is_ascii_alphanumeric() || "-_./".contains(letter);
        match text.ends_with('/') && text.len() <= MAX_PREFIX && text.chars().all(is_known) {
            true => Ok(Self(text.to_owned())),
            false => Err(EtcdPrefixError(excerpt(text, EXCERPT))),
        }
    }
}

impl fmt::Display for EtcdPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etcd_endpoint_has_a_scheme_and_a_host() {
        for (text, shown) in [
            ("https://etcd-1.example.com:2379", "https://etcd-1.example.com:2379"),
            ("http://127.0.0.1:4001/", "http://127.0.0.1:4001"),
            ("https://[::1]", "https://[::1]:2379"),
        ] {
            assert_eq!(text.parse::<EtcdEndpoint>().unwrap().to_string(), shown);
        }
        for text in [
            "",
            "etcd-1:2379",
            "unix:///x",
            "https://",
            "https://u:p@etcd",
            "https://etcd/v3",
            "https://etcd?x",
            "http://e:0",
        ] {
            assert!(text.parse::<EtcdEndpoint>().is_err(), "{text}");
        }
        let is_loopback = |text: &str| text.parse::<EtcdEndpoint>().unwrap().is_loopback();
        assert!(
            is_loopback("http://localhost:1") && is_loopback("http://[::1]:1") && !is_loopback("http://10.0.0.1:1")
        );
    }

    #[test]
    fn etcd_prefix_ends_with_a_slash() {
        assert!("deputy/prod-1/".parse::<EtcdPrefix>().is_ok());
        for wrong in ["", "deputy", "deputy /", "däputy/", &format!("{}/", "x".repeat(200))] {
            assert!(wrong.parse::<EtcdPrefix>().is_err(), "{wrong}");
        }
    }
}
