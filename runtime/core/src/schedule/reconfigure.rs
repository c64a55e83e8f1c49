//! What a configuration changes: instances enter, change and leave.

use std::collections::BTreeSet;

use crate::InstanceName;

use super::budget::{Bucket, UpstreamName};
use super::detach::{GivenUp, SELDOM};
use super::event::{ScheduleAction, ScheduleConfig};
use super::instance_state::{DueTime, InstanceState, Membership, OperatorRequest, Renewable, Required};
use super::lease::LeaseRecord;
use super::machine::Schedule;
use super::policy::InstancePlan;
use crate::time::Now;

impl Schedule {
    pub(super) fn configured(&mut self, configuration: ScheduleConfig, now: Now) {
        let ScheduleConfig { mut plans, default_budget, budgets, calls } = configuration;
        self.queue.configure(default_budget, budgets, now.mono);
        let known: Vec<InstanceName> = self.slots.keys().cloned().collect();
        for name in known {
            match plans.remove(&name) {
                Some(plan) => self.replan(&name, plan, now),
                None => self.leave(&name, now),
            }
        }
        for (name, plan) in plans {
            let record = self.adopt_orphan(&name).unwrap_or_default();
            self.enter(&name, plan, record, now);
        }
        let upstreams: BTreeSet<&UpstreamName> = self.slots.values().map(|slot| &slot.plan.upstream).collect();
        self.shares.configure(calls, upstreams.len() > 1);
        self.keep_orphans(now);
    }

    fn enter(&mut self, name: &InstanceName, plan: InstancePlan, record: LeaseRecord, now: Now) {
        let removed = record.removed.is_some();
        self.slots.insert(name.clone(), InstanceState::new(plan.clone(), record, now.mono));
        if removed {
            self.take_up(name, &plan, now);
        }
        let chance = self.chance.u16(..);
        let Some(slot) = self.slots.get_mut(name) else { return };
        slot.found = self.files.remove(name).flatten();
        slot.usual_life = slot.record.lease.as_ref().map(|lease| lease.valid_until.since(lease.obtained_at));
        if let Some(lease) = slot.valid(now.wall).cloned() {
            slot.last_success = Some(lease.obtained_at);
            slot.used_until = slot.grace(now.mono);
            self.actions.push_back(ScheduleAction::Publish(name.clone(), lease.clone()));
            slot.published = Some(lease);
            self.shares.keep();
            slot.next = slot.replacement(now, now.wall, chance);
        }
        self.settle(name, now);
    }

    fn replan(&mut self, name: &InstanceName, plan: InstancePlan, now: Now) {
        let Some(slot) = self.slots.get(name) else { return };
        let returned = slot.stay == Membership::Leaving;
        if slot.plan == plan && !returned {
            return;
        }
        let changed = slot.plan.fingerprint != plan.fingerprint || returned;
        let mode_changed = slot.plan.policy.mode != plan.policy.mode;
        let policy_changed = slot.plan.policy != plan.policy;
        self.unqueue(name, now);
        // Whoever changes too often lets calls end.
        let prompt = changed && self.slots.get_mut(name).is_some_and(|slot| slot.changes.take(now.mono).is_ok());
        let seldom = self.slots.get_mut(name).is_some_and(|slot| slot.changes.level(now.mono) >= SELDOM);
        if prompt && seldom {
            self.give_up(name, GivenUp::Changed);
        }
        if returned {
            self.take_up(name, &plan, now);
        }
        let chance = self.chance.u16(..);
        let Some(slot) = self.slots.get_mut(name) else { return };
        if slot.plan.policy.calls != plan.policy.calls {
            slot.hourly = Bucket::hourly(plan.policy.calls, now.mono);
            slot.rests_until = now.mono;
        }
        slot.keep_former();
        slot.plan = plan;
        slot.stay = Membership::Configured;
        if mode_changed {
            slot.used_until = slot.grace(now.mono);
        }
        if changed {
            slot.forget_failures();
            (slot.renewable, slot.required) = (Renewable::Perhaps, Required::Yes);
            // What is obtained now is what was wished for. What was to be revoked still is.
            slot.wish.take_if(|wish| *wish == OperatorRequest::Renew);
            slot.next = if slot.valid(now.wall).is_some_and(|lease| lease.fingerprint == slot.plan.fingerprint) {
                slot.replacement(now, now.wall, chance) // it was obtained as it would be now
            } else if prompt {
                DueTime::at(now.mono)
            } else {
                DueTime::at(slot.changes.free_at(now.mono))
            };
        } else if policy_changed && slot.failures == 0 && slot.wish.is_none() && slot.valid(now.wall).is_some() {
            slot.next = slot.replacement(now, now.wall, chance);
        }
        self.settle(name, now);
    }
}
