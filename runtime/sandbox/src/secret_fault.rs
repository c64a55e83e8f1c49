//! Why using a secret failed, for the operator: a component only learns that the secret is not available.

use std::fmt;

/// Faults of one call beyond these are in the log only.
pub(crate) const MAX_FAULTS: usize = 16;

/// Why using a secret failed. Never holds a value or a part of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretFault {
    /// Its source gave no value. A retry may succeed.
    Source(String),
    /// Its value does not fit its use: only another value or another grant fixes that.
    Value(String),
}

impl fmt::Display for SecretFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(text) | Self::Value(text) => f.write_str(text),
        }
    }
}
