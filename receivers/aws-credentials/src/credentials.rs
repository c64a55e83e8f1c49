//! What a delivery holds: the JSON of AWS's `credential_process`, version 1, each field of which can stand in a file.

use deputy_kit::types::Failure;
use deputy_payloads::{AwsCredentials, AwsError};

/// The credentials of one instance.
pub(crate) struct Credentials<'a> {
    pub(crate) instance: &'a str,
    pub(crate) held: AwsCredentials<'a>,
}

impl<'a> Credentials<'a> {
    /// Reads a payload. An error says which field is at fault and never what it holds.
    pub(crate) fn read(instance: &'a str, service: &str, payload: &'a [u8]) -> Result<Self, Failure> {
        if service != "s3" {
            return Err(wrong(instance, "its service is not s3; bind another receiver to it"));
        }
        match AwsCredentials::parse(payload) {
            Ok(held) => Ok(Self { instance, held }),
            Err(AwsError::Missing(name)) => Err(wrong(instance, &format!("its payload has no {name}"))),
            Err(AwsError::Value(name)) => {
                Err(wrong(instance, &format!("{name} of its payload is not one word of printable ASCII")))
            }
            Err(error @ (AwsError::Form | AwsError::Version)) => {
                Err(wrong(instance, &format!("its payload cannot be used: {error}")))
            }
        }
    }
}

fn wrong(instance: &str, what: &str) -> Failure {
    Failure::Misconfigured(format!("instance `{instance}`: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    include!("../../../runtime/payloads/vectors/aws.in");

    #[test]
    fn vectors_are_judged_as_they_say() {
        for (accepted, payload) in VECTORS {
            assert_eq!(Credentials::read("s3-prod", "s3", payload.as_bytes()).is_ok(), accepted, "{payload}");
        }
    }

    fn complaint(service: &str, payload: &str) -> String {
        match Credentials::read("s3-prod", service, payload.as_bytes()) {
            Err(Failure::Misconfigured(text)) => text,
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("{payload} passed"),
        }
    }

    #[test]
    fn the_payload_of_s3_sts_is_read() {
        let payload = br#"{"Version":1,"AccessKeyId":"AKIA","SecretAccessKey":"a/b+c=","SessionToken":"t","Expiration":"2026-11-22T18:00:00Z"}"#;
        let held = Credentials::read("s3-prod", "s3", payload).unwrap().held;
        assert_eq!((held.access_key_id(), held.secret_access_key()), ("AKIA", "a/b+c="));
        assert_eq!((held.session_token(), held.expiration()), (Some("t"), Some("2026-11-22T18:00:00Z")));
        let long_lived = br#"{"Version":1,"AccessKeyId":"AKIA","SecretAccessKey":"x","SessionToken":null}"#;
        assert!(Credentials::read("s3-prod", "s3", long_lived).unwrap().held.session_token().is_none());
    }

    #[test]
    fn a_value_that_could_begin_another_line_is_refused() {
        for value in [
            "a\\n[other]",
            "a\\r\\naws_access_key_id = x",
            "a\\u0000",
            "a b",
            " a",
            "a #x",
            "a\\t",
            "",
            "\\u2028x",
            "\\u0085",
            "é",
        ] {
            for (name, others) in [
                ("AccessKeyId", r#""SecretAccessKey":"hunter2""#),
                ("SecretAccessKey", r#""AccessKeyId":"AKIA""#),
                ("SessionToken", r#""AccessKeyId":"AKIA","SecretAccessKey":"hunter2""#),
                ("Expiration", r#""AccessKeyId":"AKIA","SecretAccessKey":"hunter2""#),
            ] {
                let text = complaint("s3", &format!(r#"{{"Version":1,{others},"{name}":"{value}"}}"#));
                assert_eq!(
                    text,
                    format!("instance `s3-prod`: {name} of its payload is not one word of printable ASCII")
                );
            }
        }
    }

    #[test]
    fn a_payload_of_another_form_is_refused_without_repeating_any_of_it() {
        for payload in [
            "",
            "hunter2",
            "{\"hunter2",
            "[\"hunter2\"]",
            "{}",
            r#"{"Version":"1","SecretAccessKey":"hunter2"}"#,
            r#"{"Version":2,"AccessKeyId":"AKIA","SecretAccessKey":"hunter2"}"#,
            r#"{"Version":1,"SecretAccessKey":"hunter2"}"#,
            r#"{"Version":1,"AccessKeyId":"AKIA","SecretAccessKey":["hunter2"]}"#,
            r#"{"Version":1,"AccessKeyId":7,"SecretAccessKey":"hunter2"}"#,
            &format!("{}\"hunter2\"", "[".repeat(100_000)),
        ] {
            let text = complaint("s3", payload);
            assert!(text.starts_with("instance `s3-prod`: ") && !text.contains("hunter2"), "{text}");
        }
        assert_eq!(complaint("hdfs", "{}"), "instance `s3-prod`: its service is not s3; bind another receiver to it");
    }
}
