//! The lines of configuration that would permit what was denied.
//!
//! They take the instance's grant into account. The first rule that allows a request decides about it alone, so an existing
//! rule has to change: a second rule with the same lines would never apply. TOML does not allow a table to be written twice
//! either. `runtime/config/tests/hints.rs` applies the lines to a configuration and repeats the request.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};

use crate::grant::{
    AddressClass, Host, HostPattern, HttpPattern, HttpRule, JwtGrant, Network, OverrideHeader, PathPrefix, PathRules,
    Scheme, SecretGrant, SecretOperation, SecretPurpose, SignatureAlgorithm, Sigv4Grant, Target, TcpRule,
};
use crate::{Instance, Limit, LimitOverrides, SecretName, Span};

use super::{OverriddenRequest, PolicyDenial, Principal};

const NEW_RULE: &str = "# a new rule:";
const OLD_RULE: &str = "# in this existing rule:";
const NEW_TABLE: &str = "# a new table:";
const TABLE: &str = "# in this table, replacing its current lines:";

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
        PolicyDenial::Method { target, method } => {
            new_rule(instance, target, rule_for(instance, target), &format!("\nmethods = [\"{method}\"]"))
        }
        PolicyDenial::OverrideHeader { target, request } => override_header_of(instance, target, request)?,
        PolicyDenial::Path { target, path } => path_of(instance, target, path),
        PolicyDenial::Name { host } => tcp(instance, host, &"PORT", &[]),
        PolicyDenial::Socket { address } => socket(instance, *address),
        PolicyDenial::Secret { name } => secret(instance, &name.parse().ok()?),
        PolicyDenial::Operation { secret, operation } => operation_of(instance, secret, *operation),
        PolicyDenial::Algorithm { secret, algorithm } => algorithm_of(instance, secret, *algorithm),
        PolicyDenial::Audience { secret, audience } => {
            let known = jwt(instance, secret).map(|jwt| jwt.audiences().map(quoted).collect());
            narrowed(instance, secret, "jwt.audiences", known, claim(audience)?)
        }
        PolicyDenial::Issuer { secret, issuer } => {
            let known = jwt(instance, secret).map(|jwt| jwt.issuers().map(quoted).collect());
            narrowed(instance, secret, "jwt.issuers", known, claim(issuer)?)
        }
        PolicyDenial::Lifetime { secret, seconds } => lifetime(instance, secret, *seconds)?,
        PolicyDenial::Region { secret, region } => {
            let known = sigv4(instance, secret).map(|sigv4| sigv4.regions().map(quoted).collect());
            narrowed(instance, secret, "sigv4.regions", known, word(region)?)
        }
        PolicyDenial::Service { secret, service } => {
            let known = sigv4(instance, secret).map(|sigv4| sigv4.services().map(quoted).collect());
            narrowed(instance, secret, "sigv4.services", known, word(service)?)
        }
        PolicyDenial::Day { .. }
        | PolicyDenial::Limit(_)
        | PolicyDenial::Listen
        | PolicyDenial::OutputPath { .. }
        | PolicyDenial::OutputTaken { .. }
        | PolicyDenial::Outputs
        | PolicyDenial::Target(_)
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
    if nearest.is_some_and(|rule| !rule.send.inject.is_empty()) {
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
    list_line("networks", networks.map(|network| quoted(&network)).collect())
}

fn is_open(address: IpAddr, networks: &[Network]) -> bool {
    AddressClass::of(address) == AddressClass::Public || networks.iter().any(|network| network.contains(address))
}

/// Adds the network to the rule that allowed the request.
fn address_of(instance: &Instance, target: &Target, address: IpAddr) -> String {
    if target.scheme() == Scheme::Tcp {
        let rules = instance.grant.tcp.iter();
        let rules = rules.filter(|rule| rule.host.matches(target.host()) && rule.port == target.port());
        return open_tcp(instance, rules, target.host(), target.port(), address);
    }
    let mut rules = instance.grant.http.iter();
    let name = &instance.name;
    match rules.find(|rule| rule.pattern.matches(target) && !is_open(address, &rule.networks)) {
        Some(rule) => {
            let others = distinguishing_lines(instance, rule);
            let networks = with_network(&rule.networks, address);
            format!("{OLD_RULE}\n[[instances.{name}.http]]\nallow = \"{}\"{networks}{others}", rule.pattern)
        }
        None => {
            let pattern = HttpPattern::exactly(target);
            let networks = with_network(&[], address);
            format!("{NEW_RULE}\n[[instances.{name}.http]]\nallow = \"{pattern}\"{networks}")
        }
    }
}

/// The methods and paths of a rule, if another one of its instance has the same pattern.
fn distinguishing_lines(instance: &Instance, rule: &HttpRule) -> String {
    if instance.grant.http.iter().filter(|other| other.pattern == rule.pattern).count() < 2 {
        return String::new();
    }
    let paths = match &rule.paths {
        PathRules::Any => Vec::new(),
        PathRules::Prefixes(prefixes) => prefixes.iter().map(|prefix| quoted(&prefix.to_string())).collect(),
    };
    list_line("methods", methods(rule)) + &list_line("paths", paths)
}

fn methods(rule: &HttpRule) -> Vec<String> {
    rule.methods.iter().map(|method| quoted(&method.to_string())).collect()
}

/// A line for a list, or nothing if it is empty.
fn list_line(key: &str, values: Vec<String>) -> String {
    if values.is_empty() { String::new() } else { format!("\n{key} = [{}]", values.join(", ")) }
}

fn open_tcp<'i>(
    instance: &Instance,
    mut rules: impl Iterator<Item = &'i TcpRule>,
    host: &Host,
    port: u16,
    address: IpAddr,
) -> String {
    match rules.find(|rule| !is_open(address, &rule.networks)) {
        Some(rule) => {
            let networks = with_network(&rule.networks, address);
            format!("{OLD_RULE}\n[[instances.{}.tcp]]\nallow = \"{rule}\"{networks}", instance.name)
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
    let rules = instance.grant.tcp.iter().filter(|rule| rule.host == host && rule.port == address.port());
    open_tcp(instance, rules, &Host::Address(ip), address.port(), ip)
}

fn path_of(instance: &Instance, target: &Target, path: &str) -> String {
    let nearest = rule_for(instance, target);
    let methods = list_line("methods", nearest.map(methods).unwrap_or_default());
    let paths = match path.parse::<PathPrefix>() {
        Ok(path) => list_line("paths", vec![quoted(&path.to_string())]),
        // A path that servers read in different ways matches no prefix.
        Err(_) => "\n# of all paths, since this one can be read in several ways".to_owned(),
    };
    new_rule(instance, target, nearest, &(methods + &paths))
}

/// Permits the response in the rule that adds the secret.
fn echo_of(instance: &Instance, target: &Target, secret: &SecretName) -> Option<String> {
    let adds = |rule: &&HttpRule| {
        let is_added = rule.send.inject.iter().any(|injection| injection.secret == *secret);
        rule.pattern.matches(target) && is_added && !rule.send.allow_echo
    };
    let rule = instance.grant.http.iter().find(adds)?;
    let others = distinguishing_lines(instance, rule);
    let lines =
        format!("[[instances.{}.http]]\nallow = \"{}\"\nallow-echo = true{others}", instance.name, rule.pattern);
    Some(format!("# only if the component may know the secret: a response can show it\n{OLD_RULE}\n{lines}"))
}

/// Adds the header to the rule that would allow the request without it.
fn override_header_of(instance: &Instance, target: &Target, request: &OverriddenRequest) -> Option<String> {
    let OverriddenRequest { method, path, header } = request;
    let allows = |rule: &&HttpRule| {
        let is_method = rule.methods.is_empty() || rule.methods.contains(method);
        rule.pattern.matches(target) && is_method && rule.paths.allow(path)
    };
    let rule = instance.grant.http.iter().find(allows)?;
    let header: OverrideHeader = header.parse().ok()?;
    let headers = rule.overrides.iter().chain([&header]).map(ToString::to_string);
    let headers = list_line("override-headers", headers.map(|header| quoted(&header)).collect());
    let others = distinguishing_lines(instance, rule);
    Some(format!("{OLD_RULE}\n[[instances.{}.http]]\nallow = \"{}\"{headers}{others}", instance.name, rule.pattern))
}

fn granted<'i>(instance: &'i Instance, secret: &SecretName) -> Option<&'i SecretGrant> {
    instance.grant.secrets.get(secret)
}

fn purpose<'i>(instance: &'i Instance, secret: &SecretName) -> Option<&'i SecretPurpose> {
    granted(instance, secret)?.purpose()
}

fn jwt<'i>(instance: &'i Instance, secret: &SecretName) -> Option<&'i JwtGrant> {
    match purpose(instance, secret)? {
        SecretPurpose::Jwt(grant) => Some(grant),
        _ => None,
    }
}

fn sigv4<'i>(instance: &'i Instance, secret: &SecretName) -> Option<&'i Sigv4Grant> {
    match purpose(instance, secret)? {
        SecretPurpose::Sigv4(grant) => Some(grant),
        _ => None,
    }
}

/// The existing table of a secret, with lines that replace those of the same keys.
fn in_table(instance: &Instance, secret: &SecretName, lines: &str) -> String {
    format!("{TABLE}\n[instances.{}.secrets.{secret}]\n{lines}", instance.name)
}

/// A list of a secret's grant, with one more value.
fn narrowed(instance: &Instance, secret: &SecretName, key: &str, known: Option<Vec<String>>, added: String) -> String {
    let list: Vec<_> = known.unwrap_or_default().into_iter().chain([added]).collect();
    in_table(instance, secret, &format!("{key} = [{}]", list.join(", ")))
}

/// A secret that the configuration lacks, or whose grant has no purpose.
fn secret(instance: &Instance, name: &SecretName) -> String {
    let purpose = "sigv4 = { services = [\"…\"], regions = [\"…\"] } \
                   # or jwt, sign, hmac-sha256, pbkdf2: what the component needs";
    if granted(instance, name).is_some() {
        return in_table(instance, name, purpose);
    }
    format!(
        "{NEW_TABLE}\n[instances.{}.secrets.{name}]\nfile = \"…\" # the source of its value\n{purpose}",
        instance.name
    )
}

fn operation_of(instance: &Instance, secret: &SecretName, operation: SecretOperation) -> String {
    let line = match operation {
        SecretOperation::HmacSha256 | SecretOperation::Pbkdf2 | SecretOperation::Reveal => {
            format!("{operation} = true")
        }
        SecretOperation::Jwt => {
            "jwt = { algorithms = [\"…\"], issuers = [\"…\"], audiences = [\"…\"], max-lifetime = \"10m\" }".to_owned()
        }
        SecretOperation::Sign => "sign = { algorithms = [\"…\"] }".to_owned(),
        SecretOperation::Sigv4 => "sigv4 = { services = [\"…\"], regions = [\"…\"] }".to_owned(),
    };
    match purpose(instance, secret).map(SecretPurpose::operation) {
        Some(other) if operation != SecretOperation::Reveal => format!(
            "# in this table, in place of `{other}`, since a secret serves one purpose:\n\
             [instances.{}.secrets.{secret}]\n{line}",
            instance.name
        ),
        _ => in_table(instance, secret, &line),
    }
}

fn algorithm_of(instance: &Instance, secret: &SecretName, algorithm: SignatureAlgorithm) -> String {
    let (key, known) = match purpose(instance, secret) {
        Some(SecretPurpose::Jwt(grant)) => {
            ("jwt.algorithms", grant.algorithms().map(|known| quoted(known.name())).collect())
        }
        Some(SecretPurpose::Sign(algorithms)) => {
            ("sign.algorithms", algorithms.iter().map(|known| quoted(known.name())).collect())
        }
        _ => ("sign.algorithms", Vec::new()),
    };
    narrowed(instance, secret, key, Some(known), quoted(algorithm.name()))
}

/// Configuration can only permit a longer lifetime. A start in the future or a lifetime of zero is the component's fault.
fn lifetime(instance: &Instance, secret: &SecretName, seconds: u64) -> Option<String> {
    let asked = Span::secs(seconds);
    let longer = jwt(instance, secret).is_none_or(|grant| asked > grant.max_lifetime());
    let possible = longer && (1..=366 * 86_400).contains(&seconds);
    possible.then(|| in_table(instance, secret, &format!("jwt.max-lifetime = \"{seconds}s\"")))
}

/// An issuer or audience as a TOML string, if the configuration can name it.
fn claim(text: &str) -> Option<String> {
    (!text.is_empty() && !text.contains(char::is_control)).then(|| quoted(text))
}

/// A service or region as a TOML string, if the configuration can name it.
fn word(text: &str) -> Option<String> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    plain.then(|| quoted(text))
}

/// A text of a component as a TOML string, which it cannot end.
fn quoted(text: &str) -> String {
    let escaped: String = text.chars().fold(String::new(), |mut escaped, c| {
        match c {
            '"' | '\\' => escaped.extend(['\\', c]),
            c if c.is_control() => escaped.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => escaped.push(c),
        }
        escaped
    });
    format!("\"{escaped}\"")
}
