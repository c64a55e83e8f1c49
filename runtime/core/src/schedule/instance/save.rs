//! Saving what is held, and publishing it: after it is saved, or unsaved where nothing else is valid for much longer.
//!
//! A lease is saved before it is published, so that a restart goes back to nothing older. A disk that is full or read-only
//! must not end what is in use, though: once the published lease is about to expire, the one that is held is published
//! unsaved. From then on the instance goes on as always, and saving goes on beside that. Nothing is revoked before it is
//! saved that it is to be.

use crate::Span;
use crate::failure::FailureKind;
use crate::retry::RetryPolicy;
use crate::time::{Now, Timestamp};

use super::{InstancePhase, InstanceState, Membership, PendingSave, RunState};
use crate::schedule::event::SaveId;
use crate::schedule::lease::{Lease, LeaseOrigin, LeaseRecord};

/// How saving is retried: state is small, and an operator empties a full disk.
const SAVE_RETRY: RetryPolicy = RetryPolicy { floor: Span::millis(500), most: Span::secs(15), slow: Span::millis(500) };

/// The last part of a lease's life, in which it is about to expire: one tenth.
const LAST_PART: u64 = 10;

/// What a save that succeeded did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::schedule) enum SaveEnd {
    /// The record is on disk.
    Saved,
    /// The record is deleted, and the instance is not configured.
    Forgotten,
    /// The instance does not wait for it.
    Stale,
}

impl InstanceState {
    /// Starts to save. Returns what to write.
    pub(in crate::schedule) fn start_save(&mut self, id: SaveId) -> LeaseRecord {
        self.phase = InstancePhase::Saving { id, failures: self.save_failures(), again: None };
        self.is_dirty = false;
        self.pending_save = None;
        self.saving_revision = self.record.revision;
        self.record.clone()
    }

    /// Starts to delete what is saved.
    pub(in crate::schedule) fn start_forget(&mut self, id: SaveId) {
        self.phase = InstancePhase::Forgetting { id, failures: self.save_failures(), again: None };
        self.pending_save = None;
    }

    pub(in crate::schedule) fn save_succeeded(&mut self, saved: SaveId) -> SaveEnd {
        match self.phase {
            InstancePhase::Saving { id, .. } if id == saved => self.saved_revision = self.saving_revision,
            InstancePhase::Forgetting { id, .. } if id == saved => {
                if self.membership == Membership::Leaving {
                    return SaveEnd::Forgotten;
                }
                // It came back meanwhile.
            }
            _ => return SaveEnd::Stale,
        }
        self.phase = InstancePhase::Resting;
        self.save_error = None;
        self.published_unsaved = None;
        SaveEnd::Saved
    }

    /// Returns the delay before the next attempt, or `None` if the instance does not wait for this save.
    pub(in crate::schedule) fn save_failed(
        &mut self,
        failed: SaveId,
        why: &str,
        now: Now,
        random: u16,
    ) -> Option<Span> {
        let (InstancePhase::Saving { id, failures, again } | InstancePhase::Forgetting { id, failures, again }) =
            &mut self.phase
        else {
            return None;
        };
        if *id != failed {
            return None;
        }
        *failures = failures.saturating_add(1);
        let wait = SAVE_RETRY.backoff(FailureKind::Internal, *failures, None, random);
        *again = Some(now.mono.plus(wait));
        self.save_error = Some(why.to_owned());
        Some(wait)
    }

    /// Publishes the lease that is held, which is saved, if it is not published.
    pub(in crate::schedule) fn publish_held(&mut self, run_state: RunState, now: Now) -> Option<Lease> {
        if self.membership != Membership::Configured || self.due_end(run_state, now).is_some() {
            return None;
        }
        let published = self.published.as_ref().map(|lease| lease.revision);
        let lease = self.valid(now.wall).filter(|lease| published != Some(lease.revision)).cloned()?;
        self.published = Some(lease.clone());
        Some(lease)
    }

    /// Publishes the lease that is held, if it is saved and not published.
    pub(in crate::schedule) fn publish_saved(&mut self, run_state: RunState, now: Now) -> Option<Lease> {
        let is_saved = !matches!(self.phase, InstancePhase::Saving { .. } | InstancePhase::Forgetting { .. });
        if is_saved && self.pending_save.is_none() { self.publish_held(run_state, now) } else { None }
    }

    /// Publishes what could not be saved, if nothing else is valid for much longer.
    pub(in crate::schedule) fn publish_unsaved(&mut self, run_state: RunState, now: Now) -> Option<Lease> {
        let is_due = self.unsaved_publish_at(run_state, now).is_some_and(|at| at <= now.wall);
        let lease = self.valid(now.wall).filter(|_| is_due).cloned()?;
        self.published = Some(lease.clone());
        self.published_unsaved = Some(lease.revision);
        Some(lease)
    }

    /// Whether there was something published. Nothing is from now on.
    pub(in crate::schedule) fn withdraw(&mut self) -> bool {
        self.published.take().is_some()
    }

    /// Lets an instance continue whose lease is published although its record cannot be saved; whether it does.
    pub(in crate::schedule) fn continue_unsaved(&mut self, run_state: RunState, now: Now) -> bool {
        let InstancePhase::Saving { failures, again: Some(again), .. } = self.phase else { return false };
        if run_state != RunState::Running || !self.is_held_published_unsaved() || !self.is_due(now) {
            return false;
        }
        self.pending_save = Some(PendingSave { failures, again });
        self.phase = InstancePhase::Resting;
        true
    }

    /// Whether to try again to save what other things did not wait for.
    pub(in crate::schedule) fn is_pending_save_due(&self, run_state: RunState, now: Now) -> bool {
        self.pending_save.is_some_and(|pending| pending.again <= now.mono || run_state == RunState::Stopping)
    }

    /// When what is held is published although it could not be saved, if it is to be.
    pub(super) fn unsaved_publish_at(&self, run_state: RunState, now: Now) -> Option<Timestamp> {
        let InstancePhase::Saving { again: Some(_), .. } = self.phase else { return None };
        if self.membership != Membership::Configured || self.due_end(run_state, now).is_some() {
            return None;
        }
        let held = self.valid(now.wall)?;
        let published = self.published.as_ref().filter(|lease| lease.is_valid(now.wall));
        match published {
            Some(lease) if lease.revision == held.revision => None,
            Some(lease) => Some(last_part(lease)),
            None => Some(now.wall),
        }
    }

    /// The leases that a component brought and that are not known to be saved, also if they have expired. Their writes may have
    /// taken place.
    pub(in crate::schedule) fn unsaved(&self) -> impl Iterator<Item = &Lease> {
        let kept = self.record.lease.iter().chain(self.record.retired.iter().map(|retired| &retired.lease));
        let unsaved = kept.filter(|lease| lease.revision > self.saved_revision).chain(&self.late);
        unsaved.filter(|lease| lease.origin == LeaseOrigin::Component)
    }

    /// Whether the published lease is unsaved, also when another one is held by now.
    pub(super) fn is_published_unsaved(&self) -> bool {
        self.published.as_ref().is_some_and(|lease| self.published_unsaved == Some(lease.revision))
    }

    /// Whether what is held is published, and not saved.
    pub(super) fn is_held_published_unsaved(&self) -> bool {
        let published = self.published.as_ref().map(|lease| lease.revision);
        let held = self.record.lease.as_ref().map(|lease| lease.revision);
        self.save_error.is_some() && published.is_some() && published == held
    }

    /// Failed attempts to save what is being saved.
    fn save_failures(&self) -> u32 {
        match self.phase {
            InstancePhase::Saving { failures, .. } | InstancePhase::Forgetting { failures, .. } => failures,
            InstancePhase::Resting | InstancePhase::Waiting { .. } | InstancePhase::Calling { .. } => {
                self.pending_save.map_or(0, |pending| pending.failures)
            }
        }
    }
}

/// When the last part of a lease's life begins.
fn last_part(lease: &Lease) -> Timestamp {
    let life = lease.valid_until.since(lease.obtained_at);
    lease.valid_until.minus(Span::millis(life.as_millis() / LAST_PART))
}
