//! Joins that a crash cuts off, at every write.

use std::sync::atomic::AtomicUsize;

use deputy_store::{ExpectedVersion, KeyPrefix, StoreKey, Version, WriteRight};
use deputy_test_stores::{LayeredStore, StoreLayer};

use super::*;

/// A store whose process dies after a number of writes: further calls never return.
struct Dying {
    store: DirectoryStore,
    left: AtomicUsize,
}

impl Dying {
    async fn write(&self) {
        let spend = |left: usize| left.checked_sub(1);
        if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait::async_trait]
impl StoreLayer for Dying {
    fn inner(&self) -> &dyn Store {
        &self.store
    }

    async fn put(
        &self,
        key: &StoreKey,
        value: &SecretBytes,
        expected: ExpectedVersion,
        by: WriteRight<'_>,
    ) -> Result<Version, StoreError> {
        self.write().await;
        self.store.put(key, value, expected, by).await
    }

    async fn delete(&self, key: &StoreKey, expected: Version, by: WriteRight<'_>) -> Result<(), StoreError> {
        self.write().await;
        self.store.delete(key, expected, by).await
    }
}

const JOINS: usize = 6;

/// Of a join: its token and its worker.
const WRITES: usize = 2 * JOINS;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn join_that_a_crash_cuts_off_is_completed_by_a_retry() {
    for survived in 0..=WRITES {
        let folder = tempfile::tempdir().unwrap();
        let anywhere = "127.0.0.1:0".parse().unwrap();
        // All but the first have a token of their own, and two share one.
        let coordinator = start_coordinator_in(folder, anywhere, TestOptions::default()).await;
        coordinator.deliver(&[]);
        let mut strings = vec![coordinator.token("analytics", 2).await];
        for _ in 2..JOINS {
            strings.push(coordinator.token("analytics", 1).await);
        }
        let address = coordinator.workers.address();
        let folder = coordinator.stop().await;

        let dying = |store| Arc::new(LayeredStore(Dying { store, left: AtomicUsize::new(survived) })) as Arc<dyn Store>;
        let coordinator = start_coordinator_with(folder, address, TestOptions::default(), dying).await;
        coordinator.deliver(&[]);
        let strings: Vec<Arc<JoinString>> = strings.into_iter().map(Arc::new).collect();
        let shared = std::iter::once(&strings[0]).chain(&strings);
        let asked: Vec<(Arc<JoinString>, WorkerKey)> =
            shared.map(|string| (Arc::clone(string), WorkerKey::new().unwrap())).collect();
        let mut joins = tokio::task::JoinSet::new();
        for (string, key) in asked.clone() {
            joins.spawn(async move { join(&string, key).await });
        }
        // Those that are answered in time were answered for good.
        let patience = Duration::from_millis(if survived == WRITES { 20_000 } else { 300 });
        let mut answered = BTreeSet::new();
        let answering = async {
            while let Some(joined) = joins.join_next().await {
                answered.insert(joined.unwrap().unwrap().worker);
            }
        };
        let all = tokio::time::timeout(patience, answering).await.is_ok();
        assert!(all || survived < WRITES, "{survived}");
        let folder = coordinator.kill().await;

        let coordinator = start_coordinator_in(folder, address, TestOptions::default()).await;
        coordinator.deliver(&[]);
        let mut joined = BTreeSet::new();
        for (string, key) in &asked {
            joined.insert(join(string, key.clone()).await.expect("a repetition ends well").worker);
        }
        assert!(answered.is_subset(&joined), "{survived}");
        // The tokens serve no other worker, and only workers that know of their enrolment are enrolled.
        for string in &strings {
            assert!(join(string, WorkerKey::new().unwrap()).await.is_err(), "{survived}: a use was not spent");
        }
        let workers = coordinator.workers.workers().await.unwrap();
        let active = workers.iter().filter(|worker| worker.standing == EnrolmentStatus::Active).count();
        assert_eq!((joined.len(), active, workers.len()), (JOINS, JOINS, JOINS), "{survived}");
        coordinator.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn join_decides_again_on_a_token_that_was_used_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let mut kept = None;
    let keep = |store| {
        let store = Arc::new(store);
        kept = Some(Arc::clone(&store));
        store as Arc<dyn Store>
    };
    let coordinator =
        start_coordinator_with(folder, "127.0.0.1:0".parse().unwrap(), TestOptions::default(), keep).await;
    coordinator.deliver(&[]);
    let string = coordinator.token("analytics", 1).await;
    // As another coordinator does that admits a worker.
    let store = kept.unwrap();
    let tokens = store.list(&KeyPrefix::Namespace(deputy_store::Namespace::new("token"))).await.unwrap();
    let found = store.get(&tokens[0]).await.unwrap().unwrap();
    let mut record: serde_json::Value = serde_json::from_slice(found.value.expose()).unwrap();
    record["uses"] = 0.into();
    let value = SecretBytes::new(serde_json::to_vec(&record).unwrap());
    let by = WriteRight::shared(store.write_id().unwrap());
    let version = store.put(&tokens[0], &value, ExpectedVersion::Version(found.version), by).await.unwrap();

    for _ in 0..2 {
        join(&string, WorkerKey::new().unwrap()).await.unwrap_err();
    }
    assert!(coordinator.workers.workers().await.unwrap().is_empty(), "its use was spent elsewhere");
    assert_eq!(store.get(&tokens[0]).await.unwrap().unwrap().version, version, "nothing was overwritten");
    coordinator.stop().await;
}
