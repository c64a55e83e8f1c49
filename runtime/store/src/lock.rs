//! A lock that one process holds.
//!
//! The fencing number is for whoever the holder gives orders to: a holder that was thought dead and wakes up again has a
//! smaller number than the one that followed it.

use std::fmt;

use async_trait::async_trait;

/// A lock, held until it is dropped.
pub struct StoreLock {
    fencing: u64,
    held: Box<dyn LockGuard>,
}

/// What holds a lock in one kind of store, and lets go of it when it is dropped.
#[async_trait]
pub trait LockGuard: Send + Sync {
    /// Ends when somebody else may have the lock. A store whose lock lasts as long as the process never says so.
    async fn lost(&self) {
        std::future::pending().await
    }
}

impl StoreLock {
    /// A lock that was taken.
    pub fn new(fencing: u64, held: Box<dyn LockGuard>) -> Self {
        Self { fencing, held }
    }

    /// Greater than that of every holder before, of this lock and of all others in the store.
    pub fn fencing(&self) -> u64 {
        self.fencing
    }

    /// Ends when somebody else may have the lock, which in a replicated store happens to who can't reach it.
    pub async fn lost(&self) {
        self.held.lost().await;
    }
}

impl fmt::Debug for StoreLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock").field("fencing", &self.fencing).finish_non_exhaustive()
    }
}
