//! A lock that one process holds.
//!
//! Whatever the holder commands can refuse a smaller fencing number than it has seen: a holder that was thought dead and
//! wakes up again has a smaller number than its successor.

use std::fmt;

use async_trait::async_trait;

/// A lock, held until it is dropped.
pub struct StoreLock {
    fencing: u64,
    held: Box<dyn LockGuard>,
}

/// Holds a lock in one kind of store, and releases it on drop.
#[async_trait]
pub trait LockGuard: Send + Sync {
    /// Resolves when another process may have the lock. Never, in a store whose locks last as long as the process.
    async fn lost(&self) {
        std::future::pending().await
    }
}

impl StoreLock {
    pub fn new(fencing: u64, held: Box<dyn LockGuard>) -> Self {
        Self { fencing, held }
    }

    /// The fencing number: greater than that of every earlier holder, of this lock and of all others in the store.
    pub fn fencing(&self) -> u64 {
        self.fencing
    }

    /// Resolves when another process may have the lock. In a replicated store, that happens to a holder that cannot reach
    /// the store.
    pub async fn lost(&self) {
        self.held.lost().await;
    }
}

impl fmt::Debug for StoreLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreLock").field("fencing", &self.fencing).finish_non_exhaustive()
    }
}
