//! How a call can fail, and the record of a failure.

use std::fmt;

use crate::Fact;
use crate::time::{Span, Timestamp};

/// Why a component failed, by its own account. The texts are bounded and on one line, and not trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{next}: {message}")]
pub struct ComponentFailure {
    /// What is to be done next.
    pub next: FailureNext,
    pub message: String,
    /// The service's own code.
    pub code: Option<String>,
    /// The setting that is wrong.
    pub setting: Option<String>,
    /// The least time to wait before the next try, if the service gave one.
    pub retry_after: Option<Span>,
    /// What else the component says.
    pub facts: Vec<Fact>,
}

/// What a component says is to be done after its failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureNext {
    /// A person has to act.
    Attention,
    /// The service understood and refused.
    Denied,
    /// What the call started from is no longer good: obtain again.
    Ended,
    /// A setting or grant is missing or wrong.
    Misconfigured,
    /// The service asked for fewer calls.
    Throttled,
    /// No answer, or one that says "later".
    Unavailable,
}

/// How a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallFailure {
    pub kind: FailureKind,
    /// It may hold a component's words, which are bounded and printable, and not trusted.
    pub message: String,
    /// The service's own code.
    pub code: Option<String>,
    /// The least time to wait before the next try, if the service gave one.
    pub retry_after: Option<Span>,
    /// What else the component says.
    pub facts: Vec<Fact>,
}

/// A failure, as the operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureRecord {
    pub failure: CallFailure,
    pub at: Timestamp,
}

/// What went wrong, which decides about the retry and about the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureKind {
    /// A person has to act: consent, a second factor, a new login.
    Attention,
    /// The component trapped, or its answer was not valid.
    Broken,
    /// The service understood and refused.
    Denied,
    /// What the call started from is no longer good.
    Ended,
    /// The host is at fault.
    Internal,
    /// A setting, secret, grant or component is missing or wrong.
    Misconfigured,
    /// The component exceeded one of its limits.
    OverLimit,
    /// The sandbox denied something that the component tried.
    Refused,
    /// The service asked for fewer calls.
    Throttled,
    /// No answer, or one that says "later".
    Unavailable,
}

impl FailureKind {
    pub const ALL: [Self; 10] = [
        Self::Attention,
        Self::Broken,
        Self::Denied,
        Self::Ended,
        Self::Internal,
        Self::Misconfigured,
        Self::OverLimit,
        Self::Refused,
        Self::Throttled,
        Self::Unavailable,
    ];

    /// Whether only a change of the configuration or of the account can mend it.
    pub fn is_slow(self) -> bool {
        matches!(self, Self::Attention | Self::Denied | Self::Misconfigured | Self::Refused)
    }

    /// Whether it may wait for a person.
    pub fn needs_person(self) -> bool {
        matches!(self, Self::Attention | Self::Ended)
    }

    /// Whether the service answered: it does not ask for fewer calls.
    pub fn is_answer(self) -> bool {
        matches!(self, Self::Attention | Self::Denied | Self::Ended)
    }

    /// Its name in metrics, status and exit codes.
    pub fn word(self) -> &'static str {
        match self {
            Self::Attention => "attention",
            Self::Broken => "broken",
            Self::Denied => "denied",
            Self::Ended => "ended",
            Self::Internal => "internal",
            Self::Misconfigured => "misconfigured",
            Self::OverLimit => "over-limit",
            Self::Refused => "refused",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
        }
    }
}

impl CallFailure {
    /// A failure without a component's words.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), code: None, retry_after: None, facts: Vec::new() }
    }
}

/// A failure in a component's words alone.
impl From<&ComponentFailure> for CallFailure {
    fn from(failure: &ComponentFailure) -> Self {
        Self {
            kind: failure.next.into(),
            message: failure.message.clone(),
            code: failure.code.clone(),
            retry_after: failure.retry_after,
            facts: failure.facts.clone(),
        }
    }
}

impl From<FailureNext> for FailureKind {
    fn from(next: FailureNext) -> Self {
        match next {
            FailureNext::Attention => Self::Attention,
            FailureNext::Denied => Self::Denied,
            FailureNext::Ended => Self::Ended,
            FailureNext::Misconfigured => Self::Misconfigured,
            FailureNext::Throttled => Self::Throttled,
            FailureNext::Unavailable => Self::Unavailable,
        }
    }
}

impl fmt::Display for FailureNext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        FailureKind::from(*self).fmt(f)
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
