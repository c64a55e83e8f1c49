//! Addresses that are not public: what the operator permits for hosts of their own, and what the component's hosts need.

use std::collections::{BTreeMap, BTreeSet};

use deputy_core::grant::{AddressClass, Grant, Host, HostPattern, Network};

/// Networks that the operator named, with the rule that has them.
pub(super) type NamedNetworks = BTreeSet<(String, String)>;

/// Permits the operator's networks for hosts that stand in their settings, and for an address what it needs. A host that
/// the component chose itself gets none of the operator's: it could be anything in the inner network.
pub(super) fn permit(grant: &mut Grant, networks: &[Network], settings: &BTreeMap<String, String>) -> NamedNetworks {
    let mut named = NamedNetworks::new();
    for rule in &mut grant.http {
        let permitted = operators_networks(rule.pattern.host(), networks, settings);
        note(&mut named, &rule.pattern.to_string(), &permitted);
        rule.networks = with_own_address(rule.pattern.host(), permitted);
    }
    for rule in &mut grant.tcp {
        let permitted = operators_networks(&rule.host, networks, settings);
        note(&mut named, &rule.to_string(), &permitted);
        rule.networks = with_own_address(&rule.host, permitted);
    }
    named
}

fn note(named: &mut NamedNetworks, rule: &str, permitted: &[Network]) {
    // Services that give credentials to any caller need a person, whatever the command line says.
    let permitted = permitted.iter().filter(|network| !is_metadata(network));
    named.extend(permitted.map(|network| (rule.to_owned(), network.to_string())));
}

fn is_metadata(network: &Network) -> bool {
    match network {
        Network::Class(class) => *class == AddressClass::Metadata,
        Network::Block(block) => AddressClass::of(block.addr()) == AddressClass::Metadata,
    }
}

/// The operator's networks, for a host of their own.
fn operators_networks(host: &HostPattern, networks: &[Network], settings: &BTreeMap<String, String>) -> Vec<Network> {
    if is_operators(host, settings) { networks.to_vec() } else { Vec::new() }
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

/// Whether a host stands in a setting, as a whole word.
pub(super) fn is_operators(host: &HostPattern, settings: &BTreeMap<String, String>) -> bool {
    let HostPattern::Exactly(host) = host else { return false };
    let host = host.to_string();
    settings.values().any(|value| {
        let value = value.to_ascii_lowercase();
        value.match_indices(&host).any(|(at, _)| {
            let before = value.get(..at).and_then(|text| text.chars().next_back());
            let after = value.get(at + host.len()..).and_then(|text| text.chars().next());
            !before.is_some_and(is_of_host) && !after.is_some_and(is_of_host)
        })
    })
}

fn is_of_host(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '.' | '_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_core::grant::{HttpRule, PathRules, RequestOptions};

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
        let named = permit(&mut grant, &networks, &settings);
        let networks = grant.http.iter().flat_map(|rule| &rule.networks).map(ToString::to_string);
        (networks.collect(), named.len())
    }

    #[test]
    fn networks_are_permitted_for_hosts_of_the_settings_alone() {
        let of = |pattern, setting| permitted(pattern, &["private"], setting).0;
        assert_eq!(of("http://minio:9000", "http://minio:9000"), ["private"]);
        assert_eq!(of("http://minio:9000", "a, MINIO"), ["private"]);
        for setting in ["http://minio.example", "http://xminio", "", "http://a-minio"] {
            assert_eq!(of("http://minio:9000", setting), [""; 0], "{setting}");
        }
        assert_eq!(of("https://*.example.com", "https://*.example.com"), [""; 0]);
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
