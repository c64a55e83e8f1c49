use super::*;
use crate::secrets::key::tests::vector;
use deputy_core::{ByteSize, Limit};
use deputy_test_support::CapturedLog;

#[tokio::test]
async fn secret_is_opened_only_if_granted() {
    let mut call = TestCall::new(&[("aws-key", sigv4(&["sts"], &["us-east-1"])), ("injected", SecretGrant::default())]);
    assert!(call.open("aws-key").await.is_ok());
    for name in ["other", "injected", "AWS-KEY", "aws-key\0", "", "../aws-key"] {
        let Err(SecretError::Denied(text)) = call.open(name).await else { panic!("{name}") };
        assert!(text.ends_with("is not granted"), "{text}");
    }
    let events = call.events();
    assert_eq!(events[0], "open|aws-key||done|");
    assert_eq!(events[1], "open|other||refused|secret-not-granted");
    assert_eq!(events[4], "open|aws-key\\u{0}||refused|secret-not-granted");
    assert_eq!(events.len(), 7);
    assert_eq!(call.denials().len(), 6);
}

#[tokio::test]
async fn secret_name_is_bounded() {
    let mut call = TestCall::new(&[]);
    assert!(call.open(&"a".repeat(1 << 20)).await.is_err());
    assert!(call.events()[0].len() < 200);
    assert!(call.budget.findings.denials()[0].to_string().len() < 200);
}

#[tokio::test]
async fn sigv4_is_signed_and_recorded() {
    let mut call = TestCall::new(&[("aws-key", sigv4(&["iam"], &["us-east-1"]))]);
    let secret = call.open("aws-key").await.unwrap();
    call.values.set("aws-key", AWS);
    let signed = call.sigv4(secret, &text("20150830", "us-east-1", "iam")).await.unwrap();
    assert_eq!(signed.signature, "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7");
    assert_eq!(signed.access_key_id, None);
    // Used in its new form from its next use on.
    call.values.set("aws-key", &format!(r#"{{"AccessKeyId": "AKID", "SecretAccessKey": "{AWS}2"}}"#));
    let other = call.sigv4(secret, &text("20150830", "us-east-1", "iam")).await.unwrap();
    assert_ne!(other.signature, signed.signature);
    assert_eq!(other.access_key_id.as_deref(), Some("AKID"));
    assert_eq!(call.events()[1..], ["sigv4|aws-key|iam/us-east-1|done|", "sigv4|aws-key|iam/us-east-1|done|"]);
}

#[tokio::test]
async fn sigv4_denials_have_codes() {
    let mut call = TestCall::new(&[("aws-key", sigv4(&["sts"], &["us-east-1"]))]);
    call.values.set("aws-key", AWS);
    let secret = call.open("aws-key").await.unwrap();
    for (text, event) in [
        (text("20150830", "us-east-1", "s3"), "sigv4|aws-key|s3/us-east-1|refused|service-not-granted"),
        (text("20150830", "eu-west-1", "sts"), "sigv4|aws-key|sts/eu-west-1|refused|region-not-granted"),
        (text("20150831", "us-east-1", "sts"), "sigv4|aws-key|sts/us-east-1|refused|time-not-granted"),
    ] {
        drop(call.events());
        assert!(matches!(call.sigv4(secret, &text).await, Err(SecretError::Denied(_))));
        assert_eq!(call.events(), [event]);
    }
}

#[tokio::test]
async fn sigv4_time_is_near_now_and_recorded() {
    let mut call = TestCall::new(&[("aws-key", sigv4(&["sts"], &["us-east-1"]))]);
    call.values.set("aws-key", AWS);
    let secret = call.open("aws-key").await.unwrap();
    for (clock, outcome) in [
        ("12:51:00", AuditOutcome::Done),
        ("12:56:00", AuditOutcome::Refused),
        ("12:21:00", AuditOutcome::Done),
        ("12:16:00", AuditOutcome::Refused),
    ] {
        call.events();
        let text = text("20150830", "us-east-1", "sts").replace("123600", &clock.replace(':', ""));
        assert_eq!(call.sigv4(secret, &text).await.is_ok(), outcome == AuditOutcome::Done, "{clock}");
        let event = call.audit.take().remove(0);
        let AuditAction::Secret { signed, .. } = event.action else { panic!("{:?}", event.action) };
        assert_eq!((event.outcome, signed.signed_time), (outcome, Some(format!("2015-08-30T{clock}.000Z"))));
    }
}

#[tokio::test]
async fn secret_argument_of_another_form_is_invalid() {
    let mut call = TestCall::new(&[
        ("aws-key", sigv4(&["sts"], &["us-east-1"])),
        ("key", jwt()),
        ("password", only(SecretPurpose::Pbkdf2)),
    ]);
    call.values.set("password", "pencil");
    let aws = call.open("aws-key").await.unwrap();
    let long = text("20150830", "us-east-1", &"a".repeat(2000));
    for text in ["", "hello", &long] {
        assert!(matches!(call.sigv4(aws, text).await, Err(SecretError::Invalid(_))));
    }
    let key = call.open("key").await.unwrap();
    assert!(matches!(call.jwt(key, "EdDSA", "{}").await, Err(SecretError::Invalid(_))));
    let password = call.open("password").await.unwrap();
    for iterations in [0, 1, 4095, 1_000_001, u32::MAX] {
        assert!(matches!(call.pbkdf2(password, b"salt", iterations).await, Err(SecretError::Invalid(_))));
    }
    assert!(call.events().iter().filter(|event| event.ends_with("|failed|invalid")).count() == 9);
}

#[tokio::test]
async fn secret_bare_operations_match_the_rfcs() {
    let all = [SignatureAlgorithm::Rs256, SignatureAlgorithm::Es256, SignatureAlgorithm::EdDsa].to_vec();
    let mut call = TestCall::new(&[
        ("mac", only(SecretPurpose::HmacSha256)),
        ("password", only(SecretPurpose::Pbkdf2)),
        ("key", only(SecretPurpose::Sign(all))),
    ]);
    // RFC 4231, case 2.
    call.values.set("mac", "Jefe");
    let mac = call.open("mac").await.unwrap();
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(
        hex(call.hmac(mac, b"what do ya want for nothing?").await.unwrap()),
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
    // RFC 7914 has no case with 4,096 iterations; this one is from the SHA-256 form of RFC 6070's.
    call.values.set("password", "password");
    let password = call.open("password").await.unwrap();
    assert_eq!(
        hex(call.pbkdf2(password, b"salt", 4096).await.unwrap()),
        "c5e478d59288c841aa530db6845c4c8d962893a001ce4e11a4963873aa98134a"
    );
    let key = call.open("key").await.unwrap();
    call.values.set("key", vector!("eddsa.pkcs8.pem"));
    let (part, signature) = vector!("eddsa.jws").trim_end().rsplit_once('.').unwrap();
    let signed = call.sign(key, "EdDSA", part.as_bytes()).await.unwrap();
    assert_eq!(base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, signed), signature);
    call.values.set("key", vector!("rs256.pkcs8.pem"));
    assert_eq!(call.sign(key, "RS256", b"data").await.unwrap().len(), 256);
    call.values.set("key", vector!("es256.pkcs8.pem"));
    assert_eq!(call.sign(key, "ES256", b"data").await.unwrap().len(), 64);
    assert!(call.events().contains(&"sign|key|ES256|done|".to_owned()));
}

#[tokio::test]
async fn jwt_is_recorded_with_issuer_and_audiences() {
    let mut call = TestCall::new(&[("key", jwt())]);
    call.values.set("key", vector!("eddsa.jwk.json"));
    let key = call.open("key").await.unwrap();
    assert_eq!(call.jwt(key, "EdDSA", CLAIMS).await.unwrap().split('.').count(), 3);
    assert!(call.jwt(key, "ES256", CLAIMS).await.is_err());
    assert!(call.jwt(key, "EdDSA", &CLAIMS.replace("sts", "iam")).await.is_err());
    assert_eq!(
        call.events()[1..],
        [
            "jwt|key|deputy for sts|done|",
            "jwt|key|deputy for sts|refused|algorithm-not-granted",
            "jwt|key|deputy for iam|refused|audience-not-granted"
        ]
    );
}

#[tokio::test]
async fn jwt_is_recorded_with_all_of_its_claims() {
    let scopes = ClaimGrant::OneOf(["read".to_owned()].into());
    let claims = [("scope".parse().unwrap(), scopes), ("x".parse().unwrap(), ClaimGrant::Any)];
    let grant = jwt_grant().with_subjects(vec!["alice".to_owned()]).with_claims(claims.into());
    let mut call = TestCall::new(&[("key", only(SecretPurpose::Jwt(grant)))]);
    call.values.set("key", vector!("eddsa.jwk.json"));
    let secret = call.open("key").await.unwrap();
    let header = r#"{"kid": "k", "typ": "at+jwt"}"#;
    let long = "y".repeat(3_000);
    for (subject, outcome) in [("alice", AuditOutcome::Done), ("bob", AuditOutcome::Refused)] {
        call.events();
        let more = format!(r#", "sub": "{subject}", "scope": ["read"], "jti": "7", "x": "{long}"}}"#);
        let claims = CLAIMS.replace('}', &more);
        let secret = Resource::new_borrow(secret);
        let result = call.view().jwt(secret, "EdDSA".to_owned(), header.to_owned(), claims).await;
        assert_eq!(result.is_ok(), outcome == AuditOutcome::Done);
        let event = call.audit.take().remove(0);
        assert_eq!(event.outcome, outcome);
        let AuditAction::Secret { signed, .. } = event.action else { panic!("{:?}", event.action) };
        let header: Vec<_> = signed.header.iter().collect();
        assert_eq!(header, [("alg", "EdDSA"), ("kid", "k"), ("typ", "at+jwt")]);
        let claims: Vec<_> = signed.claims.iter().collect();
        let (exp, iat) = ("2015-08-30T12:46:00.000Z", "2015-08-30T12:36:00.000Z");
        assert_eq!(claims[..4], [("sub", subject), ("exp", exp), ("iat", iat), ("jti", "7")]);
        assert_eq!(claims[4], ("scope", "[\"read\"]"));
        // A long value is cut, and of what is denied less is recorded.
        assert!(claims[5].1.len() <= 200 && claims.len() == 6, "{claims:?}");
        assert_eq!(claims[5].0, if outcome == AuditOutcome::Done { "x" } else { "…" });
    }
}

#[tokio::test]
async fn jwt_of_an_unknown_algorithm_is_invalid() {
    let mut call = TestCall::new(&[("key", jwt())]);
    let secret = call.open("key").await.unwrap();
    for algorithm in ["", "none", "eddsa", "HS256", "EdDSA ", "RS256\0", &"x".repeat(100_000)] {
        let Err(SecretError::Invalid(text)) = call.jwt(secret, algorithm, CLAIMS).await else { panic!("{algorithm}") };
        assert!(text.len() < 200, "{text}");
        assert!(matches!(call.sign(secret, algorithm, b"data").await, Err(SecretError::Invalid(_))));
    }
    assert_eq!(call.events().iter().filter(|event| event.ends_with("|failed|invalid")).count(), 14);
}

#[tokio::test]
async fn secret_serves_one_purpose_only() {
    let grants = [
        ("aws-key", sigv4(&["sts"], &["us-east-1"])),
        ("key", jwt()),
        ("mac", only(SecretPurpose::HmacSha256)),
        ("password", only(SecretPurpose::Pbkdf2)),
        ("signer", only(SecretPurpose::Sign(vec![SignatureAlgorithm::EdDsa]))),
        ("plain", reveal()),
    ];
    let mut call = TestCall::new(&grants);
    for (name, value) in [("aws-key", AWS), ("key", vector!("eddsa.jwk.json")), ("signer", vector!("eddsa.jwk.json"))] {
        call.values.set(name, value);
    }
    for name in ["mac", "password", "plain"] {
        call.values.set(name, "hunter2");
    }
    for (index, (name, _)) in grants.iter().enumerate() {
        let secret = call.open(name).await.unwrap();
        let results = [
            call.sigv4(secret, &text("20150830", "us-east-1", "sts")).await.is_ok(),
            call.jwt(secret, "EdDSA", CLAIMS).await.is_ok(),
            call.hmac(secret, b"data").await.is_ok(),
            call.pbkdf2(secret, b"salt", 4096).await.is_ok(),
            call.sign(secret, "EdDSA", b"data").await.is_ok(),
            call.reveal(secret).await.is_ok(),
        ];
        let expected: Vec<_> = (0..results.len()).map(|operation| operation == index).collect();
        assert_eq!(results.as_slice(), expected, "{name}");
    }
    assert_eq!(call.denials().iter().filter(|code| **code == "operation-not-granted").count(), 30);
}

#[tokio::test]
async fn secret_is_revealed_by_its_own_grant() {
    let mut call = TestCall::new(&[("plain", reveal())]);
    call.values.set("plain", "hunter2");
    let secret = call.open("plain").await.unwrap();
    assert_eq!(call.reveal(secret).await.unwrap(), b"hunter2");
    assert_eq!(call.events()[1..], ["reveal|plain||done|"]);
}

#[tokio::test]
async fn secret_source_failure_is_hidden_from_the_component() {
    let (capture, _guard) = CapturedLog::start();
    let mut call = TestCall::new(&[("aws-key", sigv4(&["sts"], &["us-east-1"])), ("key", jwt())]);
    let secret = call.open("aws-key").await.unwrap();
    for value in [None, Some("not a\nkey")] {
        if let Some(value) = value {
            call.values.set("aws-key", value);
        }
        let error = call.sigv4(secret, &text("20150830", "us-east-1", "sts")).await.unwrap_err();
        let SecretError::Unavailable(text) = error else { panic!("{error:?}") };
        assert_eq!(text, "the secret is not available");
    }
    call.values.set("key", "no key");
    let key = call.open("key").await.unwrap();
    assert!(matches!(call.jwt(key, "EdDSA", CLAIMS).await, Err(SecretError::Unavailable(_))));
    let lines = capture.lines();
    assert!(lines[0].contains("/etc/key can't be read") && lines[0].contains("instance=s3"), "{lines:?}");
    assert!(lines[1].contains("not an AWS secret access key"), "{lines:?}");
    assert!(lines[2].contains("secret key: the secret is not a private key"), "{lines:?}");
    assert!(call.events()[1].ends_with("|failed|unavailable"));
    assert_eq!(call.denials(), [""; 0]);
}

#[tokio::test]
async fn secret_operations_are_limited_and_so_is_their_record() {
    let limits = Limits { secret_operations: 3, ..Limits::default() };
    let mut call = TestCall::with(limits, &[("mac", only(SecretPurpose::HmacSha256))]);
    call.values.set("mac", "Jefe");
    let mac = call.open("mac").await.unwrap();
    for _ in 0..2 {
        call.hmac(mac, b"data").await.unwrap();
    }
    for _ in 0..1000 {
        let error = call.hmac(mac, b"data").await.unwrap_err();
        let SecretError::Denied(text) = error else { panic!("{error:?}") };
        assert!(text.contains("secret-operations"), "{text}");
    }
    assert!(call.open("mac").await.is_err());
    let events = call.events();
    assert_eq!(events.len(), 4);
    assert_eq!(events[3], "hmac-sha256|mac||refused|over-limit:secret-operations");
    assert_eq!(call.budget.findings.denials(), [PolicyDenial::Limit(Limit::SecretOperations)]);
}

#[tokio::test]
async fn secret_argument_is_bounded() {
    let limits = Limits { argument: ByteSize::bytes(100), ..Limits::default() };
    let sign = SecretPurpose::Sign(vec![SignatureAlgorithm::EdDsa]);
    let grants =
        [("mac", only(SecretPurpose::HmacSha256)), ("password", only(SecretPurpose::Pbkdf2)), ("key", only(sign))];
    let mut call = TestCall::with(limits, &grants);
    call.values.set("mac", "Jefe");
    call.values.set("password", "Jefe");
    call.values.set("key", vector!("eddsa.jwk.json"));
    let (mac, password, key) =
        (call.open("mac").await.unwrap(), call.open("password").await.unwrap(), call.open("key").await.unwrap());
    for (size, ok) in [(100, true), (101, false)] {
        let data = vec![0; size];
        let results = [
            call.hmac(mac, &data).await,
            call.pbkdf2(password, &data, 4096).await,
            call.sign(key, "EdDSA", &data).await,
        ];
        for result in results {
            assert_eq!(result.is_ok(), ok);
            assert!(ok || matches!(result, Err(SecretError::Invalid(text)) if text.contains("`argument`")));
        }
    }
    assert_eq!(call.budget.findings.denials(), [PolicyDenial::Limit(Limit::Argument)]);
}

#[tokio::test]
async fn secret_handles_are_bounded_and_returned() {
    let mut call = TestCall::new(&[("mac", only(SecretPurpose::HmacSha256))]);
    call.table.set_max_capacity(2);
    for _ in 0..100 {
        let secret = call.open("mac").await.unwrap();
        wit::HostSecret::drop(&mut call.view(), Resource::new_own(secret)).unwrap();
    }
    call.open("mac").await.unwrap();
    call.open("mac").await.unwrap();
    drop(call.events());
    let error = call.view().open("mac".to_owned()).await.unwrap_err();
    assert!(call.view().convert_secret_error(error).is_err(), "a trap");
    assert_eq!(call.events(), ["open|mac||refused|over-limit:handles"]);
    assert_eq!(call.budget.findings.denials(), [PolicyDenial::Limit(Limit::Handles)]);
}

#[tokio::test]
async fn secret_handle_that_does_not_exist_traps() {
    let mut call = TestCall::new(&[("mac", only(SecretPurpose::HmacSha256))]);
    assert!(call.view().hmac_sha256(Resource::new_borrow(7), Vec::new()).await.is_err());
    assert!(call.events().is_empty());
}

/// A source that never answers.
struct Never;

#[async_trait]
impl SecretProvider for Never {
    async fn value(&self, _: &SecretName) -> Result<Arc<SecretBytes>, ValueError> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn secret_operation_of_an_ended_call_is_recorded() {
    let mut call = TestCall::new(&[("mac", only(SecretPurpose::HmacSha256))]);
    let redactor = Arc::new(Redactor::new(Vec::new()));
    call.secrets.values = Arc::new(CallValues::new(Arc::new(Never), redactor));
    let mac = call.open("mac").await.unwrap();
    let hmac = call.hmac(mac, b"data");
    assert!(tokio::time::timeout(std::time::Duration::from_millis(10), hmac).await.is_err());
    assert_eq!(call.events()[1..], ["hmac-sha256|mac||cancelled|"]);
}
