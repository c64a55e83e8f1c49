//! The wall clock.

use crate::types::Timestamp;
use wasip2::clocks::wall_clock;

/// The host's time, in milliseconds since 1970.
#[must_use]
pub fn now() -> Timestamp {
    let now = wall_clock::now();
    now.seconds.saturating_mul(1000).saturating_add(u64::from(now.nanoseconds) / 1_000_000)
}
