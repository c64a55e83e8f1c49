//! A lock that one process holds.
//!
//! What its holder writes is refused once the lock is in other hands: a holder that was thought dead and wakes up again
//! changes nothing of its successor's.

use std::fmt;

use async_trait::async_trait;

use crate::{StoreKey, WriteId};

/// A lock, held until it is released or dropped.
pub struct StoreLock {
    name: StoreKey,
    fencing: u64,
    id: WriteId,
    held: Box<dyn LockGuard>,
}

/// Holds a lock in one kind of store, and releases it on drop.
#[async_trait]
pub trait LockGuard: Send + Sync {
    /// Resolves when another process may have the lock. Never, in a store whose locks last as long as the process.
    async fn lost(&self) {
        std::future::pending().await
    }

    /// Whether another process may have the lock by now, by the clock: a process that was stopped for a while finds out before
    /// [`lost`](Self::lost) resolves.
    fn is_lost(&self) -> bool {
        false
    }

    /// Releases the lock before it is dropped.
    async fn release(&self);
}

impl StoreLock {
    pub fn new(name: StoreKey, fencing: u64, id: WriteId, held: Box<dyn LockGuard>) -> Self {
        Self { name, fencing, id, held }
    }

    pub fn name(&self) -> &StoreKey {
        &self.name
    }

    /// The fencing number: greater than that of every earlier holder, of this lock and of all others in the store.
    pub fn fencing(&self) -> u64 {
        self.fencing
    }

    /// The write that took the lock.
    pub fn id(&self) -> WriteId {
        self.id
    }

    /// Resolves when another process may have the lock. In a replicated store, that happens to a holder that cannot reach
    /// the store.
    pub async fn lost(&self) {
        self.held.lost().await;
    }

    /// Whether another process may have the lock by now. Ask before anything that only its holder may do.
    pub fn is_lost(&self) -> bool {
        self.held.is_lost()
    }

    /// Releases the lock at once. Writes of its holder fail from then on.
    pub async fn release(&self) {
        self.held.release().await;
    }
}

impl fmt::Debug for StoreLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreLock").field("name", &self.name).field("fencing", &self.fencing).finish_non_exhaustive()
    }
}
