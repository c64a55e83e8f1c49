//! One trial, and what may come of it.

use deputy_core::Span;
use deputy_core::failure::{FailureKind, FailureNext};
use deputy_sandbox::CallError;

use super::hidden::Hidden;
use crate::file::CallEntry;
use crate::mismatch::Mismatch;
use crate::outcome::Outcome;

/// A call with one thing changed.
pub(super) struct Trial {
    pub(super) name: String,
    pub(super) call: CallEntry,
    pub(super) rule: Rule,
}

/// What may come of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Success or failure, in the contract's words.
    NoTrap,
    /// The same, and a limit may end it.
    NoTrapUnlessOverLimit,
    /// A failure of one of these kinds.
    Fails(&'static [FailureKind]),
    /// Success, or a failure of one of these kinds.
    MayFail(&'static [FailureKind]),
    Succeeds,
    /// A failure that has the service's own delay.
    Waits(Span),
}

impl Trial {
    pub(super) fn judge(&self, outcome: &Outcome, hidden: &Hidden) -> Vec<Mismatch> {
        let mut wrong = Vec::new();
        let found = described(outcome);
        let is_sound = match &outcome.answer {
            Ok(_) => true,
            // That a limit ended it is the host's doing: the rule says whether that may be.
            Err(CallError::Limit(_)) => true,
            Err(CallError::Failure(_) | CallError::Interrupted(_)) => outcome.failure != Some(FailureKind::Broken),
            Err(CallError::Invalid(_) | CallError::Trap { .. } | CallError::Internal(_)) => false,
        };
        if !is_sound {
            wrong.push(Mismatch::new("result", "an answer or a failure of the contract", &found));
        } else if let Some(expected) = self.rule.broken_by(outcome) {
            wrong.push(Mismatch::new("result", expected, &found));
        }
        wrong.extend(hidden.shown_by(outcome));
        wrong
    }
}

impl Rule {
    /// What was expected, if something else came.
    fn broken_by(self, outcome: &Outcome) -> Option<String> {
        match self {
            Self::NoTrap => {
                let over = outcome.failure == Some(FailureKind::OverLimit);
                over.then(|| "an answer or a failure within the limits".to_owned())
            }
            Self::NoTrapUnlessOverLimit => None,
            Self::Fails(kinds) => {
                let fits = outcome.failure.is_some_and(|kind| kinds.contains(&kind));
                let words: Vec<_> = kinds.iter().map(|kind| kind.word()).collect();
                (!fits).then(|| format!("a failure: {}", words.join(" or ")))
            }
            Self::MayFail(kinds) => {
                if outcome.answer.is_ok() {
                    None
                } else {
                    Self::Fails(kinds).broken_by(outcome)
                }
            }
            Self::Succeeds => outcome.answer.is_err().then(|| "success".to_owned()),
            Self::Waits(span) => {
                let waits = matches!(&outcome.answer, Err(CallError::Failure(failure))
                    if failure.next == FailureNext::Throttled && failure.retry_after == Some(span));
                (!waits).then(|| format!("a failure: throttled, with a delay of {span}"))
            }
        }
    }
}

fn described(outcome: &Outcome) -> String {
    match (&outcome.answer, outcome.failure) {
        (Ok(_), _) => "success".to_owned(),
        (Err(CallError::Failure(failure)), Some(kind)) => format!("{}: {}", kind.word(), failure.message),
        (Err(error), kind) => format!("{}: {error}", kind.map(FailureKind::word).unwrap_or_default()),
    }
}
