//! How long to wait: until a lease is replaced, and until a failure is tried again.

use crate::Span;

use super::failure::{FailureKind, FailureRecord};
use super::policy::{Policy, RetryPolicy};

/// The longest time for which a service's own word is taken.
pub const LONGEST_THROTTLE: Span = Span::secs(3600);

/// The longest life by which a renewal is timed: a service that says "for ever" is asked again all the same.
pub const LONGEST_LIFE: Span = Span::secs(366 * 86_400);

/// How long after it was obtained a lease of this life is replaced. `chance` is uniform over all of `u16`.
pub fn renewal(policy: &Policy, life: Span, chance: u16) -> Span {
    policy.jitter.scale(chance).complement().apply(policy.ratio.apply(life.min(LONGEST_LIFE)))
}

/// How long to wait after the `failures`-th failure in a row. `left` is what is left of the lease, if there is one that
/// is valid; `chance` is uniform over all of `u16`.
///
/// The delay doubles up to the configured maximum, or to a third of what is left. A service that asks for a longer one
/// gets it, but no more than two thirds of what is left: there is always a try before the lease ends.
pub fn retry(retry: &RetryPolicy, trouble: &FailureRecord, failures: u32, left: Option<Span>, chance: u16) -> Span {
    let least = if trouble.kind.is_slow() { retry.slow.max(retry.least()) } else { retry.least() };
    let doubled = Span::millis(least.as_millis().saturating_mul(1 << failures.min(40)));
    let third = left.map_or(doubled, |left| Span::millis(left.as_millis() / 3));
    let most = doubled.min(retry.most).min(third).max(least).as_millis();
    // From half of it to all of it, so that those who failed together don't come back together.
    let backoff = Span::millis(most - most / 2 * u64::from(chance) / u64::from(u16::MAX)).max(least);
    let FailureKind::Throttled(after) = trouble.kind else { return backoff };
    let asked = longer(after.min(LONGEST_THROTTLE), chance).max(backoff);
    match left {
        Some(left) => asked.min(Span::millis(left.as_millis() / 3 * 2)).max(least),
        None => asked,
    }
}

/// Up to a tenth longer: who was told to wait equally long should not come back together either.
fn longer(span: Span, chance: u16) -> Span {
    let tenth = span.as_millis() / 10;
    Span::millis(span.as_millis() + tenth * u64::from(chance) / u64::from(u16::MAX))
}
