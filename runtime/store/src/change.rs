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

/// The half of a store that has one watcher for each source of changes. The watcher ends with it.
#[derive(Debug)]
pub(crate) struct ChangeSender(Weak<WatcherQueue>);

/// A watcher, and what tells it of changes.
pub(crate) fn channel() -> (ChangeSender, Changes) {
    let pending = Arc::new(WatcherQueue::default());
    (ChangeSender(Arc::downgrade(&pending)), Changes { pending })
}

impl ChangeSender {
    pub(crate) fn announce(&self, change: &Change) {
        if let Some(pending) = self.0.upgrade() {
            pending.add(change);
        }
    }

    /// Whether the watcher is gone.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.0.strong_count() == 0
    }
}

impl Drop for ChangeSender {
    fn drop(&mut self) {
        if let Some(pending) = self.0.upgrade() {
            pending.close();
        }
    }
}

impl WatcherQueue {
    fn add(&self, change: &Change) {
        self.state.lock_unpoisoned().add(change);
        self.changed.notify_one();
    }

    fn close(&self) {
        self.state.lock_unpoisoned().is_closed = true;
        self.changed.notify_one();
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
                pending.add(change);
            }
            true
        });
    }
}

impl Drop for Watchers {
    fn drop(&mut self) {
        for pending in self.0.lock_unpoisoned().iter().filter_map(|(_, pending)| pending.upgrade()) {
            pending.close();
        }
    }
}

#[cfg(test)]
mod tests;
