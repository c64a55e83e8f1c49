//! Bringing each instance to where it should be now, and noting when to look again.

use std::collections::BTreeSet;

use crate::InstanceName;

use super::event::{OperatorEvent, ProviderCall, ScheduleAction, ScheduledCallId};
use super::instance_state::{InstancePhase, Membership, Required, RunState};
use super::machine::{Running, Schedule};
use super::policy::Switch;
use super::queue::Task;
use crate::time::Now;

impl Schedule {
    /// Looks at every instance whose time has come.
    pub(super) fn wake(&mut self, now: Now) {
        let mut due: BTreeSet<InstanceName> = BTreeSet::new();
        due.extend(self.by_mono.iter().take_while(|(at, _)| *at <= now.mono).map(|(_, name)| name.clone()));
        due.extend(self.by_wall.iter().take_while(|(at, _)| *at <= now.wall).map(|(_, name)| name.clone()));
        for name in due {
            self.settle(&name, now);
        }
    }

    /// Brings one instance to where it should be now, and notes when to look again.
    pub(super) fn settle(&mut self, name: &InstanceName, now: Now) {
        self.step(name, now);
        self.unindex(name);
        let Some(slot) = self.slots.get_mut(name) else { return };
        slot.wakes = slot.wake_at(self.life, now);
        if let Some(at) = slot.wakes.0 {
            self.by_mono.insert((at, name.clone()));
        }
        if let Some(at) = slot.wakes.1 {
            self.by_wall.insert((at, name.clone()));
        }
    }

    pub(super) fn unindex(&mut self, name: &InstanceName) {
        let Some(slot) = self.slots.get_mut(name) else { return };
        let (mono, wall) = std::mem::take(&mut slot.wakes);
        if let Some(at) = mono {
            self.by_mono.remove(&(at, name.clone()));
        }
        if let Some(at) = wall {
            self.by_wall.remove(&(at, name.clone()));
        }
    }

    fn step(&mut self, name: &InstanceName, now: Now) {
        self.tell_expired(name, now);
        let Some(slot) = self.slots.get_mut(name) else { return };
        match &slot.phase {
            // A disk may be full for long, and what is to end does not wait for it.
            InstancePhase::Saving { again: Some(again), .. } => {
                let again = *again;
                if self.change(name, now) {
                    return;
                }
                if again <= now.mono {
                    return self.save(name);
                }
                self.publish_unsaved(name, now);
                if !self.go_on_unsaved(name, now) {
                    return;
                }
            }
            InstancePhase::Forgetting { again: Some(again), .. } if *again <= now.mono => return self.forget(name),
            InstancePhase::Saving { .. } | InstancePhase::Forgetting { .. } => return,
            // Tokens are more urgent than a revocation, which is tried again.
            InstancePhase::Calling { call, work: ProviderCall::Revoke(_), .. }
                if self.life == RunState::Running && self.ending != Some(*call) && slot.is_due(now) =>
            {
                slot.revoke_after = now.mono.plus(slot.plan.policy.retry.least());
                self.cut(name);
            }
            InstancePhase::Calling { .. } => return,
            InstancePhase::Resting | InstancePhase::Waiting { .. } => {}
        }
        if !self.change(name, now) && !self.save_unsaved(name, now) {
            self.want(name, now);
        }
    }

    fn tell_expired(&mut self, name: &InstanceName, now: Now) {
        let Some(slot) = self.slots.get_mut(name) else { return };
        let Some(lease) = slot.given().filter(|lease| !lease.is_valid(now.wall)) else { return };
        let revision = lease.revision;
        if slot.told_expired != Some(revision) {
            slot.told_expired = Some(revision);
            if slot.required == Required::Yes && slot.stay == Membership::Configured {
                self.tell(OperatorEvent::Expired(name.clone(), revision));
            }
        }
    }

    /// Puts an instance into the queue, or takes it out, by what it wants.
    fn want(&mut self, name: &InstanceName, now: Now) {
        let Some(slot) = self.slots.get_mut(name) else { return };
        let running = self.life == RunState::Running;
        // Whoever stops obtains nothing more, and revokes, once, what there is no later chance for.
        let no_later = slot.stay == Membership::Leaving || slot.plan.policy.revoke.shutdown == Switch::Revoke;
        let may_revoke = running || (no_later && slot.revoke_failures == 0);
        let task = if running && slot.is_due(now) {
            Some(Task::Tokens)
        } else if may_revoke && slot.unsaved_record.is_none() && slot.to_revoke(now).is_some() {
            Some(Task::Revocation)
        } else {
            None
        };
        if matches!(&slot.phase, InstancePhase::Waiting { place } if Some(place.task) == task) {
            return;
        }
        self.unqueue(name, now);
        let Some(slot) = self.slots.get_mut(name) else { return };
        if let Some(task) = task {
            let place = slot.place(task, name, now);
            self.queue.add(&slot.plan.upstream, place.clone(), now.mono);
            slot.phase = InstancePhase::Waiting { place };
        }
    }

    /// Takes an instance out of the queue, if it stands there.
    pub(super) fn unqueue(&mut self, name: &InstanceName, now: Now) {
        let Some(slot) = self.slots.get_mut(name) else { return };
        if let InstancePhase::Waiting { place } = &slot.phase {
            self.queue.remove(&slot.plan.upstream, place, now.mono);
            slot.phase = InstancePhase::Resting;
        }
    }

    /// Ends the call of an instance, if one is under way.
    pub(super) fn cut(&mut self, name: &InstanceName) {
        let Some(slot) = self.slots.get_mut(name) else { return };
        if let InstancePhase::Calling { call, .. } = slot.phase {
            slot.phase = InstancePhase::Resting;
            self.release(call);
            self.actions.push_back(ScheduleAction::Cancel(call));
        }
    }

    /// Calls those whose turn it is.
    pub(super) fn dispatch(&mut self, now: Now) {
        while let Some(turn) = self.queue.next(&self.shares, now.mono) {
            let name = turn.place.name;
            let call = ScheduledCallId(self.number());
            let Some(slot) = self.slots.get_mut(&name) else { continue };
            if let Some(work) = slot.turn(now) {
                if !matches!(work, ProviderCall::Revoke(_)) {
                    // What the file holds had its turn. What it holds after this moment has not.
                    slot.pass();
                    slot.count_call(now.mono);
                }
                slot.phase = InstancePhase::Calling {
                    call,
                    work: work.clone(),
                    began: now,
                    fingerprint: slot.plan.fingerprint,
                    revoked: false,
                };
                self.shares.take(&turn.upstream, turn.admission);
                self.calling.insert(
                    call,
                    Running {
                        name: name.clone(),
                        upstream: turn.upstream,
                        account: turn.place.account,
                        admission: turn.admission,
                        began: now.mono,
                    },
                );
                self.actions.push_back(ScheduleAction::Call(call, name.clone(), work));
            } else {
                slot.phase = InstancePhase::Resting;
            }
            self.settle(&name, now);
        }
    }
}
