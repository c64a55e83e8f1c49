//! `[[instances.NAME.http]]` and `[[instances.NAME.tcp]]`

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::path::Path;

use deputy_core::SecretName;
use deputy_core::grant::{
    AddressClass, Host, HostPattern, HttpPattern, HttpRule, Method, Network, OverrideHeader, PathPrefix, PathRules,
    RequestOptions, Scheme, TcpRule, TlsOptions,
};

use crate::diagnostic::DiagnosticSink;
use crate::negotiate::LoginUse;
use crate::secret::SecretTable;
use crate::value::{Located, TableReader, optional};
use crate::{inject, negotiate};

/// Reads HTTP rules, and adds the secrets that they send to `used`.
pub(crate) fn http(
    sink: &mut DiagnosticSink,
    base: &Path,
    secrets: &SecretTable,
    used: &mut BTreeSet<SecretName>,
    login: &mut LoginUse,
    value: Located<'_>,
) -> Vec<HttpRule> {
    let tables = value.tables(sink, "[[instances.NAME.http]]").into_iter();
    let rules: Vec<_> = tables.filter_map(|table| http_rule(sink, base, secrets, used, login, table)).collect();
    for (index, (at, rule)) in rules.iter().enumerate() {
        let plain = HttpRule { networks: Vec::new(), ..rule.clone() };
        if let Some((earlier, other)) = rules.iter().take(index).find(|(_, other)| other.covers(&plain)) {
            let more = other.networks != rule.networks || other.send != rule.send;
            covered(sink, at, earlier, more);
        }
        closed(sink, at, rule.pattern.host(), &rule.networks);
    }
    rules.into_iter().map(|(_, rule)| rule).collect()
}

/// Reads TCP rules, and adds the secrets that they use to `used`.
pub(crate) fn tcp(
    sink: &mut DiagnosticSink,
    base: &Path,
    secrets: &SecretTable,
    used: &mut BTreeSet<SecretName>,
    value: Located<'_>,
) -> Vec<TcpRule> {
    let tables = value.tables(sink, "[[instances.NAME.tcp]]").into_iter();
    let rules: Vec<_> = tables.filter_map(|table| tcp_rule(sink, base, secrets, used, table)).collect();
    for (index, (at, rule)) in rules.iter().enumerate() {
        let covers = |other: &TcpRule| other.port == rule.port && other.host.covers(&rule.host);
        if let Some((earlier, other)) = rules.iter().take(index).find(|(_, other)| covers(other)) {
            covered(sink, at, earlier, other.networks != rule.networks || other.tls != rule.tls);
        }
        closed(sink, at, &rule.host, &rule.networks);
    }
    rules.into_iter().map(|(_, rule)| rule).collect()
}

fn http_rule(
    sink: &mut DiagnosticSink,
    base: &Path,
    secrets: &SecretTable,
    used: &mut BTreeSet<SecretName>,
    login: &mut LoginUse,
    mut fields: TableReader<'_>,
) -> Option<(Range<usize>, HttpRule)> {
    let allow = fields.required(sink, "allow", "\"https://host\"");
    userinfo(sink, allow);
    let pattern = allow.and_then(|value| value.parsed::<HttpPattern>(sink, "\"https://host\""));
    let methods = match fields.optional("methods") {
        Some(value) => value.parsed_list::<Method>(sink, "[\"POST\"]"),
        None => Some(Vec::new()),
    };
    let paths = match fields.optional("paths") {
        Some(value) => value.parsed_list::<PathPrefix>(sink, "[\"/v1\"]").map(PathRules::Prefixes),
        None => Some(PathRules::Any),
    };
    let overrides = match fields.optional("override-headers") {
        Some(value) => value.parsed_list::<OverrideHeader>(sink, "[\"x-forwarded-for\"]"),
        None => Some(Vec::new()),
    };
    let networks = networks(sink, &mut fields);

    let roots = fields.optional("roots");
    let certificate = fields.optional("client-certificate");
    let headers = fields.optional("headers");
    let form = fields.optional("form");
    let negotiated = fields.optional("negotiate");
    let allow_echo = fields.optional("allow-echo");
    let mut client = None;
    let mut inject = Vec::new();
    if let Some(value) = certificate {
        client = inject::client(sink, base, secrets, value);
    }
    if let Some(value) = headers {
        inject.extend(inject::headers(sink, secrets, value));
    }
    if let Some(value) = form {
        inject.extend(inject::form(sink, secrets, value));
    }
    if let (Some(value), true) = (allow_echo, inject.is_empty() && negotiated.is_none()) {
        sink.error(value.at(), "the rule adds no secret").expected("needs `headers`, `form` or `negotiate`");
    }
    let negotiate = optional(negotiated, |value| negotiate::read(sink, value, pattern.as_ref(), login, &inject));
    let allow_echo = allow_echo.and_then(|value| value.flag(sink)).unwrap_or_default();
    fields.finish(sink);
    used.extend(client.iter().map(|(_, name)| name.clone()));
    used.extend(inject.iter().map(|injection| injection.secret.clone()));

    let roots_path = roots.and_then(|value| value.path(sink, base));
    let pattern = pattern?;
    if pattern.scheme() == Scheme::Http {
        for value in [roots, certificate].into_iter().flatten() {
            sink.error(value.at(), "a rule for http:// has no TLS").expected("needs an https:// rule");
        }
        if let (Some(first), None) = (headers.or(form), local(pattern.host())) {
            sink.warning(first.at(), "the secret is sent unencrypted").expected("needs https://");
        }
        if let (Some(value), None) = (negotiated, local(pattern.host())) {
            let problem =
                "a reader of the request can use its Kerberos token for another one, and tokens come unencrypted";
            sink.warning(value.at(), problem).expected("needs https://");
        }
    }
    if let Some(first) = headers.or(form) {
        open_injection(sink, first, "secret", methods.as_deref(), paths.as_ref());
    } else if let Some(first) = negotiated {
        open_injection(sink, first, "Kerberos token", methods.as_deref(), paths.as_ref());
    }
    let send =
        RequestOptions { tls: TlsOptions { roots: roots_path, client }, inject, negotiate: negotiate?, allow_echo };
    Some((
        allow?.at(),
        HttpRule { pattern, methods: methods?, paths: paths?, overrides: overrides?, networks: networks?, send },
    ))
}

fn tcp_rule(
    sink: &mut DiagnosticSink,
    base: &Path,
    secrets: &SecretTable,
    used: &mut BTreeSet<SecretName>,
    mut fields: TableReader<'_>,
) -> Option<(Range<usize>, TcpRule)> {
    let allow = fields.required(sink, "allow", "\"host:port\"");
    userinfo(sink, allow);
    let rule = allow.and_then(|value| {
        let text = value.text(sink, "\"host:port\"")?;
        if text.contains('/') {
            let error = sink.error(value.at(), "a TCP rule has neither scheme nor path");
            error.expected("write \"host:port\"");
            return None;
        }
        value.parsed::<TcpRule>(sink, "\"host:port\"")
    });
    let networks = networks(sink, &mut fields);
    let tls = optional(fields.optional("tls"), |value| tls(sink, base, secrets, value));
    fields.finish(sink);
    used.extend(tls.iter().flatten().filter_map(|tls| tls.client.as_ref()).map(|(_, name)| name.clone()));
    Some((allow?.at(), TcpRule { networks: networks?, tls: tls?, ..rule? }))
}

/// `tls = { roots = "ca.pem", client-certificate = { … } }`; empty for the system's roots and no client certificate.
fn tls(sink: &mut DiagnosticSink, base: &Path, secrets: &SecretTable, value: Located<'_>) -> Option<TlsOptions> {
    let mut fields = value.table(sink, "{ roots = \"ca.pem\" }, or {} for the system's roots")?;
    let roots = optional(fields.optional("roots"), |value| value.path(sink, base));
    let client = fields.optional("client-certificate");
    let client = optional(client, |value| inject::client(sink, base, secrets, value));
    fields.finish(sink);
    Some(TlsOptions { roots: roots?, client: client? })
}

/// Warns of a credential that goes into requests of the component's choosing.
fn open_injection(
    sink: &mut DiagnosticSink,
    first: Located<'_>,
    credential: &str,
    methods: Option<&[Method]>,
    paths: Option<&PathRules>,
) {
    let missing = match (methods.is_some_and(<[_]>::is_empty), paths == Some(&PathRules::Any)) {
        (true, true) => "`methods` and `paths`",
        (true, false) => "`methods`",
        (false, true) => "`paths`",
        (false, false) => return,
    };
    sink.warning(first.at(), format!("the component chooses which requests carry the {credential}"))
        .expected(format!("needs {missing}"));
}

/// The part before an `@` may be a password.
fn userinfo(sink: &mut DiagnosticSink, allow: Option<Located<'_>>) {
    if let Some(value) = allow.filter(|value| value.contains('@')) {
        sink.mask(value.at());
    }
}

fn networks(sink: &mut DiagnosticSink, fields: &mut TableReader<'_>) -> Option<Vec<Network>> {
    match fields.optional("networks") {
        Some(value) => value.parsed_list(sink, "[\"private\", \"10.1.0.0/16\"]"),
        None => Some(Vec::new()),
    }
}

/// The first rule that allows a request applies, so a rule that an earlier one covers has no effect.
fn covered(sink: &mut DiagnosticSink, at: &Range<usize>, earlier: &Range<usize>, more: bool) {
    let warning = sink.warning(at.clone(), "this rule has no effect: an earlier rule allows the same requests");
    warning.also(earlier.clone(), "the earlier rule").expected("never reached");
    if more {
        warning.hint("the first rule that allows a request applies, so the networks and secrets of this rule are never used: put the narrower rule first");
    }
}

/// Warns of a host whose address is known to be in no network that the rule permits.
fn closed(sink: &mut DiagnosticSink, at: &Range<usize>, host: &HostPattern, networks: &[Network]) {
    let Some((class, addresses)) = local(host) else { return };
    if !addresses.iter().any(|address| networks.iter().any(|network| network.contains(*address))) {
        let opening = addresses.first().map(|address| Network::opening(*address)).unwrap_or_default();
        sink.warning(at.clone(), format!("this rule allows nothing: {host} is a {class} address"))
            .expected(format!("needs networks = [\"{opening}\"]"));
    }
}

/// The address class of a host that is not public, if that is known without a look-up.
fn local(host: &HostPattern) -> Option<(AddressClass, Vec<IpAddr>)> {
    match host {
        HostPattern::Exactly(Host::Address(address)) => {
            let class = AddressClass::of(*address);
            (class != AddressClass::Public).then(|| (class, vec![*address]))
        }
        HostPattern::Exactly(Host::Name(name)) if name == "localhost" || name.ends_with(".localhost") => {
            Some((AddressClass::Loopback, vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]))
        }
        HostPattern::Exactly(Host::Name(_)) | HostPattern::Below(_) => None,
    }
}
