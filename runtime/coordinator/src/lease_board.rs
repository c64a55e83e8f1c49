//! The published lease of each instance.
//!
//! The coordinator writes; the control socket and the fan-out to workers read. A slow reader sees the newest lease of each
//! instance, not every one.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use deputy_core::InstanceName;
use deputy_core::schedule::Lease;
use deputy_support::LockUnpoisoned;
use tokio::sync::watch;

#[derive(Debug, Default)]
pub struct LeaseBoard {
    published: Mutex<PublishedLeases>,
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct PublishedLeases {
    leases: BTreeMap<InstanceName, Lease>,
    /// The number of the last change.
    last_change: u64,
    /// The last change of each instance, also of one whose lease was withdrawn.
    change_of: BTreeMap<InstanceName, u64>,
    instance_of: BTreeMap<u64, InstanceName>,
}

/// How far a reader has come.
#[derive(Debug, Default)]
pub(crate) struct BoardCursor(u64);

impl LeaseBoard {
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
        let changed = published.instance_of.range(cursor.0 + 1..);
        cursor.0 = published.last_change;
        changed.map(|(_, name)| (name.clone(), published.leases.get(name).cloned())).collect()
    }

    /// All published leases. Moves the cursor.
    pub(crate) fn all(&self, cursor: &mut BoardCursor) -> BTreeMap<InstanceName, Lease> {
        let published = self.lock();
        cursor.0 = published.last_change;
        published.leases.clone()
    }

    pub(crate) fn publish(&self, instance: InstanceName, lease: Lease) {
        {
            let mut published = self.lock();
            published.record_change(&instance);
            published.leases.insert(instance, lease);
        }
        self.notify();
    }

    pub(crate) fn withdraw(&self, instance: &InstanceName) {
        {
            let mut published = self.lock();
            published.record_change(instance);
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

impl PublishedLeases {
    fn record_change(&mut self, instance: &InstanceName) {
        self.last_change += 1;
        if let Some(previous) = self.change_of.insert(instance.clone(), self.last_change) {
            self.instance_of.remove(&previous);
        }
        self.instance_of.insert(self.last_change, instance.clone());
    }
}
