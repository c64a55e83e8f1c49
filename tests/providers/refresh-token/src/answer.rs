//! The answer of the token endpoint (RFC 6749, 5.1 and 5.2). Only an error's code and description are quoted,
//! and that of the userinfo endpoint.

use deputy_kit::bearer::{after, number};
use deputy_kit::failure;
use deputy_kit::http::Response;
use deputy_kit::text::one_line;
use deputy_kit::types::{Expiry, Failure, Timestamp};
use serde_json::Value;

/// The service does not know this refresh token, or not any more.
const INVALID_GRANT: &str = "invalid_grant";

/// Where the refresh token came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    AsSecret,
    InState,
}

/// What the service granted.
pub(crate) struct Granted {
    pub(crate) access_token: String,
    /// The next one. None: the one that was used stays good.
    pub(crate) refresh_token: Option<String>,
    pub(crate) expiry: Expiry,
}

pub(crate) fn read(response: &Response, held: Held, now: Timestamp) -> Result<Granted, Failure> {
    let fields: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    let field = |name: &str| fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    if !(200..300).contains(&response.status) {
        return Err(refusal(response, field("error"), field("error_description"), held, now));
    }
    let access_token = field("access_token").ok_or_else(|| failure::denied("the answer has no access_token"))?;
    if !access_token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(failure::denied("the answer's access_token is not one word of printable ASCII"));
    }
    Ok(Granted {
        access_token: access_token.to_owned(),
        refresh_token: field("refresh_token").map(str::to_owned),
        expiry: fields.get("expires_in").and_then(number).map_or(Expiry::Unknown, after),
    })
}

/// Whose the access token is, if the service says so.
pub(crate) fn account(response: &Response) -> Option<String> {
    let fields: Value = serde_json::from_slice(&response.body).ok()?;
    let subject = fields.get("sub")?.as_str()?;
    (response.status == 200).then(|| one_line(subject, 200))
}

fn refusal(response: &Response, code: Option<&str>, description: Option<&str>, held: Held, now: Timestamp) -> Failure {
    let wait = response.retry_after_ms(now);
    let words = [code, description].into_iter().flatten().map(|text| one_line(text, 300));
    let text = std::iter::once(response.status.to_string()).chain(words).collect::<Vec<_>>().join(": ");
    let failure = match (response.status, code) {
        (429, _) => failure::throttled(text, wait),
        (408 | 425 | 500.., _) => failure::unavailable(text),
        (_, Some(INVALID_GRANT)) => match held {
            Held::InState => failure::ended(format!("{text}: the refresh token in state is no longer good")),
            Held::AsSecret => failure::attention(format!(
                "{text}: the refresh token is used up or revoked: log in again, and put the new one into the secret"
            )),
        },
        (_, Some("invalid_scope")) => failure::misconfigured(text).setting("scope"),
        (_, Some("invalid_request" | "unsupported_grant_type")) => failure::misconfigured(text),
        _ => failure::denied(text),
    };
    let failure = Failure { retry_after_ms: wait, ..failure };
    match code {
        Some(code) => failure.code(one_line(code, 100)),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_kit::types::Next;

    fn answer(status: u16, body: &str, held: Held) -> Result<Granted, Failure> {
        read(&Response { status, headers: Vec::new(), body: body.as_bytes().to_vec() }, held, 0)
    }

    #[test]
    fn answer_brings_both_tokens_and_the_expiry() {
        let body = r#"{"access_token":"a1","refresh_token":"r2","expires_in":"60.0","token_type":"Bearer"}"#;
        let granted = answer(200, body, Held::InState).unwrap();
        assert_eq!((granted.access_token.as_str(), granted.refresh_token.as_deref()), ("a1", Some("r2")));
        assert!(matches!(granted.expiry, Expiry::AfterMs(60_000)));
        let granted = answer(200, r#"{"access_token":"a1"}"#, Held::InState).unwrap();
        assert!(granted.refresh_token.is_none() && matches!(granted.expiry, Expiry::Unknown));
    }

    #[test]
    fn answer_says_whose_the_token_is_or_nothing() {
        let account =
            |status, body: &str| account(&Response { status, headers: Vec::new(), body: body.as_bytes().to_vec() });
        assert_eq!(account(200, r#"{"sub":"person","name":"x"}"#).as_deref(), Some("person"));
        for (status, body) in [(200, "{}"), (200, "<html>"), (200, r#"{"sub":7}"#), (403, r#"{"sub":"person"}"#)] {
            assert_eq!(account(status, body), None, "{status} {body}");
        }
    }

    #[test]
    fn answer_of_a_used_up_token_depends_on_where_it_was() {
        let body = r#"{"error":"invalid_grant","error_description":"grant request is invalid"}"#;
        for (held, next) in [(Held::InState, Next::Ended), (Held::AsSecret, Next::Attention)] {
            let failure = answer(400, body, held).err().unwrap();
            assert_eq!((failure.next, failure.code.as_deref()), (next, Some("invalid_grant")));
            assert!(failure.message.starts_with("400: invalid_grant: grant request is invalid: "), "{failure:?}");
        }
    }

    #[test]
    fn answer_of_another_error_keeps_what_state_holds() {
        for (status, body, next) in [
            (401, r#"{"error":"invalid_client"}"#, Next::Denied),
            (400, r#"{"error":"invalid_scope"}"#, Next::Misconfigured),
            (429, "", Next::Throttled),
            (503, "<html>", Next::Unavailable),
            (500, r#"{"error":"invalid_grant"}"#, Next::Unavailable),
            (200, "{}", Next::Denied),
            (200, r#"{"access_token":"a\nb"}"#, Next::Denied),
        ] {
            assert_eq!(answer(status, body, Held::InState).err().unwrap().next, next, "{status} {body}");
        }
    }
}
