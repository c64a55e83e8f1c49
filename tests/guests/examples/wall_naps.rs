//! Sleeps again and again, never for long: no single call of the host takes much time.

use hostile_guests::guest;
use hostile_guests::wasip2::clocks::monotonic_clock;

guest!(|_| loop {
    monotonic_clock::subscribe_duration(1_000_000).block();
});
