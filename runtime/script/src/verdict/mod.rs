//! What came of a call against what is expected of it.

mod failure;
mod tokens;

use std::collections::BTreeMap;

use deputy_core::{Accepted, PolicyDenial, SecretBytes};
use serde_json::Value;

use crate::file::{Expect, TextMatch, UsageBounds, match_json};
use crate::mismatch::Mismatch;
use crate::outcome::{ComponentAnswer, Outcome};
use crate::uses::permitted_uses;

pub(crate) use tokens::ExpectedTokens;

/// Compares what is in a call's outcome alone.
pub(crate) fn judge(expect: &Expect, outcome: &Outcome, times: ExpectedTokens<'_>) -> Vec<Mismatch> {
    let mut wrong = failure::judge(expect.failure.as_ref(), outcome);
    match &outcome.answer {
        Ok(ComponentAnswer::Tokens(tokens)) => wrong.extend(times.judge(expect, tokens)),
        Ok(answer) if expect.names_tokens() => {
            wrong.push(Mismatch::new("result", "tokens", kind_of(answer)));
        }
        _ => {}
    }
    if let Some(expected) = &expect.value {
        wrong.extend(value(expected, &outcome.answer));
    }
    wrong.extend(accepted(expect, &outcome.answer));
    if let Some(expected) = &expect.uses {
        wrong.extend(lists("uses of capabilities", expected, permitted_uses(&outcome.events)));
    }
    let refused = outcome.denials.iter().map(code).collect();
    wrong.extend(lists("refused", &expect.refused, refused));
    wrong.extend(within(&expect.within, outcome));
    if let Some(expected) = &expect.stderr {
        wrong.extend(expected.check("stderr", Some(outcome.stderr.as_bytes())));
    }
    wrong
}

/// Compares the instance's state after the call.
pub(crate) fn judge_state(expected: &TextMatch, state: Option<&SecretBytes>) -> Vec<Mismatch> {
    expected.check("state", state.map(SecretBytes::expose))
}

fn kind_of(answer: &ComponentAnswer) -> &'static str {
    match answer {
        ComponentAnswer::ServiceName(_) => "the name of a service",
        ComponentAnswer::Kinds(_) => "kinds of payload",
        ComponentAnswer::TokensRequired(_) => "whether tokens are required",
        ComponentAnswer::Tokens(_) => "tokens",
        ComponentAnswer::Accepted(_) => "files",
        ComponentAnswer::Nothing => "success, without a value",
    }
}

fn value(expected: &Value, answer: &Result<ComponentAnswer, deputy_sandbox::CallError>) -> Vec<Mismatch> {
    let found = match answer {
        Ok(ComponentAnswer::ServiceName(name)) => Value::from(name.as_str()),
        Ok(ComponentAnswer::Kinds(kinds)) => Value::from(kinds.as_slice()),
        Ok(ComponentAnswer::TokensRequired(required)) => Value::from(*required),
        Ok(other) => return vec![Mismatch::new("value", expected, kind_of(other))],
        Err(_) => return vec![Mismatch::new("value", expected, "a failure")],
    };
    match_json("value", expected, &found)
}

fn accepted(expect: &Expect, answer: &Result<ComponentAnswer, deputy_sandbox::CallError>) -> Vec<Mismatch> {
    let nothing = BTreeMap::new();
    let accepted = match answer {
        Ok(ComponentAnswer::Accepted(accepted)) => Some(accepted),
        _ => None,
    };
    let mut wrong = Vec::new();
    if let Some(expected) = &expect.files {
        let files = accepted.map_or(&nothing, |accepted| &accepted.outputs.files);
        let mut names: Vec<&str> =
            expected.keys().map(String::as_str).chain(files.keys().map(|path| path.as_str())).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let found = files.iter().find(|(path, _)| path.as_str() == name).map(|(_, contents)| contents.expose());
            let expected = expected.get(name).unwrap_or(&TextMatch::Absent);
            wrong.extend(expected.check(&format!("file {name}"), found));
        }
    }
    wrong.extend(rejected(expect, accepted));
    wrong
}

fn rejected(expect: &Expect, accepted: Option<&Accepted>) -> Vec<Mismatch> {
    let nothing = BTreeMap::new();
    let found = accepted.map_or(&nothing, |accepted| &accepted.rejected);
    let mut wrong = Vec::new();
    for (instance, failure) in found.iter().filter(|(name, _)| !expect.rejected.contains_key(name.as_str())) {
        wrong.push(Mismatch::new(format!("rejection of {instance}"), "nothing", failure));
    }
    for (instance, expected) in &expect.rejected {
        let found = found.iter().find(|(name, _)| name.as_str() == instance).map(|(_, failure)| failure);
        wrong.extend(failure::rejection(&format!("rejection of {instance}"), expected, found));
    }
    wrong
}

/// The code of a denial; that of a limit with the limit's name.
pub(crate) fn code(denial: &PolicyDenial) -> String {
    match denial {
        PolicyDenial::Limit(limit) => format!("{}:{limit}", denial.code()),
        denial => denial.code().to_owned(),
    }
}

/// Compares two lists in any order.
fn lists(place: &str, expected: &[String], mut found: Vec<String>) -> Option<Mismatch> {
    let mut expected = expected.to_vec();
    expected.sort();
    found.sort();
    (expected != found).then(|| Mismatch::new(place, listed(&expected), listed(&found)))
}

fn listed(lines: &[String]) -> String {
    if lines.is_empty() { "nothing".to_owned() } else { lines.join("\n") }
}

fn within(bounds: &UsageBounds, outcome: &Outcome) -> Vec<Mismatch> {
    let usage = &outcome.usage;
    let cpu = u64::try_from(usage.cpu.as_millis()).unwrap_or(u64::MAX);
    let sizes = [
        ("memory", bounds.memory, usage.memory),
        ("bytes sent", bounds.sent, usage.sent),
        ("bytes received", bounds.received, usage.received),
    ];
    let counts = [
        ("requests", bounds.requests, usage.requests),
        ("operations on secrets", bounds.secret_operations, usage.secret_operations),
    ];
    let mut wrong = Vec::new();
    for (name, bound, used) in sizes {
        if let Some(bound) = bound.filter(|bound| used > bound.0.as_u64()) {
            wrong.push(Mismatch::new(name, format!("at most {}", bound.0), format!("{used} bytes")));
        }
    }
    for (name, bound, used) in counts {
        if let Some(bound) = bound.filter(|bound| used > *bound) {
            wrong.push(Mismatch::new(name, format!("at most {bound}"), used));
        }
    }
    if let Some(bound) = bounds.cpu.filter(|bound| cpu > bound.0.as_millis()) {
        wrong.push(Mismatch::new("processor time", format!("at most {}", bound.0), format!("{cpu} ms")));
    }
    wrong
}
