//! How long to wait: until a lease is replaced, and until a failure is tried again.

use crate::Span;

use super::policy::{Policy, Retry};
use super::trouble::{Kind, Trouble};

/// The longest time for which a service's own word is taken.
pub const LONGEST_THROTTLE: Span = Span::secs(3600);

/// How long after it was obtained a lease of this life is replaced. `chance` is uniform over all of `u16`.
pub fn renewal(policy: &Policy, life: Span, chance: u16) -> Span {
    policy.jitter.scaled(chance).rest().of(policy.ratio.of(life))
}

/// How long to wait after the `failures`-th failure in a row. `left` is what is left of the lease, if there is one that
/// is valid; `chance` is uniform over all of `u16`.
pub fn retry(retry: &Retry, trouble: &Trouble, failures: u32, left: Option<Span>, chance: u16) -> Span {
    if let Kind::Throttled(after) = trouble.kind {
        let asked = after.min(LONGEST_THROTTLE).max(retry.floor);
        return longer(asked, chance);
    }
    let least = if trouble.kind.is_slow() { retry.slow.max(retry.floor) } else { retry.floor };
    let doublings = failures.saturating_sub(1).min(40);
    let doubled = Span::millis(least.as_millis().saturating_mul(1 << doublings)).min(retry.most.max(least));
    // From half of it to all of it, so that those who failed together don't come back together.
    let half = doubled.as_millis() / 2;
    let jittered = Span::millis(doubled.as_millis() - half * u64::from(chance) / u64::from(u16::MAX));
    let bound = left.map_or(jittered, |left| jittered.min(Span::millis(left.as_millis() / 3)));
    bound.max(least)
}

/// Up to a tenth longer: who was told to wait equally long should not come back together either.
fn longer(span: Span, chance: u16) -> Span {
    let tenth = span.as_millis() / 10;
    Span::millis(span.as_millis() + tenth * u64::from(chance) / u64::from(u16::MAX))
}
