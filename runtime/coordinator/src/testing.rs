//! What the tests of several modules need.

mod faulty_store;
mod set_clock;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use deputy_store::{DirectoryStore, MasterKey, Store, StoreLock};

pub(crate) use faulty_store::{FaultyStore, RecordFault};
pub(crate) use set_clock::SetClock;

/// A lock of its own name: a test's second keeper of one directory does not wait for the first.
pub(crate) async fn test_lock(store: &dyn Store) -> Arc<StoreLock> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("lock/test-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    Arc::new(store.lock(&name.parse().unwrap()).await.unwrap())
}

/// A state in a directory.
#[expect(clippy::disallowed_methods, reason = "a test's own chance")]
pub(crate) async fn test_state(folder: &Path) -> Arc<DirectoryStore> {
    let master = MasterKey::parse(&std::array::from_fn::<u8, 32, _>(|at| at as u8)).unwrap();
    let random = Arc::new(aws_lc_rs::rand::SystemRandom::new());
    Arc::new(DirectoryStore::open(&folder.join("state"), master, random).await.unwrap())
}
