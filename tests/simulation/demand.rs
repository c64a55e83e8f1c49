//! Whether what is given out is taken back when it should be, and only then.

use std::collections::BTreeMap;

use deputy_core::schedule::{InstancePlan, ObtainMode};
use deputy_core::time::MonotonicTime;
use deputy_core::{InstanceName, Span};

#[derive(Default)]
pub(crate) struct Demand {
    instances: BTreeMap<InstanceName, Uses>,
}

#[derive(Default)]
struct Uses {
    users: u32,
    /// When it was last used.
    used: MonotonicTime,
    /// The last thing that may have restarted its time.
    touched: MonotonicTime,
}

fn grace(plan: &InstancePlan) -> Option<Span> {
    match plan.policy.mode {
        ObtainMode::Always => None,
        ObtainMode::OnDemand(grace) => Some(grace),
    }
}

impl Demand {
    fn of(&mut self, name: &InstanceName) -> &mut Uses {
        self.instances.entry(name.clone()).or_default()
    }

    /// `users` workers use it, or a lease was requested once.
    pub(crate) fn used(&mut self, name: &InstanceName, users: Option<u32>, now: MonotonicTime) {
        let uses = self.of(name);
        uses.touched = now;
        if uses.users > 0 || users != Some(0) {
            uses.used = now;
        }
        uses.users = users.unwrap_or(uses.users);
    }

    /// It was configured, renewed, obtained or restored.
    pub(crate) fn touched(&mut self, name: &InstanceName, now: MonotonicTime) {
        self.of(name).touched = now;
    }

    /// The way in which it is used changed.
    pub(crate) fn changed(&mut self, name: &InstanceName, now: MonotonicTime) {
        let uses = self.of(name);
        uses.used = now;
        uses.touched = now;
    }

    pub(crate) fn removed(&mut self, name: &InstanceName) {
        self.instances.remove(name);
    }

    /// A lease is withdrawn although it was neither revoked nor removed.
    pub(crate) fn withdrawn(&mut self, name: &InstanceName, plan: &InstancePlan, now: MonotonicTime) {
        let uses = self.of(name);
        let unused = grace(plan).is_some_and(|grace| uses.users == 0 && uses.used.plus(grace) <= now);
        assert!(unused, "{name}'s lease is taken back, and it is used");
    }

    /// A lease is given out, and nothing is under way.
    pub(crate) fn is_given(&mut self, name: &InstanceName, plan: &InstancePlan, now: MonotonicTime) {
        let uses = self.of(name);
        let unused = grace(plan).is_some_and(|grace| uses.users == 0 && uses.touched.plus(grace) < now);
        assert!(!unused, "{name}'s lease is published, and has no users");
    }
}
