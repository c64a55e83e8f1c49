//! Saving what changed, and publishing it when it is saved.

use crate::InstanceName;
use crate::time::Now;

use super::Schedule;
use super::event::{OperatorEvent, SaveId, ScheduleAction};
use super::instance::SaveEnd;

impl Schedule {
    /// Saves what an instance holds, now.
    pub(super) fn save(&mut self, name: &InstanceName) {
        let id = SaveId(self.next_id());
        let Some(instance) = self.instances.get_mut(name) else { return };
        let record = instance.start_save(id);
        self.saves.insert(id, name.clone());
        self.actions.push_back(ScheduleAction::Save(id, name.clone(), record));
    }

    /// Deletes what is saved of an instance, now.
    pub(super) fn forget(&mut self, name: &InstanceName) {
        let id = SaveId(self.next_id());
        let Some(instance) = self.instances.get_mut(name) else { return };
        instance.start_forget(id);
        self.saves.insert(id, name.clone());
        self.actions.push_back(ScheduleAction::Forget(id, name.clone()));
    }

    /// Saves what the service of an instance said about when to call again, if that changed.
    pub(super) fn save_pause(&mut self, name: &InstanceName, now: Now) {
        let changed = self.instances.get_mut(name).and_then(|instance| instance.changed_pause(now.wall));
        let Some(pause) = changed else { return };
        let id = SaveId(self.next_id());
        self.pause_saves.insert(id, name.clone());
        self.actions.push_back(ScheduleAction::SavePause(id, name.clone(), pause));
    }

    pub(super) fn save_succeeded(&mut self, id: SaveId, now: Now) {
        if self.pause_saves.remove(&id).is_some() {
            return;
        }
        let Some(name) = self.saves.remove(&id) else { return };
        let Some(instance) = self.instances.get_mut(&name) else { return };
        match instance.save_succeeded(id) {
            SaveEnd::Stale => return,
            SaveEnd::Forgotten => {
                self.instances.remove(&name);
            }
            SaveEnd::Saved => {
                if let Some(lease) = instance.publish_held(self.run_state, now) {
                    self.actions.push_back(ScheduleAction::Publish(name.clone(), lease));
                }
                // One that failed before: what is written is written again by now.
                self.save_pause(&name, now);
            }
        }
        self.advance(&name, now);
    }

    pub(super) fn save_failed(&mut self, id: SaveId, why: String, now: Now) {
        if let Some(name) = self.pause_saves.remove(&id) {
            if let Some(instance) = self.instances.get_mut(&name) {
                instance.pause_save_failed();
            }
            self.notify(OperatorEvent::PauseSaveFailed(name, why));
            return;
        }
        let random = self.random.u16(..);
        let Some(name) = self.saves.remove(&id) else { return };
        let Some(instance) = self.instances.get_mut(&name) else { return };
        let Some(wait) = instance.save_failed(id, &why, now, random) else { return };
        self.notify(OperatorEvent::SaveFailed(name.clone(), why, wait));
        self.advance(&name, now);
    }

    /// Publishes a lease that had expired when it was saved, and is valid again since the clock was set back.
    pub(super) fn publish_revived(&mut self, name: &InstanceName, now: Now) {
        let run_state = self.run_state;
        let lease = self.instances.get_mut(name).and_then(|instance| instance.publish_saved(run_state, now));
        self.actions.extend(lease.map(|lease| ScheduleAction::Publish(name.clone(), lease)));
    }

    /// Publishes what could not be saved, if nothing else is valid for much longer.
    pub(super) fn publish_unsaved(&mut self, name: &InstanceName, now: Now) {
        if self.saves_first {
            return;
        }
        let Some(instance) = self.instances.get_mut(name) else { return };
        let Some(lease) = instance.publish_unsaved(self.run_state, now) else { return };
        self.notify(OperatorEvent::PublishedUnsaved(name.clone(), lease.revision));
        self.actions.push_back(ScheduleAction::Publish(name.clone(), lease));
    }

    /// Lets an instance continue whose lease is published although its record cannot be saved; whether it does.
    pub(super) fn continue_unsaved(&mut self, name: &InstanceName, now: Now) -> bool {
        let run_state = self.run_state;
        self.instances.get_mut(name).is_some_and(|instance| instance.continue_unsaved(run_state, now))
    }

    /// Tries again to save what other things did not wait for; whether it does.
    pub(super) fn retry_pending_save(&mut self, name: &InstanceName, now: Now) -> bool {
        if !self.instances.get(name).is_some_and(|instance| instance.is_pending_save_due(self.run_state, now)) {
            return false;
        }
        self.leave_queue(name, now);
        self.save(name);
        true
    }
}
