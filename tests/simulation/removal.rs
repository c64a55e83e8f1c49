//! What is kept of instances that are not configured, and for how long: their leases for a grace, their records for a day after
//! a restart, and state for a day in any case.

use std::collections::{BTreeMap, BTreeSet};

use deputy_core::schedule::{
    InstancePlan, Lease, LeaseRecord, ORPHAN_GRACE, ObtainMode, REMOVAL_GRACE, ScheduleConfig,
};
use deputy_core::time::{MonotonicTime, Now};
use deputy_core::{InstanceName, Revision, Span, Timestamp};

#[derive(Default)]
pub(crate) struct Removal {
    /// When instances of this process were removed.
    left: BTreeMap<InstanceName, MonotonicTime>,
    /// Until when the records of others are kept.
    orphans: BTreeMap<InstanceName, MonotonicTime>,
    /// Orphans whose end is not on the disk.
    unmarked: BTreeSet<InstanceName>,
    /// What others obtained, and an instance that came back does not take up.
    foreign: BTreeMap<InstanceName, Revision>,
    /// What came back just now with what it holds.
    own: BTreeSet<InstanceName>,
}

fn grace(plan: &InstancePlan) -> Span {
    plan.policy.revoke.removed.unwrap_or(REMOVAL_GRACE)
}

fn last_end(record: &LeaseRecord) -> Option<Timestamp> {
    let leases = record.lease.iter().chain(record.retired.iter().map(|retired| &retired.lease));
    leases.map(|lease| lease.valid_until).max()
}

impl Removal {
    /// Another configuration. `held` is the record of an instance, if there is one, and `is_known` whether it runs.
    pub(crate) fn configured<'r>(
        &mut self,
        configuration: &ScheduleConfig,
        before: &BTreeSet<InstanceName>,
        held: impl Fn(&InstanceName) -> Option<&'r LeaseRecord>,
        writing: &BTreeSet<InstanceName>,
        now: Now,
    ) {
        for name in before.iter().filter(|name| !configuration.plans.contains_key(*name)) {
            self.left.entry(name.clone()).or_insert(now.mono);
        }
        for (name, plan) in &configuration.plans {
            let returns = self.left.remove(name).is_some();
            self.orphans.remove(name);
            let Some(record) =
                held(name).filter(|record| returns || (record.removed.is_some() && !before.contains(name)))
            else {
                continue;
            };
            let Some(lease) = record.lease.as_ref() else { continue };
            if lease.fingerprint != plan.fingerprint {
                self.foreign.insert(name.clone(), lease.revision);
            } else if lease.is_valid(now.wall) && plan.policy.mode == ObtainMode::Always && !writing.contains(name) {
                self.own.insert(name.clone());
            }
        }
    }

    /// What an instance held when it came back as another one.
    pub(crate) fn foreign(&self, name: &InstanceName) -> Option<Revision> {
        self.foreign.get(name).copied()
    }

    /// A lease is given out.
    pub(crate) fn published(&self, name: &InstanceName, revision: Revision) {
        let is_foreign = self.foreign.get(name) == Some(&revision);
        assert!(!is_foreign, "{name} came back as another one, and serves what it held before");
    }

    /// An instance no longer holds its lease, which is valid.
    pub(crate) fn ends(&self, name: &InstanceName, plan: &InstancePlan, now: Now) {
        let is_early = self.keeps(name, plan, now);
        assert!(!is_early, "{name} was removed a moment ago, and its lease is not kept for the grace");
    }

    /// Whether the lease of an instance that was removed is kept.
    pub(crate) fn keeps(&self, name: &InstanceName, plan: &InstancePlan, now: Now) -> bool {
        self.left.get(name).is_some_and(|at| now.mono < at.plus(grace(plan)))
    }

    /// The record of an instance that is not configured is kept until then.
    pub(crate) fn orphaned(&mut self, name: &InstanceName, until: Timestamp, saved: Option<&LeaseRecord>, now: Now) {
        let was_there = self.left.remove(name).is_some();
        let marked = saved.and_then(|record| record.removed).filter(|_| !was_there);
        let grace = marked.map_or(ORPHAN_GRACE, |marked| marked.since(now.wall).min(ORPHAN_GRACE));
        assert_eq!(until, now.wall.plus(grace), "{name}'s record is kept for another time");
        if marked.is_none() {
            self.unmarked.insert(name.clone());
        }
        self.orphans.insert(name.clone(), now.mono.plus(grace));
    }

    /// A record is saved.
    pub(crate) fn saved(&mut self, name: &InstanceName, record: &LeaseRecord, is_configured: bool, is_there: bool) {
        assert!(!is_configured || record.removed.is_none(), "{name} is configured, and its record is to be deleted");
        assert!(is_there || record.removed.is_some(), "{name} is gone, and its record is kept for ever");
        if !is_there {
            self.unmarked.remove(name);
        }
    }

    /// All that followed from an event was done.
    pub(crate) fn handled<'l>(&mut self, held: impl Fn(&InstanceName) -> Option<&'l Lease>) {
        for name in std::mem::take(&mut self.own) {
            assert!(held(&name).is_some(), "{name} came back unchanged, and holds its lease no longer");
        }
        let unmarked = self.unmarked.first();
        assert!(unmarked.is_none(), "{unmarked:?} is not configured, and would be kept again after each restart");
    }

    /// Nothing is kept of an instance.
    pub(crate) fn forgotten(&mut self, name: &InstanceName) {
        self.foreign.remove(name);
    }

    /// A record is deleted. `is_there` says whether its instance still is.
    pub(crate) fn deleted(&mut self, name: &InstanceName, is_there: bool, saved: Option<&LeaseRecord>, now: Now) {
        let keeps_state = saved.is_some_and(|record| record.keeps_state);
        if is_there {
            assert!(!keeps_state, "{name} is removed, and its state with it");
            return;
        }
        let has_ended = !keeps_state && saved.and_then(last_end).is_none_or(|end| end <= now.wall);
        let is_over = match self.orphans.remove(name) {
            Some(until) => until <= now.mono,
            None => saved.and_then(|record| record.removed).is_some_and(|until| until <= now.wall),
        };
        assert!(has_ended || is_over, "the record of {name} is deleted before its time");
    }
}
