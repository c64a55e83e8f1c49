//! A payload of the service `s3`: what a `credential_process` prints.

use object_store::aws::AwsCredential;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Payload {
    access_key_id: String,
    secret_access_key: String,
    #[serde(default)]
    session_token: Option<String>,
}

/// The credentials in a payload; nothing if it is something else. Why is not said, since that would repeat some of it.
pub(crate) fn parse(payload: &[u8]) -> Option<AwsCredential> {
    let Payload { access_key_id, secret_access_key, session_token } = serde_json::from_slice(payload).ok()?;
    // They go into headers, whose end they must not decide.
    let sound = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    let all = [Some(&access_key_id), Some(&secret_access_key), session_token.as_ref()];
    if !all.into_iter().flatten().all(|text| sound(text)) {
        return None;
    }
    Some(AwsCredential { key_id: access_key_id, secret_key: secret_access_key, token: session_token })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_credential_process_prints_is_read() {
        let text = r#"{"Version": 1, "AccessKeyId": "AKIA", "SecretAccessKey": "s/+=", "SessionToken": "t",
                       "Expiration": "2026-01-01T00:00:00Z"}"#;
        let credential = parse(text.as_bytes()).unwrap();
        assert_eq!((credential.key_id.as_str(), credential.secret_key.as_str()), ("AKIA", "s/+="));
        assert_eq!(credential.token.as_deref(), Some("t"));
        assert_eq!(parse(br#"{"AccessKeyId": "a", "SecretAccessKey": "b"}"#).unwrap().token, None);
    }

    #[test]
    fn what_could_begin_another_header_or_is_something_else_is_none() {
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
