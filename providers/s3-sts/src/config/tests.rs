use super::*;
use deputy_kit::settings::settings_of;
use deputy_kit::types::Next;

const ROLE: (&str, &str) = ("role-arn", "arn:aws:iam::123456789012:role/worker");
const REGION: (&str, &str) = ("region", "eu-west-1");

fn complaint(pairs: &[(&str, &str)]) -> String {
    match StsConfig::read(&settings_of(pairs)) {
        Err(failure) if failure.next == Next::Misconfigured => {
            let name = failure.message.split('`').nth(1);
            assert_eq!(failure.setting.as_deref(), name);
            failure.message
        }
        other => panic!("{pairs:?} gave {other:?}"),
    }
}

fn parameters_of(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    StsConfig::read(&settings_of(pairs)).unwrap().parameters
}

#[test]
fn config_operation_follows_from_role_arn() {
    let written = settings_of(&[REGION, ROLE]);
    let config = StsConfig::read(&written).unwrap();
    assert_eq!(config.operation, StsOperation::AssumeRole);
    assert_eq!(config.endpoint.to_string(), "https://sts.eu-west-1.amazonaws.com/");
    let signing = config.signing.unwrap();
    assert_eq!((signing.region, signing.secret, signing.access_key_id), ("eu-west-1", "aws-key", None));

    let written = settings_of(&[REGION]);
    assert_eq!(StsConfig::read(&written).unwrap().operation, StsOperation::GetSessionToken);
}

#[test]
fn config_sends_every_setting_of_a_role() {
    let found = parameters_of(&[
        REGION,
        ROLE,
        ("role-session-name", "flink@prod"),
        ("external-id", "a:b/c"),
        ("policy", "{}"),
        ("policy-arns", "arn:aws:iam::aws:policy/A, arn:aws:iam::aws:policy/B"),
        ("duration", "1h"),
    ]);
    let found: Vec<(&str, &str)> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [
        ("RoleSessionName", "flink@prod"),
        ("RoleArn", "arn:aws:iam::123456789012:role/worker"),
        ("ExternalId", "a:b/c"),
        ("Policy", "{}"),
        ("PolicyArns.member.1.arn", "arn:aws:iam::aws:policy/A"),
        ("PolicyArns.member.2.arn", "arn:aws:iam::aws:policy/B"),
        ("DurationSeconds", "3600"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn config_of_a_web_identity_is_unsigned() {
    let web = ("operation", "assume-role-with-web-identity");
    let written = settings_of(&[web, ROLE, ("endpoint", "http://localhost:9000")]);
    let config = StsConfig::read(&written).unwrap();
    assert!(config.signing.is_none());
    assert_eq!(complaint(&[web, REGION]), "setting `role-arn`: missing");
    assert_eq!(
        complaint(&[web, REGION, ROLE, ("secret", "x")]),
        "setting `secret`: AssumeRoleWithWebIdentity does not take it; remove it"
    );
}

#[test]
fn config_rejects_settings_of_other_operations() {
    let session = ("operation", "get-session-token");
    for name in ["role-arn", "role-session-name", "external-id", "policy", "policy-arns"] {
        let text = complaint(&[session, REGION, (name, "arn:aws:iam::123456789012:role/x")]);
        assert_eq!(text, format!("setting `{name}`: GetSessionToken does not take it; remove it"));
    }
}

#[test]
fn config_durations_depend_on_the_operation() {
    let session = ("operation", "get-session-token");
    assert_eq!(parameters_of(&[session, REGION, ("duration", "36h")]), [("DurationSeconds".into(), "129600".into())]);
    assert_eq!(
        complaint(&[session, REGION, ("duration", "37h")]),
        "setting `duration`: GetSessionToken takes 15m to 36h"
    );
    assert_eq!(complaint(&[REGION, ROLE, ("duration", "899")]), "setting `duration`: AssumeRole takes 15m to 12h");
    assert_eq!(complaint(&[REGION, ROLE, ("duration", "43201s")]), "setting `duration`: AssumeRole takes 15m to 12h");
}

#[test]
fn config_errors_name_the_setting() {
    let long = "a".repeat(1225);
    let many = ["arn:aws:iam::aws:policy/A"; 11].join(",");
    for (name, value) in [
        ("operation", "AssumeRole"),
        ("region", "EU"),
        ("region", "eu-west-1.evil.example/"),
        ("region", "-"),
        ("endpoint", "sts.example"),
        ("endpoint", "https://sts.example/?x"),
        ("role-arn", "worker"),
        ("role-arn", "arn:aws:iam::1:role/ü2345678"),
        ("role-session-name", "a"),
        ("role-session-name", "two words"),
        ("external-id", &long),
        ("policy-arns", "arn:aws:iam::aws:policy/A,"),
        ("policy-arns", &many),
        ("duration", "soon"),
        ("access-key-id", "AKIA, Signature=0"),
        ("access-key-id", "AKIA/x"),
        ("colour", "green"),
        ("region", ""),
    ] {
        let mut pairs = vec![REGION, ROLE];
        pairs.retain(|(known, _)| *known != name);
        pairs.push((name, value));
        let text = complaint(&pairs);
        assert!(text.starts_with(&format!("setting `{name}`: ")), "{name}={value}: {text}");
    }
}

#[test]
fn config_without_a_region_says_what_to_set() {
    assert_eq!(complaint(&[]), "setting `region`: missing; set `region` or `endpoint`");
    assert_eq!(complaint(&[ROLE, ("endpoint", "http://h")]), "setting `region`: missing; it is part of the signature");
}

#[test]
fn config_of_another_endpoint_skips_the_rules_of_aws() {
    let endpoint = ("endpoint", "http://minio:9000");
    let assume = ("operation", "assume-role");
    let found = parameters_of(&[
        assume,
        REGION,
        endpoint,
        ("role-arn", "urn:ecs:iam::ns1:role/worker"),
        ("role-session-name", "x"),
        ("external-id", "#"),
        ("policy-arns", &["urn:sgws:policy/A"; 11].join(",")),
        ("duration", "24h"),
    ]);
    for (name, value) in [
        ("RoleArn", "urn:ecs:iam::ns1:role/worker"),
        ("RoleSessionName", "x"),
        ("ExternalId", "#"),
        ("PolicyArns.member.11.arn", "urn:sgws:policy/A"),
        ("DurationSeconds", "86400"),
    ] {
        assert!(found.iter().any(|(own, text)| own == name && text == value), "{name} in {found:?}");
    }
    // MinIO and others derive the role from the key.
    let found = parameters_of(&[assume, REGION, endpoint]);
    assert_eq!(found, [("RoleSessionName".to_owned(), "deputy".to_owned())]);
    let web = ("operation", "assume-role-with-web-identity");
    assert_eq!(parameters_of(&[web, endpoint, ("duration", "60")]).len(), 2);
    for (name, value) in [("role-arn", "two words"), ("role-arn", "ü"), ("duration", "0"), ("role-session-name", "a b")]
    {
        let text = complaint(&[assume, REGION, endpoint, (name, value)]);
        assert!(text.starts_with(&format!("setting `{name}`: ")), "{text}");
    }
    assert_eq!(complaint(&[assume, REGION]), "setting `role-arn`: missing");
}
