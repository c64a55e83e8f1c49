//! The clocks, read in one place.

use std::time::{SystemTime, UNIX_EPOCH};

use deputy_core::Timestamp;

/// Now, by the clock on the wall.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock in this crate")]
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The same, as files have it.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock in this crate")]
pub(crate) fn system() -> SystemTime {
    SystemTime::now()
}

/// Now, by the clock that only goes forward; stands still where a test pauses it.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock in this crate")]
pub(crate) fn monotonic() -> tokio::time::Instant {
    tokio::time::Instant::now()
}
