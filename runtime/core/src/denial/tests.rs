use super::*;
use crate::grant::{Grant, HostError, Scheme};
use std::collections::BTreeMap;
use std::path::PathBuf;

fn target(scheme: Scheme) -> Target {
    Target::parse(scheme, "a.example:8443").unwrap()
}

fn https() -> Target {
    target(Scheme::Https)
}

fn secret() -> SecretName {
    "key".parse().unwrap()
}

fn address(target: Target, address: &str) -> PolicyDenial {
    let address = address.parse().unwrap();
    PolicyDenial::Address { target, address, class: AddressClass::of(address) }
}

fn socket(address: &str) -> PolicyDenial {
    PolicyDenial::Socket { address: address.parse().unwrap() }
}

fn operation(operation: SecretOperation) -> PolicyDenial {
    PolicyDenial::Operation { secret: secret(), operation }
}

fn claim(name: &str, value: DeniedClaim) -> PolicyDenial {
    PolicyDenial::Claim { secret: secret(), claim: name.into(), value }
}

/// The instance `s3`, which is granted nothing, with default limits.
fn instance() -> Instance {
    Instance {
        name: "s3".parse().unwrap(),
        component: PathBuf::new().into(),
        sha256: None,
        settings: BTreeMap::new(),
        grant: Grant::default(),
        sources: BTreeMap::new(),
        limits: Limits::default(),
    }
}

/// The lines that would allow it there.
fn fix(refusal: &PolicyDenial) -> Option<String> {
    refusal.fix(Principal::Instance(&instance()))
}

#[track_caller]
fn assert_fix(refusal: &PolicyDenial, table: &str, line: &str) {
    assert_eq!(fix(refusal).as_deref(), Some(format!("{table}\n{line}").as_str()), "{refusal}");
}

const NEW_RULE: &str = "# a new rule:";
const TABLE: &str = "# in this table, replacing its current lines:";

fn put(path: &str) -> Box<DeniedRequest> {
    Box::new(DeniedRequest { method: "PUT".parse().unwrap(), path: path.into() })
}

fn method_denial() -> PolicyDenial {
    PolicyDenial::Method { target: https(), request: put("/v1") }
}

fn path_denial(path: &str) -> PolicyDenial {
    PolicyDenial::Path { target: https(), request: put(path) }
}

#[track_caller]
fn assert_http_rule(denial: PolicyDenial, more: &str) {
    let rule = format!("allow = \"https://a.example:8443\"{more}");
    assert_fix(&denial, &format!("{NEW_RULE}\n[[instances.s3.http]]"), &rule);
}

#[track_caller]
fn assert_tcp_rule(denial: PolicyDenial, line: &str) {
    assert_fix(&denial, &format!("{NEW_RULE}\n[[instances.s3.tcp]]"), line);
}

#[track_caller]
fn assert_secret_line(denial: PolicyDenial, line: &str) {
    assert_fix(&denial, &format!("{TABLE}\n[instances.s3.secrets.key]"), line);
}

#[test]
fn denial_of_a_request_is_fixed_by_a_rule_for_that_request_only() {
    assert_http_rule(PolicyDenial::Host { target: https() }, "");
    assert_http_rule(PolicyDenial::Port { target: https() }, "");
    assert_http_rule(PolicyDenial::Scheme { target: https() }, "");
    assert_http_rule(method_denial(), "\nmethods = [\"PUT\"]\npaths = [\"/v1\"]");
    assert_http_rule(path_denial("/v1"), "\nmethods = [\"PUT\"]\npaths = [\"/v1\"]");
    assert_http_rule(address(https(), "10.0.0.1"), "\nnetworks = [\"private\"]");
    assert_http_rule(address(https(), "192.0.2.1"), "\nnetworks = [\"192.0.2.1/32\"]");
}

#[test]
fn denial_of_tcp_is_fixed_by_a_rule_for_that_target_only() {
    assert_tcp_rule(PolicyDenial::Host { target: target(Scheme::Tcp) }, "allow = \"a.example:8443\"");
    assert_tcp_rule(PolicyDenial::Port { target: target(Scheme::Tcp) }, "allow = \"a.example:8443\"");
    assert_tcp_rule(address(target(Scheme::Tcp), "::1"), "allow = \"a.example:8443\"\nnetworks = [\"loopback\"]");
    assert_tcp_rule(PolicyDenial::Name { host: "a.example".parse().unwrap() }, "allow = \"a.example:PORT\"");
    assert_tcp_rule(socket("8.8.8.8:53"), "allow = \"8.8.8.8:53\"");
    assert_tcp_rule(socket("127.0.0.1:53"), "allow = \"127.0.0.1:53\"\nnetworks = [\"loopback\"]");
    assert_tcp_rule(socket("[::ffff:127.0.0.1]:53"), "allow = \"127.0.0.1:53\"\nnetworks = [\"loopback\"]");
    assert_tcp_rule(socket("[fd00::1]:53"), "allow = \"[fd00::1]:53\"\nnetworks = [\"private\"]");
}

#[test]
fn denial_of_a_secret_is_fixed_by_a_line_of_its_table() {
    assert_secret_line(
        PolicyDenial::Algorithm { secret: secret(), algorithm: SignatureAlgorithm::Es256 },
        "sign.algorithms = [\"ES256\"]",
    );
    assert_secret_line(
        PolicyDenial::Audience { secret: secret(), audience: Some("x \"y\"".into()) },
        r#"jwt.audiences = ["x \"y\""]"#,
    );
    assert_secret_line(
        PolicyDenial::Issuer { secret: secret(), issuer: "x \"y\"".into() },
        r#"jwt.issuers = ["x \"y\""]"#,
    );
    assert_secret_line(
        PolicyDenial::Subject { secret: secret(), subject: Some("x \"y\"".into()) },
        r#"jwt.subjects = ["x \"y\""]"#,
    );
    assert_secret_line(claim("scope", DeniedClaim::Text("read".into())), "jwt.claims.scope = [\"read\"]");
    assert_secret_line(claim("scope", DeniedClaim::Other), "jwt.claims.scope = true");
    assert_secret_line(claim("a.b\"", DeniedClaim::Other), r#"jwt.claims."a.b\"" = true"#);
    assert_secret_line(PolicyDenial::Lifetime { secret: secret(), seconds: 601 }, "jwt.max-lifetime = \"601s\"");
    assert_secret_line(
        PolicyDenial::Region { secret: secret(), region: "eu-west-2".into() },
        "sigv4.regions = [\"eu-west-2\"]",
    );
    assert_secret_line(PolicyDenial::Service { secret: secret(), service: "s3".into() }, "sigv4.services = [\"s3\"]");
    assert_secret_line(operation(SecretOperation::HmacSha256), "hmac-sha256 = true");
    assert_secret_line(operation(SecretOperation::Pbkdf2), "pbkdf2 = true");
    assert_secret_line(operation(SecretOperation::Reveal), "reveal = true");
    assert_secret_line(operation(SecretOperation::Scram), "scram = { username = \"…\" }");
    assert_secret_line(operation(SecretOperation::Sign), "sign = { algorithms = [\"…\"] }");
    assert_secret_line(operation(SecretOperation::Sigv4), "sigv4 = { services = [\"…\"], regions = [\"…\"] }");
    assert_secret_line(
        operation(SecretOperation::Jwt),
        "jwt = { algorithms = [\"…\"], issuers = [\"…\"], audiences = [\"…\"], max-lifetime = \"10m\" }",
    );
    let lines = fix(&PolicyDenial::Secret { name: "key".into() }).unwrap();
    assert!(lines.starts_with("# a new table:\n[instances.s3.secrets.key]\nfile = \"…\""), "{lines}");
    assert!(lines.contains("\nsigv4 = {") && lines.contains("# or jwt, scram,"), "{lines}");
}

fn other_identity() -> StateIdentity {
    StateIdentity::new(crate::Digest::new([7; 32]))
}

#[test]
fn denial_of_state_is_fixed_by_its_table() {
    assert_fix(&PolicyDenial::State, "# a new table:", "[instances.s3.state]");
    let line = format!("[instances.s3.state]\ninherit = \"{}\"", other_identity());
    let another = PolicyDenial::StateOfAnother { kept_for: other_identity() };
    assert_fix(&another, TABLE, &line);
    assert!(!another.guest().contains(&other_identity().to_string()), "the component need not know");
    let granted = Instance { grant: Grant { state: Some(Default::default()), ..Grant::default() }, ..instance() };
    assert_eq!(PolicyDenial::State.fix(Principal::Instance(&granted)), None, "it is the call that may not");
}

#[test]
fn denial_by_a_limit_suggests_a_higher_limit() {
    let table = format!("{TABLE}\n[instances.s3.limits]");
    assert_fix(&PolicyDenial::Limit(Limit::Requests), &table, "requests = 32 # 16 now");
    assert_fix(&PolicyDenial::Limit(Limit::Wall), &table, "wall = \"2m\" # \"1m\" now");
    let greatest = "# instances = 64 is already the maximum";
    assert_eq!(fix(&PolicyDenial::Limit(Limit::Instances)).as_deref(), Some(greatest));
}

#[test]
fn denial_that_no_configuration_lifts_has_no_fix() {
    for refusal in [
        PolicyDenial::Listen,
        PolicyDenial::OutputPath { path: "../x".into() },
        PolicyDenial::OutputTaken { path: "x".into() },
        PolicyDenial::Outputs,
        PolicyDenial::OwnAuthorization { target: https() },
        PolicyDenial::Target(TargetError::Path),
        PolicyDenial::Time { secret: secret(), time: Timestamp::from_millis(0), tolerance: Span::secs(60) },
        PolicyDenial::Udp,
    ] {
        assert_eq!((fix(&refusal), fix_of_receiver(&refusal)), (None, None), "{refusal}");
    }
}

/// The same for the receiver `aws`.
fn fix_of_receiver(refusal: &PolicyDenial) -> Option<String> {
    refusal.fix(Principal::Receiver(&"aws".parse().unwrap(), &Limits::default()))
}

#[test]
fn denial_of_a_receiver_suggests_no_grant() {
    let expected = "# [receivers.aws] has no grant; what it needs has to come from the provider";
    for refusal in [
        address(https(), "10.0.0.1"),
        PolicyDenial::Algorithm { secret: secret(), algorithm: SignatureAlgorithm::Es256 },
        PolicyDenial::Audience { secret: secret(), audience: Some("x".into()) },
        PolicyDenial::Host { target: https() },
        PolicyDenial::Host { target: target(Scheme::Tcp) },
        PolicyDenial::Issuer { secret: secret(), issuer: "x".into() },
        PolicyDenial::Lifetime { secret: secret(), seconds: 601 },
        method_denial(),
        PolicyDenial::Name { host: "a.example".parse().unwrap() },
        operation(SecretOperation::Reveal),
        path_denial("/v1"),
        PolicyDenial::Port { target: https() },
        PolicyDenial::Region { secret: secret(), region: "eu-west-2".into() },
        PolicyDenial::Scheme { target: https() },
        PolicyDenial::Secret { name: "key".into() },
        PolicyDenial::Secret { name: "a\nb = 1".into() },
        PolicyDenial::Service { secret: secret(), service: "s3".into() },
        claim("scope", DeniedClaim::Missing),
        PolicyDenial::Subject { secret: secret(), subject: None },
        socket("10.0.0.1:53"),
        PolicyDenial::State,
    ] {
        assert_eq!(fix_of_receiver(&refusal).as_deref(), Some(expected), "{refusal}");
        assert!(!refusal.guest().contains("receivers."), "{refusal}");
    }
}

#[test]
fn denial_by_a_limit_of_a_receiver_names_its_own_table() {
    let shown = format!("{TABLE}\n[receivers.aws.limits]\noutput-files = 128 # 64 now");
    assert_eq!(fix_of_receiver(&PolicyDenial::Limit(Limit::OutputFiles)), Some(shown));
}

#[test]
fn denial_quotes_and_escapes_text_of_the_component() {
    for (text, shown) in [("a\"]x = \"b", r#"a\"]x = \"b"#), ("a\\", r"a\\"), ("ä … 漢", "ä … 漢")] {
        let refusal = PolicyDenial::Audience { secret: secret(), audience: Some(text.into()) };
        let table = format!("{TABLE}\n[instances.s3.secrets.key]");
        assert_fix(&refusal, &table, &format!("jwt.audiences = [\"{shown}\"]"));
    }
    // What no configuration can name has no lines.
    for text in ["", "a\nx = \"b", "\u{7f}\u{9b}\0", "cut…"] {
        assert_eq!(fix(&PolicyDenial::Audience { secret: secret(), audience: Some(text.into()) }), None, "{text:?}");
        assert_eq!(fix(&PolicyDenial::Issuer { secret: secret(), issuer: text.into() }), None, "{text:?}");
        assert_eq!(fix(&PolicyDenial::Subject { secret: secret(), subject: Some(text.into()) }), None, "{text:?}");
        assert_eq!(fix(&claim("scope", DeniedClaim::Text(text.into()))), None, "{text:?}");
        assert_eq!(fix(&claim(text, DeniedClaim::Other)), None, "{text:?}");
        assert_eq!(fix(&PolicyDenial::Region { secret: secret(), region: text.into() }), None, "{text:?}");
    }
    for name in ["", "a\nb = 1", "a.b", "A", "a]"] {
        assert_eq!(fix(&PolicyDenial::Secret { name: name.into() }), None, "{name:?}");
    }
}

#[test]
fn denial_gives_the_resolved_address_to_the_audit_log_only() {
    for (refusal, ip) in [(address(https(), "10.0.0.1"), "10.0.0.1"), (socket("[fd00::1]:53"), "fd00::1")] {
        assert_eq!(refusal.address(), Some(ip.parse().unwrap()));
    }
    assert_eq!(PolicyDenial::Host { target: https() }.address(), None);
    let refusal = address(https(), "10.0.0.1");
    assert_eq!(refusal.guest(), PolicyDenial::Host { target: https() }.guest(), "a name is granted or not");
    let shown = "https://a.example:8443 leads to 10.0.0.1, a private address, which is not granted";
    assert_eq!(refusal.to_string(), shown);
}

/// One denial of each kind, with its code and the text that the component receives.
#[test]
fn denial_of_every_kind_has_a_code_and_names_the_request() {
    let all = [
        (address(https(), "10.0.0.1"), "address-not-granted", "https://a.example:8443"),
        (
            PolicyDenial::Algorithm { secret: secret(), algorithm: SignatureAlgorithm::EdDsa },
            "algorithm-not-granted",
            "EdDSA",
        ),
        (
            PolicyDenial::Audience { secret: secret(), audience: Some("x".into()) },
            "audience-not-granted",
            "audience \"x\"",
        ),
        (
            PolicyDenial::Audience { secret: secret(), audience: None },
            "audience-not-granted",
            "a token without an audience is not granted",
        ),
        (claim("scope", DeniedClaim::Missing), "claim-not-granted", "a token without claim \"scope\" is not granted"),
        (claim("scope", DeniedClaim::Other), "claim-not-granted", "claim \"scope\" with a value that is no text"),
        (claim("scope", DeniedClaim::Text("x".into())), "claim-not-granted", "claim \"scope\" with the value \"x\""),
        (PolicyDenial::Host { target: https() }, "host-not-granted", "https://a.example:8443"),
        (PolicyDenial::Issuer { secret: secret(), issuer: "x".into() }, "issuer-not-granted", "issuer \"x\""),
        (PolicyDenial::Lifetime { secret: secret(), seconds: 601 }, "lifetime-not-granted", "601 s"),
        (PolicyDenial::Limit(Limit::Wall), "over-limit", "`wall`"),
        (PolicyDenial::Listen, "listening-not-allowed", "listening"),
        (method_denial(), "method-not-granted", "PUT to https:"),
        (PolicyDenial::Name { host: "b.example".parse().unwrap() }, "name-not-granted", "b.example"),
        (operation(SecretOperation::Sigv4), "operation-not-granted", "sigv4"),
        (PolicyDenial::OutputPath { path: "../x".into() }, "odd-output-path", "\"../x\" is not the path"),
        (PolicyDenial::OutputTaken { path: "x".into() }, "output-path-taken", "\"x\" was put already"),
        (PolicyDenial::Outputs, "outputs-not-allowed", "leaving files is for receivers"),
        (
            PolicyDenial::OwnAuthorization { target: https() },
            "authorization-not-allowed",
            "own authorization to https://a.example:8443 is refused",
        ),
        (path_denial("/x"), "path-not-granted", "\"/x\" of https:"),
        (PolicyDenial::Port { target: https() }, "port-not-granted", "8443: this port"),
        (PolicyDenial::Region { secret: secret(), region: "x".into() }, "region-not-granted", "region x"),
        (PolicyDenial::Scheme { target: https() }, "scheme-not-granted", "this scheme"),
        (PolicyDenial::Secret { name: "x".into() }, "secret-not-granted", "secret \"x\""),
        (PolicyDenial::Service { secret: secret(), service: "x".into() }, "service-not-granted", "service x"),
        (socket("10.0.0.1:1"), "socket-not-granted", "10.0.0.1:1"),
        (PolicyDenial::Subject { secret: secret(), subject: Some("x".into()) }, "subject-not-granted", "subject \"x\""),
        (
            PolicyDenial::Subject { secret: secret(), subject: None },
            "subject-not-granted",
            "a token without a subject is not granted",
        ),
        (PolicyDenial::State, "state-not-granted", "state is for `obtain`"),
        (PolicyDenial::StateOfAnother { kept_for: other_identity() }, "state-of-another", "by another component"),
        (PolicyDenial::Target(TargetError::Host(HostError::Odd)), "odd-host", "the host is neither"),
        (PolicyDenial::Target(TargetError::Method), "odd-method", "the method"),
        (PolicyDenial::Target(TargetError::Path), "odd-path", "the path"),
        (PolicyDenial::Target(TargetError::Port), "odd-port", "the port"),
        (PolicyDenial::Target(TargetError::Scheme), "odd-scheme", "the scheme"),
        (PolicyDenial::Target(TargetError::Userinfo), "userinfo-not-allowed", "user information"),
        (
            PolicyDenial::Time { secret: secret(), time: Timestamp::from_millis(0), tolerance: Span::secs(60) },
            "time-not-granted",
            "signing for 1970-01-01T00:00:00.000Z, which is more than 1m from now",
        ),
        (PolicyDenial::Udp, "udp-not-allowed", "UDP"),
    ];
    for (refusal, code, expected) in all {
        assert_eq!(refusal.code(), code);
        assert!(refusal.guest().contains(expected), "{}", refusal.guest());
    }
}
