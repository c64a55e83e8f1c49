//! The wall clock, read in one place.

use std::time::{SystemTime, UNIX_EPOCH};

use deputy_core::Timestamp;

/// Now.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock in this crate")]
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
