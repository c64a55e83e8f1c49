//! What a service that speaks JSON answered: its fields, or the failure that its status and error mean, as RFC 6749,
//! section 5.2, has them.
//!
//! Errors never quote an answer that may hold a token: they say which part of it could not be accepted. An answer that came
//! whole and cannot be read is `denied`, since asking again soon brings the same one.

use crate::clock::now;
use crate::encode::{form, form_fields};
use crate::failure;
use crate::http::{Method, Response, send};
use crate::text::one_line;
use crate::types::{Failure, Next};
use crate::url::Url;

use serde_json::{Map, Value};

/// The members of a JSON object.
pub type Fields = Map<String, Value>;

/// How much of a service's own words is shown.
const MAX_WORDS: usize = 300;

/// How much of its code is shown.
const MAX_CODE: usize = 100;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Errors that only another configuration mends.
const MISCONFIGURED: [&str; 5] =
    ["invalid_grant", "invalid_request", "invalid_scope", "invalid_target", "unsupported_grant_type"];

const UNAVAILABLE: [&str; 2] = ["server_error", "temporarily_unavailable"];

/// Posts a form, and returns the fields of a good answer.
///
/// # Errors
/// Without an answer, and as [`fields`].
pub fn post_form<'a>(url: &Url, body: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Fields, Failure> {
    let kind = ("content-type", "application/x-www-form-urlencoded");
    let headers = [kind, ("accept", "application/json"), ("accept-encoding", "identity")];
    fields(&send(&Method::Post, url, &headers, form(body).as_bytes())?)
}

/// The fields of a good answer: of a JSON object, or of a form where the service says that it is one.
///
/// # Errors
/// For an error, also under a good status, and for an answer that cannot be read.
pub fn fields(response: &Response) -> Result<Fields, Failure> {
    let status = response.status;
    let (fields, problem) = match parse(response) {
        Ok(fields) => (fields, None),
        Err(problem) => (Fields::new(), Some(problem)),
    };
    if !(200..300).contains(&status) || fields.get("error").is_some_and(is_error) {
        return Err(refusal(response, &fields, problem.as_deref()));
    }
    if status == 202 && fields.is_empty() {
        return Err(failure::unavailable("202: the service accepted the request and has no answer yet"));
    }
    match problem {
        Some(problem) => Err(failure::denied(format!("{status}, and the answer {problem}; look at the URL"))),
        None => Ok(fields),
    }
}

/// The fields, or what completes the sentence "the answer …".
fn parse(response: &Response) -> Result<Fields, String> {
    if let Some(coding) = response.coding() {
        return Err(format!("is encoded as {}, which was not asked for", one_line(coding, 40)));
    }
    let body = response.body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&response.body);
    let text = str::from_utf8(body).map_err(|_| "is not UTF-8".to_owned())?.trim();
    let kind = response.header("content-type").and_then(|kind| kind.split(';').next()).unwrap_or_default();
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    if kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Ok(form_fields(text).map(|(name, value)| (name, Value::String(value))).collect());
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err("is JSON, but not an object".to_owned()),
        Err(_) if text.starts_with('<') => Err("is HTML, not JSON".to_owned()),
        Err(_) => Err("is not JSON, or nested deeper than an answer is".to_owned()),
    }
}

/// Some services always have the member, and leave it empty.
fn is_error(error: &Value) -> bool {
    !matches!(error, Value::Null | Value::Bool(false)) && error.as_str() != Some("") && error.as_u64() != Some(0)
}

/// The failure for an error, independent of its status. Never quotes a body that is no such error.
fn refusal(response: &Response, fields: &Fields, problem: Option<&str>) -> Failure {
    let status = response.status;
    let (code, description) = error_of(fields);
    let words = [code.as_deref(), description].into_iter().flatten().filter(|word| !word.is_empty());
    let parts: Vec<String> = words.map(|word| one_line(word, MAX_WORDS)).collect();
    let mut message = std::iter::once(status.to_string()).chain(parts.iter().cloned()).collect::<Vec<_>>().join(": ");
    if parts.is_empty() {
        message += &format!(", and the answer {}", problem.unwrap_or("is no error that is understood"));
    }
    if (300..400).contains(&status) {
        message += "; a redirect is not followed: configure where it leads, if that is right";
    }
    // The clock is a call to the host: it is asked only where there is something to compare with it.
    let retry_after_ms = response.header("retry-after").and_then(|_| response.retry_after_ms(now()));
    let next = next_of(status, code.as_deref().unwrap_or_default(), retry_after_ms);
    let code = code.filter(|code| !code.is_empty()).map(|code| one_line(&code, MAX_CODE));
    Failure { next, message, code, setting: None, retry_after_ms, facts: Vec::new() }
}

/// What the host shall do, by status and code.
fn next_of(status: u16, code: &str, retry_after_ms: Option<u64>) -> Next {
    match status {
        429 => Next::Throttled,
        503 if retry_after_ms.is_some() => Next::Throttled,
        _ if code == "slow_down" => Next::Throttled,
        408 | 425 | 500.. => Next::Unavailable,
        _ if UNAVAILABLE.contains(&code) => Next::Unavailable,
        _ if MISCONFIGURED.contains(&code) => Next::Misconfigured,
        _ => Next::Denied,
    }
}

/// The code and its description: texts, or nested as `{"error": {"code": …, "message": …}}`.
fn error_of(fields: &Fields) -> (Option<String>, Option<&str>) {
    let (code, description) = match fields.get("error") {
        Some(Value::Object(nested)) => (nested.get("code").or(nested.get("status")), nested.get("message")),
        code => (code, fields.get("error_description")),
    };
    let code = match code {
        Some(Value::String(code)) => Some(code.clone()),
        Some(Value::Number(code)) => Some(code.to_string()),
        _ => None,
    };
    (code, description.and_then(Value::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, body: &str) -> Response {
        Response { status, body: body.into(), ..Response::default() }
    }

    #[test]
    fn answer_with_an_error_says_what_the_host_does() {
        let next = |status, body| fields(&answered(status, body)).unwrap_err().next;
        assert_eq!(next(401, r#"{"error":"invalid_client"}"#), Next::Denied);
        assert_eq!(next(400, r#"{"error":"invalid_scope"}"#), Next::Misconfigured);
        assert_eq!(next(400, r#"{"error":"slow_down"}"#), Next::Throttled);
        assert_eq!(next(400, r#"{"error":"temporarily_unavailable"}"#), Next::Unavailable);
        assert_eq!(next(200, r#"{"error":"invalid_scope"}"#), Next::Misconfigured);
        assert_eq!(next(429, ""), Next::Throttled);
        assert_eq!(next(503, "<html>"), Next::Unavailable);
        assert_eq!(next(302, ""), Next::Denied);
        assert_eq!(next(200, "<html>"), Next::Denied);
        assert_eq!(next(202, ""), Next::Unavailable);
    }

    #[test]
    fn answer_of_a_service_is_cleaned_and_bounded() {
        let failed = fields(&answered(400, r#"{"error":"a\nb","error_description":"c\u001b[31m"}"#)).unwrap_err();
        assert_eq!((failed.message.as_str(), failed.code.as_deref()), ("400: a b: c [31m", Some("a b")));
        let long = format!(r#"{{"error":"{}"}}"#, "x".repeat(1000));
        let failed = fields(&answered(400, &long)).unwrap_err();
        assert!(failed.message.len() < 320 && failed.code.unwrap().len() < 120);
    }

    #[test]
    fn answer_is_an_error_only_if_its_member_says_something() {
        for body in [r#"{"error":null,"a":1}"#, r#"{"error":"","a":1}"#, r#"{"error":false,"a":1}"#] {
            assert_eq!(fields(&answered(200, body)).unwrap().get("a"), Some(&Value::from(1)), "{body}");
        }
        let failed = fields(&answered(403, r#"{"error":{"status":"DENIED","message":"told"}}"#)).unwrap_err();
        assert_eq!(failed.message, "403: DENIED: told");
    }

    #[test]
    fn answer_that_nests_does_not_overflow_the_stack() {
        let failed = fields(&answered(200, &"[".repeat(100_000))).unwrap_err();
        assert!(failed.message.contains("nested deeper"), "{}", failed.message);
    }
}
