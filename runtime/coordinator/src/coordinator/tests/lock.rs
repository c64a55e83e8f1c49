//! A coordinator whose lock is lost ends, and publishes nothing more.

#![expect(clippy::disallowed_methods, reason = "a test arranges and inspects its own files")]

use std::fs::File;

use async_trait::async_trait;
use deputy_store::{LockGuard, StoreError, StoreLock};
use deputy_test_stores::{LayeredStore, StoreLayer};
use tokio::sync::watch;

use super::*;

/// A store that reports the loss of its locks when the test says so.
pub(super) struct LosableStore {
    pub(super) store: DirectoryStore,
    pub(super) lost: watch::Receiver<bool>,
}

struct LosableGuard {
    lock: StoreLock,
    lost: watch::Receiver<bool>,
}

#[async_trait]
impl LockGuard for LosableGuard {
    async fn lost(&self) {
        self.lost.clone().wait_for(|lost| *lost).await.unwrap();
    }

    async fn release(&self) {
        self.lock.release().await;
    }
}

#[async_trait]
impl StoreLayer for LosableStore {
    fn inner(&self) -> &dyn Store {
        &self.store
    }

    async fn lock(&self, name: &StoreKey) -> Result<StoreLock, StoreError> {
        let lock = self.store.lock(name).await?;
        let (fencing, id) = (lock.fencing(), lock.id());
        Ok(StoreLock::new(name.clone(), fencing, id, Box::new(LosableGuard { lock, lost: self.lost.clone() })))
    }
}

fn config_with_provider(name: &str) -> CoordinatorConfig {
    let mut config = config_of(name);
    config.providers.insert(name.parse().unwrap(), Arc::new(HourProvider));
    config
}

/// Waits until the lease of an instance is published.
async fn published(board: &LeaseBoard, name: &str) {
    let name = name.parse().unwrap();
    let mut changes = board.changes();
    while board.lease(&name).is_none() {
        changes.changed().await.unwrap();
    }
}

#[tokio::test]
async fn lock_loss_reported_by_the_store_ends_the_coordinator() {
    let folder = tempfile::tempdir().unwrap();
    let store = DirectoryStore::open(&folder.path().join("state"), test_key(), random()).await.unwrap();
    let (lose, lost) = watch::channel(false);
    let board = Arc::new(LeaseBoard::default());
    let store = Arc::new(LayeredStore(LosableStore { store, lost }));
    let (coordinator, handle) = Coordinator::open(options(store, Arc::clone(&board), &[])).await.unwrap();
    let lose_lock = async {
        handle.configure(config_with_provider("s3")).await.unwrap();
        published(&board, "s3").await;
        lose.send_replace(true);
    };
    let (ended, ()) = tokio::join!(coordinator.run(), lose_lock);
    let error = ended.unwrap_err();
    assert!(error.to_string().contains("lost the lock on the state: another coordinator may use it"), "{error}");
    assert_eq!(handle.status(StatusQuery::default()).await, Err(ControlRequestError::Stopping));
}

#[tokio::test]
async fn lock_of_another_holder_ends_the_coordinator_at_a_write() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let board = Arc::new(LeaseBoard::default());
    let (coordinator, handle) = open_with(&state, Arc::clone(&board), &[]).await;
    let take_lock = async {
        handle.configure(config_with_provider("s3")).await.unwrap();
        published(&board, "s3").await;
        let lock_file = std::fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().path());
        let lock_file = lock_file.into_iter().find(|path| path.ends_with(".lock.lock.coordinator")).unwrap();
        let moved = folder.path().join("moved");
        std::fs::rename(&lock_file, &moved).unwrap();
        std::fs::copy(&moved, &lock_file).unwrap();
        let other = File::open(&lock_file).unwrap();
        other.lock().unwrap();
        handle.renew("s3").await.unwrap();
        other
    };
    let (ended, _other) = tokio::join!(coordinator.run(), take_lock);
    ended.unwrap_err();
    assert_eq!(board.lease(&"s3".parse().unwrap()).map(|lease| lease.revision.0), Some(1), "2 was never published");
}
