//! How a call can fail, and the record of a failure.

use std::fmt;

use crate::time::{Span, Timestamp};

/// Why a provider failed. The texts come from a component: bounded and free of control characters, but not trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderFailure {
    /// The service understood and refused.
    #[error("denied: {0}")]
    Denied(String),
    /// A setting or grant is missing or wrong.
    #[error("misconfigured: {0}")]
    Misconfigured(String),
    /// The service asked for fewer calls.
    #[error("throttled, retry after {retry_after}: {message}")]
    Throttled {
        /// What the service said.
        message: String,
        /// The least time to wait.
        retry_after: Span,
    },
    /// No answer, or one that says "later".
    #[error("unavailable: {0}")]
    Unavailable(String),
}

/// A failure, as the operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureRecord {
    pub kind: FailureKind,
    /// It may hold a component's words, which are bounded and printable, and not trusted.
    pub message: String,
    pub at: Timestamp,
}

/// What went wrong, which decides about the retry and about the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureKind {
    /// The component trapped, or its answer was not valid.
    Broken,
    /// The service understood and refused.
    Denied,
    /// The host is at fault.
    Internal,
    /// A setting, secret, grant or component is missing or wrong.
    Misconfigured,
    /// The component exceeded one of its limits.
    OverLimit,
    /// The sandbox denied something that the component tried.
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

    /// Whether only a change of the configuration or of the account can mend it.
    pub fn is_slow(self) -> bool {
        matches!(self, Self::Denied | Self::Misconfigured | Self::Refused)
    }

    /// Its name in metrics, status and exit codes.
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

impl From<&ProviderFailure> for FailureKind {
    fn from(failure: &ProviderFailure) -> Self {
        match failure {
            ProviderFailure::Denied(_) => Self::Denied,
            ProviderFailure::Misconfigured(_) => Self::Misconfigured,
            ProviderFailure::Throttled { retry_after, .. } => Self::Throttled(*retry_after),
            ProviderFailure::Unavailable(_) => Self::Unavailable,
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
