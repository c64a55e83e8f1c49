use super::*;

include!("../../vectors/aws.in");

#[test]
fn aws_payload_vectors_have_the_stated_outcome() {
    for (accepted, payload) in VECTORS {
        assert_eq!(AwsCredentials::parse(payload.as_bytes()).is_ok(), accepted, "{payload}");
    }
    assert!(VECTORS.iter().filter(|(accepted, _)| *accepted).count() >= 6);
    assert!(VECTORS.iter().filter(|(accepted, _)| !*accepted).count() >= 30);
}

#[test]
fn aws_payload_accepts_credential_process_output() {
    let payload = br#"{"Version":1,"AccessKeyId":"AKIA","SecretAccessKey":"a\/b","SessionToken":"t","Expiration":"x"}"#;
    let held = AwsCredentials::parse(payload).unwrap();
    assert_eq!((held.access_key_id(), held.secret_access_key()), ("AKIA", "a/b"));
    assert_eq!((held.session_token(), held.expiration()), (Some("t"), Some("x")));
    assert_eq!(format!("{held:?}"), "[credentials]");
}

#[test]
fn aws_payload_error_names_the_member_without_its_value() {
    let of = |payload: &str| {
        let error = AwsCredentials::parse(payload.as_bytes()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        error
    };
    assert_eq!(of(r#"{"AccessKeyId":"a","SecretAccessKey":"hunter2\n"}"#), AwsError::Value("SecretAccessKey"));
    assert_eq!(of(r#"{"AccessKeyId":"hunter2"}"#), AwsError::Missing("SecretAccessKey"));
    assert_eq!(of(r#"{"SecretAccessKey":"hunter2"}"#), AwsError::Missing("AccessKeyId"));
    assert_eq!(of(r#"{"Version":2,"AccessKeyId":"a","SecretAccessKey":"hunter2"}"#), AwsError::Version);
    assert_eq!(of("hunter2"), AwsError::Form);
}

#[test]
fn aws_payload_survives_the_round_trip() {
    let written =
        AwsCredentials::new("AKIA", r#"a"b\c/+="#, Some("t"), Some("2026-11-22T19:00:00Z")).unwrap().to_json();
    let read = AwsCredentials::parse(written.as_bytes()).unwrap();
    assert_eq!((read.access_key_id(), read.secret_access_key()), ("AKIA", r#"a"b\c/+="#));
    assert_eq!((read.session_token(), read.expiration()), (Some("t"), Some("2026-11-22T19:00:00Z")));
    let long_lived = AwsCredentials::new("AKIA", "s", None, None).unwrap().to_json();
    assert_eq!(long_lived, r#"{"Version":1,"AccessKeyId":"AKIA","SecretAccessKey":"s"}"#);
}

#[test]
fn aws_payload_parts_have_the_rules_of_a_payload() {
    for value in ["", "a b", "a\n", "é", "\u{7f}"] {
        assert_eq!(AwsCredentials::new("A", value, None, None).unwrap_err(), AwsError::Value("SecretAccessKey"));
        assert_eq!(AwsCredentials::new("A", "s", Some(value), None).unwrap_err(), AwsError::Value("SessionToken"));
    }
}

#[test]
fn aws_expiration_is_in_whole_seconds_until_the_year_9999() {
    for (valid_until, expiration) in [
        ("2015-08-30T12:36:00.999Z", "2015-08-30T12:36:00Z"),
        ("2015-08-30T12:36:00Z", "2015-08-30T12:36:00Z"),
        ("never", "9999-12-31T23:59:59Z"),
        ("12000-01-01T00:00:00.000Z", "9999-12-31T23:59:59Z"),
    ] {
        assert_eq!(aws_expiration(valid_until), expiration);
    }
}
