//! Why using a secret failed: for the operator alone, since a component is told no more than that it is not available.

use std::fmt;

/// More of them are in the log only.
pub(crate) const MAX_FAULTS: usize = 16;

/// Why using a secret failed. It never holds a value, nor a part of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretFault {
    /// Its source gave no value. It may give one later.
    Source(String),
    /// Its value is not what it is used for: only another value, or another grant, mends that.
    Value(String),
}

impl fmt::Display for SecretFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(text) | Self::Value(text) => f.write_str(text),
        }
    }
}
