//! Failures.

use deputy_core::ComponentFailure;
use deputy_core::failure::FailureKind;
use deputy_sandbox::CallError;

use crate::file::FailureMatch;
use crate::mismatch::Mismatch;
use crate::outcome::Outcome;

/// Compares a call's failure, or that there is none.
pub(super) fn judge(expected: Option<&FailureMatch>, outcome: &Outcome) -> Vec<Mismatch> {
    let Some(expected) = expected else {
        return match &outcome.answer {
            Ok(_) => Vec::new(),
            Err(error) => vec![Mismatch::new("result", "success", described(outcome, error))],
        };
    };
    let error = match &outcome.answer {
        Ok(_) => return vec![Mismatch::new("result", format!("the failure `{}`", expected.kind), "success")],
        Err(error) => error,
    };
    let kind = outcome.failure.map(FailureKind::word).unwrap_or_default();
    if kind != expected.kind {
        return vec![Mismatch::new("kind of failure", &expected.kind, described(outcome, error))];
    }
    match error {
        CallError::Failure(failure) => compare("failure", expected, failure),
        error => {
            let message = error.to_string();
            let mut wrong = Vec::new();
            wrong.extend(expected.message.iter().flat_map(|text| text.check("message", Some(message.as_bytes()))));
            wrong
        }
    }
}

/// Compares the rejection of a delivery.
pub(super) fn rejection(place: &str, expected: &FailureMatch, found: Option<&ComponentFailure>) -> Vec<Mismatch> {
    let Some(failure) = found else { return vec![Mismatch::new(place, &expected.kind, "nothing")] };
    if FailureKind::from(failure.next).word() != expected.kind {
        return vec![Mismatch::new(place, &expected.kind, failure)];
    }
    compare(place, expected, failure)
}

fn compare(place: &str, expected: &FailureMatch, failure: &ComponentFailure) -> Vec<Mismatch> {
    let texts = [
        ("message", &expected.message, Some(failure.message.as_str())),
        ("code", &expected.code, failure.code.as_deref()),
        ("setting", &expected.setting, failure.setting.as_deref()),
    ];
    let mut wrong = Vec::new();
    for (name, expected, found) in texts {
        let Some(expected) = expected else { continue };
        wrong.extend(expected.check(&format!("{place}, {name}"), found.map(str::as_bytes)));
    }
    if let Some(expected) = expected.retry_after.filter(|span| failure.retry_after != Some(span.0)) {
        let found = failure.retry_after.map_or_else(|| "nothing".to_owned(), |span| span.to_string());
        wrong.push(Mismatch::new(format!("{place}, retry-after"), expected.0, found));
    }
    wrong
}

fn described(outcome: &Outcome, error: &CallError) -> String {
    let kind = outcome.failure.map(FailureKind::word).unwrap_or_default();
    match error {
        CallError::Failure(failure) => format!("{kind}: {}", failure.message),
        error => format!("{kind}: {error}"),
    }
}
