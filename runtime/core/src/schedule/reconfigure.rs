//! What a configuration changes: instances enter, change, leave and come back.

use std::collections::BTreeSet;

use crate::InstanceName;
use crate::time::Now;

use super::Schedule;
use super::budget::UpstreamName;
use super::event::{ScheduleAction, ScheduleConfig};
use super::instance::{GiveUpReason, GivenUpCall, InstanceState};
use super::lease::LeaseRecord;
use super::policy::InstancePlan;

impl Schedule {
    pub(super) fn reconfigure(&mut self, config: ScheduleConfig, now: Now) {
        let ScheduleConfig { mut plans, default_budget, budgets, calls } = config;
        self.queue.configure(default_budget, budgets, now.mono);
        let known: Vec<InstanceName> = self.instances.keys().cloned().collect();
        for name in known {
            match plans.remove(&name) {
                Some(plan) => self.replan(&name, plan, now),
                None => self.remove(&name, now),
            }
        }
        for (name, plan) in plans {
            let record = self.adopt_orphan(&name).unwrap_or_default();
            self.enter(&name, plan, record, now);
        }
        let upstreams: BTreeSet<&UpstreamName> =
            self.instances.values().map(|instance| &instance.plan().upstream).collect();
        self.shares.configure(calls, upstreams.len() > 1);
        self.keep_orphans(now);
    }

    fn enter(&mut self, name: &InstanceName, plan: InstancePlan, record: LeaseRecord, now: Now) {
        let was_removed = record.removed.is_some();
        let file = self.files.remove(name).flatten();
        self.instances.insert(name.clone(), InstanceState::new(plan.clone(), record, file, now.mono));
        if was_removed {
            self.take_back(name, &plan, now);
        }
        let random = self.random.u16(..);
        if let Some(lease) = self.instances.get_mut(name).and_then(|instance| instance.resume(now, random)) {
            self.shares.reserve_for_leases();
            self.actions.push_back(ScheduleAction::Publish(name.clone(), lease));
        }
        self.resume_pause(name, now);
        self.advance(name, now);
    }

    /// Waits as the service of an instance asked a process before this one.
    fn resume_pause(&mut self, name: &InstanceName, now: Now) {
        let Some(instance) = self.instances.get_mut(name).filter(|instance| instance.is_paused(now.wall)) else {
            return;
        };
        let random = self.random.u16(..);
        if let Some(pause) = instance.resume_pause(now, random) {
            let InstancePlan { upstream, account, .. } = instance.plan();
            self.queue.pause(upstream, *account, pause, now.mono);
        }
    }

    fn replan(&mut self, name: &InstanceName, plan: InstancePlan, now: Now) {
        let Some(instance) = self.instances.get_mut(name) else { return };
        let Some(change) = instance.compare_plan(&plan, now) else { return };
        self.leave_queue(name, now);
        if change.gives_up_call {
            self.give_up_call(name, GiveUpReason::Changed);
        }
        if change.returned {
            self.take_back(name, &plan, now);
        }
        let random = self.random.u16(..);
        let Some(instance) = self.instances.get_mut(name) else { return };
        let was_unknown = !instance.plan().fingerprint.is_known();
        instance.replan(plan, change, now, random);
        if was_unknown {
            self.resume_pause(name, now);
        }
        let Some(instance) = self.instances.get_mut(name) else { return };
        if change.returned
            && let Some(lease) = instance.republish(self.run_state, now)
        {
            self.actions.push_back(ScheduleAction::Publish(name.clone(), lease));
        }
        self.advance(name, now);
    }

    fn remove(&mut self, name: &InstanceName, now: Now) {
        if self.instances.get(name).is_none_or(InstanceState::is_leaving) {
            return;
        }
        self.leave_queue(name, now);
        self.give_up_call(name, GiveUpReason::Removed);
        self.withdraw(name); // whatever is being saved
        if let Some(instance) = self.instances.get_mut(name) {
            instance.leave(now);
        }
        self.advance(name, now);
    }

    /// An instance that was removed is configured again.
    fn take_back(&mut self, name: &InstanceName, plan: &InstancePlan, now: Now) {
        let Some(instance) = self.instances.get_mut(name) else { return };
        for (revision, why) in instance.return_as(plan, now) {
            self.report_not_revoked(name, revision, why, now.wall);
        }
    }

    /// Ends the call of an instance, if one is under way, or at least does not wait for it.
    pub(super) fn give_up_call(&mut self, name: &InstanceName, reason: GiveUpReason) {
        let Some(instance) = self.instances.get_mut(name) else { return };
        match instance.give_up_call(reason) {
            Some(GivenUpCall::Cancel) => self.cancel_call(name),
            Some(GivenUpCall::Detach(call)) => self.actions.push_back(ScheduleAction::Detach(call)),
            None => {}
        }
    }
}
