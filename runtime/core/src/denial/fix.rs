//! The lines of configuration that would permit what was denied.
//!
//! They take the instance's grant into account. The first rule that allows a request decides about it alone, so an existing
//! rule has to change: a second rule with the same lines would never apply. TOML does not allow a table to be written twice
//! either. `runtime/config/tests/hints` applies the lines to a configuration and repeats the request.

mod jwt;
mod kerberos;
mod secret;

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};

use crate::grant::{
    AddressClass, Host, HostPattern, HttpPattern, HttpRule, Network, OverrideHeader, PathPrefix, PathRules, Scheme,
    Target, TcpRule,
};
use crate::{Instance, Limit, LimitOverrides, SecretName, toml_string};

use super::{DeniedRequest, FixPlace, OverriddenRequest, PolicyDenial, Principal};

const NEW_RULE: FixPlace = FixPlace::NewRule;
const NEW_TABLE: FixPlace = FixPlace::NewTable;
const TABLE: FixPlace = FixPlace::Table;

/// The maximum number of an instance's rules in a fix.
const SHOWN_RULES: usize = 3;

/// The line that raises a limit.
pub(super) fn limit(limit: Limit, asker: Principal<'_>) -> String {
    let limits = asker.limits();
    let now = limits.value(limit).number();
    let doubled = now.saturating_mul(2).min(*limit.bounds().end());
    match LimitOverrides::new([(limit, doubled)]) {
        Ok(some) if doubled > now => {
            let raised = limits.clone().with(&some);
            let current = limits.toml_value(limit);
            format!("{TABLE}\n[{asker}.limits]\n{limit} = {} # {current} now", raised.toml_value(limit))
        }
        _ => format!("# {limit} = {} is already the maximum", limits.toml_value(limit)),
    }
}

/// The lines that would permit it to an instance, if any do.
pub(super) fn grant(refusal: &PolicyDenial, instance: &Instance) -> Option<String> {
    Some(match refusal {
        PolicyDenial::Address { target, address, .. } => address_of(instance, target, *address),
        PolicyDenial::Echo { target, secret } => echo_of(instance, target, secret)?,
        PolicyDenial::Host { target } => elsewhere(instance, target) + &new_rule(instance, target, None, ""),
        PolicyDenial::Scheme { target } | PolicyDenial::Port { target } => {
            new_rule(instance, target, rule_for_host(instance, target), "")
        }
        PolicyDenial::Method { target, request } => method_of(instance, target, request),
        PolicyDenial::OverrideHeader { target, request } => override_header_of(instance, target, request)?,
        PolicyDenial::Path { target, request } => path_of(instance, target, request),
        PolicyDenial::Name { host } => tcp(instance, host, &"PORT", &[]),
        PolicyDenial::Socket { address } => socket(instance, *address),
        PolicyDenial::State => state(instance)?,
        PolicyDenial::StateOfAnother { kept_for } => {
            format!("{TABLE}\n[instances.{}.state]\ninherit = \"{kept_for}\"", instance.name)
        }
        PolicyDenial::Secret { name } => secret::unknown(instance, &name.parse().ok()?),
        PolicyDenial::Operation { secret, operation } => secret::operation(instance, secret, *operation),
        PolicyDenial::Algorithm { secret, algorithm } => secret::algorithm(instance, secret, *algorithm),
        PolicyDenial::Region { secret, region } => secret::region(instance, secret, region)?,
        PolicyDenial::Service { secret, service } => secret::service(instance, secret, service)?,
        PolicyDenial::Audience { secret, audience } => jwt::audience(instance, secret, audience.as_deref())?,
        PolicyDenial::Claim { secret, claim, value } => jwt::claim(instance, secret, &claim.parse().ok()?, value)?,
        PolicyDenial::Issuer { secret, issuer } => jwt::issuer(instance, secret, issuer)?,
        PolicyDenial::Kerberos => kerberos::target(instance, "service/host.example.com@REALM"),
        PolicyDenial::KerberosHost { target } => tcp(instance, &target.host()?.parse().ok()?, &"PORT", &[]),
        PolicyDenial::KerberosTarget { target } => kerberos::target(instance, &kerberos::named(instance, target)?),
        PolicyDenial::Lifetime { secret, seconds } => jwt::lifetime(instance, secret, *seconds)?,
        PolicyDenial::Subject { secret, subject } => jwt::subject(instance, secret, subject.as_deref())?,
        PolicyDenial::KerberosConnection { .. }
        | PolicyDenial::Limit(_)
        | PolicyDenial::Listen
        | PolicyDenial::OutputPath { .. }
        | PolicyDenial::OutputTaken { .. }
        | PolicyDenial::Outputs
        | PolicyDenial::OwnAuthorization { .. }
        | PolicyDenial::Target(_)
        | PolicyDenial::Time { .. }
        | PolicyDenial::Udp => return None,
    })
}

/// A comment with the existing rules: the cause may be a wrong address in the settings rather than a missing rule.
fn elsewhere(instance: &Instance, target: &Target) -> String {
    if target.scheme() == Scheme::Tcp || instance.grant.http.is_empty() {
        return String::new();
    }
    let rules = instance.grant.http.iter().take(SHOWN_RULES);
    let shown: Vec<_> = rules.map(|rule| rule.pattern.to_string()).collect();
    let more = if instance.grant.http.len() > SHOWN_RULES { " and more" } else { "" };
    let shown = shown.join(", ");
    format!("# its rules lead to {shown}{more}: if the component was to go there, its settings need a change instead\n")
}

/// The first rule whose pattern matches.
fn rule_for<'i>(instance: &'i Instance, target: &Target) -> Option<&'i HttpRule> {
    instance.grant.http.iter().find(|rule| rule.pattern.matches(target))
}

/// The first rule whose host matches.
fn rule_for_host<'i>(instance: &'i Instance, target: &Target) -> Option<&'i HttpRule> {
    instance.grant.http.iter().find(|rule| rule.pattern.host().matches(target.host()))
}

/// A rule for this target only, with the networks of the nearest existing rule.
fn new_rule(instance: &Instance, target: &Target, nearest: Option<&HttpRule>, more: &str) -> String {
    if target.scheme() == Scheme::Tcp {
        let same_host = instance.grant.tcp.iter().find(|rule| rule.host.matches(target.host()));
        let networks = same_host.map(|rule| rule.networks.as_slice()).unwrap_or_default();
        return tcp(instance, target.host(), &target.port(), networks);
    }
    let networks = opened(target.host(), nearest.map(|rule| rule.networks.as_slice()).unwrap_or_default());
    let pattern = HttpPattern::exactly(target);
    let mut lines = format!("{NEW_RULE}\n[[instances.{}.http]]\nallow = \"{pattern}\"{more}{networks}", instance.name);
    if nearest.is_some_and(|rule| !rule.send.inject.is_empty() || rule.send.negotiate.is_some()) {
        lines.push_str("\n# it adds none of the secrets that the other rule for this host adds");
    }
    lines
}

fn tcp(instance: &Instance, host: &Host, port: &dyn Display, networks: &[Network]) -> String {
    let networks = opened(host, networks);
    format!("{NEW_RULE}\n[[instances.{}.tcp]]\nallow = \"{host}:{port}\"{networks}", instance.name)
}

/// The line for networks, if one is needed: these, and that of a literal address.
fn opened(host: &Host, networks: &[Network]) -> String {
    let own = match host {
        Host::Address(address) if !is_open(*address, networks) => Some(Network::opening(*address)),
        _ => None,
    };
    networks_line(networks.iter().map(ToString::to_string).chain(own))
}

fn networks_line(networks: impl Iterator<Item = String>) -> String {
    list_line("networks", networks.map(|network| toml_string(&network)).collect())
}

fn is_open(address: IpAddr, networks: &[Network]) -> bool {
    AddressClass::of(address) == AddressClass::Public || networks.iter().any(|network| network.contains(address))
}

/// Adds the network to the rule that allowed the request.
fn address_of(instance: &Instance, target: &Target, address: IpAddr) -> String {
    if target.scheme() == Scheme::Tcp {
        let rules = (1..).zip(&instance.grant.tcp);
        let rules = rules.filter(|(_, rule)| rule.host.matches(target.host()) && rule.port == target.port());
        return open_tcp(instance, rules, target.host(), target.port(), address);
    }
    let name = &instance.name;
    match find_rule(instance, |rule| rule.pattern.matches(target) && !is_open(address, &rule.networks)) {
        Some((number, rule)) => {
            let networks = with_network(&rule.networks, address);
            let others = distinguishing_lines(instance, rule);
            changed_rule(instance, number, rule, &format!("{networks}{others}"))
        }
        None => {
            let pattern = HttpPattern::exactly(target);
            let networks = with_network(&[], address);
            format!("{NEW_RULE}\n[[instances.{name}.http]]\nallow = \"{pattern}\"{networks}")
        }
    }
}

/// An HTTP rule of an instance, and its number in the file, from 1.
fn find_rule(instance: &Instance, is_it: impl Fn(&HttpRule) -> bool) -> Option<(usize, &HttpRule)> {
    (1..).zip(&instance.grant.http).find(|(_, rule)| is_it(rule))
}

/// An existing rule with its changed lines.
fn changed_rule(instance: &Instance, number: usize, rule: &HttpRule, lines: &str) -> String {
    let table = format!("instances.{}.http", instance.name);
    let place = FixPlace::Rule { number, table: table.clone() };
    format!("{place}\n[[{table}]]\nallow = \"{}\"{lines}", rule.pattern)
}

/// The methods and paths of a rule, if another one of its instance has the same pattern.
fn distinguishing_lines(instance: &Instance, rule: &HttpRule) -> String {
    if instance.grant.http.iter().filter(|other| other.pattern == rule.pattern).count() < 2 {
        return String::new();
    }
    list_line("methods", methods(rule)) + &list_line("paths", paths(rule))
}

fn paths(rule: &HttpRule) -> Vec<String> {
    match &rule.paths {
        PathRules::Any => Vec::new(),
        PathRules::Prefixes(prefixes) => prefixes.iter().map(|prefix| toml_string(&prefix.to_string())).collect(),
    }
}

fn methods(rule: &HttpRule) -> Vec<String> {
    rule.methods.iter().map(|method| toml_string(&method.to_string())).collect()
}

/// A line for a list, or nothing if it is empty.
fn list_line(key: &str, values: Vec<String>) -> String {
    if values.is_empty() { String::new() } else { format!("\n{key} = [{}]", values.join(", ")) }
}

fn open_tcp<'i>(
    instance: &Instance,
    mut rules: impl Iterator<Item = (usize, &'i TcpRule)>,
    host: &Host,
    port: u16,
    address: IpAddr,
) -> String {
    match rules.find(|(_, rule)| !is_open(address, &rule.networks)) {
        Some((number, rule)) => {
            let networks = with_network(&rule.networks, address);
            let table = format!("instances.{}.tcp", instance.name);
            let place = FixPlace::Rule { number, table: table.clone() };
            format!("{place}\n[[{table}]]\nallow = \"{rule}\"{networks}")
        }
        None if is_open(address, &[]) => tcp(instance, host, &port, &[]),
        None => {
            let networks = with_network(&[], address);
            format!("{NEW_RULE}\n[[instances.{}.tcp]]\nallow = \"{host}:{port}\"{networks}", instance.name)
        }
    }
}

fn with_network(networks: &[Network], address: IpAddr) -> String {
    networks_line(networks.iter().map(ToString::to_string).chain([Network::opening(address)]))
}

fn socket(instance: &Instance, address: SocketAddr) -> String {
    let ip = address.ip().to_canonical();
    let host = HostPattern::Exactly(Host::Address(ip));
    let rules = (1..).zip(&instance.grant.tcp).filter(|(_, rule)| rule.host == host && rule.port == address.port());
    open_tcp(instance, rules, &Host::Address(ip), address.port(), ip)
}

/// Adds the method to the rule for this path, if that permits nothing else, or else a rule for this request.
fn method_of(instance: &Instance, target: &Target, request: &DeniedRequest) -> String {
    let DeniedRequest { method, path } = request;
    let is_for_path = |rule: &HttpRule| {
        is_plain(rule, target) && rule.paths.allow(path) && (rule.paths == PathRules::Any || paths(rule).len() == 1)
    };
    match find_rule(instance, is_for_path) {
        Some((number, rule)) => {
            let methods = methods(rule).into_iter().chain([toml_string(&method.to_string())]).collect();
            changed_rule(instance, number, rule, &(list_line("methods", methods) + &list_line("paths", paths(rule))))
        }
        None => new_request_rule(instance, target, request),
    }
}

/// Adds the path to the rule for this method, if that permits nothing else, or else a rule for this request.
fn path_of(instance: &Instance, target: &Target, request: &DeniedRequest) -> String {
    let DeniedRequest { method, path } = request;
    let is_for_method =
        |rule: &HttpRule| is_plain(rule, target) && (rule.methods.is_empty() || rule.methods.iter().eq([method]));
    match (find_rule(instance, is_for_method), path.parse::<PathPrefix>()) {
        (Some((number, rule)), Ok(prefix)) => {
            let paths = paths(rule).into_iter().chain([toml_string(&prefix.to_string())]).collect();
            changed_rule(instance, number, rule, &(list_line("methods", methods(rule)) + &list_line("paths", paths)))
        }
        _ => new_request_rule(instance, target, request),
    }
}

/// Whether the rule is for this target and adds no secrets, which would then be added to more requests.
fn is_plain(rule: &HttpRule, target: &Target) -> bool {
    rule.pattern.matches(target) && rule.send.inject.is_empty() && rule.send.negotiate.is_none()
}

fn new_request_rule(instance: &Instance, target: &Target, request: &DeniedRequest) -> String {
    let DeniedRequest { method, path } = request;
    let paths = match path.parse::<PathPrefix>() {
        Ok(path) => list_line("paths", vec![toml_string(&path.to_string())]),
        // A path that servers read in different ways matches no prefix.
        Err(_) => "\n# of all paths, since this one can be read in several ways".to_owned(),
    };
    let lines = format!("\nmethods = [{}]{paths}", toml_string(&method.to_string()));
    new_rule(instance, target, rule_for(instance, target), &lines)
}

/// Permits the response in the rule that adds the secret.
fn echo_of(instance: &Instance, target: &Target, secret: &SecretName) -> Option<String> {
    let adds = |rule: &HttpRule| {
        let is_injected = rule.send.inject.iter().any(|injection| injection.secret == *secret);
        let is_added = is_injected || (rule.send.negotiate.is_some() && *secret == SecretName::negotiate());
        rule.pattern.matches(target) && is_added && !rule.send.allow_echo
    };
    let (number, rule) = find_rule(instance, adds)?;
    let others = distinguishing_lines(instance, rule);
    let lines = changed_rule(instance, number, rule, &format!("\nallow-echo = true{others}"));
    Some(format!("# only if the component may know the secret: a response can show it\n{lines}"))
}

/// Adds the header to the rule that would allow the request without it.
fn override_header_of(instance: &Instance, target: &Target, request: &OverriddenRequest) -> Option<String> {
    let OverriddenRequest { method, path, header } = request;
    let allows = |rule: &HttpRule| {
        let is_method = rule.methods.is_empty() || rule.methods.contains(method);
        rule.pattern.matches(target) && is_method && rule.paths.allow(path)
    };
    let (number, rule) = find_rule(instance, allows)?;
    let header: OverrideHeader = header.parse().ok()?;
    let headers = rule.overrides.iter().chain([&header]).map(ToString::to_string);
    let headers = list_line("override-headers", headers.map(|header| toml_string(&header)).collect());
    let others = distinguishing_lines(instance, rule);
    Some(changed_rule(instance, number, rule, &format!("{headers}{others}")))
}

/// Granted already, it was used in a call that may not.
fn state(instance: &Instance) -> Option<String> {
    instance.grant.state.is_none().then(|| format!("{NEW_TABLE}\n[instances.{}.state]", instance.name))
}
