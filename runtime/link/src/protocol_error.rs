//! Refusals on the link.

use std::fmt;
use std::str::FromStr;

use crate::message::Refusal;

/// The code of a refusal. docs/link.md describes them for authors of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ErrorCode {
    /// The join string is not valid.
    BadJoin,
    /// An operator banned the worker.
    Banned,
    /// The coordinator's clock is not steady: retry.
    Clock,
    /// The group has no such component.
    Component,
    /// The certificate has expired by the coordinator's clock.
    Expired,
    /// The coordinator failed: retry.
    Internal,
    /// The worker's identity was used twice.
    Locked,
    /// A message is not valid.
    Malformed,
    /// The worker's group may not have the instance.
    NotDelivered,
    /// A newer certificate is in use.
    OldKey,
    /// Another connection of the same worker replaces this one.
    Replaced,
    /// An operator removed the worker.
    Removed,
    /// The worker does this too often: retry later.
    Throttled,
    /// The coordinator does not know the worker.
    Unknown,
}

/// A refusal of the coordinator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ProtocolError {
    pub code: ErrorCode,
    pub message: String,
    /// The instance or the component's digest that it is about; empty if there is none.
    pub subject: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a refusal code")]
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
    /// Whether a correction of a clock would help.
    pub(crate) fn is_about_clocks(self) -> bool {
        matches!(self, Self::Clock | Self::Expired)
    }

    /// Whether the request may be repeated on the same connection.
    pub(crate) fn is_transient(self) -> bool {
        matches!(self, Self::Clock | Self::Internal | Self::Throttled)
    }

    /// Whether reconnecting cannot succeed: the worker has to join again, or may not. A refusal that depends on a clock is not
    /// final, since the clock may be corrected.
    pub fn is_final(self) -> bool {
        matches!(self, Self::BadJoin | Self::Banned | Self::Locked | Self::OldKey | Self::Removed | Self::Unknown)
    }
}

impl ProtocolError {
    pub fn expired() -> Self {
        Self::new(ErrorCode::Expired, "the worker's certificate has expired: compare the clocks, or join again")
    }

    pub fn new(code: ErrorCode, message: impl fmt::Display) -> Self {
        Self { code, message: message.to_string(), subject: String::new() }
    }

    /// A refusal about an instance or a component.
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
    /// An unknown code of a later version counts as `internal`.
    fn from(refusal: Refusal) -> Self {
        Self {
            code: refusal.code.parse().unwrap_or(ErrorCode::Internal),
            message: printable(&refusal.message, MAX_TEXT),
            subject: printable(&refusal.subject, MAX_TEXT),
        }
    }
}

/// Characters of a text from the coordinator that are kept.
const MAX_TEXT: usize = 400;

/// The first characters of a peer's text, without those that control a terminal.
pub(crate) fn printable(text: &str, max: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(max).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_survives_encoding() {
        for (code, _) in CODES {
            let refusal = ProtocolError::about(code, "s3-prod", "the reason");
            assert_eq!(ProtocolError::from(Refusal::from(refusal.clone())), refusal);
            assert_eq!(code.to_string().parse(), Ok(code));
        }
    }

    #[test]
    fn refusal_with_an_unknown_code_is_transient() {
        let message =
            Refusal { code: "of-tomorrow".to_owned(), message: "a\u{1b}[31m\nb".to_owned(), subject: String::new() };
        let refusal = ProtocolError::from(message);
        assert_eq!((refusal.code, refusal.message.as_str()), (ErrorCode::Internal, "a[31mb"));
        assert!(!refusal.code.is_final());
    }
}
