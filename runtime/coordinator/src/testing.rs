//! What the tests of several modules need.

mod faulty_store;
mod set_clock;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use deputy_core::schedule::{ConfigFingerprint, Lease, LeaseOrigin};
use deputy_core::{Revision, SecretBytes, Span, TokenExpiry};
use deputy_store::{DirectoryStore, MasterKey, Store, StoreLock};
use deputy_support::SystemClock;

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

/// A lease that was obtained now, and is valid for an hour.
pub(crate) fn test_lease(revision: u64) -> Lease {
    let now = SystemClock::wall();
    Lease {
        revision: Revision(revision),
        service: Some("s3".parse().unwrap()),
        kind: Some("aws-credential-process/1".parse().unwrap()),
        handle: Arc::new(SecretBytes::new(Vec::new())),
        stated: TokenExpiry::Never,
        next_at: None,
        renewable_until: None,
        facts: Vec::new(),
        payload: Arc::new(SecretBytes::new(b"payload".to_vec())),
        obtained_at: now,
        issued_at: now,
        valid_until: now.plus(Span::secs(3600)),
        origin: LeaseOrigin::Component,
        fingerprint: ConfigFingerprint([1; 16]),
    }
}
