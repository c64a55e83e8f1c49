//! Whether an upstream bears it: no window of any length, across all processes, holds more calls than the burst and
//! what the pace brought meanwhile.
//!
//! That holds for all windows at once if a bucket that was full in the beginning never runs dry. This one is filled by
//! true time, and knows nothing of crashes and pauses.

use std::collections::BTreeMap;

use deputy_core::schedule::{Budget, ScheduleConfig, UpstreamName};

#[derive(Default)]
pub(crate) struct Budgets {
    default: Option<Budget>,
    named: BTreeMap<UpstreamName, Budget>,
    buckets: BTreeMap<UpstreamName, Bucket>,
}

struct Bucket {
    drops: u64,
    at: u64,
}

const CALL: u64 = 60_000;

/// How long the next call waits for the one before it, in milliseconds.
pub(crate) fn pace(configuration: &ScheduleConfig, upstream: &UpstreamName) -> u64 {
    let budget = configuration.budgets.get(upstream).copied().unwrap_or(configuration.default_budget);
    CALL.div_ceil(u64::from(budget.per_minute.max(1)))
}

/// The same for an account that was throttled again and again: a part of the budget, and at least a call a minute.
pub(crate) fn slowest_pace(configuration: &ScheduleConfig, upstream: &UpstreamName) -> u64 {
    let budget = configuration.budgets.get(upstream).copied().unwrap_or(configuration.default_budget);
    CALL.div_ceil(u64::from((budget.per_minute / 32).max(1)))
}

fn most(budget: Budget) -> u64 {
    u64::from(budget.burst.max(1)) * CALL
}

impl Budgets {
    fn of(&self, upstream: &UpstreamName) -> Budget {
        self.named.get(upstream).copied().or(self.default).expect("there is a configuration")
    }

    /// What was brought until now was brought by the old pace, and what does not fit into the new burst is lost.
    pub(crate) fn configure(&mut self, configuration: &ScheduleConfig, truth: u64) {
        let names: Vec<UpstreamName> = self.buckets.keys().cloned().collect();
        for name in &names {
            let budget = self.of(name);
            self.fill(name, budget, truth);
        }
        self.default = Some(configuration.default_budget);
        self.named = configuration.budgets.clone();
        for name in &names {
            let budget = self.of(name);
            self.fill(name, budget, truth);
        }
    }

    fn fill(&mut self, name: &UpstreamName, budget: Budget, truth: u64) {
        let new = Bucket { drops: most(budget), at: truth };
        let bucket = self.buckets.entry(name.clone()).or_insert(new);
        let brought = (truth - bucket.at) * u64::from(budget.per_minute.max(1));
        bucket.drops = (bucket.drops + brought).min(most(budget));
        bucket.at = truth;
    }

    pub(crate) fn call(&mut self, upstream: &UpstreamName, truth: u64) {
        let budget = self.of(upstream);
        self.fill(upstream, budget, truth);
        let bucket = self.buckets.get_mut(upstream).expect("it was just filled");
        let rest = bucket.drops.checked_sub(CALL);
        bucket.drops = rest.unwrap_or_else(|| panic!("too many calls of {upstream} for {budget:?}"));
    }
}
