//! One trial, and what may come of it.

use deputy_config::TestSubject;
use deputy_core::failure::{FailureKind, FailureNext};
use deputy_core::{ComponentFailure, Span};
use deputy_sandbox::CallError;

use crate::file::CallEntry;
use crate::mismatch::Mismatch;
use crate::outcome::{ComponentAnswer, Outcome};

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
    /// A failure that has the service's own delay.
    Waits(Span),
}

/// What no failure may show.
pub(super) struct Hidden(Vec<Vec<u8>>);

/// Shorter values stand in texts by chance.
const LEAST_HIDDEN: usize = 6;

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

impl Hidden {
    /// The mock secrets, what was delivered, and what the good call obtained.
    pub(super) fn of(component: &TestSubject, good: &CallEntry, outcome: &Outcome) -> Self {
        let mut values = Vec::new();
        if let TestSubject::Provider(tested) = component {
            values.extend(tested.mocks.values().map(|value| value.expose().to_vec()));
        }
        if let Ok(ComponentAnswer::Tokens(tokens)) = &outcome.answer {
            values.push(tokens.payload.expose().to_vec());
            values.push(tokens.handle.expose().to_vec());
        }
        for delivery in &good.deliveries {
            values.extend(delivery.payload.clone().map(String::into_bytes));
            values.extend(delivery.json.iter().map(|json| json.to_string().into_bytes()));
        }
        values.retain(|value| value.len() >= LEAST_HIDDEN);
        Self(values)
    }

    fn shown_by(&self, outcome: &Outcome) -> Option<Mismatch> {
        let mut texts = vec![outcome.stderr.clone()];
        match &outcome.answer {
            Err(CallError::Failure(failure)) => texts.extend(words(failure)),
            Err(error) => texts.push(error.to_string()),
            Ok(ComponentAnswer::Accepted(accepted)) => texts.extend(accepted.rejected.values().flat_map(words)),
            Ok(_) => {}
        }
        let shows = |text: &String, value: &[u8]| text.as_bytes().windows(value.len()).any(|window| window == value);
        let is_shown = texts.iter().any(|text| self.0.iter().any(|value| shows(text, value)));
        is_shown.then(|| Mismatch::new("texts of the failure", "no secret", "a secret or a payload"))
    }
}

fn words(failure: &ComponentFailure) -> Vec<String> {
    let mut words = vec![failure.message.clone()];
    words.extend(failure.code.clone());
    words.extend(failure.setting.clone());
    words.extend(failure.facts.iter().flat_map(|fact| [fact.name.clone(), fact.value.clone()]));
    words
}
