//! A value that must turn up nowhere: not in an error, a debug output, a log line or an audit event.

use super::*;
use crate::guest_log::capture::Capture;
use crate::secrets::SecretStore;
use deputy_core::SecretSource;

/// Long enough to be a key, and not a part of anything else.
const CANARY: &str = "canary/7Hq+canary/9Zx+canary";

fn check(shown: &str) {
    assert!(!shown.contains("canary"), "{shown}");
}

/// Values that fail in every way that a value can fail.
fn values() -> Vec<String> {
    vec![
        CANARY.to_owned(),
        format!("{CANARY}\n{CANARY}"),
        format!(r#"{{"AccessKeyId": "AKID", "SecretAccessKey": "{CANARY}"}}"#),
        format!(r#"{{"AccessKeyId": "AKID", "SecretAccessKey": "{CANARY}", "SessionToken": "{CANARY}"}}"#),
        format!(r#"{{"{CANARY}": "{CANARY}"}}"#),
        format!(r#"{{"kty": "{CANARY}", "d": "{CANARY}"}}"#),
        format!(r#"{{"kty": "OKP", "crv": "Ed25519", "d": "{CANARY}", "x": "{CANARY}"}}"#),
        format!(r#"{{"kty": "OKP", "alg": "{CANARY}", "d": 1}}"#),
        format!("{{{CANARY}"),
        format!("-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----"),
        format!("-----BEGIN {CANARY} PRIVATE KEY-----\n{CANARY}\n"),
        format!("-----BEGIN EC PRIVATE KEY-----\n{CANARY}\n-----END EC PRIVATE KEY-----"),
    ]
}

#[tokio::test]
async fn whatever_the_value_and_the_operation_it_is_shown_nowhere() {
    let (capture, _guard) = Capture::start();
    let all = vec![SignatureAlgorithm::Rs256, SignatureAlgorithm::Es256, SignatureAlgorithm::EdDsa];
    let (issuers, audiences) = (vec!["deputy".to_owned()], vec!["sts".to_owned()]);
    let jwt = JwtGrant::new(all.clone(), issuers, audiences, Span::secs(600)).unwrap();
    let mut world = World::new(&[
        ("aws", sigv4(&["sts"], &["us-east-1"])),
        ("jwt", only(SecretPurpose::Jwt(jwt))),
        ("sign", only(SecretPurpose::Sign(all))),
        ("mac", only(SecretPurpose::HmacSha256)),
        ("password", only(SecretPurpose::Pbkdf2)),
    ]);
    for value in values() {
        let mut results = Vec::new();
        for name in ["aws", "jwt", "sign", "mac", "password"] {
            world.values.set(name, &value);
            let secret = world.open(name).await.unwrap();
            results.push(format!("{:?}", world.sigv4(secret, &text("20150830", "us-east-1", "sts")).await));
            for algorithm in [wit::Algorithm::Rs256, wit::Algorithm::Es256, wit::Algorithm::Eddsa] {
                results.push(format!("{:?}", world.jwt(secret, algorithm, CLAIMS).await));
                results.push(format!("{:?}", world.sign(secret, algorithm, b"data").await));
            }
            results.push(format!("{:?}", world.hmac(secret, b"data").await));
            results.push(format!("{:?}", world.pbkdf2(secret, b"salt", 4096).await));
            results.push(format!("{:?}", world.reveal(secret).await));
        }
        results.iter().for_each(|result| check(result));
    }
    assert!(!capture.lines().is_empty());
    check(&capture.lines().join("\n"));
    check(&format!("{:?}", world.audit.take()));
    check(&format!("{:?}", world.budget.findings.denials()));
}

#[tokio::test]
async fn a_component_that_may_read_a_value_cannot_have_the_host_write_it_down() {
    let (capture, _guard) = Capture::start();
    let mut world = World::new(&[("plain", reveal()), ("aws", sigv4(&["sts"], &["us-east-1"])), ("jwt", jwt())]);
    let value = "canarycanary-7";
    world.values.set("plain", value);
    let plain = world.open("plain").await.unwrap();
    assert_eq!(world.reveal(plain).await.unwrap(), value.as_bytes());
    // It knows the value now, and puts it wherever a text of its own is recorded.
    assert!(world.open(value).await.is_err());
    let aws = world.open("aws").await.unwrap();
    for text in [text("20150830", value, "sts"), text("20150830", "us-east-1", value), text(value, "us-east-1", "sts")]
    {
        assert!(world.sigv4(aws, &text).await.is_err());
    }
    let jwt = world.open("jwt").await.unwrap();
    for claims in [CLAIMS.replace("deputy", value), CLAIMS.replace("sts", value)] {
        assert!(world.jwt(jwt, wit::Algorithm::Eddsa, &claims).await.is_err());
    }
    check(&capture.lines().join("\n"));
    let events = world.events();
    assert_eq!(events.iter().filter(|event| event.contains("[secret plain]")).count(), 5, "{events:?}");
    check(&events.join("\n"));
    let denials = world.budget.findings.denials();
    assert_eq!(denials.len(), 5);
    check(&format!("{denials:?} {}", denials.iter().map(PolicyDenial::guest).collect::<String>()));
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a test's own file")]
async fn no_source_shows_a_value_in_its_errors() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let command = |script: String| SecretSource::Command(vec!["sh".into(), "-c".into(), script]);
    for (mode, contents) in [(0o644, CANARY.to_owned()), (0o600, CANARY.repeat(5000)), (0o600, "\n".to_owned())] {
        std::fs::write(&path, contents).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        for source in [
            SecretSource::File(path.clone()),
            command(format!("echo {CANARY} >&2; echo {CANARY}; exit 1")),
            command(format!("while echo {CANARY}; do :; done")),
            SecretSource::Command(vec!["/nowhere/program".into(), CANARY.into()]),
        ] {
            let name: SecretName = "key".parse().unwrap();
            let store = SecretStore::new(&BTreeMap::from([(name.clone(), source)]));
            let error = store.value(&name).await.unwrap_err();
            check(&format!("{error} {error:?}"));
            let error = store.check().await.remove(0).1.unwrap_err();
            check(&format!("{error} {error:?}"));
        }
    }
}

#[test]
fn what_can_be_printed_prints_no_value() {
    let value = Arc::new(SecretBytes::new(CANARY.into()));
    check(&format!("{value:?} {:?}", SecretHandle { name: "key".parse().unwrap() }));
    // `Secrets`, `SecretStore`, `CallValues`, `Redactor`, `GuestLog`, `SigningKey` and `Derived` have no `Debug` at all.
}
