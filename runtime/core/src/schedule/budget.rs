//! Calls per minute to one upstream: a bucket of tokens, counted in whole numbers.

use std::fmt;
use std::str::FromStr;

use crate::{NameError, Span};

use super::policy::CallRate;
use crate::time::MonotonicTime;

/// The calls that an upstream permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// In the long run.
    pub per_minute: u32,
    /// At once.
    pub burst: u32,
}

/// The server that rate limits apply to: a name that the operator chose, or a service with its endpoint.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UpstreamName(String);

/// The level of a budget. One call is 60,000 drops, so that a millisecond brings as many drops as a minute has calls; of
/// a budget by the hour, it is sixty times as many.
#[derive(Debug, Clone)]
pub(super) struct BudgetLevel {
    budget: Budget,
    call: u64,
    drops: u64,
    at: MonotonicTime,
}

/// The level at which a budget begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitialBudget {
    /// Empty: an earlier process may have used all of it just now.
    Empty,
    /// A whole burst: no process ran before.
    Full,
}

const BY_THE_MINUTE: u64 = 60_000;
const BY_THE_HOUR: u64 = 3_600_000;

impl Budget {
    /// The budget of an upstream without configuration.
    pub const DEFAULT: Self = Self { per_minute: 600, burst: 100 };
}

impl UpstreamName {
    /// A service at an endpoint, as the coordinator found them. No operator's name has a space in it.
    pub fn derived(service: &str, endpoint: &str) -> Self {
        Self(format!("{service} {endpoint}"))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UpstreamName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        crate::name::checked(text).map(Self)
    }
}

impl fmt::Display for UpstreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl BudgetLevel {
    pub(super) fn new(budget: Budget, begin: InitialBudget, now: MonotonicTime) -> Self {
        let drops = match begin {
            InitialBudget::Empty => 0,
            InitialBudget::Full => u64::MAX,
        };
        let mut bucket = Self { budget, call: BY_THE_MINUTE, drops, at: now };
        bucket.fill(now);
        bucket
    }

    /// A full one that counts by the hour.
    pub(super) fn hourly(rate: CallRate, now: MonotonicTime) -> Self {
        let budget = Budget { per_minute: rate.per_hour, burst: rate.burst() };
        let mut bucket = Self { budget, call: BY_THE_HOUR, drops: u64::MAX, at: now };
        bucket.fill(now);
        bucket
    }

    /// Takes one call, or says when there will be one.
    pub(super) fn take(&mut self, now: MonotonicTime) -> Result<(), MonotonicTime> {
        self.fill(now);
        match self.drops.checked_sub(self.call) {
            Some(rest) => {
                self.drops = rest;
                Ok(())
            }
            None => Err(self.reaches(self.call)),
        }
    }

    /// How many calls may be made at once.
    pub(super) fn level(&mut self, now: MonotonicTime) -> u64 {
        self.fill(now);
        self.drops / self.call
    }

    /// When there is a call, at the earliest now.
    pub(super) fn free_at(&mut self, now: MonotonicTime) -> MonotonicTime {
        self.fill(now);
        self.reaches(self.call)
    }

    /// When there is a whole burst, at the earliest now.
    pub(super) fn full_at(&mut self, now: MonotonicTime) -> MonotonicTime {
        self.fill(now);
        self.reaches(self.most())
    }

    /// Drops what there is beyond one call less than a burst.
    pub(super) fn drop_last(&mut self, now: MonotonicTime) {
        self.fill(now);
        self.drops = self.drops.min(self.most() - self.call);
    }

    /// Keeps what is there under another budget.
    pub(super) fn resize(&mut self, budget: Budget, now: MonotonicTime) {
        self.fill(now);
        self.budget = budget;
        self.fill(now);
    }

    /// Keeps what is missing to a burst under another budget.
    pub(super) fn resize_burst(&mut self, budget: Budget, now: MonotonicTime) {
        self.fill(now);
        let missing = self.most() - self.drops;
        self.budget = budget;
        self.drops = self.most().saturating_sub(missing);
    }

    fn fill(&mut self, now: MonotonicTime) {
        let brought = now.since(self.at).as_millis().saturating_mul(self.rate());
        self.drops = self.drops.saturating_add(brought).min(self.most());
        self.at = now.max(self.at);
    }

    /// When it has this many drops, at the earliest when it was filled last.
    fn reaches(&self, drops: u64) -> MonotonicTime {
        self.at.plus(Span::millis(drops.saturating_sub(self.drops).div_ceil(self.rate())))
    }

    /// The drops of a burst. A budget that allows nothing would block its instances for ever.
    fn most(&self) -> u64 {
        u64::from(self.budget.burst.max(1)) * self.call
    }

    /// Drops per millisecond.
    fn rate(&self) -> u64 {
        u64::from(self.budget.per_minute.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> MonotonicTime {
        MonotonicTime::from_millis(millis)
    }

    #[test]
    fn budget_burst_is_followed_by_the_steady_pace() {
        let mut bucket = BudgetLevel::new(Budget { per_minute: 60, burst: 3 }, InitialBudget::Full, at(0));
        for _ in 0..3 {
            assert_eq!(bucket.take(at(0)), Ok(()));
        }
        assert_eq!(bucket.take(at(0)), Err(at(1000)));
        assert_eq!(bucket.take(at(999)), Err(at(1000)));
        assert_eq!(bucket.take(at(1000)), Ok(()));
        assert_eq!(bucket.take(at(1000)), Err(at(2000)));
    }

    #[test]
    fn budget_after_a_restart_starts_empty() {
        let mut bucket = BudgetLevel::new(Budget { per_minute: 60, burst: 3 }, InitialBudget::Empty, at(0));
        assert_eq!(bucket.take(at(0)), Err(at(1000)));
    }

    #[test]
    fn budget_accrues_at_most_a_burst() {
        let mut bucket = BudgetLevel::new(Budget { per_minute: 600, burst: 2 }, InitialBudget::Full, at(0));
        for _ in 0..2 {
            assert_eq!(bucket.take(at(3_600_000)), Ok(()));
        }
        assert_eq!(bucket.take(at(3_600_000)), Err(at(3_600_100)));
    }

    #[test]
    fn budget_of_seven_per_minute_is_exact() {
        let mut bucket = BudgetLevel::new(Budget { per_minute: 7, burst: 1 }, InitialBudget::Empty, at(0));
        let mut now = at(0);
        let mut calls = 0;
        while now < at(600_000) {
            match bucket.take(now) {
                Ok(()) => calls += 1,
                Err(later) => now = later,
            }
        }
        assert_eq!(calls, 69); // the seventieth would be on the last millisecond
    }

    #[test]
    fn budget_per_hour_has_a_burst_of_a_fifth() {
        let mut bucket = BudgetLevel::hourly(CallRate { interval: Span::secs(0), per_hour: 10 }, at(0));
        assert_eq!([(); 3].map(|()| bucket.take(at(0))), [Ok(()), Ok(()), Err(at(360_000))]);
        assert_eq!((bucket.free_at(at(0)), bucket.free_at(at(400_000))), (at(360_000), at(400_000)));
    }

    #[test]
    fn budget_of_zero_is_the_minimum_budget() {
        let mut bucket = BudgetLevel::new(Budget { per_minute: 0, burst: 0 }, InitialBudget::Full, at(0));
        assert_eq!(bucket.take(at(0)), Ok(()));
        assert_eq!(bucket.take(at(0)), Err(at(60_000)));
        assert_eq!(bucket.take(at(60_000)), Ok(()));
    }

    #[test]
    fn budget_of_a_burst_keeps_what_is_missing() {
        let mut bucket = BudgetLevel::new(Budget { per_minute: 60, burst: 3 }, InitialBudget::Full, at(0));
        assert_eq!(bucket.full_at(at(0)), at(0));
        bucket.drop_last(at(0));
        bucket.drop_last(at(0));
        assert_eq!((bucket.free_at(at(0)), bucket.full_at(at(0))), (at(0), at(1000)));
        bucket.take(at(0)).unwrap();
        bucket.resize_burst(Budget { per_minute: 60, burst: 6 }, at(0));
        assert_eq!(bucket.full_at(at(0)), at(2000));
        bucket.resize_burst(Budget { per_minute: 60, burst: 1 }, at(0));
        assert_eq!((bucket.take(at(0)), bucket.full_at(at(0))), (Err(at(1000)), at(1000)));
    }

    #[test]
    fn budget_that_shrinks_drops_accrued_calls() {
        let mut bucket = BudgetLevel::new(Budget { per_minute: 60, burst: 100 }, InitialBudget::Full, at(0));
        bucket.resize(Budget { per_minute: 60, burst: 1 }, at(0));
        assert_eq!(bucket.take(at(0)), Ok(()));
        assert_eq!(bucket.take(at(0)), Err(at(1000)));
    }
}
