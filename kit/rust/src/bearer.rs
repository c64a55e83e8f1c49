//! Access tokens as services of OAuth 2.0 answer them (RFC 6749, section 5.1).

use crate::answer::Fields;
use crate::clock::now;
use crate::failure;
use crate::tokens::{BEARER_TOKEN, tokens};
use crate::types::{Expiry, Failure, Tokens};

use serde_json::Value;

/// In seconds. A longer lifetime means "never".
const CENTURY: f64 = 100.0 * 366.0 * 86_400.0;

/// The access token of an answer, with its expiry.
///
/// # Errors
/// `denied` for an answer without a token, with one that no token may be, or with an expiry that is not a number.
pub fn bearer(fields: &Fields) -> Result<Tokens, Failure> {
    Ok(tokens(BEARER_TOKEN, token(fields)?).expires(expiry(fields)?))
}

fn token(fields: &Fields) -> Result<&str, Failure> {
    let Some(value) = fields.get("access_token").filter(|value| !value.is_null()) else {
        return Err(failure::denied("the answer has no access_token"));
    };
    let token = value.as_str().ok_or_else(|| failure::denied("the answer's access_token is not a string"))?;
    if token.is_empty() || !token.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        let problem = "the answer's access_token is empty or holds characters that no token may (RFC 6749, A.12)";
        return Err(failure::denied(problem));
    }
    Ok(token)
}

/// When the token ends, by `expires_in`, or by the `expires_on` that Azure writes in its place.
fn expiry(fields: &Fields) -> Result<Expiry, Failure> {
    if let Some(life) = fields.get("expires_in").filter(|life| !life.is_null() && life.as_str() != Some("")) {
        let seconds = number(life);
        return seconds.map(after).ok_or_else(|| failure::denied("the answer's expires_in is not a number of seconds"));
    }
    Ok(fields.get("expires_on").and_then(number).map_or(Expiry::Unknown, at))
}

/// A JSON number, or one that is written as a string.
#[must_use]
pub fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()).filter(|number| number.is_finite())
}

/// The expiry that `expires_in` means. 0 and less mean that it has expired already.
#[must_use]
pub fn after(seconds: f64) -> Expiry {
    if seconds > CENTURY { Expiry::Never } else { Expiry::AfterMs(milliseconds(seconds)) }
}

/// The expiry that `expires_on` means, in seconds since 1970.
fn at(seconds: f64) -> Expiry {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds until the year 287396 are exact")]
    let now = now() as f64 / 1000.0;
    if seconds > now + CENTURY { Expiry::Never } else { Expiry::At(milliseconds(seconds)) }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, which is meant")]
fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1000.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(body: &str) -> Result<Tokens, Failure> {
        bearer(&serde_json::from_str(body).unwrap())
    }

    #[test]
    fn bearer_token_ends_as_the_answer_says() {
        for (life, expected) in [
            ("3600", Some(3_600_000)),
            ("3599.9873", Some(3_599_987)),
            ("3.6e3", Some(3_600_000)),
            (r#"" 3600.0 ""#, Some(3_600_000)),
            ("0", Some(0)),
            ("-1", Some(0)),
            ("null", None),
            (r#""""#, None),
        ] {
            let expiry = granted(&format!(r#"{{"access_token":"t","expires_in":{life}}}"#)).unwrap().expiry;
            match expected {
                Some(after) => assert!(matches!(expiry, Expiry::AfterMs(ms) if ms == after), "{life}: {expiry:?}"),
                None => assert!(matches!(expiry, Expiry::Unknown), "{life}: {expiry:?}"),
            }
        }
        for life in ["99999999999", "9223372036854775807"] {
            let expiry = granted(&format!(r#"{{"access_token":"t","expires_in":{life}}}"#)).unwrap().expiry;
            assert!(matches!(expiry, Expiry::Never), "{life}: {expiry:?}");
        }
    }

    #[test]
    fn bearer_token_that_cannot_be_one_is_refused() {
        for (body, problem) in [
            ("{}", "no access_token"),
            (r#"{"access_token":null}"#, "no access_token"),
            (r#"{"access_token":1}"#, "not a string"),
            (r#"{"access_token":""}"#, "is empty"),
            (r#"{"access_token":"a\n"}"#, "no token may"),
            (r#"{"access_token":"a","expires_in":true}"#, "not a number"),
            (r#"{"access_token":"a","expires_in":"inf"}"#, "not a number"),
        ] {
            let message = granted(body).unwrap_err().message;
            assert!(message.contains(problem), "{body}: {message}");
        }
    }
}
