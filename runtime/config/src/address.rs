//! Addresses to listen on and to advertise.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use deputy_core::grant::Host;

use crate::diagnostic::DiagnosticSink;
use crate::value::Located;

/// A host and a port to connect to: `coordinator.example:8271`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    pub host: Host,
    /// Never 0.
    pub port: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a host and port to connect to: write \"coordinator.example:8271\"")]
pub struct HostPortError;

impl HostPort {
    /// The same address as a host and port, unless it is unspecified or has no port.
    pub(crate) fn of(address: SocketAddr) -> Option<Self> {
        let is_specific = !address.ip().to_canonical().is_unspecified() && address.port() != 0;
        is_specific.then(|| Self { host: Host::Address(address.ip()), port: address.port() })
    }
}

impl FromStr for HostPort {
    type Err = HostPortError;

    fn from_str(text: &str) -> Result<Self, HostPortError> {
        let (host, port) = text.rsplit_once(':').ok_or(HostPortError)?;
        let host: Host = host.parse().map_err(|_| HostPortError)?;
        let is_plain = port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit());
        let port = port.parse().ok().filter(|port| *port != 0 && is_plain).ok_or(HostPortError)?;
        match host {
            Host::Address(address) if address.to_canonical().is_unspecified() => Err(HostPortError),
            host => Ok(Self { host, port }),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Reads an address to listen on.
pub(crate) fn read(sink: &mut DiagnosticSink, value: Located<'_>, like: &str) -> Option<SocketAddr> {
    let text = value.text(sink, like)?;
    let address = text.parse().ok();
    if address.is_none() {
        sink.error(value.at(), "not an IP address with a port").expected(format!("write {like}"));
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_port_survives_the_round_trip() {
        for text in ["coordinator.example:8271", "10.0.0.1:1", "[::1]:65535", "localhost:8271"] {
            assert_eq!(text.parse::<HostPort>().unwrap().to_string(), text);
        }
        let listened = "[fe80::1]:8271".parse().unwrap();
        assert_eq!(HostPort::of(listened).unwrap().to_string(), "[fe80::1]:8271");
    }

    #[test]
    fn host_port_that_cannot_be_connected_to_is_refused() {
        for text in [
            "",
            "a",
            ":1",
            "a:",
            "a:0",
            "a:65536",
            "a:+1",
            "a:00001x",
            "::1:8271",
            "0.0.0.0:1",
            "[::]:1",
            "a b:1",
            "a/b:1",
            "*.a.b:1",
            "[::ffff:0.0.0.0]:1",
        ] {
            assert_eq!(text.parse::<HostPort>(), Err(HostPortError), "{text:?}");
        }
        for text in ["0.0.0.0:8271", "[::]:8271", "[::ffff:0.0.0.0]:8271", "127.0.0.1:0"] {
            assert_eq!(HostPort::of(text.parse().unwrap()), None, "{text}");
        }
    }
}
