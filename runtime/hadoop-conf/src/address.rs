//! Where a server is.

use std::fmt;

use deputy_core::grant::Host;

/// The most servers of one set, as `deputy-kit-hadoop` has it: the providers take no more.
pub(crate) const MAX_SERVERS: usize = 8;

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HadoopAddress {
    pub(crate) host: Host,
    pub(crate) port: u16,
}

impl HadoopAddress {
    /// `nn1.example.com:8020`, or without the port.
    pub(crate) fn parse(text: &str, default_port: u16) -> Result<Self, String> {
        let (host, port) = match text.rsplit_once(':') {
            // The colons of an IPv6 address are within brackets.
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (text, None),
        };
        let port = match port.map(str::parse::<u16>) {
            None => default_port,
            Some(Ok(port)) if port > 0 => port,
            Some(_) => return Err(format!("{text} has no port from 1 to 65535")),
        };
        let host = host.parse::<Host>().map_err(|error| format!("{text}: {error}"))?;
        if matches!(host, Host::Address(address) if address.is_unspecified()) {
            return Err(format!("{text} is an address to listen at, not one to connect to"));
        }
        Ok(Self { host, port })
    }

    /// What a rule has to name so that it may connect there. Most clusters have private addresses.
    pub(crate) fn networks(&self) -> &'static str {
        let is_loopback = match &self.host {
            Host::Address(address) => address.is_loopback(),
            Host::Name(name) => name == "localhost",
        };
        if is_loopback { "loopback" } else { "private" }
    }
}

impl fmt::Display for HadoopAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_has_a_host_to_connect_to() {
        for (text, expected) in [
            ("NN1.example.com", "nn1.example.com:8020"),
            ("nn1:9000", "nn1:9000"),
            ("[::1]:1", "[::1]:1"),
            ("10.0.0.1", "10.0.0.1:8020"),
        ] {
            assert_eq!(HadoopAddress::parse(text, 8020).map(|address| address.to_string()), Ok(expected.to_owned()));
        }
        for text in ["", "nn1:0", "nn1:x", "0.0.0.0:8020", "nn 1", "nn1\"]:8020"] {
            assert!(HadoopAddress::parse(text, 8020).is_err(), "{text}");
        }
        assert_eq!(HadoopAddress::parse("localhost", 1).unwrap().networks(), "loopback");
        assert_eq!(HadoopAddress::parse("nn1", 1).unwrap().networks(), "private");
    }
}
