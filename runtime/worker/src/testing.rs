//! What the tests of this crate share.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use deputy_core::{Delivery, LeaseVersion, Revision, SecretBytes, Timestamp};
use deputy_store::{DirectoryStore, MasterKey, Random, Store};
use deputy_support::pause;

use crate::cache::{AppliedCache, StateDirLock};

#[expect(clippy::disallowed_methods, reason = "a test brings its own randomness")]
pub(crate) fn random() -> Random {
    Arc::new(SystemRandom::new())
}

#[expect(clippy::disallowed_methods, reason = "a test's own file")]
pub(crate) fn put(path: impl AsRef<Path>, contents: impl AsRef<[u8]>) {
    std::fs::write(path, contents).unwrap();
}

/// A delivery of `test/1` whose revision is also the time at which it was obtained.
pub(crate) fn delivery(instance: &str, revision: u64, valid_until: u64) -> Delivery {
    Delivery {
        instance: instance.parse().unwrap(),
        service: "s3".parse().unwrap(),
        kind: "test/1".parse().unwrap(),
        stamp: LeaseVersion { revision: Revision(revision), obtained_at: Timestamp::from_millis(revision) },
        valid_until: Timestamp::from_millis(valid_until),
        next_at: None,
        renewable_until: None,
        payload: Arc::new(SecretBytes::new(format!("payload of {instance} {revision}").into_bytes())),
        trace: None,
    }
}

/// What receivers applied, in a store in this folder that a later worker can open. Waits for tasks of an earlier one that
/// end on other threads.
pub(crate) async fn applied_cache(folder: &Path) -> AppliedCache {
    let key: Vec<u8> = (0..32).map(|byte| byte * 7).collect();
    let store = DirectoryStore::open(&folder.join("state"), MasterKey::parse(&key).unwrap(), random()).await.unwrap();
    let store: Arc<dyn Store> = Arc::new(store);
    for _ in 0..500 {
        if let Ok(lock) = StateDirLock::take(Arc::clone(&store)).await {
            return lock.applied("w1");
        }
        pause(Duration::from_millis(10)).await;
    }
    panic!("the worker before still uses the state");
}
