//! Leases that are not saved when the lock is lost: this coordinator leaves them to the one that leads then, and takes in those
//! of others.

use deputy_core::schedule::ScheduleEvent;

use super::Coordinator;
use super::tasks::{TaskOutcome, reject_oversized};
use crate::replica::LeftLease;

impl Coordinator {
    /// The lock is lost: no action of the schedule is carried out any more.
    pub(super) fn leave_unsaved(&mut self) {
        self.take_in_ended();
        let unsaved = self.schedule.unsaved_leases();
        let unsaved = unsaved.map(|(name, lease)| (name.clone(), lease.clone())).collect();
        self.replica.leave_unsaved(self.lock.fencing(), unsaved);
    }

    /// What ended before the lock was found to be lost may have brought leases, or saved them.
    fn take_in_ended(&mut self) {
        while let Some((_, result)) = self.tasks.try_join_next() {
            match result {
                Ok(TaskOutcome::Called(id, outcome)) if self.calls.remove(&id).is_some() => {
                    let outcome = reject_oversized(outcome, &self.lease_store);
                    self.handle(ScheduleEvent::Finished(id, outcome));
                }
                Ok(TaskOutcome::Written(save, Ok(()))) => self.handle(ScheduleEvent::Saved(save)),
                _ => {}
            }
        }
    }

    /// Takes in a lease that another coordinator left. Returns whether no more is to be done about it.
    pub(super) fn revoke_left(&mut self, left: LeftLease) -> bool {
        let LeftLease { key, instance, lease } = left;
        let now = self.replica.options.clock.now();
        // By a clock that is ahead for a moment it would be dropped unrevoked: it is taken in again after that.
        if !lease.is_valid(now.wall) {
            self.left.remove(&key);
            return false;
        }
        if self.schedule.instance(&instance, now).is_none() {
            return false;
        }
        if self.left.insert(key) {
            tracing::info!(%instance, "a coordinator that lost the lock may not have saved a lease; it is revoked unless it is saved");
            self.handle(ScheduleEvent::UnsavedLease(instance.clone(), lease));
        }
        !self.schedule.has_unsaved(&instance, now.wall)
    }
}
