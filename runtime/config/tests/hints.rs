//! The fix of a denial, applied to the configuration as an operator would, permits what was denied.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::path::Path;

use deputy_config::{Colour, CoordinatorFile};
use deputy_core::grant::{
    ClaimValue, Host, HttpTarget, JwtClaims, Scheme, SecretOperation, SignatureAlgorithm, Target,
};
use deputy_core::{Digest, Instance, Limit, PolicyDenial, Principal, SecretName, StateIdentity, Timestamp};
use toml::{Table, Value};

const NOW: Timestamp = Timestamp::from_millis(1_440_938_160_000);
/// Hints that are followed one after the other at the most.
const STEPS: usize = 4;

/// A configuration of the instance `a`, as an editor shows it.
struct Editor(Table);

impl Editor {
    fn open(lines: &str) -> Self {
        let text = format!("[instances.a]\ncomponent = \"a.wasm\"\n{lines}");
        Self(toml::from_str(&text).unwrap())
    }

    fn instance(&self) -> Instance {
        let text: String = self.0.iter().map(|(key, value)| format!("{key} = {}\n", inline(value))).collect();
        let config = CoordinatorFile::parse(&text, Path::new("deputy.toml"));
        let config = config.unwrap_or_else(|errors| panic!("{}\n{text}", errors.render(Colour::Never)));
        assert!(!config.warnings.render(Colour::Never).contains("never acts"), "{text}");
        config.instances.values().next().unwrap().component.clone().unwrap()
    }

    /// Does what the comment before the lines says. `fill` is what the operator puts where there is `…`.
    fn apply(&mut self, hint: &str, fill: &dyn Fn(&str) -> String) {
        let filled = fill(hint);
        let heading = filled.lines().find(|line| line.ends_with(':')).unwrap_or_else(|| panic!("no heading: {hint}"));
        let lines: Table = toml::from_str(&filled).unwrap_or_else(|error| panic!("{error}: {hint}"));
        if let Some((_, rest)) = heading.split_once("in place of `") {
            let other = rest.split('`').next().unwrap();
            remove(&mut self.0, other);
        }
        merge(&mut self.0, lines, heading.starts_with("# in this existing rule"));
    }
}

fn inline(value: &Value) -> String {
    match value {
        Value::Table(table) => {
            let members: Vec<_> =
                table.iter().map(|(key, value)| format!("{} = {}", quoted(key), inline(value))).collect();
            format!("{{ {} }}", members.join(", "))
        }
        Value::Array(values) => format!("[{}]", values.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::String(text) => quoted(text),
        Value::Boolean(flag) => flag.to_string(),
        Value::Integer(number) => number.to_string(),
        other => panic!("{other:?}"),
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

fn merge(old: &mut Table, new: Table, into_rule: bool) {
    for (key, value) in new {
        match (old.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) => merge(old, new, into_rule),
            (Some(Value::Array(rules)), Value::Array(new)) if key == "http" || key == "tcp" => {
                let [Value::Table(new)] = new.as_slice() else { panic!("one rule: {new:?}") };
                let same = |key: &str, rule: &Value| new.get(key).is_none_or(|value| rule.get(key) == Some(value));
                let is_it = |rule: &&mut Value| ["allow", "methods", "paths"].iter().all(|key| same(key, rule));
                match rules.iter_mut().find(is_it) {
                    Some(Value::Table(rule)) if into_rule => merge(rule, new.clone(), false),
                    _ if into_rule => panic!("there is no such rule: {new:?}"),
                    _ => rules.push(Value::Table(new.clone())),
                }
            }
            (_, value) => drop(old.insert(key, value)),
        }
    }
}

/// Removes a purpose of the instance's secret.
fn remove(config: &mut Table, purpose: &str) {
    let secret = config["instances"]["a"]["secrets"]["key"].as_table_mut().unwrap();
    assert!(secret.remove(purpose).is_some(), "no {purpose} in {secret:?}");
}

/// Follows hints until `attempt` is allowed.
#[track_caller]
fn mended(lines: &str, attempt: impl Fn(&Instance) -> Result<(), PolicyDenial>) -> Vec<String> {
    mended_with(lines, attempt, &str::to_owned)
}

#[track_caller]
fn mended_with(
    lines: &str,
    attempt: impl Fn(&Instance) -> Result<(), PolicyDenial>,
    fill: &dyn Fn(&str) -> String,
) -> Vec<String> {
    let mut editor = Editor::open(lines);
    let mut hints = Vec::new();
    while let Err(refusal) = attempt(&editor.instance()) {
        let hint = refusal.fix(Principal::Instance(&editor.instance()));
        let hint = hint.unwrap_or_else(|| panic!("no hint for: {refusal}"));
        assert!(!hints.contains(&hint), "the same hint twice: {hint}");
        editor.apply(&hint, fill);
        hints.push(hint);
        assert!(hints.len() <= STEPS, "{hints:#?}");
    }
    assert!(!hints.is_empty(), "it was allowed from the beginning");
    hints
}

/// One request, to a host that resolves to this address.
fn request(method: &str, url: &str, address: &str) -> impl Fn(&Instance) -> Result<(), PolicyDenial> {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (authority, path) = rest.split_at(rest.find('/').unwrap());
    let target = HttpTarget::parse(scheme, authority, method, path, []).unwrap();
    let address = address.parse().unwrap();
    move |instance| instance.grant.permit_http(&target)?.pin(&[address]).map(drop)
}

/// One connection by TCP, to a name that resolves to this address.
fn connection(host: &str, port: u16, address: &str) -> impl Fn(&Instance) -> Result<(), PolicyDenial> {
    let target = Target::new(Scheme::Tcp, host.parse().unwrap(), port);
    let address = address.parse().unwrap();
    move |instance| instance.grant.permit_tcp(&target)?.pin(&[address]).map(drop)
}

const PUBLIC: &str = "8.8.8.8";

#[test]
fn hint_for_a_host_allows_it() {
    let host = request("POST", "https://a.example.com/v1", PUBLIC);
    assert_eq!(mended("", &host).len(), 1);
    let hints = mended("[[instances.a.http]]\nallow = \"https://minio:9000\"", &host);
    assert!(hints[0].contains("its rules lead to https://minio:9000"), "{hints:?}");
    assert_eq!(mended("", request("GET", "http://127.0.0.1:8333/", "127.0.0.1")).len(), 1);
    assert_eq!(mended("", request("GET", "http://[::1]:8333/", "::1")).len(), 1);
}

#[test]
fn hint_for_a_part_of_a_rule_allows_it_beside_the_rule() {
    let rule = "[[instances.a.http]]\nallow = \"https://a.example.com:8443\"\nmethods = [\"POST\"]\npaths = [\"/token\"]\n\
                networks = [\"private\"]";
    for (method, url) in [
        ("POST", "http://a.example.com:8443/token"),
        ("POST", "https://a.example.com/token"),
        ("PUT", "https://a.example.com:8443/token"),
        ("POST", "https://a.example.com:8443/other"),
        ("GET", "https://a.example.com:8443/other"),
        ("POST", "https://a.example.com:8443/token/../x;y"),
    ] {
        let hints = mended(rule, request(method, url, "10.0.0.1"));
        assert!(hints.iter().all(|hint| hint.starts_with("# a new rule:\n")), "{hints:#?}");
        assert!(hints.len() == 1 || method == "GET", "{method} {url}: {hints:#?}");
    }
}

#[test]
fn hint_for_a_rule_with_secrets_adds_none_of_them() {
    let lines = "[instances.a.secrets.key]\nfile = \"k\"\n[[instances.a.http]]\nallow = \"https://a.example.com\"\n\
                 paths = [\"/token\"]\nheaders = { authorization = { secret = \"key\" } }";
    let hints = mended(lines, request("POST", "https://a.example.com/other", PUBLIC));
    assert!(hints[0].contains("adds none of the secrets"), "{hints:?}");
}

/// A POST with these headers.
fn request_with(url: &str, headers: &'static [&str]) -> impl Fn(&Instance) -> Result<(), PolicyDenial> {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (authority, path) = rest.split_at(rest.find('/').unwrap());
    let target = HttpTarget::parse(scheme, authority, "POST", path, headers.iter().copied()).unwrap();
    move |instance| instance.grant.permit_http(&target).map(drop)
}

#[test]
fn hint_for_an_override_header_opens_the_rule_that_is_there() {
    let headers: &[&str] = &["x-http-method-override", "X_Forwarded_For", "forwarded"];
    let two = "[[instances.a.http]]\nallow = \"https://a.example.com\"\nmethods = [\"GET\"]\n\
               [[instances.a.http]]\nallow = \"https://a.example.com\"\nmethods = [\"POST\"]\npaths = [\"/token\"]\n\
               override-headers = [\"x-real-ip\"]";
    for rules in ["[[instances.a.http]]\nallow = \"https://*.example.com\"", two] {
        let hints = mended(rules, |instance| {
            request_with("https://a.example.com/token", headers)(instance)?;
            request_with("https://a.example.com/token", &[])(instance)
        });
        assert!(hints.iter().all(|hint| hint.starts_with("# in this existing rule:\n")), "{hints:#?}");
        assert_eq!(hints.len(), 3, "{hints:#?}");
        assert_eq!(hints[0].contains("x-real-ip"), rules == two, "{hints:#?}");
    }
}

#[test]
fn hint_for_an_echo_allows_it_in_the_rule_that_adds_the_secret() {
    let rules = "[instances.a.secrets.key]\nfile = \"k\"\n\
                 [[instances.a.http]]\nallow = \"https://a.example.com\"\nmethods = [\"GET\"]\n\
                 [[instances.a.http]]\nallow = \"https://a.example.com\"\nmethods = [\"POST\"]\n\
                 headers = { authorization = { secret = \"key\" } }";
    let target = Target::parse(Scheme::Https, "a.example.com").unwrap();
    // As the sandbox judges a response.
    let respond = |instance: &Instance| {
        let allowed = instance.grant.http.iter().any(|rule| !rule.send.inject.is_empty() && rule.send.allow_echo);
        let denial = PolicyDenial::Echo { target: target.clone(), secret: key() };
        if allowed { Ok(()) } else { Err(denial) }
    };
    let hints = mended(rules, respond);
    assert!(hints.len() == 1 && hints[0].contains("a response can show it"), "{hints:#?}");
}

#[test]
fn hint_for_an_address_opens_the_rule_that_is_there() {
    for rules in [
        "[[instances.a.http]]\nallow = \"https://a.example.com\"",
        "[[instances.a.http]]\nallow = \"https://a.example.com\"\nnetworks = [\"loopback\"]",
        "[[instances.a.http]]\nallow = \"https://*.example.com\"",
        "[[instances.a.http]]\nallow = \"https://a.example.com\"\nmethods = [\"GET\"]\nnetworks = [\"private\"]\n\
         [[instances.a.http]]\nallow = \"https://a.example.com\"\nmethods = [\"POST\"]",
    ] {
        for address in ["10.0.0.1", "169.254.169.254", "192.0.2.1", "fd00::1"] {
            if rules.contains("private") && (address == "10.0.0.1" || address == "fd00::1") {
                let hints = mended(rules, request("POST", "https://a.example.com/", address));
                assert!(hints[0].contains("methods = [\"POST\"]"), "{hints:?}");
                continue;
            }
            let hints = mended(rules, request("POST", "https://a.example.com/", address));
            assert!(hints.iter().all(|hint| hint.starts_with("# in this existing rule:\n")), "{hints:#?}");
        }
    }
}

#[test]
fn hint_for_a_connection_allows_it() {
    for (rules, host, port, address) in [
        ("", "b.example.com", 9093, PUBLIC),
        ("", "10.0.0.1", 9093, "10.0.0.1"),
        (
            "[[instances.a.tcp]]\nallow = \"b.example.com:9092\"\nnetworks = [\"private\"]",
            "b.example.com",
            9093,
            "10.0.0.1",
        ),
        ("[[instances.a.tcp]]\nallow = \"b.example.com:9093\"", "b.example.com", 9093, "10.0.0.1"),
        (
            "[[instances.a.tcp]]\nallow = \"*.example.com:9093\"\nnetworks = [\"loopback\"]",
            "b.example.com",
            9093,
            "10.0.0.1",
        ),
    ] {
        mended(rules, connection(host, port, address));
    }
}

#[test]
fn hint_for_a_name_allows_to_look_it_up() {
    let host: Host = "b.example.com".parse().unwrap();
    let look_up = |instance: &Instance| instance.grant.permit_name(&host).map(drop);
    mended_with("", look_up, &|hint| hint.replace("PORT", "9093"));
}

#[test]
fn hint_for_a_socket_opens_the_address() {
    for (rules, address) in [
        ("", "8.8.8.8:53"),
        ("", "127.0.0.1:53"),
        ("[[instances.a.tcp]]\nallow = \"127.0.0.1:53\"\nnetworks = [\"private\"]", "127.0.0.1:53"),
        ("[[instances.a.tcp]]\nallow = \"[fd00::1]:53\"\nnetworks = [\"loopback\"]", "[fd00::1]:53"),
    ] {
        let address: std::net::SocketAddr = address.parse().unwrap();
        // As the sandbox judges an address that no name led to.
        let connect = |instance: &Instance| {
            let target = Target::new(Scheme::Tcp, Host::Address(address.ip()), address.port());
            let pinned = instance.grant.permit_tcp(&target).and_then(|permit| permit.pin(&[address.ip()]));
            pinned.map(drop).map_err(|_| PolicyDenial::Socket { address })
        };
        assert_eq!(mended(rules, connect).len(), 1);
    }
}

fn key() -> SecretName {
    "key".parse().unwrap()
}

/// Opens the secret `key` and uses it.
fn using(
    attempt: impl Fn(&SecretName, &deputy_core::grant::SecretGrant) -> Result<(), PolicyDenial>,
) -> impl Fn(&Instance) -> Result<(), PolicyDenial> {
    move |instance| {
        let (name, grant) = instance.grant.secret("key")?;
        attempt(name, grant)
    }
}

/// What the operator knows of the service.
fn informed(hint: &str) -> String {
    let lists = [("services", "sts"), ("regions", "eu-west-1"), ("issuers", "me"), ("audiences", "them")];
    let filled =
        hint.replace("file = \"…\"", "file = \"k\"").replace("algorithms = [\"…\"]", "algorithms = [\"ES256\"]");
    lists
        .iter()
        .fold(filled, |hint, (key, value)| hint.replace(&format!("{key} = [\"…\"]"), &format!("{key} = [\"{value}\"]")))
}

fn sign(region: &str, service: &str) -> impl Fn(&Instance) -> Result<(), PolicyDenial> {
    let digest = "f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59";
    let text = format!("AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/{region}/{service}/aws4_request\n{digest}");
    using(move |name, grant| grant.permit_sigv4(name, text.parse().unwrap(), NOW).map(drop))
}

fn token(
    algorithm: SignatureAlgorithm,
    issuer: &str,
    audience: &str,
    life: u64,
) -> impl Fn(&Instance) -> Result<(), PolicyDenial> {
    let audiences = vec![audience.to_owned()];
    let expires_at = NOW.as_secs() + life;
    signed(algorithm, JwtClaims { issuer: issuer.to_owned(), audiences, expires_at, ..claims() })
}

/// Of `me`, without an audience, for ten minutes, and with nothing else.
fn claims() -> JwtClaims {
    JwtClaims {
        issuer: "me".to_owned(),
        audiences: Vec::new(),
        subject: None,
        issued_at: NOW.as_secs(),
        expires_at: NOW.as_secs() + 600,
        further: BTreeMap::new(),
    }
}

fn signed(algorithm: SignatureAlgorithm, claims: JwtClaims) -> impl Fn(&Instance) -> Result<(), PolicyDenial> {
    using(move |name, grant| grant.permit_jwt(name, algorithm, &claims, NOW).map(drop))
}

const SECRET: &str = "[instances.a.secrets.key]\nfile = \"k\"\n";

#[test]
fn hint_for_a_secret_lets_it_be_used() {
    // One that is not there, and one that only the host may use.
    let sent = SECRET.to_owned()
        + "[[instances.a.http]]\nallow = \"https://a.example.com\"\nform = { k = { secret = \"key\" } }";
    for lines in ["", SECRET, &sent] {
        let hints = mended_with(lines, sign("eu-west-1", "sts"), &informed);
        assert_eq!(hints.len(), 1, "{hints:#?}");
    }
}

#[test]
fn hint_for_an_operation_grants_it_in_place_of_another() {
    let purposes = ["", "hmac-sha256 = true", "sigv4 = { services = [\"sts\"], regions = [\"eu-west-1\"] }"];
    let bare = [SecretOperation::HmacSha256, SecretOperation::Pbkdf2, SecretOperation::Reveal];
    for purpose in purposes {
        let lines = format!("{SECRET}{purpose}");
        for operation in bare.into_iter().filter(|operation| !purpose.starts_with(operation.key())) {
            mended_with(&lines, using(move |name, grant| grant.permit_bare(name, operation)), &informed);
        }
        mended_with(&lines, token(SignatureAlgorithm::Es256, "me", "them", 600), &informed);
        mended_with(&lines, using(|name, grant| grant.permit_sign(name, SignatureAlgorithm::Es256)), &informed);
        if !purpose.starts_with("sigv4") {
            mended_with(&lines, sign("eu-west-1", "sts"), &informed);
        }
    }
}

#[test]
fn hint_for_a_narrow_grant_widens_it_and_keeps_what_was_there() {
    let sigv4 = SECRET.to_owned() + "sigv4 = { services = [\"sts\"], regions = [\"eu-west-1\"] }";
    for (region, service) in [("eu-west-2", "sts"), ("eu-west-1", "iam"), ("eu-west-2", "iam")] {
        mended(&sigv4, |instance| {
            sign(region, service)(instance)?;
            sign("eu-west-1", "sts")(instance)
        });
    }
    let inline =
        "jwt = { algorithms = [\"RS256\"], issuers = [\"me\"], audiences = [\"them\"], max-lifetime = \"10m\" }";
    let table = "[instances.a.secrets.key.jwt]\nalgorithms = [\"RS256\"]\nissuers = [\"me\"]\naudiences = [\"them\"]\n\
                 max-lifetime = \"10m\"";
    for jwt in [inline, table] {
        let jwt = SECRET.to_owned() + jwt;
        for (algorithm, issuer, audience, life) in [
            (SignatureAlgorithm::Es256, "me", "them", 600),
            (SignatureAlgorithm::Rs256, "you \"quoted\"", "them", 600),
            (SignatureAlgorithm::Rs256, "me", "https://idp.example/ü\\", 600),
            (SignatureAlgorithm::Rs256, "me", "them", 601),
            (SignatureAlgorithm::EdDsa, "you", "others", 86_400),
        ] {
            mended(&jwt, |instance| {
                token(algorithm, issuer, audience, life)(instance)?;
                token(SignatureAlgorithm::Rs256, "me", "them", 600)(instance)
            });
        }
    }
    let signs = SECRET.to_owned() + "sign = { algorithms = [\"RS256\"] }";
    mended(&signs, using(|name, grant| grant.permit_sign(name, SignatureAlgorithm::EdDsa)));
}

const JWT_INLINE: &str = "jwt = { algorithms = [\"RS256\"], issuers = [\"me\"], audiences = [\"them\"], subjects = [\"al\"], \
                          claims = { \"https://a.example/x\" = [\"one\"], any = true }, max-lifetime = \"10m\" }";
const JWT_TABLE: &str = "[instances.a.secrets.key.jwt]\nalgorithms = [\"RS256\"]\nissuers = [\"me\"]\n\
                         audiences = [\"them\"]\nsubjects = [\"al\"]\nmax-lifetime = \"10m\"\n\
                         [instances.a.secrets.key.jwt.claims]\n\"https://a.example/x\" = [\"one\"]\nany = true";

/// Claims that both of the grants above permit.
fn further_claims() -> JwtClaims {
    let x = ("https://a.example/x".parse().unwrap(), ClaimValue::Texts(vec!["one".to_owned()]));
    let (audiences, subject) = (vec!["them".to_owned()], Some("al".to_owned()));
    JwtClaims { audiences, subject, further: BTreeMap::from([x]), ..claims() }
}

#[test]
fn hint_for_a_claim_permits_it_and_keeps_what_was_there() {
    let text = |text: &str| ClaimValue::Texts(vec![text.to_owned()]);
    for jwt in [JWT_INLINE, JWT_TABLE] {
        let mended_beside = |claims: JwtClaims| {
            mended(&(SECRET.to_owned() + jwt), |instance| {
                signed(SignatureAlgorithm::Rs256, claims.clone())(instance)?;
                signed(SignatureAlgorithm::Rs256, further_claims())(instance)
            })
        };
        assert_eq!(mended_beside(JwtClaims { subject: Some("\"bo\"".to_owned()), ..further_claims() }).len(), 1);
        for (name, value, hints) in [
            ("https://a.example/x", text("two \\\""), 1),
            ("https://a.example/x", ClaimValue::Other, 1),
            ("https://a.example/x", ClaimValue::Texts(vec!["two".to_owned(), "three".to_owned()]), 2),
        ] {
            let mut claims = further_claims();
            claims.further.insert(name.parse().unwrap(), value);
            assert_eq!(mended_beside(claims).len(), hints);
        }
    }
}

/// What the grant lists, a token must have: another grant lists it no more, and the rest of it stays.
#[test]
fn hint_for_a_token_that_lacks_a_claim_is_another_grant() {
    let further = further_claims();
    let cases = [
        JwtClaims { audiences: Vec::new(), ..further_claims() },
        JwtClaims { subject: None, ..further_claims() },
        JwtClaims { further: BTreeMap::new(), ..further_claims() },
    ];
    for (jwt, claims) in [JWT_INLINE, JWT_TABLE].into_iter().flat_map(|jwt| cases.iter().map(move |case| (jwt, case))) {
        let hints = mended(&(SECRET.to_owned() + jwt), signed(SignatureAlgorithm::Rs256, claims.clone()));
        assert!(hints[0].starts_with("# in this table, in place of `jwt`:\n"), "{hints:#?}");
        assert!(hints[0].contains("jwt.claims.any = true") && hints.len() == 1, "{hints:#?}");
        assert_ne!(*claims, further);
    }
}

#[test]
fn hint_for_a_token_without_audience_comes_after_that_for_jwt() {
    let lines = SECRET.to_owned() + "hmac-sha256 = true";
    let hints = mended_with(&lines, signed(SignatureAlgorithm::Es256, claims()), &informed);
    assert!(hints.len() == 2 && hints[1].contains("in place of `jwt`"), "{hints:#?}");
    // A claim that is not granted yet gets its own line.
    let mut claims = claims();
    claims.audiences = vec!["them".to_owned()];
    claims.subject = Some("me".to_owned());
    claims.further.insert("scope".parse().unwrap(), ClaimValue::Texts(vec!["read".to_owned()]));
    let hints = mended_with(&lines, signed(SignatureAlgorithm::Es256, claims), &informed);
    assert_eq!(hints.len(), 3, "{hints:#?}");
}

#[test]
fn hint_for_a_lifetime_that_no_line_allows_is_none() {
    let jwt = SECRET.to_owned()
        + "jwt = { algorithms = [\"RS256\"], issuers = [\"me\"], audiences = [\"them\"], max-lifetime = \"10m\" }";
    let instance = Editor::open(&jwt).instance();
    // One that begins tomorrow would be refused with a longer one as well.
    let begins = NOW.as_secs() + 86_400;
    let later =
        JwtClaims { audiences: vec!["them".to_owned()], issued_at: begins, expires_at: begins + 3_600, ..claims() };
    let refusal = signed(SignatureAlgorithm::Rs256, later)(&instance).unwrap_err();
    assert_eq!((refusal.code(), refusal.fix(Principal::Instance(&instance))), ("time-not-granted", None));
    for life in [0, 367 * 86_400] {
        let refusal = token(SignatureAlgorithm::Rs256, "me", "them", life)(&instance).unwrap_err();
        assert_eq!(refusal.fix(Principal::Instance(&instance)), None, "{refusal}");
    }
    let refusal = PolicyDenial::Lifetime { secret: key(), seconds: 300 };
    assert_eq!(refusal.fix(Principal::Instance(&instance)), None);
}

#[test]
fn hint_for_state_grants_it_and_names_whose() {
    let [own, former] = [1, 2].map(|byte| StateIdentity::new(Digest::new([byte; 32])));
    let load = move |instance: &Instance| instance.grant.state.as_ref().ok_or(PolicyDenial::State)?.permit(former, own);
    assert_eq!(mended("", load).len(), 2);
    assert_eq!(mended("[instances.a.state]", load).len(), 1);
    assert_eq!(mended(&format!("[instances.a.state]\ninherit = \"{own}\""), load).len(), 1);
}

#[test]
fn hint_for_a_limit_raises_it_until_its_greatest_value() {
    for limit in Limit::ALL {
        for lines in ["", "[instances.a.limits]\nwall = \"61s\"\nlog-lines = 3"] {
            let mut editor = Editor::open(lines);
            for _ in 0..40 {
                let instance = editor.instance();
                let before = instance.limits.value(limit).number();
                let hint = PolicyDenial::Limit(limit).fix(Principal::Instance(&instance)).unwrap();
                if hint.contains("is already the maximum") {
                    assert_eq!(before, *limit.bounds().end(), "{hint}");
                    break;
                }
                editor.apply(&hint, &str::to_owned);
                assert!(editor.instance().limits.value(limit).number() > before, "{hint}");
            }
            assert_eq!(editor.instance().limits.value(limit).number(), *limit.bounds().end(), "{limit}");
        }
    }
}
