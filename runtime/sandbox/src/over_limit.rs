//! A call over one of its limits.

use deputy_core::Limit;

/// A limit was exceeded. Wraps into wasmtime's error and is recovered at the end of the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("over the limit `{0}`")]
pub(crate) struct OverLimit(pub(crate) Limit);
