//! Why the coordinator says no.

use std::fmt;
use std::str::FromStr;

use crate::message::Refusal;

/// What kind of no it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ErrorCode {
    /// The join string is not good, for whatever reason.
    BadJoin,
    /// An operator keeps the worker out.
    Banned,
    /// A clock is not to be trusted now: try again.
    Clock,
    /// There is no such component for the group.
    Component,
    /// The certificate has ended, by the coordinator's clock.
    Expired,
    /// The coordinator failed: try again.
    Internal,
    /// The worker's identity was used twice.
    Locked,
    /// It makes no sense.
    Malformed,
    /// The worker's group does not get the instance.
    NotDelivered,
    /// The certificate was replaced by a newer one, which was used.
    OldKey,
    /// Another connection of the same worker took its place.
    Replaced,
    /// An operator removed the worker.
    Removed,
    /// The worker does this too often: try again later.
    Throttled,
    /// Nobody knows the worker.
    Unknown,
}

/// A no, with its reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ProtocolError {
    /// For programs.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
    /// The instance or component that it is about, if it is about one.
    pub subject: String,
}

/// A text is no code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a code of a refusal")]
pub struct ErrorCodeError;

const CODES: [(ErrorCode, &str); 14] = [
    (ErrorCode::BadJoin, "bad-join"),
    (ErrorCode::Banned, "banned"),
    (ErrorCode::Clock, "clock"),
    (ErrorCode::Component, "component"),
    (ErrorCode::Expired, "expired"),
    (ErrorCode::Internal, "internal"),
    (ErrorCode::Locked, "locked"),
    (ErrorCode::Malformed, "malformed"),
    (ErrorCode::NotDelivered, "not-delivered"),
    (ErrorCode::OldKey, "old-key"),
    (ErrorCode::Replaced, "replaced"),
    (ErrorCode::Removed, "removed"),
    (ErrorCode::Throttled, "throttled"),
    (ErrorCode::Unknown, "unknown"),
];

impl ErrorCode {
    /// Whether it passes when a clock is set right.
    pub(crate) fn is_about_clocks(self) -> bool {
        matches!(self, Self::Clock | Self::Expired)
    }

    /// Whether what was asked for may be asked for again on the same connection.
    pub(crate) fn is_passing(self) -> bool {
        matches!(self, Self::Clock | Self::Internal | Self::Throttled)
    }

    /// Whether the worker has to join again, or never may: coming back as it is does not help. What depends on somebody's
    /// clock is not final: clocks are set wrong, and set right again.
    pub fn is_final(self) -> bool {
        matches!(self, Self::BadJoin | Self::Banned | Self::Locked | Self::OldKey | Self::Removed | Self::Unknown)
    }
}

impl ProtocolError {
    /// The coordinator's clock says that a worker's certificate has ended.
    pub fn expired() -> Self {
        Self::new(ErrorCode::Expired, "the worker's certificate has expired: compare the clocks, or join again")
    }

    /// A no that is about nothing in particular.
    pub fn new(code: ErrorCode, message: impl fmt::Display) -> Self {
        Self { code, message: message.to_string(), subject: String::new() }
    }

    /// A no about an instance or a component.
    pub fn about(code: ErrorCode, subject: impl fmt::Display, message: impl fmt::Display) -> Self {
        Self { code, message: message.to_string(), subject: subject.to_string() }
    }
}

impl FromStr for ErrorCode {
    type Err = ErrorCodeError;

    fn from_str(text: &str) -> Result<Self, ErrorCodeError> {
        CODES.iter().find(|(_, word)| *word == text).map(|(code, _)| *code).ok_or(ErrorCodeError)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(CODES.iter().find(|(code, _)| code == self).map_or("internal", |(_, word)| word))
    }
}

impl From<ProtocolError> for Refusal {
    fn from(refusal: ProtocolError) -> Self {
        Self { code: refusal.code.to_string(), message: refusal.message, subject: refusal.subject }
    }
}

impl From<Refusal> for ProtocolError {
    /// A code of a later version is taken for a failure that may pass.
    fn from(refused: Refusal) -> Self {
        let plain = |text: &str| text.chars().filter(|c| !c.is_control()).take(400).collect();
        Self {
            code: refused.code.parse().unwrap_or(ErrorCode::Internal),
            message: plain(&refused.message),
            subject: plain(&refused.subject),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_survives_the_way_over_the_wire() {
        for (code, _) in CODES {
            let refusal = ProtocolError::about(code, "s3-prod", "it says why");
            assert_eq!(ProtocolError::from(Refusal::from(refusal.clone())), refusal);
            assert_eq!(code.to_string().parse(), Ok(code));
        }
    }

    #[test]
    fn a_code_that_nobody_knows_may_pass() {
        let refused =
            Refusal { code: "of-tomorrow".to_owned(), message: "a\u{1b}[31m\nb".to_owned(), subject: String::new() };
        let refusal = ProtocolError::from(refused);
        assert_eq!((refusal.code, refusal.message.as_str()), (ErrorCode::Internal, "a[31mb"));
        assert!(!refusal.code.is_final());
    }
}
