//! What happens while state cannot be written.
//!
//! A lease is saved before it is given out, so that a restart goes back to nothing older. A disk that is full or read-only
//! must not end what people use, though: once the lease that they have is about to end, the one that is held is given out
//! unsaved. From then on the instance is kept as always, and saving goes on beside that. Nothing is revoked before it is
//! saved that it is to be.

use crate::{InstanceName, Timestamp};

use super::event::{OperatorEvent, ScheduleAction};
use super::instance_state::{InstancePhase, InstanceState, Membership, RunState};
use super::lease::Lease;
use super::machine::Schedule;
use crate::time::{MonotonicTime, Now};

/// The last part of a lease's life, in which it is about to end: one tenth.
const LAST_PART: u64 = 10;

/// A record that could not be saved, and is to be saved while other things go on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unsaved {
    pub(super) failures: u32,
    pub(super) again: MonotonicTime,
}

impl Schedule {
    /// Gives out what could not be saved, if nothing else is good for much longer.
    pub(super) fn publish_unsaved(&mut self, name: &InstanceName, now: Now) {
        let life = self.life;
        let Some(slot) = self.slots.get_mut(name) else { return };
        let is_due = slot.unsaved_due_at(life, now).is_some_and(|at| at <= now.wall);
        let Some(lease) = slot.valid(now.wall).filter(|_| is_due).cloned() else { return };
        slot.published = Some(lease.clone());
        slot.published_unsaved = Some(lease.revision);
        self.tell(OperatorEvent::PublishedUnsaved(name.clone(), lease.revision));
        self.actions.push_back(ScheduleAction::Publish(name.clone(), lease));
    }

    /// Lets an instance go on whose record can't be saved and whose lease is given out all the same; whether it does.
    pub(super) fn go_on_unsaved(&mut self, name: &InstanceName, now: Now) -> bool {
        let life = self.life;
        let Some(slot) = self.slots.get_mut(name) else { return false };
        let InstancePhase::Saving { failures, again: Some(again), .. } = slot.phase else { return false };
        if life != RunState::Running || !slot.is_given_unsaved() || !slot.is_due(now) {
            return false;
        }
        slot.unsaved_record = Some(Unsaved { failures, again });
        slot.phase = InstancePhase::Resting;
        true
    }

    /// Tries again to save what other things did not wait for; whether it does.
    pub(super) fn save_unsaved(&mut self, name: &InstanceName, now: Now) -> bool {
        let life = self.life;
        let Some(slot) = self.slots.get(name) else { return false };
        let is_due = |unsaved: Unsaved| unsaved.again <= now.mono || life == RunState::Stopping;
        if !slot.unsaved_record.is_some_and(is_due) {
            return false;
        }
        self.unqueue(name, now);
        self.save(name);
        true
    }
}

impl InstanceState {
    /// When what is held is given out although it could not be saved, if it is to be.
    pub(super) fn unsaved_due_at(&self, life: RunState, now: Now) -> Option<Timestamp> {
        let InstancePhase::Saving { again: Some(_), .. } = self.phase else { return None };
        if self.stay != Membership::Configured || self.ends(life, now).is_some() {
            return None;
        }
        let held = self.valid(now.wall)?;
        let given = self.published.as_ref().filter(|given| given.is_valid(now.wall));
        match given {
            Some(given) if given.revision == held.revision => None,
            Some(given) => Some(begin_of_end(given)),
            None => Some(now.wall),
        }
    }

    /// Whether the published lease is unsaved, also when another one is held by now.
    pub(super) fn is_published_unsaved(&self) -> bool {
        self.published.as_ref().is_some_and(|lease| self.published_unsaved == Some(lease.revision))
    }

    /// Whether what is held is given out, and not saved.
    pub(super) fn is_given_unsaved(&self) -> bool {
        let revision = |lease: &Lease| lease.revision;
        self.unsaved.is_some()
            && self.published.as_ref().map(revision) == self.record.lease.as_ref().map(revision)
            && self.published.is_some()
    }
}

fn begin_of_end(lease: &Lease) -> Timestamp {
    let life = lease.valid_until.since(lease.obtained_at);
    lease.valid_until.minus(crate::Span::millis(life.as_millis() / LAST_PART))
}
