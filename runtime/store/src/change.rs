//! Telling watchers what changed.
//!
//! A watcher has one entry for each key that changed since its last read, with the last change: a slow watcher misses
//! intermediate versions, never the last one, and takes no more memory than there are keys. So no writer waits for a
//! watcher, and no watcher has to handle that it lagged behind.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, Weak};

use deputy_support::LockUnpoisoned as _;
use tokio::sync::Notify;

use crate::{KeyPrefix, StoreKey, Version};

/// One key that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub key: StoreKey,
    pub event: ChangeKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// The value was deleted, or quarantined as damaged.
    Deleted,
    Put(Version),
}

/// The watcher's half.
#[derive(Debug)]
pub struct Changes {
    pending: Arc<WatcherQueue>,
}

/// The store's half.
#[derive(Debug, Default)]
pub(crate) struct Watchers(Mutex<Vec<(KeyPrefix, Weak<WatcherQueue>)>>);

#[derive(Debug, Default)]
struct WatcherQueue {
    state: Mutex<PendingChanges>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct PendingChanges {
    /// The keys in the order in which they first changed.
    order: VecDeque<StoreKey>,
    last: HashMap<StoreKey, ChangeKind>,
    is_closed: bool,
}

impl Changes {
    /// The next change, or `None` when the store is closed. Cancel safe.
    pub async fn next(&mut self) -> Option<Change> {
        loop {
            {
                let mut state = self.pending.state.lock_unpoisoned();
                if let Some(change) = state.take() {
                    return Some(change);
                }
                if state.is_closed {
                    return None;
                }
            }
            self.pending.changed.notified().await;
        }
    }
}

impl PendingChanges {
    fn take(&mut self) -> Option<Change> {
        let key = self.order.pop_front()?;
        let event = self.last.remove(&key)?;
        Some(Change { key, event })
    }

    fn add(&mut self, change: &Change) {
        if self.last.insert(change.key.clone(), change.event).is_none() {
            self.order.push_back(change.key.clone());
        }
    }
}

impl Watchers {
    pub(crate) fn watch(&self, prefix: KeyPrefix) -> Changes {
        let pending = Arc::new(WatcherQueue::default());
        self.0.lock_unpoisoned().push((prefix, Arc::downgrade(&pending)));
        Changes { pending }
    }

    pub(crate) fn announce(&self, change: &Change) {
        self.0.lock_unpoisoned().retain(|(prefix, pending)| {
            let Some(pending) = pending.upgrade() else { return false };
            if prefix.contains(&change.key) {
                pending.state.lock_unpoisoned().add(change);
                pending.changed.notify_one();
            }
            true
        });
    }
}

impl Drop for Watchers {
    fn drop(&mut self) {
        for pending in self.0.lock_unpoisoned().iter().filter_map(|(_, pending)| pending.upgrade()) {
            pending.state.lock_unpoisoned().is_closed = true;
            pending.changed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests;
