//! What every crate would write again: rate limits and backoff.
//!
//! **Never** reads a clock, draws a random number, starts a task or does I/O: times and randomness are arguments.

mod backoff;
mod rate_limiter;

pub use self::backoff::Backoff;
pub use self::rate_limiter::{KeyedRateLimiter, RateLimiter};
