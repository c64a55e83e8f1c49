//! What a payload of the service `s3` holds: the JSON that AWS's `credential_process` prints.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use zeroize::Zeroize;

/// A set of AWS credentials, borrowed from a payload. It can't be printed.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AwsCredentials<'p> {
    #[serde(borrow)]
    access_key_id: Text<'p>,
    #[serde(borrow)]
    secret_access_key: Text<'p>,
    #[serde(borrow, default)]
    session_token: Option<Text<'p>>,
}

/// A payload holds no AWS credentials. It is not repeated, and neither is any part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "it holds no credentials of AWS: those are JSON with AccessKeyId and SecretAccessKey, as a `credential_process` \
     prints them"
)]
pub struct CredentialsError;

/// A string of the payload. With an escape in it, it is a copy, which is wiped.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'p>(#[serde(borrow)] Cow<'p, str>);

impl<'p> AwsCredentials<'p> {
    /// Reads a payload.
    ///
    /// # Errors
    /// If it holds something else.
    pub fn parse(payload: &'p [u8]) -> Result<Self, CredentialsError> {
        let credentials: Self = serde_json::from_slice(payload).map_err(|_| CredentialsError)?;
        let all = [
            Some(&credentials.access_key_id),
            Some(&credentials.secret_access_key),
            credentials.session_token.as_ref(),
        ];
        // They go into headers and environment variables, whose end they must not decide.
        let sound = |text: &Text<'_>| !text.0.is_empty() && !text.0.contains(char::is_control);
        if all.into_iter().flatten().all(sound) { Ok(credentials) } else { Err(CredentialsError) }
    }

    /// The public half of the key.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id.0
    }

    /// The secret half of the key.
    pub fn secret_access_key(&self) -> &str {
        &self.secret_access_key.0
    }

    /// The token that makes them temporary, if they are.
    pub fn session_token(&self) -> Option<&str> {
        self.session_token.as_ref().map(|token| &*token.0)
    }
}

impl Drop for Text<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(copy) = &mut self.0 {
            copy.zeroize();
        }
    }
}

impl fmt::Debug for AwsCredentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[credentials]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_credential_process_prints_is_understood() {
        let payload =
            br#"{"Version":1,"AccessKeyId":"AKIA","SecretAccessKey":"a\/b","SessionToken":"t","Expiration":"x"}"#;
        let credentials = AwsCredentials::parse(payload).unwrap();
        assert_eq!(
            (credentials.access_key_id(), credentials.secret_access_key(), credentials.session_token()),
            ("AKIA", "a/b", Some("t"))
        );
        assert_eq!(format!("{credentials:?}"), "[credentials]");
        for payload in [
            r#"{"AccessKeyId":"AKIA","SecretAccessKey":"s"}"#,
            r#"{"AccessKeyId":"AKIA","SecretAccessKey":"s","SessionToken":null}"#,
        ] {
            assert_eq!(AwsCredentials::parse(payload.as_bytes()).unwrap().session_token(), None);
        }
    }

    #[test]
    fn anything_else_is_refused_and_not_repeated() {
        for payload in [
            "",
            "hunter2",
            "[]",
            r#"{"AccessKeyId":"hunter2"}"#,
            r#"{"AccessKeyId":"hunter2","SecretAccessKey":1}"#,
            r#"{"AccessKeyId":"","SecretAccessKey":"hunter2"}"#,
            r#"{"AccessKeyId":"a","SecretAccessKey":"hunter2\nAWS_PROFILE=evil"}"#,
            r#"{"AccessKeyId":"a\u0000","SecretAccessKey":"hunter2"}"#,
            r#"{"AccessKeyId":"a","SecretAccessKey":"b","SessionToken":"hunter2\r"}"#,
        ] {
            let error = AwsCredentials::parse(payload.as_bytes()).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{payload}");
        }
    }
}
