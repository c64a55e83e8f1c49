//! The clocks of this machine, as the schedule and the worker take them.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use deputy_core::Timestamp;
use deputy_core::schedule::{MonotonicTime, Now};

/// Reads both clocks.
pub trait Clock: Send + Sync {
    /// What they show.
    fn now(&self) -> Now;
}

/// The machine's own.
#[derive(Debug)]
pub struct SystemClock {
    begin: Instant,
}

impl Default for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock in this crate")]
    fn default() -> Self {
        Self { begin: Instant::now() }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clocks in this crate")]
    fn now(&self) -> Now {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let went_by = Instant::now().saturating_duration_since(self.begin);
        let millis = |span: std::time::Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Now { mono: MonotonicTime::from_millis(millis(went_by)), wall: Timestamp::from_millis(millis(since)) }
    }
}
