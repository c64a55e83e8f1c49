//! What a change of its configuration does to an instance: it is called at once, five times in a row and ten times a minute,
//! its call is given up for the first of these, and a lease that was obtained as the configuration is now is kept.

use std::collections::{BTreeMap, BTreeSet};

use deputy_core::schedule::{
    InstanceActivity, InstancePlan, InstanceSnapshot, LeaseOrigin, ProviderCall, ScheduleConfig,
};
use deputy_core::time::{MonotonicTime, Now};
use deputy_core::{InstanceName, Span};

/// A minute of changes at a rate of one a minute, so that a millisecond brings as many parts as a minute has changes.
const CHANGE: u64 = 60_000;

const PER_MINUTE: u64 = 10;
const AT_ONCE: u64 = 5;

/// A call is given up if this many more changes are left.
const LEFT: u64 = 2;

/// What was obtained later than this is from a clock that was ahead.
const TOLERANCE: Span = Span::secs(2);

/// Calls in a row that are given up for a change.
const IN_A_ROW: u32 = 2;

#[derive(Default)]
pub(crate) struct Changes {
    instances: BTreeMap<InstanceName, Left>,
    /// What the configuration that comes now changes.
    current: BTreeMap<InstanceName, Change>,
    /// Instances that an earlier configuration removed.
    removed: BTreeSet<InstanceName>,
}

struct Left {
    parts: u64,
    filled: MonotonicTime,
    /// Calls in a row that were given up for a change.
    given_up: u32,
}

/// Another fingerprint of an instance, or its return.
struct Change {
    is_prompt: bool,
    gives_up: bool,
    /// It rested before, and nothing was due.
    rested: bool,
    /// It holds a lease that was obtained as the configuration is now.
    is_kept: bool,
}

impl Changes {
    /// Another configuration comes.
    pub(crate) fn configured<'a>(
        &mut self,
        configuration: &ScheduleConfig,
        (old, left_before): (&BTreeMap<InstanceName, InstancePlan>, &BTreeSet<InstanceName>),
        views: impl Iterator<Item = InstanceSnapshot<'a>>,
        now: Now,
    ) {
        let mut known = BTreeMap::new();
        for view in views {
            let left = self.instances.remove(view.name);
            let mut left = left.unwrap_or(Left { parts: AT_ONCE * CHANGE, filled: now.mono, given_up: 0 });
            let Some(plan) = configuration.plans.get(view.name) else {
                known.insert(view.name.clone(), left);
                continue;
            };
            let returned = left_before.contains(view.name);
            if old[view.name].fingerprint != plan.fingerprint || returned {
                let rested = matches!(view.activity, InstanceActivity::Holding) && view.failures == 0;
                let is_due = view.next.is_some_and(|next| next <= now.wall);
                let held = view.lease.filter(|lease| lease.is_valid(now.wall));
                let own = held
                    .filter(|lease| lease.origin == LeaseOrigin::Component && lease.fingerprint == plan.fingerprint);
                let is_kept = own.is_some_and(|lease| lease.obtained_at <= now.wall.plus(TOLERANCE));
                // What was obtained by another clock is due, which is not shown where there is no component.
                let is_due = is_due || (is_kept && old[view.name].component.is_none());
                let is_prompt = left.take(now.mono);
                let gives_up = is_prompt && left.parts / CHANGE >= LEFT;
                let change = Change { is_prompt, gives_up, rested: rested && !is_due && !returned, is_kept };
                self.current.insert(view.name.clone(), change);
            }
            known.insert(view.name.clone(), left);
        }
        self.instances = known;
        self.removed = left_before.clone();
    }

    /// A call goes on whose instance is not configured. It could not be given up beside another one when that was removed.
    pub(crate) fn goes_on_removed(&self, name: &InstanceName, work: &ProviderCall) {
        assert!(self.removed.contains(name), "{name} is removed, and its call for {} goes on", work.word());
    }

    /// A call for tokens was given up.
    pub(crate) fn gave_up(&mut self, name: &InstanceName) {
        let Some(left) = self.instances.get_mut(name) else { return };
        if let Some(change) = self.current.get(name) {
            assert!(change.gives_up, "{name} gives up its call, and it changed often");
            assert!(left.given_up < IN_A_ROW, "{name} gives up too many calls in a row");
        }
        left.given_up += 1;
    }

    /// A call goes on that was made under another configuration.
    pub(crate) fn goes_on(&self, name: &InstanceName) {
        let is_given_up = self.current.get(name).is_some_and(|change| change.gives_up);
        let is_first = self.instances.get(name).is_some_and(|left| left.given_up < IN_A_ROW);
        assert!(!is_given_up || !is_first, "{name} changed, and its call goes on");
    }

    /// A call ended that its instance waited for.
    pub(crate) fn ended(&mut self, name: &InstanceName) {
        if let Some(left) = self.instances.get_mut(name) {
            left.given_up = 0;
        }
    }

    /// All that followed from the configuration was done. `may_rest` says whether an instance need not be called yet.
    pub(crate) fn handled<'a>(
        &mut self,
        views: impl Iterator<Item = InstanceSnapshot<'a>>,
        mut may_rest: impl FnMut(&InstanceName) -> bool,
        has_jumped: bool,
        now: Now,
    ) {
        let mut current = std::mem::take(&mut self.current);
        if has_jumped {
            current.clear(); // what was good may be due by another clock
        }
        for view in views {
            let Some(change) = current.get(view.name).filter(|change| change.rested) else { continue };
            let waits = matches!(view.activity, InstanceActivity::Waiting(_) | InstanceActivity::Calling(..));
            let later = view.activity == InstanceActivity::Holding && view.next.is_some_and(|next| next > now.wall);
            if change.is_kept {
                let age = view.lease.map(|lease| now.wall.since(lease.obtained_at));
                let earliest = view.lease.map(|lease| {
                    let life = lease.valid_until.since(lease.obtained_at);
                    let life = view.plan.policy.lifetime.map_or(life, |most| life.min(most));
                    view.plan.policy.jitter.complement().apply(view.plan.policy.ratio.apply(life))
                });
                let is_old = age >= earliest || view.lease.is_some_and(|lease| lease.next_at.is_some());
                assert!(!waits || is_old, "{} is called, and its lease is good under this configuration", view.name);
            } else if change.is_prompt {
                assert!(!later || may_rest(view.name), "{} changed, and is not called at once", view.name);
            } else {
                assert!(!waits, "{} changed often, and is called at once", view.name);
            }
        }
    }
}

impl Left {
    /// Whether the instance may be called at once for a change.
    fn take(&mut self, now: MonotonicTime) -> bool {
        let brought = now.since(self.filled).as_millis() * PER_MINUTE;
        self.parts = (self.parts + brought).min(AT_ONCE * CHANGE);
        self.filled = now;
        let rest = self.parts.checked_sub(CHANGE);
        self.parts = rest.unwrap_or(self.parts);
        rest.is_some()
    }
}
