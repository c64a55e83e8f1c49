//! Records of instances that are not configured.
//!
//! A file can be cut short by an editor, a full disk or a bad merge, so an instance that is no longer configured is
//! withdrawn at once, and its record kept sealed for a grace time. An instance that comes back unchanged meanwhile takes
//! its lease up again. Only then is it revoked and deleted. After a restart the component of such an instance is not at
//! hand: its record is kept as well, as an orphan, and never revoked.
//!
//! State outlives leases, and to replace it may take a person: the record of an instance that keeps state becomes such an
//! orphan when its last lease has ended, too.

use std::collections::BTreeMap;

use crate::time::{MonotonicTime, Now, Timestamp};
use crate::{InstanceName, Revision, Span};

use super::Schedule;
use super::event::{OperatorEvent, SaveId, ScheduleAction};
use super::lease::{Lease, LeaseOrigin, LeaseRecord};
use super::revocation::NotRevoked;
use super::wake_index::{WakeIndex, WakeTime};

/// How long what an instance held is kept after its removal if its configuration does not say.
pub const REMOVAL_GRACE: Span = Span::secs(600);

/// How long what is found after a restart is kept for an instance that is not configured.
pub const ORPHAN_GRACE: Span = Span::secs(86_400);

/// Records that are kept for a time, and no longer than one of their leases is valid.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    records: BTreeMap<InstanceName, Orphan>,
    /// When each is to be deleted: after the grace by one clock, with its last lease by the other.
    wakes: WakeIndex,
}

#[derive(Debug)]
struct Orphan {
    record: LeaseRecord,
    until: MonotonicTime,
}

impl Orphans {
    fn insert(&mut self, name: InstanceName, record: LeaseRecord, until: MonotonicTime) {
        let wall = if record.keeps_state { None } else { record.last_expiry() };
        self.wakes.set(&name, WakeTime { mono: Some(until), wall });
        self.records.insert(name, Orphan { record, until });
    }

    fn take(&mut self, name: &InstanceName) -> Option<LeaseRecord> {
        self.wakes.remove(name);
        Some(self.records.remove(name)?.record)
    }

    /// When the first of them is to be deleted.
    pub(super) fn wake_at(&self, now: Now) -> Option<MonotonicTime> {
        self.wakes.first(now)
    }
}

impl Schedule {
    /// Keeps what was restored for instances that are not configured.
    pub(super) fn keep_orphans(&mut self, now: Now) {
        for (name, mut record) in std::mem::take(&mut self.restored) {
            let marked = record.removed.map(|until| until.since(now.wall).min(ORPHAN_GRACE));
            let grace = marked.unwrap_or(ORPHAN_GRACE);
            if record.holds_nothing(now.wall) || grace.as_millis() == 0 {
                self.delete_orphan(name, &record, now.wall);
                continue;
            }
            let until = now.wall.plus(grace);
            self.notify(OperatorEvent::Orphaned(name.clone(), until));
            if record.removed.is_none() {
                record.removed = Some(until);
                let id = SaveId(self.next_id());
                self.actions.push_back(ScheduleAction::Save(id, name.clone(), record.clone()));
            }
            self.orphans.insert(name, record, now.mono.plus(grace));
        }
    }

    /// Keeps the state of an instance that was removed and holds no lease any more.
    pub(super) fn keep_state(&mut self, name: &InstanceName, now: Now) {
        let Some(instance) = self.instances.remove(name) else { return };
        let until = now.wall.plus(ORPHAN_GRACE);
        let record = LeaseRecord { removed: Some(until), ..instance.into_record() };
        self.notify(OperatorEvent::Orphaned(name.clone(), until));
        let id = SaveId(self.next_id());
        self.actions.push_back(ScheduleAction::Save(id, name.clone(), record.clone()));
        self.orphans.insert(name.clone(), record, now.mono.plus(ORPHAN_GRACE));
    }

    /// Takes the record of an instance that is configured now.
    pub(super) fn adopt_orphan(&mut self, name: &InstanceName) -> Option<LeaseRecord> {
        self.restored.remove(name).or_else(|| self.orphans.take(name))
    }

    /// Deletes what was kept for long enough.
    pub(super) fn expire_orphans(&mut self, now: Now) {
        for name in self.orphans.wakes.due(now) {
            if let Some(record) = self.orphans.take(&name) {
                self.delete_orphan(name, &record, now.wall);
            }
        }
    }

    fn delete_orphan(&mut self, name: InstanceName, record: &LeaseRecord, now: Timestamp) {
        for revision in record.unrevoked(now) {
            self.notify(OperatorEvent::RevokeGivenUp(name.clone(), revision, NotRevoked::Reconfigured));
        }
        let id = SaveId(self.next_id());
        self.actions.push_back(ScheduleAction::Forget(id, name));
    }

    /// Instances that are not configured and for which a record is kept, and for how long.
    pub fn orphans(&self, now: Now) -> impl Iterator<Item = (&InstanceName, Span)> {
        self.orphans.records.iter().map(move |(name, orphan)| (name, orphan.until.since(now.mono)))
    }
}

impl LeaseRecord {
    /// The leases that are valid and would have to be revoked.
    fn unrevoked(&self, now: Timestamp) -> impl Iterator<Item = Revision> {
        self.leases()
            .filter(move |lease| lease.is_valid(now) && lease.origin == LeaseOrigin::Component)
            .map(|lease| lease.revision)
    }

    fn holds_nothing(&self, now: Timestamp) -> bool {
        !self.keeps_state && !self.leases().any(|lease| lease.is_valid(now))
    }

    fn last_expiry(&self) -> Option<Timestamp> {
        self.leases().map(|lease| lease.valid_until).max()
    }

    fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.lease.iter().chain(self.retired.iter().map(|retired| &retired.lease))
    }
}
