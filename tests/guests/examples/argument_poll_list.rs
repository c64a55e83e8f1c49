//! Waits for the same timer two million times at once.

use hostile_guests::wasip2::clocks::monotonic_clock;
use hostile_guests::wasip2::io::poll::{Pollable, poll};
use hostile_guests::{guest, report};

guest!(|_| {
    let timer = monotonic_clock::subscribe_duration(u64::MAX);
    let list: Vec<&Pollable> = (0..2_000_000).map(|_| &timer).collect();
    report([poll(&list).len().to_string()])
});
