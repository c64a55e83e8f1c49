//! What the status of a coordinator and that of a worker have in common.

use deputy_core::Timestamp;
use deputy_core::failure::FailureRecord;
use serde::{Deserialize, Serialize};

/// The last failure of a provider or a receiver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailureStatus {
    /// One of the words of the exit codes, or `throttled`.
    pub kind: String,
    pub message: String,
    /// RFC 3339.
    pub at: String,
}

impl From<&FailureRecord> for FailureStatus {
    fn from(failure: &FailureRecord) -> Self {
        Self { kind: failure.kind.to_string(), message: failure.message.clone(), at: failure.at.to_string() }
    }
}

/// The time from one moment to another in milliseconds, negative if the other is earlier.
pub fn signed_millis(from: Timestamp, to: Timestamp) -> i64 {
    let difference = i128::from(to.as_millis()) - i128::from(from.as_millis());
    i64::try_from(difference).unwrap_or(i64::MAX)
}
