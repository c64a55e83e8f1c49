//! What a changed grant permits that a person has to look at first, and no script may answer for.

use std::fmt;

use super::{Grant, HostPattern, HttpRule, TcpRule};
use crate::SecretName;

/// A part of a grant that reaches further than one public host, or shows a secret to the component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Widening {
    /// Addresses that are not public.
    Network {
        /// The rule's pattern.
        rule: String,
        network: String,
    },
    /// All subdomains.
    Wildcard {
        /// The rule's pattern.
        rule: String,
    },
    /// Responses may contain the secrets that a rule adds.
    Echo {
        /// The rule's pattern.
        rule: String,
    },
    /// The component reads the value.
    Reveal { secret: SecretName },
}

impl Grant {
    /// What this grant has of these beyond another one.
    pub fn widenings(&self, before: &Self) -> Vec<Widening> {
        let known = before.all_widenings();
        self.all_widenings().into_iter().filter(|widening| !known.contains(widening)).collect()
    }

    fn all_widenings(&self) -> Vec<Widening> {
        let http = self.http.iter().flat_map(of_http);
        let tcp = self.tcp.iter().flat_map(of_tcp);
        let reveals = self.secrets.iter().filter(|(_, secret)| secret.reveals());
        let reveals = reveals.map(|(name, _)| Widening::Reveal { secret: name.clone() });
        http.chain(tcp).chain(reveals).collect()
    }
}

fn of_http(rule: &HttpRule) -> Vec<Widening> {
    let name = rule.pattern.to_string();
    let mut found = networks(&name, rule.networks.iter());
    if matches!(rule.pattern.host(), HostPattern::Below(_)) {
        found.push(Widening::Wildcard { rule: name.clone() });
    }
    if rule.send.allow_echo {
        found.push(Widening::Echo { rule: name });
    }
    found
}

fn of_tcp(rule: &TcpRule) -> Vec<Widening> {
    let name = rule.to_string();
    let mut found = networks(&name, rule.networks.iter());
    if matches!(rule.host, HostPattern::Below(_)) {
        found.push(Widening::Wildcard { rule: name });
    }
    found
}

fn networks(rule: &str, networks: impl Iterator<Item = impl fmt::Display>) -> Vec<Widening> {
    networks.map(|network| Widening::Network { rule: rule.to_owned(), network: network.to_string() }).collect()
}

impl fmt::Display for Widening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network { rule, network } => write!(f, "{rule} may be at addresses that are not public: {network}"),
            Self::Wildcard { rule } => write!(f, "{rule} is every subdomain"),
            Self::Echo { rule } => {
                write!(f, "responses of {rule} may show the component the secrets that the host adds")
            }
            Self::Reveal { secret } => write!(f, "the component reads the value of `{secret}`"),
        }
    }
}
