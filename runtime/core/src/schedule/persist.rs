//! Saving what changed, and giving it out when it is saved.

use crate::{InstanceName, Span};

use super::event::{OperatorEvent, SaveId, ScheduleAction};
use super::instance_state::{InstancePhase, Membership};
use super::machine::Schedule;
use crate::failure::{FailureKind, FailureRecord};
use crate::retry::RetryPolicy;
use crate::time::Now;

/// How saving is tried again: state is small, and a full disk is emptied by somebody.
const SAVE_RETRY: RetryPolicy = RetryPolicy { floor: Span::millis(500), most: Span::secs(15), slow: Span::millis(500) };

impl Schedule {
    pub(super) fn saved(&mut self, ticket: SaveId, now: Now) {
        let Some(name) = self.saving.remove(&ticket) else { return };
        let Some(slot) = self.slots.get_mut(&name) else { return };
        match slot.phase {
            InstancePhase::Saving { ticket: own, .. } if own == ticket => slot.phase = InstancePhase::Resting,
            InstancePhase::Forgetting { ticket: own, .. } if own == ticket => {
                if slot.stay == Membership::Leaving {
                    self.unindex(&name);
                    self.slots.remove(&name);
                    return;
                }
                slot.phase = InstancePhase::Resting; // it came back meanwhile
            }
            _ => return,
        }
        slot.unsaved = None;
        slot.published_unsaved = None;
        let published = slot.published.as_ref().map(|lease| lease.revision);
        if slot.stay == Membership::Configured
            && slot.ends(self.life, now).is_none()
            && let Some(lease) = slot.valid(now.wall).filter(|lease| published != Some(lease.revision)).cloned()
        {
            self.actions.push_back(ScheduleAction::Publish(name.clone(), lease.clone()));
            slot.published = Some(lease);
        }
        self.settle(&name, now);
    }

    pub(super) fn save_failed(&mut self, ticket: SaveId, why: String, now: Now) {
        let chance = self.chance.u16(..);
        let Some(name) = self.saving.remove(&ticket) else { return };
        let Some(slot) = self.slots.get_mut(&name) else { return };
        let (InstancePhase::Saving { ticket: own, failures, again }
        | InstancePhase::Forgetting { ticket: own, failures, again }) = &mut slot.phase
        else {
            return;
        };
        if *own != ticket {
            return;
        }
        *failures = failures.saturating_add(1);
        let trouble = FailureRecord { kind: FailureKind::Internal, message: why.clone(), at: now.wall };
        let wait = SAVE_RETRY.delay(trouble.kind, *failures, None, chance);
        *again = Some(now.mono.plus(wait));
        slot.unsaved = Some(why.clone());
        self.tell(OperatorEvent::SaveFailed(name.clone(), why, wait));
        self.settle(&name, now);
    }

    /// Saves what an instance holds, now.
    pub(super) fn save(&mut self, name: &InstanceName) {
        let new = SaveId(self.number());
        let Some(slot) = self.slots.get_mut(name) else { return };
        let failures = slot.save_failures();
        slot.unsaved_record = None;
        slot.phase = InstancePhase::Saving { ticket: new, failures, again: None };
        self.saving.insert(new, name.clone());
        self.actions.push_back(ScheduleAction::Save(new, name.clone(), slot.record.clone()));
    }

    /// Deletes what is saved of an instance, now.
    pub(super) fn forget(&mut self, name: &InstanceName) {
        let new = SaveId(self.number());
        let Some(slot) = self.slots.get_mut(name) else { return };
        let failures = slot.save_failures();
        slot.unsaved_record = None;
        slot.phase = InstancePhase::Forgetting { ticket: new, failures, again: None };
        self.saving.insert(new, name.clone());
        self.actions.push_back(ScheduleAction::Forget(new, name.clone()));
    }
}
