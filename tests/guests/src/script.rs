//! Asking a test's server what to answer: it has the script, the guest reads out its lines.
//!
//! A call of the function `obtain` posts to `URL/obtain`, where `URL` is the setting `url`; `renew` and `revoke` post the
//! payload that they were called with, and the handle, if there is one, as the header `handle`. The answer is lines, one fact
//! each; times are milliseconds:
//!
//! ```text
//! payload TEXT
//! kind KIND
//! valid-until TIME
//! valid-for-ever
//! after-ms MILLISECONDS
//! next-at TIME
//! renewable-until TIME
//! handle TEXT
//! fact NAME VALUE
//! failure KIND MESSAGE
//! failure throttled MILLISECONDS MESSAGE
//! ```

use crate::http::{Method, Request};
use crate::types::{Expiry, Failure, Next};
use crate::{KIND, Settings, Tokens, fact, failure, tokens};

/// What the server says of a call: what it brought, if anything. Its kind is the first of the setting `kinds`, unless the
/// server says otherwise.
///
/// # Errors
/// If the server says so, or doesn't answer.
pub fn ask(settings: &Settings, function: &str, held: Option<&Tokens>) -> Result<Option<Tokens>, Failure> {
    let answer = post(settings, function, held).map_err(|error| failure(Next::Unavailable, error))?;
    let mut brought = tokens("");
    brought.kind = settings.words("kinds", KIND).remove(0);
    let mut is_any = false;
    for line in answer.lines() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "payload" => (is_any, brought.payload) = (true, rest.as_bytes().to_vec()),
            "kind" => brought.kind = rest.to_owned(),
            "valid-until" => brought.expiry = Expiry::At(number(rest)),
            "valid-for-ever" => brought.expiry = Expiry::Never,
            "after-ms" => brought.expiry = Expiry::AfterMs(number(rest)),
            "next-at" => brought.next_at = Some(number(rest)),
            "renewable-until" => brought.renewable_until = Some(number(rest)),
            "handle" => brought.handle = rest.as_bytes().to_vec(),
            "fact" => {
                let (name, value) = rest.split_once(' ').expect("a name and a value");
                brought.facts.push(fact(name, value));
            }
            "failure" => return Err(failed(rest)),
            other => panic!("the script has {other:?}"),
        }
    }
    Ok(is_any.then_some(brought))
}

fn post(settings: &Settings, function: &str, held: Option<&Tokens>) -> Result<String, String> {
    let url = format!("{}/{function}", settings.text("url"));
    let payload = held.map(|tokens| tokens.payload.clone()).unwrap_or_default();
    let mut request = Request::get(&url).method(Method::Post).header("content-length", payload.len().to_string());
    if let Some(tokens) = held.filter(|tokens| !tokens.handle.is_empty()) {
        request = request.header("handle", tokens.handle.clone());
    }
    request.body(payload).send()?.text()
}

fn number(text: &str) -> u64 {
    text.parse().expect("milliseconds")
}

fn failed(text: &str) -> Failure {
    let (kind, message) = text.split_once(' ').expect("a kind and a message");
    match kind {
        "denied" => failure(Next::Denied, message),
        "misconfigured" => failure(Next::Misconfigured, message),
        "unavailable" => failure(Next::Unavailable, message),
        "ended" => failure(Next::Ended, message),
        "attention" => failure(Next::Attention, message),
        "throttled" => {
            let (millis, message) = message.split_once(' ').expect("a time and a message");
            Failure { retry_after_ms: Some(number(millis)), ..failure(Next::Throttled, message) }
        }
        other => panic!("the script has the failure {other:?}"),
    }
}
