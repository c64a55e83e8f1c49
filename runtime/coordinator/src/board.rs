//! What is given out: the newest lease of each instance.
//!
//! The coordinator writes, those who deliver read. A reader sees the newest lease, not every one: who is slow skips.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use deputy_core::InstanceName;
use deputy_core::schedule::Lease;
use tokio::sync::watch;

/// The newest lease of each instance.
#[derive(Debug)]
pub struct Board {
    leases: Mutex<BTreeMap<InstanceName, Lease>>,
    changes: watch::Sender<u64>,
}

impl Default for Board {
    fn default() -> Self {
        Self { leases: Mutex::default(), changes: watch::Sender::new(0) }
    }
}

impl Board {
    /// What is given out for an instance.
    pub fn lease(&self, instance: &InstanceName) -> Option<Lease> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner).get(instance).cloned()
    }

    /// Tells of changes: look again at what you need.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(crate) fn publish(&self, instance: InstanceName, lease: Lease) {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner).insert(instance, lease);
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    pub(crate) fn withdraw(&self, instance: &InstanceName) {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner).remove(instance);
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }
}
