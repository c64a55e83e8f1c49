//! Exponential backoff with jitter.

use deputy_core::Span;
use deputy_core::retry::exponential;

/// Doubles from `min` to `max` with each failure in a row.
#[derive(Debug, Clone)]
pub struct Backoff {
    min: Span,
    max: Span,
    failures: u32,
}

impl Backoff {
    /// No failure yet. A `max` below `min` counts as `min`.
    pub fn new(min: Span, max: Span) -> Self {
        Self { min, max: max.max(min), failures: 0 }
    }

    /// Counts a failure. Returns how long to wait: between half of the current delay and all of it. `random` is uniform
    /// over all of `u16`.
    pub fn fail(&mut self, random: u16) -> Span {
        let delay = exponential(self.min, self.max, self.failures, random);
        self.failures = self.failures.saturating_add(1);
        delay
    }

    /// Starts again from `min`.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_to_its_maximum_and_starts_again() {
        let mut backoff = Backoff::new(Span::secs(1), Span::secs(5));
        assert_eq!([0; 5].map(|_| backoff.fail(0).as_millis()), [1000, 2000, 4000, 5000, 5000]);
        backoff.reset();
        assert_eq!((backoff.failures(), backoff.fail(0).as_millis()), (0, 1000));
    }

    #[test]
    fn backoff_spreads_over_the_upper_half_and_never_overflows() {
        let mut backoff = Backoff::new(Span::secs(2), Span::millis(u64::MAX));
        assert_eq!(backoff.clone().fail(u16::MAX).as_millis(), 1000);
        let delays: Vec<_> = (0..100).map(|_| backoff.fail(u16::MAX).as_millis()).collect();
        assert!(delays.is_sorted() && delays.iter().all(|delay| *delay >= 1000));
    }
}
