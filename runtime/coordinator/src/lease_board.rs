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
pub struct LeaseBoard {
    state: Mutex<State>,
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    leases: BTreeMap<InstanceName, Lease>,
    /// The number of the last change.
    last: u64,
    /// The last change of each instance, also of one that was withdrawn, and of which instance each change was.
    changed: BTreeMap<InstanceName, u64>,
    order: BTreeMap<u64, InstanceName>,
}

/// How far somebody has looked.
#[derive(Debug, Default)]
pub(crate) struct BoardCursor(u64);

impl Default for LeaseBoard {
    fn default() -> Self {
        Self { state: Mutex::default(), changes: watch::Sender::new(0) }
    }
}

impl LeaseBoard {
    /// What is given out for an instance.
    pub fn lease(&self, instance: &InstanceName) -> Option<Lease> {
        self.state().leases.get(instance).cloned()
    }

    /// Tells of changes: look again at what you need.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// What changed since somebody looked: each instance once, as it is now.
    pub(crate) fn after(&self, seen: &mut BoardCursor) -> Vec<(InstanceName, Option<Lease>)> {
        let state = self.state();
        let changed = state.order.range(seen.0 + 1..).map(|(_, name)| (name.clone(), state.leases.get(name).cloned()));
        let changed = changed.collect();
        seen.0 = state.last;
        changed
    }

    /// All there is.
    pub(crate) fn all(&self, seen: &mut BoardCursor) -> BTreeMap<InstanceName, Lease> {
        let state = self.state();
        seen.0 = state.last;
        state.leases.clone()
    }

    pub(crate) fn publish(&self, instance: InstanceName, lease: Lease) {
        {
            let mut state = self.state();
            state.note(&instance);
            state.leases.insert(instance, lease);
        }
        self.tell();
    }

    pub(crate) fn withdraw(&self, instance: &InstanceName) {
        {
            let mut state = self.state();
            state.note(instance);
            state.leases.remove(instance);
        }
        self.tell();
    }

    fn tell(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn note(&mut self, instance: &InstanceName) {
        self.last += 1;
        if let Some(before) = self.changed.insert(instance.clone(), self.last) {
            self.order.remove(&before);
        }
        self.order.insert(self.last, instance.clone());
    }
}
