use super::*;
use crate::guest_log::capture::Capture;
use crate::secrets::key::tests::vector;
use deputy_core::{ByteSize, Limit};

#[tokio::test]
async fn only_a_granted_secret_is_opened() {
    let mut world = World::new(&[("aws-key", sigv4(&["sts"], &["us-east-1"])), ("injected", SecretGrant::default())]);
    assert!(world.open("aws-key").await.is_ok());
    for name in ["other", "injected", "AWS-KEY", "aws-key\0", "", "../aws-key"] {
        let Err(SecretError::Denied(text)) = world.open(name).await else { panic!("{name}") };
        assert!(text.ends_with("is not granted"), "{text}");
    }
    let events = world.events();
    assert_eq!(events[0], "open|aws-key||done|");
    assert_eq!(events[1], "open|other||refused|secret-not-granted");
    assert_eq!(events[4], "open|aws-key\\u{0}||refused|secret-not-granted");
    assert_eq!(events.len(), 7);
    assert_eq!(world.denials().len(), 6);
}

#[tokio::test]
async fn a_name_without_an_end_is_kept_short() {
    let mut world = World::new(&[]);
    assert!(world.open(&"a".repeat(1 << 20)).await.is_err());
    assert!(world.events()[0].len() < 200);
    assert!(world.budget.findings.denials()[0].to_string().len() < 200);
}

#[tokio::test]
async fn a_request_is_signed_and_recorded() {
    let mut world = World::new(&[("aws-key", sigv4(&["iam"], &["us-east-1"]))]);
    let secret = world.open("aws-key").await.unwrap();
    world.values.set("aws-key", AWS);
    let signed = world.sigv4(secret, &text("20150830", "us-east-1", "iam")).await.unwrap();
    assert_eq!(signed.signature, "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7");
    assert_eq!(signed.access_key_id, None);
    // Used in its new form from its next use on.
    world.values.set("aws-key", &format!(r#"{{"AccessKeyId": "AKID", "SecretAccessKey": "{AWS}2"}}"#));
    let other = world.sigv4(secret, &text("20150830", "us-east-1", "iam")).await.unwrap();
    assert_ne!(other.signature, signed.signature);
    assert_eq!(other.access_key_id.as_deref(), Some("AKID"));
    assert_eq!(world.events()[1..], ["sigv4|aws-key|iam/us-east-1|done|", "sigv4|aws-key|iam/us-east-1|done|"]);
}

#[tokio::test]
async fn what_a_grant_does_not_name_is_refused_with_its_code() {
    let mut world = World::new(&[("aws-key", sigv4(&["sts"], &["us-east-1"]))]);
    world.values.set("aws-key", AWS);
    let secret = world.open("aws-key").await.unwrap();
    for (text, event) in [
        (text("20150830", "us-east-1", "s3"), "sigv4|aws-key|s3/us-east-1|refused|service-not-granted"),
        (text("20150830", "eu-west-1", "sts"), "sigv4|aws-key|sts/eu-west-1|refused|region-not-granted"),
        (text("20150901", "us-east-1", "sts"), "sigv4|aws-key|sts/us-east-1|refused|day-not-granted"),
    ] {
        drop(world.events());
        assert!(matches!(world.sigv4(secret, &text).await, Err(SecretError::Denied(_))));
        assert_eq!(world.events(), [event]);
    }
    for day in ["20150829", "20150831"] {
        assert!(world.sigv4(secret, &text(day, "us-east-1", "sts")).await.is_ok());
    }
}

#[tokio::test]
async fn what_is_no_argument_of_an_operation_is_invalid() {
    let mut world = World::new(&[
        ("aws-key", sigv4(&["sts"], &["us-east-1"])),
        ("key", jwt()),
        ("password", only(SecretPurpose::Pbkdf2)),
    ]);
    world.values.set("password", "pencil");
    let aws = world.open("aws-key").await.unwrap();
    let long = text("20150830", "us-east-1", &"a".repeat(2000));
    for text in ["", "hello", &long] {
        assert!(matches!(world.sigv4(aws, text).await, Err(SecretError::Invalid(_))));
    }
    let key = world.open("key").await.unwrap();
    assert!(matches!(world.jwt(key, wit::Algorithm::Eddsa, "{}").await, Err(SecretError::Invalid(_))));
    let password = world.open("password").await.unwrap();
    for iterations in [0, 1, 4095, 1_000_001, u32::MAX] {
        assert!(matches!(world.pbkdf2(password, b"salt", iterations).await, Err(SecretError::Invalid(_))));
    }
    assert!(world.events().iter().filter(|event| event.ends_with("|failed|invalid")).count() == 9);
}

#[tokio::test]
async fn the_bare_operations_give_what_the_rfcs_say() {
    let all = [SignatureAlgorithm::Rs256, SignatureAlgorithm::Es256, SignatureAlgorithm::EdDsa].to_vec();
    let mut world = World::new(&[
        ("mac", only(SecretPurpose::HmacSha256)),
        ("password", only(SecretPurpose::Pbkdf2)),
        ("key", only(SecretPurpose::Sign(all))),
    ]);
    // RFC 4231, case 2.
    world.values.set("mac", "Jefe");
    let mac = world.open("mac").await.unwrap();
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(
        hex(world.hmac(mac, b"what do ya want for nothing?").await.unwrap()),
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
    // RFC 7914 has no case with 4,096 iterations; this one is from the SHA-256 form of RFC 6070's.
    world.values.set("password", "password");
    let password = world.open("password").await.unwrap();
    assert_eq!(
        hex(world.pbkdf2(password, b"salt", 4096).await.unwrap()),
        "c5e478d59288c841aa530db6845c4c8d962893a001ce4e11a4963873aa98134a"
    );
    let key = world.open("key").await.unwrap();
    world.values.set("key", vector!("eddsa.pkcs8.pem"));
    let (part, signature) = vector!("eddsa.jws").trim_end().rsplit_once('.').unwrap();
    let signed = world.sign(key, wit::Algorithm::Eddsa, part.as_bytes()).await.unwrap();
    assert_eq!(base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, signed), signature);
    world.values.set("key", vector!("rs256.pkcs8.pem"));
    assert_eq!(world.sign(key, wit::Algorithm::Rs256, b"data").await.unwrap().len(), 256);
    world.values.set("key", vector!("es256.pkcs8.pem"));
    assert_eq!(world.sign(key, wit::Algorithm::Es256, b"data").await.unwrap().len(), 64);
    assert!(world.events().contains(&"sign|key|ES256|done|".to_owned()));
}

#[tokio::test]
async fn a_token_is_signed_and_recorded_with_issuer_and_audiences() {
    let mut world = World::new(&[("key", jwt())]);
    world.values.set("key", vector!("eddsa.jwk.json"));
    let key = world.open("key").await.unwrap();
    assert_eq!(world.jwt(key, wit::Algorithm::Eddsa, CLAIMS).await.unwrap().split('.').count(), 3);
    assert!(world.jwt(key, wit::Algorithm::Es256, CLAIMS).await.is_err());
    assert!(world.jwt(key, wit::Algorithm::Eddsa, &CLAIMS.replace("sts", "iam")).await.is_err());
    assert_eq!(
        world.events()[1..],
        [
            "jwt|key|deputy for sts|done|",
            "jwt|key|deputy for sts|refused|algorithm-not-granted",
            "jwt|key|deputy for iam|refused|audience-not-granted"
        ]
    );
}

#[tokio::test]
async fn a_secret_serves_its_one_purpose_only() {
    let grants = [
        ("aws-key", sigv4(&["sts"], &["us-east-1"])),
        ("key", jwt()),
        ("mac", only(SecretPurpose::HmacSha256)),
        ("password", only(SecretPurpose::Pbkdf2)),
        ("signer", only(SecretPurpose::Sign(vec![SignatureAlgorithm::EdDsa]))),
        ("plain", reveal()),
    ];
    let mut world = World::new(&grants);
    for (name, value) in [("aws-key", AWS), ("key", vector!("eddsa.jwk.json")), ("signer", vector!("eddsa.jwk.json"))] {
        world.values.set(name, value);
    }
    for name in ["mac", "password", "plain"] {
        world.values.set(name, "hunter2");
    }
    for (index, (name, _)) in grants.iter().enumerate() {
        let secret = world.open(name).await.unwrap();
        let results = [
            world.sigv4(secret, &text("20150830", "us-east-1", "sts")).await.is_ok(),
            world.jwt(secret, wit::Algorithm::Eddsa, CLAIMS).await.is_ok(),
            world.hmac(secret, b"data").await.is_ok(),
            world.pbkdf2(secret, b"salt", 4096).await.is_ok(),
            world.sign(secret, wit::Algorithm::Eddsa, b"data").await.is_ok(),
            world.reveal(secret).await.is_ok(),
        ];
        let expected: Vec<_> = (0..results.len()).map(|operation| operation == index).collect();
        assert_eq!(results.as_slice(), expected, "{name}");
    }
    assert_eq!(world.denials().iter().filter(|code| **code == "operation-not-granted").count(), 30);
}

#[tokio::test]
async fn a_value_is_revealed_by_its_own_grant() {
    let mut world = World::new(&[("plain", reveal())]);
    world.values.set("plain", "hunter2");
    let secret = world.open("plain").await.unwrap();
    assert_eq!(world.reveal(secret).await.unwrap(), b"hunter2");
    assert_eq!(world.events()[1..], ["reveal|plain||done|"]);
}

#[tokio::test]
async fn why_a_source_fails_is_for_the_operator_alone() {
    let (capture, _guard) = Capture::start();
    let mut world = World::new(&[("aws-key", sigv4(&["sts"], &["us-east-1"])), ("key", jwt())]);
    let secret = world.open("aws-key").await.unwrap();
    for value in [None, Some("not a\nkey")] {
        if let Some(value) = value {
            world.values.set("aws-key", value);
        }
        let error = world.sigv4(secret, &text("20150830", "us-east-1", "sts")).await.unwrap_err();
        let SecretError::Unavailable(text) = error else { panic!("{error:?}") };
        assert_eq!(text, "the secret is not available");
    }
    world.values.set("key", "no key");
    let key = world.open("key").await.unwrap();
    assert!(matches!(world.jwt(key, wit::Algorithm::Eddsa, CLAIMS).await, Err(SecretError::Unavailable(_))));
    let lines = capture.lines();
    assert!(lines[0].contains("/etc/key can't be read") && lines[0].contains("instance=s3"), "{lines:?}");
    assert!(lines[1].contains("not an AWS secret access key"), "{lines:?}");
    assert!(lines[2].contains("secret key: the secret is not a private key"), "{lines:?}");
    assert!(world.events()[1].ends_with("|failed|unavailable"));
    assert_eq!(world.denials(), [""; 0]);
}

#[tokio::test]
async fn operations_are_counted_and_a_loop_does_not_fill_the_audit_log() {
    let limits = Limits { secret_operations: 3, ..Limits::default() };
    let mut world = World::with(limits, &[("mac", only(SecretPurpose::HmacSha256))]);
    world.values.set("mac", "Jefe");
    let mac = world.open("mac").await.unwrap();
    for _ in 0..2 {
        world.hmac(mac, b"data").await.unwrap();
    }
    for _ in 0..1000 {
        let error = world.hmac(mac, b"data").await.unwrap_err();
        let SecretError::Denied(text) = error else { panic!("{error:?}") };
        assert!(text.contains("secret-operations"), "{text}");
    }
    assert!(world.open("mac").await.is_err());
    let events = world.events();
    assert_eq!(events.len(), 4);
    assert_eq!(events[3], "hmac-sha256|mac||refused|over-limit:secret-operations");
    assert_eq!(world.budget.findings.denials(), [PolicyDenial::Limit(Limit::SecretOperations)]);
}

#[tokio::test]
async fn an_argument_is_bounded() {
    let limits = Limits { argument: ByteSize::bytes(100), ..Limits::default() };
    let sign = SecretPurpose::Sign(vec![SignatureAlgorithm::EdDsa]);
    let grants =
        [("mac", only(SecretPurpose::HmacSha256)), ("password", only(SecretPurpose::Pbkdf2)), ("key", only(sign))];
    let mut world = World::with(limits, &grants);
    world.values.set("mac", "Jefe");
    world.values.set("password", "Jefe");
    world.values.set("key", vector!("eddsa.jwk.json"));
    let (mac, password, key) =
        (world.open("mac").await.unwrap(), world.open("password").await.unwrap(), world.open("key").await.unwrap());
    for (size, ok) in [(100, true), (101, false)] {
        let data = vec![0; size];
        let results = [
            world.hmac(mac, &data).await,
            world.pbkdf2(password, &data, 4096).await,
            world.sign(key, wit::Algorithm::Eddsa, &data).await,
        ];
        for result in results {
            assert_eq!(result.is_ok(), ok);
            assert!(ok || matches!(result, Err(SecretError::Invalid(text)) if text.contains("`argument`")));
        }
    }
    assert_eq!(world.budget.findings.denials(), [PolicyDenial::Limit(Limit::Argument)]);
}

#[tokio::test]
async fn handles_are_bounded_and_given_back() {
    let mut world = World::new(&[("mac", only(SecretPurpose::HmacSha256))]);
    world.table.set_max_capacity(2);
    for _ in 0..100 {
        let secret = world.open("mac").await.unwrap();
        wit::HostSecret::drop(&mut world.view(), Resource::new_own(secret)).unwrap();
    }
    world.open("mac").await.unwrap();
    world.open("mac").await.unwrap();
    drop(world.events());
    let error = world.view().open("mac".to_owned()).await.unwrap_err();
    assert!(world.view().convert_secret_error(error).is_err(), "a trap");
    assert_eq!(world.events(), ["open|mac||refused|over-limit:handles"]);
    assert_eq!(world.budget.findings.denials(), [PolicyDenial::Limit(Limit::Handles)]);
}

#[tokio::test]
async fn a_handle_that_is_not_there_is_a_trap() {
    let mut world = World::new(&[("mac", only(SecretPurpose::HmacSha256))]);
    assert!(world.view().hmac_sha256(Resource::new_borrow(7), Vec::new()).await.is_err());
    assert!(world.events().is_empty());
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
async fn an_operation_that_the_call_did_not_live_to_see_is_recorded() {
    let mut world = World::new(&[("mac", only(SecretPurpose::HmacSha256))]);
    let redactor = Arc::new(Redactor::new(Vec::new()));
    world.secrets.values = Arc::new(CallValues::new(Arc::new(Never), redactor));
    let mac = world.open("mac").await.unwrap();
    let call = world.hmac(mac, b"data");
    assert!(tokio::time::timeout(std::time::Duration::from_millis(10), call).await.is_err());
    assert_eq!(world.events()[1..], ["hmac-sha256|mac||cancelled|"]);
}
