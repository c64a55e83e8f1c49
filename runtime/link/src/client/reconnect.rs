//! When to reconnect.

use std::time::Duration;

use deputy_core::Span;
use deputy_support::{Backoff, timer_now};
use fastrand::Rng;
use tokio::time::Instant;

use super::connection_lost::ConnectionLost;

/// The shortest delay before an attempt that follows a failed one.
pub const MIN_DELAY: Span = Span::millis(100);
/// The longest delay before an attempt.
pub const MAX_DELAY: Span = Span::secs(30);

/// A connection that lasted this long resets the backoff. A shorter one counts as a failure, whatever ended it.
pub(super) const STABLE: Duration = Duration::from_secs(10);

/// The longest delay after a complete connection that broke: a coordinator that restarts now and then is back soon.
pub(super) const MAX_DELAY_AFTER_BREAK: Span = Span::secs(5);

pub(super) struct Reconnect {
    /// The time within which all workers return, as the coordinator names it.
    pub(super) spread: Span,
    /// When the present connection had the whole snapshot.
    pub(super) connected_at: Option<Instant>,
    /// After connections without a whole snapshot.
    attempts: Backoff,
    /// After connections that were complete and did not last.
    losses: Backoff,
}

impl Reconnect {
    pub(super) fn new() -> Self {
        Self {
            spread: Span::secs(0),
            connected_at: None,
            attempts: Backoff::new(MIN_DELAY, MAX_DELAY),
            losses: Backoff::new(MIN_DELAY, MAX_DELAY),
        }
    }

    pub(super) fn set_spread(&mut self, spread_ms: u64) {
        self.spread = Span::millis(spread_ms).min(MAX_DELAY);
    }

    /// The delay before the next attempt.
    pub(super) fn delay(&mut self, lost: &ConnectionLost, rng: &mut Rng) -> Duration {
        let backoff = match self.connected_at.take() {
            None => &mut self.attempts,
            Some(at) => {
                self.attempts.reset();
                if timer_now().saturating_duration_since(at) >= STABLE {
                    self.losses.reset();
                }
                &mut self.losses
            }
        };
        let is_first = backoff.failures() == 0;
        let mut delay = backoff.fail(rng.u16(..));
        if self.attempts.failures() == 0 && lost.is_broken() {
            delay = delay.min(MAX_DELAY_AFTER_BREAK);
        }
        // Either of the two clocks may be corrected at any time.
        if lost.is_about_clocks() {
            return within(MAX_DELAY, rng);
        }
        // Many workers lost the connection at the same moment.
        if is_first || delay < self.spread { within(self.spread.max(MIN_DELAY), rng) } else { delay.duration() }
    }
}

fn within(limit: Span, rng: &mut Rng) -> Duration {
    Duration::from_millis(rng.u64(0..=limit.as_millis()))
}
