//! The published lease of each instance.
//!
//! The coordinator writes; the control socket and the fan-out to workers read. A slow reader sees the newest lease of each
//! instance, not every one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use deputy_core::InstanceName;
use deputy_core::schedule::Lease;
use deputy_support::{ChangeOrder, LockUnpoisoned};
use tokio::sync::watch;

#[derive(Debug, Default)]
pub struct LeaseBoard {
    published: Mutex<PublishedLeases>,
    changes: watch::Sender<u64>,
    /// Whether the leases of other coordinators are still to be read.
    unread: AtomicBool,
}

#[derive(Debug, Default)]
struct PublishedLeases {
    leases: BTreeMap<InstanceName, Lease>,
    /// Has instances whose lease was withdrawn, too.
    changes: ChangeOrder<InstanceName>,
}

/// How far a reader has come.
#[derive(Debug, Default)]
pub(crate) struct BoardCursor(u64);

impl LeaseBoard {
    /// A board that lacks the leases of other coordinators until they are read.
    pub fn unread() -> Self {
        Self { unread: AtomicBool::new(true), ..Self::default() }
    }

    /// The leases of other coordinators are on the board.
    pub(crate) fn mark_read(&self) {
        self.unread.store(false, Ordering::Release);
        self.notify();
    }

    /// Whether nothing is missing that another coordinator obtained.
    pub(crate) fn is_read(&self) -> bool {
        !self.unread.load(Ordering::Acquire)
    }

    pub fn lease(&self, instance: &InstanceName) -> Option<Lease> {
        self.lock().leases.get(instance).cloned()
    }

    /// Changes whenever a lease is published or withdrawn.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The instances that changed since the cursor, as they are now. Moves the cursor.
    pub(crate) fn changed_since(&self, cursor: &mut BoardCursor) -> Vec<(InstanceName, Option<Lease>)> {
        let published = self.lock();
        let changed = published.changes.since(cursor.0);
        let changed = changed.map(|name| (name.clone(), published.leases.get(name).cloned())).collect();
        cursor.0 = published.changes.last();
        changed
    }

    /// All published leases. Moves the cursor.
    pub(crate) fn all(&self, cursor: &mut BoardCursor) -> BTreeMap<InstanceName, Lease> {
        let published = self.lock();
        cursor.0 = published.changes.last();
        published.leases.clone()
    }

    pub(crate) fn publish(&self, instance: InstanceName, lease: Lease) {
        {
            let mut published = self.lock();
            published.changes.record(instance.clone());
            published.leases.insert(instance, lease);
        }
        self.notify();
    }

    /// Publishes a lease unless it is published already. Returns whether it was not.
    pub(crate) fn publish_new(&self, instance: &InstanceName, lease: &Lease) -> bool {
        let is_new =
            self.lock().leases.get(instance).is_none_or(|published| {
                (published.revision, published.obtained_at) != (lease.revision, lease.obtained_at)
            });
        if is_new {
            self.publish(instance.clone(), lease.clone());
        }
        is_new
    }

    /// The instances with a published lease.
    pub(crate) fn instances(&self) -> BTreeSet<InstanceName> {
        self.lock().leases.keys().cloned().collect()
    }

    pub(crate) fn withdraw(&self, instance: &InstanceName) {
        {
            let mut published = self.lock();
            published.changes.record(instance.clone());
            published.leases.remove(instance);
        }
        self.notify();
    }

    fn notify(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn lock(&self) -> MutexGuard<'_, PublishedLeases> {
        self.published.lock_unpoisoned()
    }
}
