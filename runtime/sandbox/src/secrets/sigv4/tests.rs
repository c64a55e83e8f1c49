#![expect(clippy::disallowed_methods, reason = "a test arranges and inspects its own files")]

use super::*;
use deputy_core::grant::{SecretGrant, SecretPurpose, Sigv4Grant};
use deputy_core::{SecretName, Timestamp};

const KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// 2015-08-30T12:36:00Z
const NOW: Timestamp = Timestamp::from_millis(1_440_938_160_000);

fn permit(text: &str) -> Sigv4Permit {
    let grant = Sigv4Grant::new(vec!["service".into(), "iam".into()], vec!["us-east-1".into()]).unwrap();
    let grant = SecretGrant::new(Some(SecretPurpose::Sigv4(grant)), false);
    let name: SecretName = "aws-key".parse().unwrap();
    grant.permit_sigv4(&name, text.parse().unwrap(), NOW).unwrap()
}

fn value(text: &str) -> SecretBytes {
    SecretBytes::new(text.into())
}

const TEXT: &str = "AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/iam/aws4_request\n\
                    f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59";
const SIGNATURE: &str = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";

#[test]
fn sigv4_signs_the_example_of_the_documentation() {
    assert_eq!(sign(permit(TEXT), &value(KEY)).unwrap().signature, SIGNATURE);
}

#[test]
fn sigv4_signs_the_published_test_suite() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/sigv4");
    let mut cases = 0;
    for case in std::fs::read_dir(folder).unwrap().map(Result::unwrap).filter(|case| case.path().is_dir()) {
        let name = case.file_name().into_string().unwrap();
        let read = |end: &str| std::fs::read_to_string(case.path().join(format!("{name}.{end}"))).unwrap();
        let signed = sign(permit(&read("sts")), &value(KEY)).unwrap();
        assert!(read("authz").trim_end().ends_with(&format!("Signature={}", signed.signature)), "{name}");
        cases += 1;
    }
    assert!(cases >= 30, "{cases} cases");
}

#[test]
fn sigv4_secret_may_hold_its_key_id() {
    for text in [
        format!(r#"{{"AccessKeyId": "AKIDEXAMPLE", "SecretAccessKey": "{KEY}"}}"#),
        format!(r#" {{"Version": 1, "SecretAccessKey": "{}", "AccessKeyId": "AKIDEXAMPLE"}}"#, KEY.replace('/', "\\/")),
        format!(r#"{{"AccessKeyId": "AKIDEXAMPLE", "SecretAccessKey": "{KEY}", "SessionToken": null}}"#),
    ] {
        let signed = sign(permit(TEXT), &value(&text)).unwrap();
        assert_eq!(signed, Sigv4Signature { access_key_id: Some("AKIDEXAMPLE".into()), signature: SIGNATURE.into() });
    }
}

#[test]
fn sigv4_rejects_another_form_without_quoting_it() {
    let session = format!(r#"{{"AccessKeyId": "AKID", "SecretAccessKey": "{KEY}", "SessionToken": "{KEY}"}}"#);
    for (text, expected) in [
        (format!("[default]\naws_secret_access_key = {KEY}"), "one line"),
        (format!("{KEY} {KEY}"), "one line"),
        (format!("{KEY}é"), "one line"),
        (format!(r#"{{"SecretAccessKey": "{KEY}"}}"#), "begins like JSON"),
        (format!(r#"{{"AccessKeyId": "a b", "SecretAccessKey": "{KEY}"}}"#), "begins like JSON"),
        (format!(r#"{{"AccessKeyId": "AKID", "SecretAccessKey": ["{KEY}"]}}"#), "begins like JSON"),
        (format!(r#"{{"AccessKeyId": "AKID", "SecretAccessKey": "{KEY}""#), "begins like JSON"),
        (session, "SessionToken"),
    ] {
        let error = sign(permit(TEXT), &value(&text)).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!format!("{error} {error:?}").contains("wJalr"), "{error}");
    }
}

#[test]
fn sigv4_scope_is_service_and_region() {
    assert_eq!(scope(TEXT), "iam/us-east-1");
}
