//! Sleeps for centuries inside the host.

use hostile_guests::wasip2::clocks::monotonic_clock;
use hostile_guests::{guest, report};

guest!(|_| {
    monotonic_clock::subscribe_duration(u64::MAX).block();
    report(["woke".to_owned()])
});
