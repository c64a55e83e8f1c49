//! How often an instance is called for tokens: no more than `per-hour` times in an hour, a fifth of them at once. What an operator
//! asks for is done in any case, but not retried more often.

use std::collections::{BTreeMap, BTreeSet};

use deputy_core::schedule::CallRate;
use deputy_core::time::MonotonicTime;
use deputy_core::{InstanceName, Span};

/// An hour of calls at a rate of one call an hour, so that a millisecond brings as many parts as an hour has calls.
const CALL: u64 = 3_600_000;

#[derive(Default)]
pub(crate) struct Rates {
    instances: BTreeMap<InstanceName, Rate>,
    /// Instances that an operator has had renewed or revoked, until the next call has ended.
    requested: BTreeSet<InstanceName>,
    /// Those of them that are to be called at once.
    asked: BTreeSet<InstanceName>,
}

struct Rate {
    calls: CallRate,
    parts: u64,
    filled: MonotonicTime,
}

/// The time after which there is another call.
pub(crate) fn gap(calls: CallRate) -> Span {
    Span::millis(CALL.div_ceil(u64::from(calls.per_hour.max(1))))
}

impl Rates {
    /// An instance with this rate, which was not there before, or whose rate was another one.
    pub(crate) fn configured(&mut self, name: &InstanceName, calls: CallRate, is_known: bool, now: MonotonicTime) {
        if !is_known {
            self.done(name);
            self.instances.remove(name);
        }
        if self.instances.get(name).is_none_or(|rate| rate.calls != calls) {
            let parts = u64::from((calls.per_hour / 5).max(1)) * CALL;
            self.instances.insert(name.clone(), Rate { calls, parts, filled: now });
        }
    }

    pub(crate) fn requested(&mut self, name: &InstanceName) {
        self.requested.insert(name.clone());
        self.asked.insert(name.clone());
    }

    /// It has another lease, or needs none.
    pub(crate) fn done(&mut self, name: &InstanceName) {
        self.requested.remove(name);
        self.asked.remove(name);
    }

    /// It is called for tokens, or is not to be for this reason any longer.
    pub(crate) fn taken(&mut self, name: &InstanceName) {
        self.asked.remove(name);
    }

    /// Whether an operator wants another lease, and it was not called yet.
    pub(crate) fn is_asked(&self, name: &InstanceName) -> bool {
        self.asked.contains(name)
    }

    /// It is called for tokens. Returns whether an operator had it called although it had been called often.
    pub(crate) fn called(&mut self, name: &InstanceName, now: MonotonicTime) -> bool {
        let is_requested = self.requested.contains(name);
        let rate = self.at(name, now);
        let rest = rate.parts.checked_sub(CALL);
        assert!(
            rest.is_some() || is_requested,
            "{name} is called more often than {} times an hour",
            rate.calls.per_hour
        );
        rate.parts = rest.unwrap_or(rate.parts);
        rest.is_none()
    }

    /// How long it waits for its next call, if no operator asks for it: a request may have ended unseen.
    pub(crate) fn wait(&mut self, name: &InstanceName, now: MonotonicTime) -> Span {
        if !self.instances.contains_key(name) {
            return Span::millis(0);
        }
        let rate = self.at(name, now);
        Span::millis(CALL.saturating_sub(rate.parts).div_ceil(u64::from(rate.calls.per_hour.max(1))))
    }

    fn at(&mut self, name: &InstanceName, now: MonotonicTime) -> &mut Rate {
        let rate = self.instances.get_mut(name).expect("it is configured");
        let most = u64::from((rate.calls.per_hour / 5).max(1)) * CALL;
        let brought = now.since(rate.filled).as_millis() * u64::from(rate.calls.per_hour.max(1));
        rate.parts = (rate.parts + brought).min(most);
        rate.filled = rate.filled.max(now);
        rate
    }
}
