//! What a delivery holds: the JSON of AWS's `credential_process`, version 1, each field of which can stand in a file.

use deputy_kit::types::Failure;
use serde_json::Value;

/// The credentials of one instance.
pub(crate) struct Credentials<'a> {
    pub(crate) instance: &'a str,
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
    pub(crate) session_token: Option<String>,
    pub(crate) expiration: Option<String>,
}

impl<'a> Credentials<'a> {
    /// Reads a payload. An error says which field is at fault and never what it holds.
    pub(crate) fn read(instance: &'a str, service: &str, payload: &[u8]) -> Result<Self, Failure> {
        let wrong = |what: &str| Failure::Misconfigured(format!("instance `{instance}`: {what}"));
        if service != "s3" {
            return Err(wrong("its service is not s3; bind another receiver to it"));
        }
        // The parser's own words hold pieces of what it parsed.
        let json: Value = serde_json::from_slice(payload).map_err(|_| wrong("its payload is not JSON"))?;
        if json.get("Version").and_then(Value::as_u64) != Some(1) {
            return Err(wrong("its payload is not version 1 of the JSON of a credential_process"));
        }
        let optional = |name: &str| match json.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if is_plain(text) => Ok(Some(text.clone())),
            Some(_) => Err(wrong(&format!("{name} of its payload is not one word of printable ASCII"))),
        };
        let required = |name: &str| optional(name)?.ok_or_else(|| wrong(&format!("its payload has no {name}")));
        Ok(Self {
            instance,
            access_key_id: required("AccessKeyId")?,
            secret_access_key: required("SecretAccessKey")?,
            session_token: optional("SessionToken")?,
            expiration: optional("Expiration")?,
        })
    }
}

/// Whether a text is one line of a file, for every program that reads such files: some take a `#` after a space for a
/// comment, and some take away spaces at the ends.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let held = Credentials::read("s3-prod", "s3", payload).unwrap();
        assert_eq!((held.access_key_id.as_str(), held.secret_access_key.as_str()), ("AKIA", "a/b+c="));
        assert_eq!(
            (held.session_token.as_deref(), held.expiration.as_deref()),
            (Some("t"), Some("2026-11-22T18:00:00Z"))
        );
        let long_lived = br#"{"Version":1,"AccessKeyId":"AKIA","SecretAccessKey":"x","SessionToken":null}"#;
        assert!(Credentials::read("s3-prod", "s3", long_lived).unwrap().session_token.is_none());
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
