//! Where workers reach the coordinators of one state.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use crate::grant::Host;

/// A host and a port to connect to: `coordinator.example:8271`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPort {
    pub host: Host,
    /// Never 0.
    pub port: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a host and port to connect to: write \"coordinator.example:8271\"")]
pub struct HostPortError;

/// 1 to [`MAX_ADVERTISED`] different addresses. Their order has no meaning.
///
/// As a text they are joined by commas, and a single one is a [`HostPort`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdvertisedAddresses(Vec<HostPort>);

/// The bound of a list.
pub const MAX_ADVERTISED: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdvertisedAddressesError {
    #[error("there is no address: name 1 to {MAX_ADVERTISED}")]
    Empty,
    #[error("{0} addresses are too many: name 1 to {MAX_ADVERTISED}")]
    TooMany(usize),
    #[error("{0} is there twice: name it once")]
    Twice(HostPort),
    #[error(transparent)]
    Address(#[from] HostPortError),
}

impl HostPort {
    /// The same address as a host and port, unless it is unspecified or has no port.
    pub fn of(address: SocketAddr) -> Option<Self> {
        let is_specific = !address.ip().to_canonical().is_unspecified() && address.port() != 0;
        is_specific.then(|| Self { host: Host::Address(address.ip()), port: address.port() })
    }
}

impl AdvertisedAddresses {
    /// # Errors
    /// If there are none, too many, or the same one twice.
    pub fn new(mut addresses: Vec<HostPort>) -> Result<Self, AdvertisedAddressesError> {
        if addresses.is_empty() {
            return Err(AdvertisedAddressesError::Empty);
        }
        if addresses.len() > MAX_ADVERTISED {
            return Err(AdvertisedAddressesError::TooMany(addresses.len()));
        }
        // Sorted, so that two lists of the same addresses are equal.
        addresses.sort();
        let twice = addresses.windows(2).find_map(|pair| match pair {
            [one, other] if one == other => Some(one.clone()),
            _ => None,
        });
        twice.map_or(Ok(Self(addresses)), |address| Err(AdvertisedAddressesError::Twice(address)))
    }

    /// Reads one text for each address.
    ///
    /// # Errors
    /// As [`Self::new`], and if one of them is not an address.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Self, AdvertisedAddressesError> {
        if texts.len() > MAX_ADVERTISED {
            return Err(AdvertisedAddressesError::TooMany(texts.len()));
        }
        Self::new(texts.iter().map(|text| text.as_ref().parse()).collect::<Result<_, _>>()?)
    }

    /// The addresses, at least one.
    pub fn as_slice(&self) -> &[HostPort] {
        &self.0
    }

    /// Whether there is another address than one of them.
    pub fn has_several(&self) -> bool {
        self.0.len() > 1
    }

    /// The same addresses and this one, unless there are as many as there may be.
    #[must_use]
    pub fn with(mut self, address: HostPort) -> Self {
        if let Err(place) = self.0.binary_search(&address)
            && self.0.len() < MAX_ADVERTISED
        {
            self.0.insert(place, address);
        }
        self
    }
}

impl From<HostPort> for AdvertisedAddresses {
    fn from(address: HostPort) -> Self {
        Self(vec![address])
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

impl FromStr for AdvertisedAddresses {
    type Err = AdvertisedAddressesError;

    fn from_str(text: &str) -> Result<Self, AdvertisedAddressesError> {
        Self::parse(&text.split(',').collect::<Vec<_>>())
    }
}

impl fmt::Display for AdvertisedAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, address) in self.0.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            write!(f, "{comma}{address}")?;
        }
        Ok(())
    }
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

    #[test]
    fn advertised_addresses_are_one_text_in_any_order() {
        for text in ["a.example:1", "10.0.0.1:1,[::1]:2,a.example:1,b.example:1"] {
            assert_eq!(text.parse::<AdvertisedAddresses>().unwrap().to_string(), text);
        }
        let parsed: AdvertisedAddresses = "b.example:1,[::1]:2,a.example:1,10.0.0.1:1".parse().unwrap();
        assert_eq!(parsed.to_string(), "10.0.0.1:1,[::1]:2,a.example:1,b.example:1");
        assert!(parsed.has_several());
    }

    #[test]
    fn advertised_addresses_are_bounded_and_different() {
        let many: Vec<String> = (1..=MAX_ADVERTISED + 1).map(|port| format!("a:{port}")).collect();
        assert!(AdvertisedAddresses::parse(&many[1..]).is_ok());
        assert_eq!(AdvertisedAddresses::parse(&many), Err(AdvertisedAddressesError::TooMany(17)));
        assert_eq!(many.join(",").parse::<AdvertisedAddresses>(), Err(AdvertisedAddressesError::TooMany(17)));
        assert_eq!(AdvertisedAddresses::new(Vec::new()), Err(AdvertisedAddressesError::Empty));
        for text in ["", ",", "a:1,", "a:1,,b:1", "a:1, b:1", "a:1;b:1", "a:1,b"] {
            assert_eq!(text.parse::<AdvertisedAddresses>(), Err(HostPortError.into()), "{text:?}");
        }
        let twice = "a:1,b:1,A:1".parse::<AdvertisedAddresses>().unwrap_err();
        assert_eq!(twice.to_string(), "a:1 is there twice: name it once");
    }

    #[test]
    fn advertised_addresses_keep_one_more_unless_they_are_full() {
        let parsed = |text: &str| text.parse::<AdvertisedAddresses>().unwrap();
        let kept = parsed("a:1,c:1").with("b:1".parse().unwrap());
        assert_eq!(kept, parsed("a:1,b:1,c:1"));
        assert_eq!(kept.clone().with("a:1".parse().unwrap()), kept);
        let full: Vec<String> = (1..=MAX_ADVERTISED).map(|port| format!("a:{port}")).collect();
        let full = AdvertisedAddresses::parse(&full).unwrap();
        assert_eq!(full.clone().with("b:1".parse().unwrap()), full);
    }
}
