//! What a configuration becomes.

#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use deputy_config::{Colour, ConfigErrors, CoordinatorFile, CoordinatorSection, InstanceEntry};
use deputy_core::grant::{
    ClaimGrant, Host, HttpTarget, Injection, InjectionEncoding, InjectionPoint, JwtGrant, Scheme, ScramGrant,
    SecretOperation, SecretPurpose, SignatureAlgorithm, Sigv4Grant, Target, TargetError,
};
use deputy_core::schedule::{Budget, Policy};
use deputy_core::{
    ByteSize, ComponentRef, DeniedClaim, DeniedRequest, Instance, Limit, Limits, PolicyDenial, Principal, SecretName,
    SecretSource, Span,
};
use proptest::prelude::*;

const FULL: &str = include_str!("../samples/valid/full.toml");

fn parse(text: &str) -> CoordinatorFile {
    CoordinatorFile::parse(text, Path::new("/etc/deputy/deputy.toml")).map_err(|e| e.render(Colour::Never)).unwrap()
}

fn name(text: &str) -> SecretName {
    text.parse().unwrap()
}

fn entry<'c>(config: &'c CoordinatorFile, name: &str) -> &'c InstanceEntry {
    config.instances.values().find(|entry| entry.name.as_str() == name).unwrap()
}

fn instance(config: &CoordinatorFile, name: &str) -> Instance {
    entry(config, name).component.clone().unwrap()
}

fn http(target: &str, method: &str, path: &str) -> HttpTarget {
    let (scheme, authority) = target.split_once("://").unwrap();
    HttpTarget::parse(scheme, authority, method, path, []).unwrap()
}

#[test]
fn empty_file_is_a_configuration_without_instances() {
    let config = parse("");
    assert_eq!((config.state_dir, config.audit, config.instances.len()), (None, None, 0));
}

#[test]
fn keys_that_are_absent_have_defaults() {
    let config = parse("[instances.a]\ncomponent = \"a.wasm\"");
    let entry = config.instances.values().next().unwrap();
    assert!(entry.enabled && entry.file.is_none() && entry.service.is_none() && entry.upstream.is_none());
    assert_eq!(entry.policy, Policy::default());
    assert_eq!(config.coordinator, CoordinatorSection::default());
    assert_eq!((config.default_budget, config.budgets.len()), (Budget::DEFAULT, 0));
    let instance = instance(&config, "a");
    assert_eq!(instance.component, ComponentRef::File("/etc/deputy/a.wasm".into()));
    assert_eq!(instance.sha256, None);
    assert_eq!(instance.limits, Limits::default());
    assert_eq!(instance.grant, deputy_core::grant::Grant::default());
    assert!(instance.settings.is_empty() && instance.sources.is_empty());
}

#[test]
fn paths_are_relative_to_the_file() {
    let config = parse(FULL);
    assert_eq!(config.state_dir, Some(PathBuf::from("/var/lib/deputy")));
    assert_eq!(config.audit, Some(PathBuf::from("/etc/deputy/audit.jsonl")));
    let oauth = instance(&config, "oauth");
    let send = &oauth.grant.http[0].send;
    assert_eq!(send.tls.client, Some((PathBuf::from("/etc/deputy/client.pem"), name("tls-key"))));
    assert_eq!(oauth.sources[&name("tls-key")], SecretSource::File("/etc/deputy/client.key".into()));
    // A program with a slash, too; one without is looked up by the system.
    assert_eq!(
        oauth.sources[&name("token")],
        SecretSource::Command(vec!["/etc/deputy/./token".into(), "--now".into()])
    );
    assert_eq!(
        oauth.sources[&name("client-key")],
        SecretSource::Command(vec!["pass".into(), "show".into(), "client-key".into()])
    );

    let here = CoordinatorFile::parse("[instances.a]\ncomponent = \"a.wasm\"", Path::new("deputy.toml")).unwrap();
    assert_eq!(instance(&here, "a").component, ComponentRef::File("a.wasm".into()));
}

#[test]
fn file_is_loaded_with_absolute_paths() {
    let folder = tempfile::tempdir_in(".").unwrap();
    let path = folder.path().join("deputy.toml");
    #[expect(clippy::disallowed_methods, reason = "a file that only this test reads")]
    std::fs::write(&path, "[instances.a]\ncomponent = \"a.wasm\"").unwrap();
    let relative = Path::new(".").join(folder.path().file_name().unwrap()).join("deputy.toml");
    let config = CoordinatorFile::load(&relative).unwrap();
    assert_eq!(config.path, relative);
    let file = std::path::absolute(folder.path()).unwrap().join("a.wasm");
    assert_eq!(instance(&config, "a").component, ComponentRef::File(file));
}

#[test]
fn keys_are_parsed_into_their_fields() {
    let config = parse(FULL);
    let s3 = instance(&config, "s3-prod");
    assert_eq!(s3.sha256.unwrap().to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_eq!(s3.settings["region"], "eu-west-1");
    assert_eq!(
        s3.limits,
        Limits { memory: ByteSize::mib(1024), requests: 4, wall: Span::secs(90), ..Limits::default() }
    );
    let key = &s3.grant.secrets[&name("aws-key")];
    let sigv4 = Sigv4Grant::new(vec!["sts".into()], vec!["eu-west-1".into()]).unwrap();
    assert_eq!(key.purpose(), Some(&SecretPurpose::Sigv4(sigv4)));
    assert!(!key.reveals());
    assert!(!s3.grant.secrets[&name("web-identity-token")].opens());
    assert_eq!(s3.sources[&name("web-identity-token")], SecretSource::Environment("WEB_IDENTITY_TOKEN".into()));
    let send = &s3.grant.http[0].send;
    assert_eq!(send.tls.roots, Some(PathBuf::from("/etc/deputy/ca.pem")));
    assert_eq!(
        send.inject,
        [Injection {
            place: InjectionPoint::Field("WebIdentityToken".into()),
            secret: name("web-identity-token"),
            form: InjectionEncoding::Plain { prefix: String::new() },
        }]
    );
    let sts = "https://sts.eu-west-1.amazonaws.com";
    assert!(s3.grant.permit_http(&http(sts, "POST", "/")).is_ok());
    assert_eq!(s3.grant.permit_http(&http(sts, "GET", "/")).unwrap_err().code(), "method-not-granted");

    let oauth = instance(&config, "oauth");
    assert!(!entry(&config, "oauth").enabled);
    assert_eq!(oauth.limits, Limits::default());
    let secret = |key: &str| &oauth.grant.secrets[&name(key)];
    let jwt = JwtGrant::new(
        vec![SignatureAlgorithm::Rs256, SignatureAlgorithm::EdDsa],
        vec!["me".into()],
        vec!["https://idp.example/token".into()],
        Span::secs(600),
    );
    let claims = BTreeMap::from([
        ("events".parse().unwrap(), ClaimGrant::Any),
        ("https://idp.example/tenant".parse().unwrap(), ClaimGrant::OneOf(BTreeSet::from(["a".into(), "b".into()]))),
    ]);
    let jwt = jwt.unwrap().with_subjects(vec!["me".into()]).with_claims(claims);
    assert_eq!(secret("client-key").purpose(), Some(&SecretPurpose::Jwt(jwt)));
    assert!(secret("password").reveals() && secret("password").purpose().is_none());
    assert_eq!(oauth.sources[&name("password")], SecretSource::Credential("oauth-password".into()));
    assert_eq!(secret("scram").purpose(), Some(&SecretPurpose::Pbkdf2));
    let scram = ScramGrant::new("carol".to_owned()).unwrap();
    assert_eq!(secret("kafka").purpose(), Some(&SecretPurpose::Scram(scram)));
    assert_eq!(secret("signer").purpose(), Some(&SecretPurpose::Sign(vec![SignatureAlgorithm::Es256])));
    assert_eq!(secret("bare").purpose(), Some(&SecretPurpose::HmacSha256));
    let inject = &oauth.grant.http[0].send.inject;
    assert_eq!(inject[0].place, InjectionPoint::Header("authorization".into()));
    assert_eq!(inject[0].form, InjectionEncoding::Plain { prefix: "Bearer ".into() });
    assert_eq!(inject[2].form, InjectionEncoding::Basic { user: "user".into() });
    let broker = Target::new(Scheme::Tcp, "broker.example.com".parse().unwrap(), 9093);
    let permit = oauth.grant.permit_tcp(&broker).unwrap();
    assert!(permit.pin(&["10.1.2.3".parse().unwrap()]).is_ok());
}

#[test]
fn limits_survive_the_round_trip() {
    for limit in Limit::ALL {
        let shown = Limits::default().toml_value(limit);
        let text = format!("[instances.a]\ncomponent = \"a\"\n[instances.a.limits]\n{limit} = {shown}");
        assert_eq!(instance(&parse(&text), "a").limits, Limits::default(), "{limit}");
    }
}

/// A refusal's fix is what an operator pastes: all of its keys must be known here.
#[test]
fn denial_fix_is_valid_configuration() {
    let secret = name("key");
    let target = Target::new(Scheme::Https, "a.example".parse().unwrap(), 8443);
    let tcp = Target::new(Scheme::Tcp, "10.0.0.1".parse().unwrap(), 22);
    let class = deputy_core::grant::AddressClass::Private;
    let address = "10.0.0.1".parse().unwrap();
    let request = Box::new(DeniedRequest { method: "GET".parse().unwrap(), path: "/v1".into() });
    let mut refusals = vec![
        PolicyDenial::Address { target: target.clone(), address, class },
        PolicyDenial::Address { target: tcp.clone(), address, class },
        PolicyDenial::Algorithm { secret: secret.clone(), algorithm: SignatureAlgorithm::Es256 },
        PolicyDenial::Audience { secret: secret.clone(), audience: Some("https://idp.example/\"".into()) },
        PolicyDenial::Audience { secret: secret.clone(), audience: Some("\"] reveal = true [2J\\".into()) },
        PolicyDenial::Host { target: target.clone() },
        PolicyDenial::Host { target: tcp },
        PolicyDenial::Issuer { secret: secret.clone(), issuer: "me".into() },
        PolicyDenial::Lifetime { secret: secret.clone(), seconds: 3600 },
        PolicyDenial::Method { target: target.clone(), request: request.clone() },
        PolicyDenial::Name { host: Host::Name("a.example".into()) },
        PolicyDenial::Path { target: target.clone(), request },
        PolicyDenial::Port { target: target.clone() },
        PolicyDenial::Region { secret: secret.clone(), region: "eu-west-1".into() },
        PolicyDenial::Scheme { target },
        PolicyDenial::Secret { name: "key".into() },
        PolicyDenial::Service { secret: secret.clone(), service: "sts".into() },
        PolicyDenial::Socket { address: "10.0.0.1:22".parse().unwrap() },
        PolicyDenial::Subject { secret: secret.clone(), subject: Some("me".into()) },
    ];
    let claim = |claim: &str, value| PolicyDenial::Claim { secret: secret.clone(), claim: claim.into(), value };
    refusals.push(claim("scope", DeniedClaim::Text("\"] }\\".into())));
    refusals.push(claim("https://a.example/\"x\\", DeniedClaim::Other));
    refusals.extend(Limit::ALL.map(PolicyDenial::Limit));
    let operations = [
        SecretOperation::HmacSha256,
        SecretOperation::Jwt,
        SecretOperation::Pbkdf2,
        SecretOperation::Reveal,
        SecretOperation::Scram,
        SecretOperation::Sign,
        SecretOperation::Sigv4,
    ];
    refusals.extend(operations.map(|operation| PolicyDenial::Operation { secret: secret.clone(), operation }));
    let named_a = instance(&parse("[instances.a]\ncomponent = \"a\""), "a");
    for refusal in refusals {
        let fix = refusal.fix(Principal::Instance(&named_a)).unwrap();
        if matches!(refusal, PolicyDenial::Limit(Limit::Instances | Limit::TableElements)) {
            assert!(fix.contains("is already the maximum"), "{fix}");
            continue;
        }
        let Err(ConfigErrors::Invalid(findings)) = CoordinatorFile::parse(&fix, Path::new("deputy.toml")) else {
            panic!("without a component there is no instance: {fix}");
        };
        for finding in findings.findings() {
            let unknown = finding.message.starts_with("unknown") || finding.message.starts_with("invalid TOML");
            assert!(!unknown, "{fix}\n{}", findings.render(Colour::Never));
        }
    }
}

#[test]
fn injection_oauth2_basic_excludes_the_other_encodings() {
    let lines = |content: &str| {
        format!(
            "[instances.a]\ncomponent = \"a\"\n[instances.a.secrets.key]\nfile = \"k\"\n[[instances.a.http]]\n\
             allow = \"https://a.example\"\nheaders = {{ authorization = {{ secret = \"key\", {content} }} }}"
        )
    };
    let config = instance(&parse(&lines("oauth2-basic = \"https://me:8443/\"")), "a");
    assert_eq!(
        config.grant.http[0].send.inject[0].form,
        InjectionEncoding::OauthBasic { client: "https://me:8443/".into() }
    );
    for content in [
        "basic = \"me\", oauth2-basic = \"me\"",
        "prefix = \"x\", oauth2-basic = \"me\"",
        "oauth2-basic = \"\"",
        "oauth2-basic = \"a\\u0000\"",
    ] {
        assert!(CoordinatorFile::parse(&lines(content), Path::new("deputy.toml")).is_err(), "{content}");
    }
}

#[test]
fn hint_is_absent_for_what_is_never_allowed() {
    let forged = PolicyDenial::Secret { name: "a]\nreveal = true\n[b".into() };
    let named_a = instance(&parse("[instances.a]\ncomponent = \"a\""), "a");
    for refusal in [PolicyDenial::Listen, PolicyDenial::Udp, PolicyDenial::Target(TargetError::Userinfo), forged] {
        assert_eq!(refusal.fix(Principal::Instance(&named_a)), None);
    }
}

#[test]
fn finding_has_file_line_column_message_and_expectation() {
    let errors = CoordinatorFile::parse("[instances.a]\ncomponent = 1", Path::new("deputy.toml")).unwrap_err();
    assert_eq!(
        serde_json::to_string(&errors.findings()).unwrap(),
        r#"[{"severity":"error","file":"deputy.toml","line":2,"column":13,"message":"expected a string, found a whole number","expected":"write \"s3-sts\""}]"#
    );
}

#[test]
fn file_that_cannot_be_read_is_named_in_the_error() {
    let errors = CoordinatorFile::load(Path::new("/nowhere/deputy.toml")).unwrap_err();
    assert!(errors.render(Colour::Never).starts_with("cannot read /nowhere/deputy.toml: No such file"));
    assert_eq!(errors.findings().len(), 1);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deputy.toml");
    for (content, reason) in
        [(vec![b'#'; (1 << 20) + 1], "larger than 1MiB"), (vec![0xff], "stream did not contain valid UTF-8")]
    {
        #[expect(clippy::disallowed_methods, reason = "a file that only this test reads")]
        std::fs::write(&path, content).unwrap();
        assert!(CoordinatorFile::load(&path).unwrap_err().render(Colour::Never).contains(reason));
    }
    assert!(CoordinatorFile::load(folder.path()).is_err());
}

#[test]
fn findings_beyond_the_limit_are_counted() {
    let text: String = (0..60).map(|i| format!("k{i} = 1\n")).collect();
    let shown = CoordinatorFile::parse(&text, Path::new("deputy.toml")).unwrap_err().render(Colour::Never);
    assert_eq!(shown.matches("error: ").count(), 50);
    assert!(shown.ends_with("\nand 10 more\n"));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the time that it takes is what is tested")]
fn findings_of_a_large_file_are_located_in_one_pass() {
    let rule = "[[instances.a.http]]\nallow = \"https://a.example\"\n";
    let text = "[instances.a]\ncomponent = \"a.wasm\"\n".to_owned() + &rule.repeat(10_001);
    let config = CoordinatorFile::parse(&text, Path::new("deputy.toml")).unwrap();
    let begun = std::time::Instant::now();
    let last = config.warnings.findings().last().unwrap();
    assert_eq!((last.line, last.column), (2 + 2 * 10_001, 9));
    // A pass over the file for each of the 10,000 took most of a minute.
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
}

#[test]
fn finding_is_rendered_with_colours_on_request() {
    let errors = CoordinatorFile::parse("a = 1", Path::new("deputy.toml")).unwrap_err();
    assert!(errors.render(Colour::Always).contains('\u{1b}'));
    assert!(!errors.render(Colour::Never).contains('\u{1b}'));
}

#[test]
fn finding_hides_control_characters_of_the_file() {
    let text = "\"a\\u001b[2J\" = 1\n[instances.a]\ncomponent = \"\u{9b}2J\" \nx\u{7f} = \"\u{202e}\"";
    for text in [text, "\"a\\u001b[2J\" = \"\u{9b}2J\u{202e}\"", "a = '''\r\r'''\r"] {
        let shown = CoordinatorFile::parse(text, Path::new("deputy.toml")).unwrap_err().render(Colour::Never);
        let odd = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!shown.contains(odd), "{shown:?}");
    }
}

/// Reads and shows a text in every way; what is wrong in it must not matter.
fn digest(text: &str) {
    match CoordinatorFile::parse(text, Path::new("deputy.toml")) {
        Ok(config) => drop(config.warnings.render(Colour::Never)),
        Err(errors) => {
            assert!(!errors.findings().is_empty());
            assert!(!errors.render(Colour::Always).is_empty());
            assert!(!errors.render(Colour::Never).is_empty());
        }
    }
}

proptest! {
    #[test]
    fn parse_of_any_text_does_not_panic(text: String) {
        digest(&text);
    }

    #[test]
    fn parse_of_any_toml_letters_does_not_panic(text in r#"([\[\]{}=."'#,\n\r\t ßa1_-]|instances|\[instances\.a\]\n){0,40}"#) {
        digest(&text);
    }

    #[test]
    fn parse_of_a_changed_configuration_does_not_panic(
        at in 0..FULL.len(),
        remove in 0..40_usize,
        insert in r#"[\[\]{}="'\n ß1]{0,3}"#,
    ) {
        let changed: String =
            FULL.chars().take(at).chain(insert.chars()).chain(FULL.chars().skip(at + remove)).collect();
        digest(&changed);
    }
}
