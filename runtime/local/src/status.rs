//! What the status of a coordinator and that of a worker have in common.

use deputy_core::failure::FailureRecord;
use deputy_core::{Fact, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The last failure of a provider or a receiver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FailureStatus {
    /// One of the words of the exit codes, or `throttled`.
    pub kind: String,
    pub message: String,
    /// The service's own code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What else the component says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<FactStatus>,
    /// RFC 3339.
    pub at: String,
}

/// A fact in a component's words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FactStatus {
    pub name: String,
    pub value: String,
}

impl From<&FailureRecord> for FailureStatus {
    fn from(FailureRecord { failure, at }: &FailureRecord) -> Self {
        Self {
            kind: failure.kind.to_string(),
            message: failure.message.clone(),
            code: failure.code.clone(),
            facts: failure.facts.iter().map(FactStatus::from).collect(),
            at: at.to_string(),
        }
    }
}

impl From<&Fact> for FactStatus {
    fn from(fact: &Fact) -> Self {
        Self { name: fact.name.clone(), value: fact.value.clone() }
    }
}

/// How long a lease is valid in milliseconds, negative if it has expired; `None` if it does not expire.
pub fn valid_for_millis(now: Timestamp, valid_until: Timestamp) -> Option<i64> {
    (valid_until != Timestamp::FOREVER).then(|| signed_millis(now, valid_until))
}

/// The time from one moment to another in milliseconds, negative if the other is earlier.
pub fn signed_millis(from: Timestamp, to: Timestamp) -> i64 {
    let difference = i128::from(to.as_millis()) - i128::from(from.as_millis());
    i64::try_from(difference).unwrap_or(i64::MAX)
}
