//! Hosts and patterns of hosts.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A host in canonical form: a lower-case DNS name of letters, digits, hyphens and underscores, or an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// An address, IPv6 without brackets.
    Address(IpAddr),
    /// A DNS name.
    Name(String),
}

/// The hosts that a rule matches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostPattern {
    Exactly(Host),
    /// Every name below this one, at any depth, but not itself: `*.example.com`.
    Below(String),
}

/// Why a text is not a host or pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    #[error("the host is empty")]
    Empty,
    /// A form that resolvers read in different ways.
    #[error(
        "the host is neither a plain name (letters, digits, hyphens; no dot at the end; international names as xn--…) \
         nor an address in its usual form (127.0.0.1, [::1])"
    )]
    Odd,
    /// A wildcard that is not the whole first label, or that is above a single label.
    #[error("a wildcard stands for whole labels at the beginning and needs two labels after it: *.example.com")]
    Wildcard,
}

impl FromStr for Host {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        if text.is_empty() {
            return Err(HostError::Empty);
        }
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or(HostError::Odd)?;
            return inner.parse::<Ipv6Addr>().map(|a| Self::Address(a.into())).map_err(|_| HostError::Odd);
        }
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Address(address.into()));
        }
        name(text).map(Self::Name)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl FromStr for HostPattern {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        let Some(suffix) = text.strip_prefix("*.") else {
            return if text.contains('*') { Err(HostError::Wildcard) } else { text.parse().map(Self::Exactly) };
        };
        let suffix = name(suffix).map_err(|_| HostError::Wildcard)?;
        if suffix.contains('.') { Ok(Self::Below(suffix)) } else { Err(HostError::Wildcard) }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(host) => host.fmt(f),
            Self::Below(suffix) => write!(f, "*.{suffix}"),
        }
    }
}

impl HostPattern {
    /// Whether the pattern matches this host.
    pub fn matches(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Exactly(own), host) => own == host,
            (Self::Below(suffix), Host::Name(name)) => below(name, suffix),
            (Self::Below(_), Host::Address(_)) => false,
        }
    }

    /// Whether this pattern matches every host that `other` matches.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (pattern, Self::Exactly(host)) => pattern.matches(host),
            (Self::Below(own), Self::Below(suffix)) => own == suffix || below(suffix, own),
            (Self::Exactly(_), Self::Below(_)) => false,
        }
    }
}

fn below(name: &str, suffix: &str) -> bool {
    name.strip_suffix(suffix).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

/// Only what every resolver reads as a name: `127.1`, `0x7f.0.0.1` and `2130706433` end in a label that begins with a
/// digit, as some C libraries' addresses do, and are refused.
fn name(text: &str) -> Result<String, HostError> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    let numeric = last.bytes().next().is_some_and(|b| b.is_ascii_digit());
    if text.len() <= 253 && text.split('.').all(label) && !numeric {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(HostError::Odd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_survives_the_round_trip() {
        for text in [
            "example.com",
            "localhost",
            "a_b.example",
            "127.0.0.1",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "xn--bcher-kva.example",
        ] {
            assert_eq!(text.parse::<Host>().unwrap().to_string(), text);
        }
        assert_eq!("EXAMPLE.com".parse::<Host>().unwrap().to_string(), "example.com");
    }

    #[test]
    fn host_that_resolvers_interpret_differently_is_rejected() {
        for text in [
            "127.1",
            "0x7f.0.0.1",
            "0x7f000001",
            "2130706433",
            "0177.0.0.1",
            "127.0.0.1.",
            "example.com.",
            ".example.com",
            "a..b",
            "-a.example",
            "a-.example",
            "bücher.example",
            "a b",
            "a%2eb",
            "a/b",
            "a@b",
            "a:b",
            "::1",
            "[::1",
            "[127.0.0.1]",
            "[fe80::1%eth0]",
            "1.2.3.4.5",
            "a\0b",
            "a\nb",
        ] {
            assert_eq!(text.parse::<Host>(), Err(HostError::Odd), "{text:?}");
        }
        assert_eq!("".parse::<Host>(), Err(HostError::Empty));
        assert_eq!("a".repeat(64).parse::<Host>(), Err(HostError::Odd));
        assert_eq!(["a".repeat(63).as_str(); 4].join(".").parse::<Host>(), Err(HostError::Odd), "255 characters");
    }

    #[test]
    fn host_pattern_survives_the_round_trip() {
        for text in ["example.com", "*.example.com", "10.0.0.1", "[fd00::1]"] {
            assert_eq!(text.parse::<HostPattern>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn host_wildcard_that_is_too_broad_is_rejected() {
        for text in
            ["*", "*.com", "*.*.com", "a.*.com", "a*.example.com", "*example.com", "*.", "*.10.0.0.1", "*.[::1]"]
        {
            assert_eq!(text.parse::<HostPattern>(), Err(HostError::Wildcard), "{text:?}");
        }
    }

    #[test]
    fn host_wildcard_matches_subdomains_only() {
        let pattern: HostPattern = "*.example.com".parse().unwrap();
        for (host, matches) in [
            ("a.example.com", true),
            ("a.b.example.com", true),
            ("A.EXAMPLE.COM", true),
            ("example.com", false),
            ("badexample.com", false),
            ("a.example.com.evil.org", false),
            ("10.0.0.1", false),
        ] {
            assert_eq!(pattern.matches(&host.parse().unwrap()), matches, "{host}");
        }
        assert!(!pattern.matches(&Host::Name(".example.com".into())), "an empty label, which no parser lets pass");
    }

    #[test]
    fn host_pattern_covers_another_if_it_matches_all_its_names() {
        for (a, b, covers) in [
            ("a.b.c", "a.b.c", true),
            ("*.b.c", "a.b.c", true),
            ("*.b.c", "*.b.c", true),
            ("*.b.c", "*.a.b.c", true),
            ("*.a.b.c", "*.b.c", false),
            ("a.b.c", "*.b.c", false),
            ("*.b.c", "*.xb.c", false),
            ("a.b.c", "b.c", false),
        ] {
            let [a, b]: [HostPattern; 2] = [a, b].map(|text| text.parse().unwrap());
            assert_eq!(a.covers(&b), covers, "{a} {b}");
        }
    }
}
