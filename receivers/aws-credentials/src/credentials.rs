//! What a delivery holds. Its payload is the JSON of AWS's `credential_process`, version 1, whose fields are safe in a line of a file.

use crate::bindings::exports::delegation::tokens::receiver::Delivery;
use deputy_kit::failure;
use deputy_kit::time::rfc3339;
use deputy_kit::tokens::AWS_CREDENTIAL_PROCESS;
use deputy_kit::types::{Expiry, Failure};
use deputy_payloads::{AwsCredentials, AwsError, aws_expiration};

/// The host's fact about where the files of this receiver appear.
const DIRECTORY: &str = "deputy.directory";

pub(crate) struct InstanceCredentials<'a> {
    pub(crate) instance: &'a str,
    pub(crate) aws: AwsCredentials<'a>,
    /// When the lease ends, which can be before the service ends the credentials.
    pub(crate) expiration: String,
    /// Where the files of this receiver appear, if the host says it.
    pub(crate) directory: Option<&'a str>,
}

impl<'a> InstanceCredentials<'a> {
    /// Reads a delivery. The error names the field, never its value.
    pub(crate) fn of(delivery: &'a Delivery) -> Result<Self, Failure> {
        let aws = parse(&delivery.instance, &delivery.kind, &delivery.payload)?;
        let expiration = match delivery.expiry {
            Expiry::At(time) => aws_expiration(&rfc3339(time)),
            // The host delivers no other than these two.
            _ => aws_expiration("never"),
        };
        let directory = delivery.facts.iter().find(|fact| fact.name == DIRECTORY).map(|fact| fact.value.as_str());
        Ok(Self { instance: &delivery.instance, aws, expiration, directory })
    }
}

fn parse<'a>(instance: &str, kind: &str, payload: &'a [u8]) -> Result<AwsCredentials<'a>, Failure> {
    if kind != AWS_CREDENTIAL_PROCESS {
        let problem = format!("its payload is not of kind {AWS_CREDENTIAL_PROCESS}; bind another receiver to it");
        return Err(misconfigured(instance, &problem));
    }
    match AwsCredentials::parse(payload) {
        Ok(aws) => Ok(aws),
        Err(AwsError::Missing(name)) => Err(misconfigured(instance, &format!("its payload has no field {name}"))),
        Err(AwsError::Value(name)) => {
            Err(misconfigured(instance, &format!("field {name} of its payload is not one word of printable ASCII")))
        }
        Err(error @ (AwsError::Form | AwsError::Version)) => {
            Err(misconfigured(instance, &format!("its payload cannot be used: {error}")))
        }
    }
}

fn misconfigured(instance: &str, problem: &str) -> Failure {
    failure::misconfigured(format!("instance `{instance}`: {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_kit::types::Next;

    const KIND: &str = AWS_CREDENTIAL_PROCESS;

    include!("../../../runtime/payloads/vectors/aws.in");

    #[test]
    fn credentials_are_accepted_as_the_vectors_say() {
        for (accepted, payload) in VECTORS {
            assert_eq!(parse("s3-prod", KIND, payload.as_bytes()).is_ok(), accepted, "{payload}");
        }
    }

    fn error_text(kind: &str, payload: &str) -> String {
        match parse("s3-prod", kind, payload.as_bytes()) {
            Err(failure) => {
                assert_eq!((failure.next, failure.setting), (Next::Misconfigured, None));
                failure.message
            }
            Ok(_) => panic!("{payload} passed"),
        }
    }

    #[test]
    fn credentials_of_s3_sts_are_parsed() {
        let payload = br#"{"Version":1,"AccessKeyId":"AKIA","SecretAccessKey":"a/b+c=","SessionToken":"t","Expiration":"2026-11-22T18:00:00Z"}"#;
        let aws = parse("s3-prod", KIND, payload).unwrap();
        assert_eq!((aws.access_key_id(), aws.secret_access_key()), ("AKIA", "a/b+c="));
        assert_eq!((aws.session_token(), aws.expiration()), (Some("t"), Some("2026-11-22T18:00:00Z")));
        let long_lived = br#"{"Version":1,"AccessKeyId":"AKIA","SecretAccessKey":"x","SessionToken":null}"#;
        assert!(parse("s3-prod", KIND, long_lived).unwrap().session_token().is_none());
    }

    #[test]
    fn credentials_refuse_values_that_could_begin_a_line() {
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
                let text = error_text(KIND, &format!(r#"{{"Version":1,{others},"{name}":"{value}"}}"#));
                assert_eq!(
                    text,
                    format!("instance `s3-prod`: field {name} of its payload is not one word of printable ASCII")
                );
            }
        }
    }

    #[test]
    fn credentials_error_reveals_nothing_of_the_payload() {
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
            let text = error_text(KIND, payload);
            assert!(text.starts_with("instance `s3-prod`: ") && !text.contains("hunter2"), "{text}");
        }
        for kind in ["hadoop-token/1", "aws-credential-process/2", "aws-credential-process"] {
            let text = error_text(kind, "{}");
            assert!(text.ends_with("is not of kind aws-credential-process/1; bind another receiver to it"), "{text}");
        }
    }
}
