//! Asking a test's server what to answer: it has the script, the guest reads out its lines.
//!
//! A call of the function `obtain` posts to `URL/obtain`, where `URL` is the setting `url`; `renew` and `revoke` post the
//! payload that they were called with. The answer is lines, one fact each:
//!
//! ```text
//! payload TEXT
//! valid-until MILLISECONDS
//! failure KIND MESSAGE
//! failure throttled MILLISECONDS MESSAGE
//! ```

use crate::http::{Method, Request};
use crate::types::{Failure, Throttle};
use crate::{Settings, Tokens};

/// What the server says of a call: what it brought, if anything.
///
/// # Errors
/// If the server says so, or doesn't answer.
pub fn ask(settings: &Settings, function: &str, payload: &[u8]) -> Result<Option<Tokens>, Failure> {
    let url = format!("{}/{function}", settings.text("url"));
    let request = Request::get(&url).method(Method::Post).header("content-length", payload.len().to_string());
    let answer = request.body(payload).send().and_then(|mut answer| answer.text()).map_err(Failure::Unavailable)?;
    let (mut payload, mut valid_until) = (None, None);
    for line in answer.lines() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "payload" => payload = Some(rest.as_bytes().to_vec()),
            "valid-until" => valid_until = Some(rest.parse().expect("milliseconds")),
            "failure" => return Err(failure(rest)),
            other => panic!("the script has {other:?}"),
        }
    }
    Ok(payload.map(|payload| Tokens { payload, valid_until }))
}

fn failure(text: &str) -> Failure {
    let (kind, message) = text.split_once(' ').expect("a kind and a message");
    match kind {
        "denied" => Failure::Denied(message.to_owned()),
        "misconfigured" => Failure::Misconfigured(message.to_owned()),
        "unavailable" => Failure::Unavailable(message.to_owned()),
        "throttled" => {
            let (millis, message) = message.split_once(' ').expect("a time and a message");
            let retry_after_ms = millis.parse().expect("milliseconds");
            Failure::Throttled(Throttle { message: message.to_owned(), retry_after_ms })
        }
        other => panic!("the script has the failure {other:?}"),
    }
}
