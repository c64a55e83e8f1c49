//! `negotiate = "HTTP/host@REALM"` of an HTTP rule: the service for which the host adds Kerberos tokens.

use deputy_core::grant::{Host, HostPattern, HttpPattern, Injection, InjectionPoint, KerberosTarget};

use crate::diagnostic::DiagnosticSink;
use crate::value::Located;

const EXAMPLE: &str = "\"HTTP/nn1.example.com@EXAMPLE.COM\"";

/// The service of HTTP (RFC 4559): a token for another one could be passed on to it.
const SERVICE: &str = "HTTP/";

/// How the rules of an instance use its login.
#[derive(Debug)]
pub(crate) struct LoginUse {
    /// Whether it has `[instances.NAME.kerberos]`.
    pub(crate) has_login: bool,
    /// Whether a rule has `negotiate`, be it valid or not.
    pub(crate) negotiates: bool,
}

/// Reads the target of a rule whose pattern this is, if it is a valid one. `inject` is what else the rule adds.
pub(crate) fn read(
    sink: &mut DiagnosticSink,
    value: Located<'_>,
    pattern: Option<&HttpPattern>,
    login: &mut LoginUse,
    inject: &[Injection],
) -> Option<KerberosTarget> {
    let target = value.parsed::<KerberosTarget>(sink, EXAMPLE);
    login.negotiates = true;
    if !login.has_login {
        sink.error(value.at(), "there is no login for the Kerberos tokens")
            .expected("needs [instances.NAME.kerberos] with `login = \"…\"`");
    }
    if inject.iter().any(|it| matches!(&it.place, InjectionPoint::Header(name) if name == "authorization")) {
        sink.error(value.at(), "the rule sets the header `authorization` twice")
            .expected("either `negotiate` or `headers`");
    }
    let target = target?;
    let pattern = pattern?;
    if !target.to_string().starts_with(SERVICE) {
        sink.error(value.at(), "this is not the service of HTTP")
            .expected("write \"HTTP/host@REALM\", as the server's keytab has it");
        return None;
    }
    matches_host(sink, value, &target, pattern.host()).then_some(target)
}

/// Checks that the token goes to its own service. Another server could pass it on to that one.
fn matches_host(sink: &mut DiagnosticSink, value: Located<'_>, target: &KerberosTarget, host: &HostPattern) -> bool {
    let (wrong, expected) = match (target, host) {
        (KerberosTarget::Exactly(_), HostPattern::Exactly(host)) if target.host().as_ref() == Some(host) => {
            return true;
        }
        (KerberosTarget::OfHost { .. }, HostPattern::Exactly(Host::Name(_)) | HostPattern::Below(_)) => return true,
        (KerberosTarget::OfHost { .. }, HostPattern::Exactly(Host::Address(address))) => (
            format!("`_HOST` stands for a name, and the rule leads to {address}"),
            "the host's name in `allow`".to_owned(),
        ),
        (KerberosTarget::Exactly(principal), host) => {
            let of = principal.host().unwrap_or_default();
            let expected = match host {
                HostPattern::Exactly(host) => format!("the principal of {host}, or `allow` with {of}"),
                HostPattern::Below(_) => "`_HOST` instead of the host, or one host in `allow`".to_owned(),
            };
            (format!("the token is for {of}, and the rule leads to {host}"), expected)
        }
    };
    sink.error(value.at(), wrong).expected(expected);
    false
}
