//! The text of a recorded script: its calls, what the servers answer, and what is expected.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use deputy_core::{Timestamp, TokenExpiry, Tokens, toml_string};
use deputy_sandbox::{TapedExchange, TapedResponse};
use serde_json::Value;

use super::body::AnswerBody;
use super::mocks::Mocks;
use super::record_error::RecordError;
use super::request_text;
use super::toml_text::{body, expected_json, list, table};
use crate::file::ScriptedFunction;
use crate::outcome::ComponentAnswer;
use crate::runner::Rehearsed;
use crate::uses::{permitted_uses, without_default_port};

/// Headers of a response that no component reads.
const IGNORED_RESPONSE_HEADERS: [&str; 29] = [
    "accept-ranges",
    "age",
    "alt-svc",
    "cache-control",
    "connection",
    "content-length",
    "content-security-policy",
    "cross-origin-embedder-policy",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "date",
    "etag",
    "expires",
    "keep-alive",
    "last-modified",
    "origin-agent-cluster",
    "pragma",
    "referrer-policy",
    "server",
    "set-cookie",
    "strict-transport-security",
    "transfer-encoding",
    "vary",
    "via",
    "x-content-type-options",
    "x-dns-prefetch-control",
    "x-frame-options",
    "x-powered-by",
    "x-xss-protection",
];

const FOR_BROWSERS: &str = "access-control-";

/// The lines of one call. Without what was rehearsed, nothing is expected of it.
pub(super) fn call(
    function: ScriptedFunction,
    real: &[TapedExchange],
    mocks: &Mocks,
    rehearsed: Option<(&Rehearsed, Timestamp)>,
) -> Result<String, RecordError> {
    let mut lines = "\n[[call]]\n".to_owned();
    if function != ScriptedFunction::Obtain {
        push(&mut lines, "function", &toml_string(function.word()));
    }
    for (at, exchange) in real.iter().enumerate() {
        let sent = rehearsed.and_then(|(rehearsed, _)| rehearsed.sent.get(at));
        lines.push_str("\n[[call.http]]\n[call.http.request]\n");
        request(&mut lines, exchange, sent);
        lines.push_str("[call.http.reply]\n");
        let response = exchange.response.as_ref();
        let response =
            response.ok_or(RecordError::NoAnswer { function: function.word(), request: at.saturating_add(1) })?;
        let text =
            text(response).ok_or(RecordError::Binary { function: function.word(), request: at.saturating_add(1) })?;
        reply(&mut lines, response, &text, mocks);
    }
    if let Some((rehearsed, now)) = rehearsed {
        expect(&mut lines, rehearsed, now);
    }
    Ok(lines)
}

/// The body of an answer, if it is a text.
pub(super) fn text(response: &TapedResponse) -> Option<AnswerBody> {
    let text = std::str::from_utf8(&response.body).ok().filter(|text| !text.contains('\0'))?;
    let content_type = response.headers.iter().find(|(name, _)| name == "content-type");
    Some(AnswerBody::read(text, content_type.map_or("", |(_, value)| value)))
}

/// Headers that a component may read.
pub(super) fn headers(response: &TapedResponse) -> Vec<(String, String)> {
    response.headers.iter().filter(|(name, _)| is_read(name)).cloned().collect()
}

fn is_read(name: &str) -> bool {
    !IGNORED_RESPONSE_HEADERS.contains(&name) && !name.starts_with(FOR_BROWSERS)
}

fn request(lines: &mut String, real: &TapedExchange, sent: Option<&TapedExchange>) {
    let shown = sent.unwrap_or(real);
    push(lines, "method", &toml_string(&shown.method));
    let more = sent.map(|sent| request_text::lines(sent, real)).unwrap_or_default();
    let has_query = more.iter().any(|(name, _)| name == "query");
    let target = match shown.target.split_once('?').filter(|_| has_query) {
        Some((path, _)) => path,
        None => &shown.target,
    };
    push(lines, "url", &toml_string(&format!("{}{target}", without_default_port(&shown.origin))));
    for (name, value) in &more {
        push(lines, name, value);
    }
}

fn reply(lines: &mut String, response: &TapedResponse, answer: &AnswerBody, mocks: &Mocks) {
    push(lines, "status", &response.status.to_string());
    let headers: BTreeMap<_, _> = headers(response).into_iter().collect();
    if !headers.is_empty() {
        let headers = headers.into_iter().map(|(name, value)| {
            let value = if name == "content-type" { value } else { mocks.replaced(&value) };
            (name, toml_string(&value))
        });
        push(lines, "headers", &table(headers));
    }
    if !response.body.is_empty() {
        push(lines, "body", &body(&answer.replaced(mocks)));
    }
}

fn expect(lines: &mut String, rehearsed: &Rehearsed, now: Timestamp) {
    lines.push_str("\n[call.expect]\n");
    if let Ok(ComponentAnswer::Tokens(tokens)) = &rehearsed.outcome.answer {
        expect_tokens(lines, tokens, now);
        if let Some(span) = rehearsed.replaced_in {
            push(lines, "replaced-in", &toml_string(&span.to_string()));
        }
    }
    let uses = permitted_uses(&rehearsed.outcome.events);
    push(lines, "uses", &list(uses.iter().map(|line| toml_string(line))));
    let refused: Vec<_> = rehearsed.outcome.denials.iter().map(crate::verdict::code).collect();
    if !refused.is_empty() {
        push(lines, "refused", &list(refused.iter().map(|code| toml_string(code))));
    }
    if let Some(state) = rehearsed.state.as_ref().and_then(|state| std::str::from_utf8(state.expose()).ok()) {
        push(lines, "state", &toml_string(state));
    }
}

fn expect_tokens(lines: &mut String, tokens: &Tokens, now: Timestamp) {
    push(lines, "kind", &toml_string(tokens.kind.as_str()));
    push(lines, "payload", &bytes(tokens.payload.expose()));
    if !tokens.handle.is_empty() {
        push(lines, "handle", &bytes(tokens.handle.expose()));
    }
    match tokens.expiry {
        TokenExpiry::At(at) if at.since(now).as_millis() % 1000 == 0 => {
            push(lines, "expires-in", &toml_string(&at.since(now).to_string()));
        }
        TokenExpiry::At(at) => push(lines, "expiry", &toml_string(&at.to_string())),
        TokenExpiry::Never => push(lines, "expiry", "\"never\""),
        TokenExpiry::Unknown => push(lines, "expiry", "\"unknown\""),
    }
    for (name, at) in [("next-in", tokens.next_at), ("renewable-for", tokens.renewable_until)] {
        if let Some(at) = at {
            push(lines, name, &toml_string(&at.since(now).to_string()));
        }
    }
    if !tokens.facts.is_empty() {
        let facts: BTreeMap<_, _> =
            tokens.facts.iter().map(|fact| (fact.name.clone(), toml_string(&fact.value))).collect();
        push(lines, "facts", &table(facts));
    }
}

/// What bytes are expected to be.
fn bytes(bytes: &[u8]) -> String {
    use base64::Engine as _;
    match (serde_json::from_slice::<Value>(bytes), std::str::from_utf8(bytes)) {
        (Ok(value @ Value::Object(_)), _) => format!("{{ json = {} }}", expected_json(&value)),
        (_, Ok(text)) => toml_string(text),
        (_, Err(_)) => {
            format!("{{ base64 = {} }}", toml_string(&base64::engine::general_purpose::STANDARD.encode(bytes)))
        }
    }
}

/// Writing to a string does not fail.
fn push(lines: &mut String, name: &str, value: &str) {
    writeln!(lines, "{name} = {value}").ok();
}
