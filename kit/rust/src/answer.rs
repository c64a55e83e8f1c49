//! What a service that speaks JSON answered: its value, or the failure that its status and error mean.

use crate::clock::now;
use crate::failure;
use crate::http::{Method, Response, send};
use crate::text::one_line;
use crate::tokens::{BEARER_TOKEN, tokens};
use crate::types::{Expiry, Failure, Next, Tokens};
use crate::{encode, url::Url};

use serde_json::Value;

/// How much of a service's own words is shown.
const MAX_WORDS: usize = 300;

/// Posts a form, and returns the JSON of a good answer.
///
/// # Errors
/// Without an answer, for an error status (see [`json`]), and for an answer that is not JSON.
pub fn post_form<'a>(url: &Url, fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Value, Failure> {
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("accept", "application/json")];
    json(&send(&Method::Post, url, &headers, encode::form(fields).as_bytes())?)
}

/// The JSON of a response whose status is 2xx.
///
/// # Errors
/// For another status, with the error that a JSON body tells as RFC 6749, section 5.2, has it. For a body that is not JSON;
/// it may hold a token and is not quoted.
pub fn json(response: &Response) -> Result<Value, Failure> {
    let status = response.status;
    let body = serde_json::from_slice::<Value>(&response.body);
    if !(200..300).contains(&status) {
        return Err(refusal(response, &body.unwrap_or_default()));
    }
    body.map_err(|_| failure::denied(format!("{status}, and the answer is not JSON")))
}

/// The access token of an answer, with its expiry (RFC 6749, section 5.1).
///
/// # Errors
/// `denied` if there is no token.
pub fn bearer(answer: &Value) -> Result<Tokens, Failure> {
    let token = answer.get("access_token").and_then(Value::as_str).filter(|token| !token.is_empty());
    let token = token.ok_or_else(|| failure::denied("the answer has no access_token"))?;
    let seconds = answer.get("expires_in").and_then(number);
    Ok(tokens(BEARER_TOKEN, token).expires(seconds.map_or(Expiry::Unknown, after)))
}

/// A JSON number, or one that is written as a string.
#[must_use]
pub fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()).filter(|number| number.is_finite())
}

/// The expiry that `expires_in` means. 0 and less mean that it has expired already.
#[must_use]
pub fn after(seconds: f64) -> Expiry {
    // A cast from a number that is too small or too large gives the nearest one.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, which is meant")]
    Expiry::AfterMs((seconds * 1000.0) as u64)
}

fn refusal(response: &Response, body: &Value) -> Failure {
    let status = response.status;
    let code = body.get("error").and_then(Value::as_str);
    let words = [code, body.get("error_description").and_then(Value::as_str)];
    let message = words
        .into_iter()
        .flatten()
        .fold(status.to_string(), |message, word| format!("{message}: {}", one_line(word, MAX_WORDS)));
    // The clock is a call to the host: it is asked only where there is something to compare with it.
    let retry_after_ms = response.header("retry-after").and_then(|_| response.retry_after_ms(now()));
    let next = match (status, code) {
        (429, _) => Next::Throttled,
        (503, _) if retry_after_ms.is_some() => Next::Throttled,
        (408 | 425 | 500.., _) => Next::Unavailable,
        (_, Some(code)) if code.starts_with("invalid_") && code != "invalid_client" => Next::Misconfigured,
        _ => Next::Denied,
    };
    let code = code.map(|code| one_line(code, MAX_WORDS));
    Failure { next, message, code, setting: None, retry_after_ms, facts: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, body: &str) -> Response {
        Response { status, body: body.into(), ..Response::default() }
    }

    #[test]
    fn answer_with_an_error_says_what_the_host_does() {
        let next = |status, body| json(&answered(status, body)).unwrap_err().next;
        assert_eq!(next(401, r#"{"error":"invalid_client"}"#), Next::Denied);
        assert_eq!(next(400, r#"{"error":"invalid_scope"}"#), Next::Misconfigured);
        assert_eq!(next(429, ""), Next::Throttled);
        assert_eq!(next(503, "<html>"), Next::Unavailable);
        assert_eq!(next(302, ""), Next::Denied);
        assert_eq!(next(200, "<html>"), Next::Denied);
    }

    #[test]
    fn answer_of_a_service_is_cleaned_and_bounded() {
        let failed = json(&answered(400, r#"{"error":"a\nb","error_description":"c\u001b[31m"}"#)).unwrap_err();
        assert_eq!((failed.message.as_str(), failed.code.as_deref()), ("400: a b: c [31m", Some("a b")));
        let long = format!(r#"{{"error":"{}"}}"#, "x".repeat(1000));
        assert!(json(&answered(400, &long)).unwrap_err().message.len() < 320);
    }
}
