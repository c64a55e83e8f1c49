//! What every crate would write again: clocks and timers, rate limits, backoff.
//!
//! **Never** does I/O, draws a random number, or holds a rule of Deputy's.

mod backoff;
mod clock;
mod rate_limiter;
mod timer;

pub use self::backoff::Backoff;
pub use self::clock::SystemClock;
pub use self::rate_limiter::{KeyedRateLimiter, RateLimiter};
pub use self::timer::{pause, timer_now};
