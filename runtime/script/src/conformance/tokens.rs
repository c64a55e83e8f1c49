//! The rules of renewal and revocation: those of `obtain`, and that any tokens may come.

use deputy_config::TestSubject;
use deputy_core::Tokens;

use super::provider::{late, odd_settings, without_settings};
use super::trial::{Rule, Trial};
use super::{replies, without_expectations};
use crate::file::{CallEntry, Parsed, ScriptedFunction, TokensEntry};

/// Payloads and handles that no provider returned.
const ODD_TEXTS: [(&str, &str); 5] = [
    ("empty", ""),
    ("garbage", "\u{0}\u{1}garbage"),
    ("not ASCII", "é\u{202e}"),
    ("a page of HTML", "<html></html>"),
    ("an empty object", "{}"),
];
/// A payload that is larger than any.
const LARGE: usize = 900_000;

/// Every trial of `renew` or `revoke`.
pub(super) fn trials(component: &TestSubject, good: &CallEntry, held: &Tokens) -> Vec<Trial> {
    let TestSubject::Provider(tested) = component else { return Vec::new() };
    let functions = [good.function];
    let mut trials = without_settings(good, &functions);
    trials.extend(odd_settings(tested, good, &functions));
    trials.extend(replies::trials(good));
    trials.extend(odd_tokens(good, held));
    trials.push(late(good));
    if good.function == ScriptedFunction::Revoke {
        for (name, rule) in [("revoke", Rule::Succeeds), ("revoke again", Rule::Succeeds)] {
            trials.push(Trial { name: name.to_owned(), call: without_expectations(good), rule });
        }
    }
    trials
}

fn odd_tokens(good: &CallEntry, held: &Tokens) -> Vec<Trial> {
    let word = good.function.word();
    let large = "x".repeat(LARGE);
    let mut trials = Vec::new();
    let mut push = |name: String, payload: &str, handle: &str| {
        let tokens = TokensEntry {
            kind: Parsed(held.kind.clone()),
            payload: payload.to_owned(),
            handle: handle.to_owned(),
            expires_in: None,
        };
        let call = CallEntry { tokens: Some(tokens), ..without_expectations(good) };
        trials.push(Trial { name, call, rule: Rule::NoTrap });
    };
    let payload = String::from_utf8_lossy(held.payload.expose());
    let handle = String::from_utf8_lossy(held.handle.expose());
    for (kind, text) in ODD_TEXTS {
        push(format!("{word} with a payload that is {kind}"), text, &handle);
        push(format!("{word} with a handle that is {kind}"), &payload, text);
    }
    push(format!("{word} with a payload that is very large"), &large, &handle);
    trials
}
