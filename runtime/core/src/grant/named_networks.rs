//! Addresses that are not public: what the operator permits for hosts of their own, and what the component's hosts need.

use std::collections::{BTreeMap, BTreeSet};

use super::written_server::WrittenServer;
use super::{AddressClass, Grant, Host, HostPattern, Network, Scheme};

/// What the operator permits beside public addresses.
#[derive(Debug, Default)]
pub struct NamedNetworks {
    /// Rules for hosts that stand in the operator's settings.
    own: BTreeSet<String>,
    /// Such rules, with each network that the operator named.
    named: BTreeSet<(String, String)>,
    /// Rules whose requests may carry a secret: they are encrypted, or a setting says `http://`.
    carrying: BTreeSet<String>,
}

impl NamedNetworks {
    /// Permits the operator's networks for servers that stand in their settings, and for an address what it needs. A server that
    /// the component chose itself gets none of the operator's: it could be anything in the inner network.
    pub fn permit(grant: &mut Grant, networks: &[Network], settings: &BTreeMap<String, String>) -> Self {
        let mut named = Self::default();
        let settings = WrittenServer::all(settings);
        for rule in &mut grant.http {
            let (host, text) = (rule.pattern.host(), rule.pattern.to_string());
            let servers: Vec<&WrittenServer> = servers_of(host, rule.pattern.port(), &settings).collect();
            let is_encrypted = rule.pattern.scheme() == Scheme::Https;
            let is_written_plain = servers.iter().any(|server| server.scheme.as_deref() == Some("http"));
            // A setting with `https://` does not name a server without TLS on the same port.
            let is_own = servers.iter().any(|server| is_encrypted || server.scheme.as_deref() != Some("https"));
            if is_own && (is_encrypted || is_written_plain) {
                named.carrying.insert(text.clone());
            }
            rule.networks = if is_own { named.add(&text, host, networks) } else { with_own_address(host, Vec::new()) };
        }
        for rule in &mut grant.tcp {
            let is_own = servers_of(&rule.host, rule.port, &settings).next().is_some();
            rule.networks = if is_own {
                named.add(&rule.to_string(), &rule.host, networks)
            } else {
                with_own_address(&rule.host, Vec::new())
            };
        }
        named
    }

    /// Whether the operator's networks are for this rule.
    pub fn is_own(&self, rule: &str) -> bool {
        self.own.contains(rule)
    }

    /// Whether the operator named this network for this rule.
    pub fn is_named(&self, rule: &str, network: &str) -> bool {
        self.named.contains(&(rule.to_owned(), network.to_owned()))
    }

    /// Whether an operator's setting names the server of this rule, and its scheme if it is not encrypted.
    pub fn may_carry_secrets(&self, rule: &str) -> bool {
        self.carrying.contains(rule)
    }

    /// Whether no rule is for a host of the operator's.
    pub fn has_no_server(&self) -> bool {
        self.own.is_empty()
    }

    /// The networks of a rule for this host.
    fn add(&mut self, rule: &str, host: &HostPattern, networks: &[Network]) -> Vec<Network> {
        self.own.insert(rule.to_owned());
        // Services that give credentials to any caller need a person, whatever the command line says.
        let named = networks.iter().filter(|network| !is_metadata(network));
        self.named.extend(named.map(|network| (rule.to_owned(), network.to_string())));
        with_own_address(host, networks.to_vec())
    }
}

fn is_metadata(network: &Network) -> bool {
    match network {
        Network::Class(class) => *class == AddressClass::Metadata,
        Network::Block(block) => AddressClass::of(block.addr()) == AddressClass::Metadata,
    }
}

/// These networks, and the one that a rule for an address needs.
fn with_own_address(host: &HostPattern, mut permitted: Vec<Network>) -> Vec<Network> {
    if let HostPattern::Exactly(Host::Address(address)) = host
        && AddressClass::of(*address) != AddressClass::Public
        && !permitted.iter().any(|network| network.contains(*address))
        && let Ok(network) = Network::opening(*address).parse()
    {
        permitted.push(network);
    }
    permitted
}

/// This server, as the operator's settings name it.
fn servers_of<'s>(
    host: &'s HostPattern,
    port: u16,
    servers: &'s [WrittenServer],
) -> impl Iterator<Item = &'s WrittenServer> {
    servers.iter().filter(move |server| {
        *host == HostPattern::Exactly(server.host.clone()) && server.port.is_none_or(|written| written == port)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grant::{HttpRule, PathRules, RequestOptions};

    fn rule(pattern: &str) -> HttpRule {
        HttpRule {
            pattern: pattern.parse().unwrap(),
            methods: Vec::new(),
            paths: PathRules::Any,
            overrides: Vec::new(),
            networks: Vec::new(),
            send: RequestOptions::default(),
        }
    }

    fn permitted(pattern: &str, networks: &[&str], setting: &str) -> (Vec<String>, usize) {
        let mut grant = Grant { http: vec![rule(pattern)], ..Grant::default() };
        let networks: Vec<Network> = networks.iter().map(|network| network.parse().unwrap()).collect();
        let settings = BTreeMap::from([("endpoint".to_owned(), setting.to_owned())]);
        let named = NamedNetworks::permit(&mut grant, &networks, &settings);
        let networks = grant.http.iter().flat_map(|rule| &rule.networks).map(ToString::to_string);
        (networks.collect(), named.named.len())
    }

    #[test]
    fn networks_are_permitted_for_hosts_of_the_settings_alone() {
        let of = |pattern, setting| permitted(pattern, &["private"], setting).0;
        assert_eq!(of("http://minio:9000", "http://minio:9000"), ["private"]);
        assert_eq!(of("http://minio.example:9000", "a, MINIO.example"), ["private"]);
        for setting in
            ["http://minio.example", "http://xminio", "", "http://a-minio", "minio", "http://b:9000/minio:9000"]
        {
            assert_eq!(of("http://minio:9000", setting), [""; 0], "{setting}");
        }
        assert_eq!(of("https://*.example.com", "https://*.example.com"), [""; 0]);
        // Another port of the host is another server, unless the setting names none.
        assert_eq!(of("http://minio:22", "http://minio:9000/a"), [""; 0]);
        assert_eq!(of("http://minio:22", "minio:2"), [""; 0]);
        assert_eq!(of("http://minio:9000", "minio:9000,other:1"), ["private"]);
        assert_eq!(of("http://[fd00::1]:9000", "http://[fd00::1]:9000"), ["private"]);
    }

    #[test]
    fn networks_are_not_permitted_without_the_tls_of_the_setting() {
        let of = |pattern, setting| permitted(pattern, &["private"], setting).0;
        assert_eq!(of("http://idp.example:443", "https://idp.example"), [""; 0]);
        assert_eq!(of("http://idp.example:443", "https://idp.example,http://idp.example:443"), ["private"]);
        assert_eq!(of("http://idp.example", "idp.example"), ["private"]);
        assert_eq!(of("http://kms1:9600", "kms://http@kms1:9600/kms"), ["private"]);
    }

    #[test]
    fn secrets_go_unencrypted_only_where_a_setting_says_so() {
        let may_carry = |pattern: &str, setting: &str| {
            let mut grant = Grant { http: vec![rule(pattern)], ..Grant::default() };
            let settings = BTreeMap::from([("endpoint".to_owned(), setting.to_owned())]);
            NamedNetworks::permit(&mut grant, &[], &settings).may_carry_secrets(pattern)
        };
        for (pattern, setting) in [
            ("https://idp.example", "https://idp.example/token"),
            ("https://idp.example", "idp.example"),
            ("http://idp.example", "http://idp.example"),
            ("http://idp.example:443", "http://idp.example:443"),
        ] {
            assert!(may_carry(pattern, setting), "{pattern} {setting}");
        }
        for (pattern, setting) in [
            ("http://idp.example:443", "https://idp.example"),
            ("http://idp.example", "idp.example"),
            ("http://idp.example", "idp.example:80"),
            ("http://idp.example", "tcp://idp.example"),
            ("https://evil.example", "https://idp.example"),
        ] {
            assert!(!may_carry(pattern, setting), "{pattern} {setting}");
        }
    }

    #[test]
    fn networks_of_an_address_are_proposed_and_need_a_person() {
        assert_eq!(permitted("http://169.254.169.254", &[], ""), (vec!["metadata".to_owned()], 0));
        assert_eq!(permitted("http://10.0.0.7", &[], "http://10.0.0.7"), (vec!["private".to_owned()], 0));
        assert_eq!(
            permitted("http://10.0.0.7", &["10.0.0.0/8"], "http://10.0.0.7"),
            (vec!["10.0.0.0/8".to_owned()], 1)
        );
        assert_eq!(permitted("http://10.0.0.7", &["private"], "http://10.0.0.70"), (vec!["private".to_owned()], 0));
        assert_eq!(permitted("http://192.0.43.8", &[], ""), (vec![], 0));
    }

    #[test]
    fn networks_with_metadata_services_are_never_named() {
        for network in ["metadata", "169.254.169.254"] {
            let (given, named) = permitted("http://169.254.169.254", &[network], "http://169.254.169.254");
            assert_eq!((given.len(), named), (1, 0), "{network}");
        }
    }
}
