//! Why a call brought nothing, as far as the schedule has to know.

use std::fmt;

use crate::{ProviderFailure, Span, Timestamp};

/// A failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureRecord {
    /// What to do next.
    pub kind: FailureKind,
    /// For the operator. It may hold a component's words, which are bounded and printable, and not trusted.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

/// The kinds of failures. Their words are the ones of the exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureKind {
    /// The component broke off, or its answer was not valid.
    Broken,
    /// The service understood and refused.
    Denied,
    /// The host is at fault.
    Internal,
    /// A setting, secret, grant or component is missing or wrong.
    Misconfigured,
    /// The component went over one of its limits.
    OverLimit,
    /// The sandbox refused something that the component tried.
    Refused,
    /// The service asked to wait this long.
    Throttled(Span),
    /// No answer, or one that says "later".
    Unavailable,
}

impl FailureKind {
    /// One of each.
    pub const ALL: [Self; 8] = [
        Self::Broken,
        Self::Denied,
        Self::Internal,
        Self::Misconfigured,
        Self::OverLimit,
        Self::Refused,
        Self::Throttled(Span::secs(0)),
        Self::Unavailable,
    ];

    /// Whether only a change of the configuration or of the account will mend it.
    pub fn is_slow(self) -> bool {
        matches!(self, Self::Denied | Self::Misconfigured | Self::Refused)
    }

    /// One word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Broken => "broken",
            Self::Denied => "denied",
            Self::Internal => "internal",
            Self::Misconfigured => "misconfigured",
            Self::OverLimit => "over-limit",
            Self::Refused => "refused",
            Self::Throttled(_) => "throttled",
            Self::Unavailable => "unavailable",
        }
    }
}

impl FailureRecord {
    /// What a component said.
    pub fn of(failure: &ProviderFailure, at: Timestamp) -> Self {
        let kind = match failure {
            ProviderFailure::Denied(_) => FailureKind::Denied,
            ProviderFailure::Misconfigured(_) => FailureKind::Misconfigured,
            ProviderFailure::Throttled { retry_after, .. } => FailureKind::Throttled(*retry_after),
            ProviderFailure::Unavailable(_) => FailureKind::Unavailable,
        };
        Self { kind, message: failure.to_string(), at }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
