//! The rate of calls of an account that was throttled: halved by each throttled call, increased by each answer.
//!
//! A service that throttles has a limit below the budget. The pace finds that limit as TCP finds the capacity of a link: a
//! multiplicative decrease for each second with throttled calls, then a quick return to nine tenths of the previous rate,
//! and a small increase for each answer from then on. The pace alone never stops an account.
//!
//! Leases that were obtained together end together, and at half the rate some would end before their turn. The first
//! throttled call may be one instance's own matter. So until another one, instances whose lease is at risk may borrow what the
//! pace brings in a while, up to the burst of the budget, and the others wait for what was borrowed.

use crate::Span;

use crate::schedule::budget::{Budget, BudgetLevel, InitialBudget};
use crate::time::MonotonicTime;

/// The slowest pace is the budget divided by this.
pub(crate) const SLOWEST: u32 = 32;

/// A throttled call that began within this time after a decrease causes no further one: services count by the second and
/// throttle until the second is over.
const HALVES: Span = Span::secs(1);

/// An answered call that began within this time after a decrease causes no increase: a service that throttles still answers
/// some calls.
const RESTS: Span = Span::secs(3);

/// The pace doubles after each period of this length without a throttled call.
const DOUBLES: Span = Span::secs(60);

/// Leases at risk borrow the calls of a minute divided by this, which are those of ten seconds.
const BORROWED: u32 = 6;

/// All rates are in calls per minute.
#[derive(Debug)]
pub(super) struct Pace {
    limit: u32,
    /// The burst of the budget.
    burst: u32,
    rate: u32,
    /// The rate at the last decrease.
    ceiling: u32,
    /// The time of the last decrease.
    cut: Option<MonotonicTime>,
    grown: MonotonicTime,
    /// Whether leases at risk may borrow.
    lends: bool,
    /// Its last call is for everybody; those before are for leases at risk.
    bucket: BudgetLevel,
}

impl Pace {
    /// The pace of an account that has used the full rate of the budget.
    pub(super) fn new(budget: Budget, now: MonotonicTime) -> Self {
        let (limit, burst) = (budget.per_minute.max(1), budget.burst);
        let bucket = BudgetLevel::new(Budget { per_minute: limit, burst }, InitialBudget::Full, now);
        Self { limit, burst, rate: limit, ceiling: limit, cut: None, grown: now, lends: true, bucket }
    }

    pub(super) fn limit(&mut self, budget: Budget, now: MonotonicTime) {
        let limit = budget.per_minute.max(1);
        let before = std::mem::replace(&mut self.limit, limit);
        self.burst = budget.burst;
        self.ceiling = scaled(self.ceiling, limit, before);
        self.set_rate(scaled(self.rate, limit, before), now);
    }

    /// A call that began at `began` was throttled. Concurrent calls cause one decrease together.
    pub(super) fn slow_down(&mut self, began: MonotonicTime, now: MonotonicTime) {
        self.recover(now);
        if self.cut.is_some_and(|cut| began < cut.plus(HALVES)) {
            return;
        }
        self.lends = self.is_over(now);
        self.ceiling = self.rate;
        self.cut = Some(now);
        self.grown = now;
        let slowest = (self.limit / SLOWEST).max(1);
        self.set_rate((self.rate / 2).max(slowest), now);
        self.bucket.drop_last(now);
    }

    /// A call that began at `began` was answered. Returns whether the rate increased.
    pub(super) fn grow(&mut self, began: MonotonicTime, now: MonotonicTime) -> bool {
        self.recover(now);
        if self.rate == self.limit || self.cut.is_some_and(|cut| began < cut.plus(RESTS)) {
            return false;
        }
        let near = self.ceiling / 10 * 9;
        let rate = if self.rate < near {
            self.rate.saturating_add((self.ceiling / 20).max(1)).min(near)
        } else {
            self.rate.saturating_add(1)
        };
        self.set_rate(rate.min(self.limit), now);
        true
    }

    pub(super) fn free_at(&mut self, now: MonotonicTime) -> MonotonicTime {
        self.recover(now);
        self.bucket.full_at(now)
    }

    /// The same for an instance whose lease is at risk.
    pub(super) fn borrows_at(&mut self, now: MonotonicTime) -> MonotonicTime {
        self.recover(now);
        self.bucket.free_at(now)
    }

    pub(super) fn take(&mut self, now: MonotonicTime) {
        // `free_at` or `borrows_at` was checked before, so this succeeds.
        self.bucket.take(now).ok();
    }

    /// Whether the pace equals the budget again and no call was throttled lately.
    pub(super) fn is_over(&mut self, now: MonotonicTime) -> bool {
        self.recover(now);
        self.rate == self.limit && self.cut.is_none_or(|cut| now.since(cut) >= DOUBLES)
    }

    /// Increases the rate with time: an account with few calls gets too few answers to recover by them.
    fn recover(&mut self, now: MonotonicTime) {
        while self.rate < self.limit && now.since(self.grown) >= DOUBLES {
            self.grown = self.grown.plus(DOUBLES);
            self.set_rate(self.rate.saturating_mul(2).min(self.limit), now);
        }
    }

    fn set_rate(&mut self, rate: u32, now: MonotonicTime) {
        self.rate = rate;
        let lent = if self.lends { rate / BORROWED } else { 0 };
        let burst = lent.saturating_add(1).min(self.burst.max(1));
        self.bucket.resize_burst(Budget { per_minute: rate, burst }, now);
    }
}

/// `rate`, scaled from the limit `before` to `limit`.
fn scaled(rate: u32, limit: u32, before: u32) -> u32 {
    let scaled = u64::from(rate) * u64::from(limit) / u64::from(before.max(1));
    u32::try_from(scaled).unwrap_or(u32::MAX).clamp(1, limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> MonotonicTime {
        MonotonicTime::from_millis(millis)
    }

    /// A budget without bursts.
    fn even(per_minute: u32) -> Budget {
        Budget { per_minute, burst: 1 }
    }

    #[test]
    fn pace_halves_once_for_concurrent_throttled_calls() {
        let mut pace = Pace::new(even(600), at(0));
        for began in [900, 950, 990] {
            pace.slow_down(at(began), at(1000));
        }
        assert_eq!(pace.rate, 300);
        pace.slow_down(at(1999), at(2200));
        assert_eq!(pace.rate, 300, "it began within the same second");
        pace.slow_down(at(2000), at(2200));
        assert_eq!(pace.rate, 150);
    }

    #[test]
    fn pace_has_a_minimum_relative_to_the_budget() {
        let mut pace = Pace::new(even(640), at(0));
        for time in 0..50 {
            pace.slow_down(at(time * 1000), at(time * 1000));
        }
        assert_eq!(pace.rate, 640 / SLOWEST);
    }

    #[test]
    fn pace_returns_quickly_to_nine_tenths_and_then_grows_slowly() {
        let mut pace = Pace::new(even(1000), at(0));
        pace.slow_down(at(0), at(0));
        for _ in 0..8 {
            assert!(pace.grow(at(3000), at(3001)));
        }
        assert_eq!(pace.rate, 900);
        pace.grow(at(3000), at(3001));
        assert_eq!(pace.rate, 901);
    }

    #[test]
    fn pace_ignores_results_right_after_it_slowed_down() {
        let mut pace = Pace::new(even(1000), at(0));
        pace.slow_down(at(10), at(20));
        assert!(!pace.grow(at(3019), at(3030)));
        assert_eq!(pace.rate, 500);
    }

    #[test]
    fn pace_without_another_throttled_call_doubles_each_minute() {
        let mut pace = Pace::new(even(640), at(0));
        for time in 0..=50 {
            pace.slow_down(at(time * 1000), at(time * 1000));
        }
        assert!(!pace.is_over(at(110_000)));
        pace.recover(at(50_000 + 120_000));
        assert_eq!(pace.rate, 80);
        assert!(pace.is_over(at(400_000)));
    }

    #[test]
    fn pace_spaces_calls_evenly() {
        let mut pace = Pace::new(even(600), at(0));
        pace.slow_down(at(0), at(0));
        assert_eq!(pace.free_at(at(0)), at(200));
        assert_eq!(pace.free_at(at(1000)), at(1000));
        pace.take(at(1000));
        assert_eq!(pace.free_at(at(1000)), at(1200), "nothing was saved up");
    }

    #[test]
    fn pace_lends_ten_seconds_to_leases_at_risk_and_takes_them_back() {
        let mut pace = Pace::new(Budget { per_minute: 600, burst: 100 }, at(0));
        pace.slow_down(at(0), at(0));
        for _ in 0..50 {
            assert_eq!(pace.borrows_at(at(0)), at(0));
            pace.take(at(0));
        }
        assert_eq!((pace.borrows_at(at(0)), pace.free_at(at(0))), (at(200), at(10_200)));
        assert_eq!((pace.borrows_at(at(1000)), pace.free_at(at(1000))), (at(1000), at(10_200)));
    }

    #[test]
    fn pace_lends_nothing_after_another_throttled_call() {
        let mut pace = Pace::new(Budget { per_minute: 600, burst: 100 }, at(0));
        pace.slow_down(at(0), at(0));
        pace.slow_down(at(500), at(900));
        assert_eq!(pace.borrows_at(at(900)), at(900), "it began in the same second");
        pace.slow_down(at(1000), at(2000));
        assert_eq!((pace.borrows_at(at(2000)), pace.free_at(at(2000))), (at(2400), at(2400)));
        pace.recover(at(300_000));
        pace.slow_down(at(300_000), at(300_000));
        assert_eq!(pace.borrows_at(at(300_000)), at(300_000), "it had recovered");
    }

    #[test]
    fn pace_lends_no_more_than_the_burst_of_the_budget() {
        let mut pace = Pace::new(Budget { per_minute: 600, burst: 3 }, at(0));
        pace.slow_down(at(0), at(0));
        pace.take(at(0));
        pace.take(at(0));
        assert_eq!(pace.borrows_at(at(0)), at(200));
        pace.limit(Budget { per_minute: 600, burst: 5 }, at(0));
        assert_eq!(pace.borrows_at(at(0)), at(0), "two more");
    }
}
