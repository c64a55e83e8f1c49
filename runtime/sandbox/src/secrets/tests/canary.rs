//! A value that must turn up nowhere: not in an error, a debug output, a log line or an audit event.

use super::*;
use crate::secrets::SecretStore;
use deputy_core::SecretSource;
use deputy_test_support::CapturedLog;

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
async fn secret_value_is_printed_nowhere() {
    let (capture, _guard) = CapturedLog::start();
    let all = vec![SignatureAlgorithm::Rs256, SignatureAlgorithm::Es256, SignatureAlgorithm::EdDsa];
    let (issuers, audiences) = (vec!["deputy".to_owned()], vec!["sts".to_owned()]);
    let jwt = JwtGrant::new(all.clone(), issuers, audiences, Span::secs(600)).unwrap();
    let mut call = TestCall::new(&[
        ("aws", sigv4(&["sts"], &["us-east-1"])),
        ("jwt", only(SecretPurpose::Jwt(jwt))),
        ("sign", only(SecretPurpose::Sign(all))),
        ("mac", only(SecretPurpose::HmacSha256)),
        ("password", only(SecretPurpose::Pbkdf2)),
    ]);
    for value in values() {
        let mut results = Vec::new();
        for name in ["aws", "jwt", "sign", "mac", "password"] {
            call.values.set(name, &value);
            let secret = call.open(name).await.unwrap();
            results.push(format!("{:?}", call.sigv4(secret, &text("20150830", "us-east-1", "sts")).await));
            for algorithm in ["RS256", "ES256", "EdDSA"] {
                results.push(format!("{:?}", call.jwt(secret, algorithm, CLAIMS).await));
                results.push(format!("{:?}", call.sign(secret, algorithm, b"data").await));
            }
            results.push(format!("{:?}", call.hmac(secret, b"data").await));
            results.push(format!("{:?}", call.pbkdf2(secret, b"salt", 4096).await));
            results.push(format!("{:?}", call.reveal(secret).await));
        }
        results.iter().for_each(|result| check(result));
    }
    assert!(!capture.lines().is_empty());
    check(&capture.lines().join("\n"));
    check(&format!("{:?}", call.audit.take()));
    check(&format!("{:?}", call.budget.findings.denials()));
}

#[tokio::test]
async fn secret_that_is_revealed_is_blanked_in_records() {
    let (capture, _guard) = CapturedLog::start();
    let mut call = TestCall::new(&[("plain", reveal()), ("aws", sigv4(&["sts"], &["us-east-1"])), ("jwt", jwt())]);
    let value = "canarycanary-7";
    call.values.set("plain", value);
    let plain = call.open("plain").await.unwrap();
    assert_eq!(call.reveal(plain).await.unwrap(), value.as_bytes());
    // It knows the value now, and puts it wherever a text of its own is recorded.
    assert!(call.open(value).await.is_err());
    let aws = call.open("aws").await.unwrap();
    for text in [text("20150830", value, "sts"), text("20150830", "us-east-1", value), text(value, "us-east-1", "sts")]
    {
        assert!(call.sigv4(aws, &text).await.is_err());
    }
    let jwt = call.open("jwt").await.unwrap();
    for claims in [
        CLAIMS.replace("deputy", value),
        CLAIMS.replace("sts", value),
        CLAIMS.replace("\"iat\"", &format!("\"sub\": \"{value}\", \"iat\"")),
        CLAIMS.replace("\"iat\"", &format!("\"scope\": \"{value}\", \"iat\"")),
        CLAIMS.replace("\"iat\"", &format!("\"{value}\": true, \"iat\"")),
    ] {
        assert!(call.jwt(jwt, "EdDSA", &claims).await.is_err());
    }
    let header = format!("{{\"kid\": \"{value}\"}}");
    let signed = call.view().jwt(Resource::new_borrow(jwt), "EdDSA".to_owned(), header, CLAIMS.to_owned()).await;
    assert!(signed.is_err(), "there is no key");
    check(&capture.lines().join("\n"));
    let events: Vec<_> = call.audit.take().iter().map(|event| format!("{event:?}")).collect();
    assert_eq!(events.iter().filter(|event| event.contains("[secret plain]")).count(), 9, "{events:#?}");
    check(&events.join("\n"));
    let denials = call.budget.findings.denials();
    assert_eq!(denials.len(), 8);
    check(&format!("{denials:?} {}", denials.iter().map(PolicyDenial::guest).collect::<String>()));
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a test's own file")]
async fn secret_source_errors_quote_no_value() {
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
fn secret_types_print_no_value() {
    let value = Arc::new(SecretBytes::new(CANARY.into()));
    check(&format!("{value:?} {:?}", SecretHandle { name: "key".parse().unwrap() }));
    // `Secrets`, `SecretStore`, `CallValues`, `Redactor`, `GuestLog`, `SigningKey` and `Derived` have no `Debug` at all.
}
