//! Asks the host for the time, for ever: each call is short.

use hostile_guests::guest;
use hostile_guests::wasip2::clocks::monotonic_clock;

guest!(|_| loop {
    monotonic_clock::now();
});
