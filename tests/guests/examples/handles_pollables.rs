//! Starts thousands of timers and drops none.

use hostile_guests::wasip2::clocks::monotonic_clock;
use hostile_guests::{guest, report};

guest!(|_| {
    let held: Vec<_> = (0..100_000).map(|_| monotonic_clock::subscribe_duration(u64::MAX)).collect();
    report([held.len().to_string()])
});
