//! Bringing each instance to where it should be now, and noting when to look again.

use crate::InstanceName;
use crate::Revision;
use crate::time::{Now, Timestamp};

use super::event::{OperatorEvent, ProviderCall, ScheduleAction, ScheduledCallId};
use super::instance::{InstancePhase, InstanceState, RunState};
use super::revocation::NotRevoked;
use super::{CallTimes, RunningCall, Schedule};

impl Schedule {
    /// Advances every instance whose time has come.
    pub(super) fn advance_due(&mut self, now: Now) {
        for name in self.wakes.due(now) {
            self.advance(&name, now);
        }
    }

    /// Brings one instance to where it should be now, and notes when to look again.
    pub(super) fn advance(&mut self, name: &InstanceName, now: Now) {
        self.step(name, now);
        match self.instances.get(name) {
            Some(instance) => self.wakes.set(name, instance.wake_at(self.run_state, now)),
            None => self.wakes.remove(name),
        }
    }

    fn step(&mut self, name: &InstanceName, now: Now) {
        self.report_expiry(name, now);
        let Some(instance) = self.instances.get_mut(name) else { return };
        match *instance.phase() {
            // A disk may be full for long, and what is to end does not wait for it.
            InstancePhase::Saving { again: Some(again), .. } => {
                if self.apply_changes(name, now) {
                    return;
                }
                if again <= now.mono {
                    return self.save(name);
                }
                self.publish_unsaved(name, now);
                if !self.continue_unsaved(name, now) {
                    return;
                }
            }
            InstancePhase::Forgetting { again: Some(again), .. } if again <= now.mono => return self.forget(name),
            InstancePhase::Saving { .. } | InstancePhase::Forgetting { .. } => return,
            // Tokens are more urgent than a revocation, which is tried again.
            InstancePhase::Calling { call, work: ProviderCall::Revoke(_), .. }
                if self.run_state == RunState::Running && self.ending != Some(call) && instance.is_due(now) =>
            {
                instance.postpone_revocation(now);
                self.cancel_call(name);
            }
            InstancePhase::Calling { .. } => return,
            InstancePhase::Resting | InstancePhase::Waiting { .. } => {}
        }
        if !self.apply_changes(name, now) && !self.retry_pending_save(name, now) {
            self.update_queue(name, now);
        }
    }

    fn report_expiry(&mut self, name: &InstanceName, now: Now) {
        let Some(instance) = self.instances.get_mut(name) else { return };
        if let Some(revision) = instance.report_expiry(now.wall) {
            self.notify(OperatorEvent::Expired(name.clone(), revision));
        }
    }

    /// Carries out what changes without a call; whether there was any such thing, which is being saved now.
    fn apply_changes(&mut self, name: &InstanceName, now: Now) -> bool {
        let Some(instance) = self.instances.get_mut(name) else { return true };
        let changes = instance.apply_due_changes(self.run_state, now);
        for (revision, why) in changes.not_revoked {
            self.report_not_revoked(name, revision, why, now.wall);
        }
        if changes.holds_nothing {
            self.withdraw(name);
        }
        if !changes.is_over && changes.adopts.is_none() && !changes.is_dirty {
            return false;
        }
        self.leave_queue(name, now);
        if changes.is_over {
            if self.instances.get(name).is_some_and(InstanceState::keeps_state) {
                self.keep_state(name, now);
            } else {
                self.forget(name);
            }
            return true;
        }
        if let Some(file) = changes.adopts {
            let random = self.random.u16(..);
            let instance = self.instances.get_mut(name);
            if let Some((revision, why)) = instance.and_then(|instance| instance.adopt_file(file, now, random)) {
                self.report_not_revoked(name, revision, why, now.wall);
            }
        }
        self.save(name);
        true
    }

    /// Puts an instance into the queue, or takes it out, by what it wants.
    fn update_queue(&mut self, name: &InstanceName, now: Now) {
        let Some(instance) = self.instances.get(name) else { return };
        let purpose = instance.due_purpose(self.run_state, now);
        if purpose.is_some() && purpose == instance.queued_purpose() {
            return;
        }
        self.leave_queue(name, now);
        let Some(instance) = self.instances.get_mut(name) else { return };
        if let Some(purpose) = purpose {
            let entry = instance.join_queue(purpose, name, now);
            self.queue.add(&instance.plan().upstream, entry, now.mono);
        }
    }

    /// Takes an instance out of the queue, if it waits there.
    pub(super) fn leave_queue(&mut self, name: &InstanceName, now: Now) {
        let Some(instance) = self.instances.get_mut(name) else { return };
        if let Some(entry) = instance.leave_queue() {
            self.queue.remove(&instance.plan().upstream, &entry, now.mono);
        }
    }

    /// Ends the call of an instance, if one is under way.
    pub(super) fn cancel_call(&mut self, name: &InstanceName) {
        let Some(call) = self.instances.get_mut(name).and_then(|instance| instance.cancel_call()) else { return };
        self.release_call(call);
        self.actions.push_back(ScheduleAction::Cancel(call));
    }

    /// Withdraws what is published.
    pub(super) fn withdraw(&mut self, name: &InstanceName) {
        if self.instances.get_mut(name).is_some_and(|instance| instance.withdraw()) {
            self.actions.push_back(ScheduleAction::Withdraw(name.clone()));
        }
    }

    /// Records that a lease is not revoked although it should be, and reports it.
    pub(super) fn report_not_revoked(
        &mut self,
        name: &InstanceName,
        revision: Revision,
        why: NotRevoked,
        at: Timestamp,
    ) {
        if let Some(instance) = self.instances.get_mut(name) {
            instance.count_abandoned(revision, why, at);
        }
        self.notify(OperatorEvent::RevokeGivenUp(name.clone(), revision, why));
    }

    /// Starts the calls that may start now.
    pub(super) fn start_calls(&mut self, now: Now) {
        while let Some(next) = self.queue.next(&self.shares, now.mono) {
            let name = next.entry.name;
            let call = ScheduledCallId(self.next_id());
            let Some(instance) = self.instances.get_mut(&name) else { continue };
            let waited = instance.has_waited(now);
            if let Some(work) = instance.start_call(call, now) {
                self.shares.take(&next.upstream, next.admission);
                let running = RunningCall {
                    name: name.clone(),
                    upstream: next.upstream,
                    account: next.entry.account,
                    admission: next.admission,
                    began: now.mono,
                    times: CallTimes { began: now.wall, waited },
                };
                self.calls.insert(call, running);
                self.actions.push_back(ScheduleAction::Call(call, name.clone(), work));
            }
            self.advance(&name, now);
        }
    }
}
