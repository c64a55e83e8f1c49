//! Payloads of the service `s3`: JSON as a `credential_process` prints it.

use deputy_payloads::AwsCredentials;
use object_store::aws::AwsCredential;

/// The credentials in a payload. The reason of a failure is left out, since it would repeat a part of the payload.
pub(crate) fn parse(payload: &[u8]) -> Option<AwsCredential> {
    let held = AwsCredentials::parse(payload).ok()?;
    Some(AwsCredential {
        key_id: held.access_key_id().to_owned(),
        secret_key: held.secret_access_key().to_owned(),
        token: held.session_token().map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    include!("../../../runtime/payloads/vectors/aws.in");

    #[test]
    fn credentials_of_the_vectors_are_judged_as_they_say() {
        for (accepted, payload) in VECTORS {
            assert_eq!(parse(payload.as_bytes()).is_some(), accepted, "{payload}");
        }
    }

    #[test]
    fn credentials_are_read_from_credential_process_output() {
        let text = r#"{"Version": 1, "AccessKeyId": "AKIA", "SecretAccessKey": "s/+=", "SessionToken": "t",
                       "Expiration": "2026-01-01T00:00:00Z"}"#;
        let credential = parse(text.as_bytes()).unwrap();
        assert_eq!((credential.key_id.as_str(), credential.secret_key.as_str()), ("AKIA", "s/+="));
        assert_eq!(credential.token.as_deref(), Some("t"));
        assert_eq!(parse(br#"{"AccessKeyId": "a", "SecretAccessKey": "b"}"#).unwrap().token, None);
    }

    #[test]
    fn credentials_with_unsafe_or_missing_values_are_refused() {
        for text in [
            "",
            "[]",
            r#"{"AccessKeyId": "a"}"#,
            r#"{"AccessKeyId": "", "SecretAccessKey": "b"}"#,
            r#"{"AccessKeyId": "a\r\nHost: x", "SecretAccessKey": "b"}"#,
            r#"{"AccessKeyId": "a", "SecretAccessKey": "b", "SessionToken": "t t"}"#,
            r#"{"AccessKeyId": "a", "SecretAccessKey": "b", "SessionToken": "é"}"#,
            r#"{"AccessKeyId": 1, "SecretAccessKey": "b"}"#,
        ] {
            assert!(parse(text.as_bytes()).is_none(), "{text}");
        }
    }
}
