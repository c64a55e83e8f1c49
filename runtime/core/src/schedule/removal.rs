//! Instances that are no longer configured.
//!
//! A file can be cut short by an editor, a full disk or a bad merge, so what is no longer configured is withdrawn at once,
//! and kept sealed for a grace time. An instance that comes back unchanged meanwhile takes its lease up again. Only then
//! is it revoked and deleted. After a restart the component of such an instance is not at hand: what it holds is kept as
//! well, and never revoked.

use crate::{InstanceName, Revision, Span, Timestamp};

use super::detach::GivenUp;
use super::event::{OperatorEvent, SaveId, ScheduleAction};
use super::instance_state::{InstanceState, Membership};
use super::lease::{Lease, LeaseOrigin, LeaseRecord};
use super::machine::Schedule;
use super::policy::{InstancePlan, Switch};
use super::revocation::NotRevoked;
use crate::time::{MonotonicTime, Now};

/// How long what an instance held is kept after its removal if its configuration does not say.
pub const REMOVAL_GRACE: Span = Span::secs(600);

/// How long what is found after a restart is kept for an instance that is not configured.
pub const ORPHAN_GRACE: Span = Span::secs(86_400);

/// What is kept for an instance that was not configured when the process began.
#[derive(Debug)]
pub(super) struct Orphan {
    record: LeaseRecord,
    until: MonotonicTime,
}

impl Schedule {
    pub(super) fn leave(&mut self, name: &InstanceName, now: Now) {
        if self.slots.get(name).is_none_or(|slot| slot.stay == Membership::Leaving) {
            return;
        }
        self.unqueue(name, now);
        self.give_up(name, GivenUp::Removed);
        self.withdraw(name); // whatever is being saved
        if let Some(slot) = self.slots.get_mut(name) {
            slot.stay = Membership::Leaving;
            slot.leaves_at = Some(now.mono.plus(slot.removal_grace()));
        }
        self.settle(name, now);
    }

    /// An instance that was leaving is configured again: what it holds is its own if nothing changed.
    pub(super) fn take_up(&mut self, name: &InstanceName, plan: &InstancePlan, now: Now) {
        let Some(slot) = self.slots.get_mut(name) else { return };
        slot.leaves_at = None;
        let mut given_up = Vec::new();
        if slot.is_foreign_to(plan) {
            let when = slot.removed();
            slot.end(when, now, &mut given_up);
        }
        for (revision, why) in given_up {
            self.abandon(name, revision, why, now.wall);
        }
    }

    /// Keeps what was restored for instances that are not configured.
    pub(super) fn keep_orphans(&mut self, now: Now) {
        for (name, mut record) in std::mem::take(&mut self.restored) {
            let marked = record.removed.map(|until| until.since(now.wall).min(ORPHAN_GRACE));
            let grace = marked.unwrap_or(ORPHAN_GRACE);
            if record.holds_nothing(now.wall) || grace.as_millis() == 0 {
                self.forget_orphan(name, &record, now.wall);
                continue;
            }
            let until = now.wall.plus(grace);
            self.tell(OperatorEvent::Orphaned(name.clone(), until));
            if record.removed.is_none() {
                record.removed = Some(until);
                let ticket = SaveId(self.number());
                self.actions.push_back(ScheduleAction::Save(ticket, name.clone(), record.clone()));
            }
            self.orphans.insert(name, Orphan { record, until: now.mono.plus(grace) });
        }
    }

    /// Takes what is kept for an instance that is configured now.
    pub(super) fn adopt_orphan(&mut self, name: &InstanceName) -> Option<LeaseRecord> {
        self.restored.remove(name).or_else(|| self.orphans.remove(name).map(|orphan| orphan.record))
    }

    /// Deletes what was kept for long enough.
    pub(super) fn expire_orphans(&mut self, now: Now) {
        let over = |orphan: &Orphan| orphan.until <= now.mono || orphan.record.holds_nothing(now.wall);
        let names: Vec<InstanceName> =
            self.orphans.iter().filter(|(_, orphan)| over(orphan)).map(|(name, _)| name.clone()).collect();
        for name in names {
            if let Some(orphan) = self.orphans.remove(&name) {
                self.forget_orphan(name, &orphan.record, now.wall);
            }
        }
    }

    fn forget_orphan(&mut self, name: InstanceName, record: &LeaseRecord, now: Timestamp) {
        for revision in record.live(now) {
            self.tell(OperatorEvent::RevokeGivenUp(name.clone(), revision, NotRevoked::Reconfigured));
        }
        let ticket = SaveId(self.number());
        self.actions.push_back(ScheduleAction::Forget(ticket, name));
    }

    /// When the first orphan is to be looked at.
    pub(super) fn orphans_wake_at(&self, now: Now) -> Option<MonotonicTime> {
        let ends =
            |orphan: &Orphan| orphan.record.ends().map_or(orphan.until, |end| orphan.until.min(now.mono_at(end)));
        self.orphans.values().map(ends).min()
    }

    /// Instances that are not configured and for which something is kept, and for how long.
    pub fn orphans(&self, now: Now) -> impl Iterator<Item = (&InstanceName, Span)> {
        self.orphans.iter().map(move |(name, orphan)| (name, orphan.until.since(now.mono)))
    }
}

impl InstanceState {
    fn removal_grace(&self) -> Span {
        self.plan.policy.revoke.removed.unwrap_or(REMOVAL_GRACE)
    }

    /// What becomes of the lease of an instance that was removed.
    pub(super) fn removed(&self) -> Switch {
        if self.plan.policy.revoke.removed.is_some() { Switch::Revoke } else { Switch::Expire }
    }

    /// Whether what it holds is still kept after its removal.
    pub(super) fn is_kept(&self, now: Now) -> bool {
        let in_grace = self.leaves_at.is_some_and(|at| now.mono < at);
        in_grace && self.valid(now.wall).is_some()
    }

    /// Writes down that it was removed, or that it is back; whether that changed something.
    pub(super) fn note_removal(&mut self, now: Now) -> bool {
        match (self.stay, self.record.removed) {
            (Membership::Configured, Some(_)) => self.record.removed = None,
            (Membership::Leaving, None) if self.is_kept(now) => {
                self.record.removed = Some(now.wall.plus(self.removal_grace()));
            }
            _ => return false,
        }
        true
    }

    /// Whether what it holds was obtained under another configuration than this one.
    pub(super) fn is_foreign_to(&self, plan: &InstancePlan) -> bool {
        let lease = self.record.lease.as_ref();
        plan.fingerprint.is_known() && lease.is_some_and(|lease| lease.fingerprint != plan.fingerprint)
    }
}

impl LeaseRecord {
    /// The leases that are still good and would have to be revoked.
    fn live(&self, now: Timestamp) -> impl Iterator<Item = Revision> {
        let live = self.all().filter(move |lease| lease.is_valid(now) && lease.origin == LeaseOrigin::Component);
        live.map(|lease| lease.revision)
    }

    fn holds_nothing(&self, now: Timestamp) -> bool {
        !self.all().any(|lease| lease.is_valid(now))
    }

    fn ends(&self) -> Option<Timestamp> {
        self.all().map(|lease| lease.valid_until).max()
    }

    fn all(&self) -> impl Iterator<Item = &Lease> {
        self.lease.iter().chain(self.retired.iter().map(|retired| &retired.lease))
    }
}
