//! What the tests of several modules need.

mod faulty_store;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use deputy_store::{Store, StoreLock};

pub(crate) use faulty_store::{FaultyStore, RecordFault};

/// A lock of its own name: a test's second keeper of one directory does not wait for the first.
pub(crate) async fn test_lock(store: &dyn Store) -> Arc<StoreLock> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("lock/test-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    Arc::new(store.lock(&name.parse().unwrap()).await.unwrap())
}
