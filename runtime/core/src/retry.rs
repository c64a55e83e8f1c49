//! How long to wait after a failure.

use crate::failure::{CallFailure, FailureKind};
use crate::time::Span;

/// The longest delay that a service can ask for.
pub const LONGEST_THROTTLE: Span = Span::secs(3600);

/// No delay is shorter, whatever the floor: a floor of zero would be one call after the other.
const LEAST_FLOOR: Span = Span::millis(10);

/// How failures are retried. No delay is shorter than `floor`, and none is longer than a third of what is left of the
/// lease, unless the floor or the service itself asks for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The least delay. The first one is up to twice as long, by chance.
    pub floor: Span,
    /// The greatest delay; delays double until then.
    pub most: Span,
    /// The least delay after a failure that only a change of the configuration or of the account can mend.
    pub slow: Span,
}

impl RetryPolicy {
    pub fn least(&self) -> Span {
        self.floor.max(LEAST_FLOOR)
    }

    /// The delay after the `failures`-th failure in a row. `left` is what is left of the lease, if there is a valid one;
    /// `random` is uniform over all of `u16`.
    ///
    /// A service that asks for a longer delay than the backoff gets it, but no more than two thirds of what is left: there is
    /// always an attempt before the lease ends.
    pub fn delay(&self, failure: &CallFailure, failures: u32, left: Option<Span>, random: u16) -> Span {
        let backoff = self.backoff(failure.kind, failures, left, random);
        let Some(after) = failure.retry_after else { return backoff };
        let requested = lengthened(after.min(LONGEST_THROTTLE), random).max(backoff);
        match left {
            Some(left) => requested.min(two_thirds(left)).max(self.floor_of(failure.kind)),
            None => requested,
        }
    }

    /// What is left of the delay that a service asked for before this process began, with the same bounds.
    pub fn rest(&self, after: Span, left: Option<Span>, random: u16) -> Span {
        let requested = lengthened(after.min(LONGEST_THROTTLE), random);
        left.map_or(requested, |left| requested.min(two_thirds(left))).max(self.least())
    }

    /// The delay if the service asks for none: it doubles up to the configured maximum, or to a third of what is left.
    pub fn backoff(&self, kind: FailureKind, failures: u32, left: Option<Span>, random: u16) -> Span {
        let least = self.floor_of(kind);
        let third = left.map_or(self.most, |left| Span::millis(left.as_millis() / 3));
        let most = self.most.min(third).max(least);
        exponential(least, most, failures, random).max(least)
    }

    fn floor_of(&self, kind: FailureKind) -> Span {
        if kind.is_slow() { self.slow.max(self.least()) } else { self.least() }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { floor: Span::secs(1), most: Span::secs(300), slow: Span::secs(60) }
    }
}

/// `base`, doubled this many times up to `max`, with jitter: between half of it and all of it, so that callers that
/// failed together do not retry together. `random` is uniform over all of `u16`.
pub fn exponential(base: Span, max: Span, doublings: u32, random: u16) -> Span {
    let doubled = base.as_millis().saturating_mul(1 << doublings.min(40)).min(max.as_millis());
    let cut = u128::from(doubled / 2) * u128::from(random) / u128::from(u16::MAX);
    Span::millis(doubled - u64::try_from(cut).unwrap_or(doubled))
}

fn two_thirds(span: Span) -> Span {
    Span::millis(span.as_millis() / 3 * 2)
}

/// Adds up to a tenth, so that callers with the same stated delay do not return together.
fn lengthened(span: Span, random: u16) -> Span {
    let tenth = span.as_millis() / 10;
    Span::millis(span.as_millis() + tenth * u64::from(random) / u64::from(u16::MAX))
}
