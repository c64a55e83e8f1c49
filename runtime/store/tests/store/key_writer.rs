//! What a writer of keys knows after calls without an answer, and beside other writers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use deputy_core::SecretBytes;
use deputy_store::{
    DirectoryStore, ExpectedVersion, KeyWriter, Store, StoreError, StoreKey, StoreLock, Version, WriteRight,
};
use deputy_support::LockUnpoisoned as _;
use deputy_test_stores::{LayeredStore, StoreLayer};

use super::{open_directory, value, write};

const LEASE: &str = "lease/a";

/// A store that loses answers: what it does takes effect, and its caller gets an error.
struct Forgetful {
    store: DirectoryStore,
    answers: Mutex<VecDeque<bool>>,
}

impl Forgetful {
    fn answer<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        match self.answers.lock_unpoisoned().pop_front() {
            Some(false) => Err(StoreError::Random),
            _ => result,
        }
    }

    fn lose(&self, answers: &[bool]) {
        self.answers.lock_unpoisoned().extend(answers);
    }
}

#[async_trait]
impl StoreLayer for Forgetful {
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
        let written = self.store.put(key, value, expected, by).await;
        self.answer(written)
    }

    async fn delete(&self, key: &StoreKey, expected: Version, by: WriteRight<'_>) -> Result<(), StoreError> {
        let deleted = self.store.delete(key, expected, by).await;
        self.answer(deleted)
    }
}

fn key() -> StoreKey {
    super::key(LEASE)
}

async fn store(folder: &tempfile::TempDir) -> Arc<LayeredStore<Forgetful>> {
    Arc::new(LayeredStore(Forgetful { store: open_directory(folder).await, answers: Mutex::default() }))
}

async fn text(store: &dyn Store) -> Option<String> {
    super::text(store, LEASE).await
}

async fn locked(store: &dyn Store) -> Arc<StoreLock> {
    Arc::new(store.lock(&"lock/coordinator".parse().unwrap()).await.unwrap())
}

#[tokio::test]
async fn key_writer_recognises_its_own_write_without_a_result() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    for writer in [
        KeyWriter::of_holder(Arc::clone(&store) as _, locked(&*store).await),
        KeyWriter::shared(Arc::clone(&store) as _),
    ] {
        store.lose(&[false, false]);
        writer.put(&key(), &value("one")).await.unwrap_err();
        assert!(!writer.knows(&key()));
        writer.put(&key(), &value("two")).await.unwrap_err();
        // Its first write is what it finds, and its second: neither is another process's.
        writer.put(&key(), &value("three")).await.unwrap();
        assert_eq!(text(&*store).await.unwrap(), "three");
        store.lose(&[false, false]);
        writer.put(&key(), &value("four")).await.unwrap_err();
        writer.delete(&key()).await.unwrap_err();
        writer.delete(&key()).await.unwrap();
        assert!(text(&*store).await.is_none() && !writer.knows(&key()));
    }
}

#[tokio::test]
async fn key_writer_deletes_what_a_first_write_without_a_result_made() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let writer = KeyWriter::shared(Arc::clone(&store) as _);
    store.lose(&[false]);
    writer.put(&key(), &value("one")).await.unwrap_err();
    writer.delete(&key()).await.unwrap();
    assert!(text(&*store).await.is_none());
    // Another process's value is no leftover.
    store.lose(&[false]);
    writer.put(&key(), &value("two")).await.unwrap_err();
    write(&store.store, LEASE, "another's").await;
    writer.delete(&key()).await.unwrap();
    assert_eq!(text(&*store).await.unwrap(), "another's");
}

#[tokio::test]
async fn key_writer_of_a_shared_key_reads_again_before_it_replaces() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let writer = KeyWriter::shared(Arc::clone(&store) as _);
    writer.put(&key(), &value("one")).await.unwrap();
    write(&store.store, LEASE, "another's").await;
    for _ in 0..2 {
        let error = writer.put(&key(), &value("two")).await.unwrap_err();
        assert!(matches!(error, StoreError::Conflict { .. }), "{error}");
        assert!(matches!(writer.delete(&key()).await, Err(StoreError::Conflict { .. })));
    }
    assert_eq!(writer.read(&key()).await.unwrap().unwrap().expose(), b"another's");
    writer.put(&key(), &value("three")).await.unwrap();
    assert_eq!(text(&*store).await.unwrap(), "three");
    // What another process deleted is not written again unseen, either.
    let version = store.get(&key()).await.unwrap().unwrap().version;
    store.store.delete(&key(), version, WriteRight::shared(store.write_id().unwrap())).await.unwrap();
    writer.put(&key(), &value("four")).await.unwrap_err();
    assert!(writer.read(&key()).await.unwrap().is_none());
    writer.put(&key(), &value("five")).await.unwrap();
}

#[tokio::test]
async fn key_writer_replaces_nothing_that_it_only_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let writer = KeyWriter::shared(Arc::clone(&store) as _);
    writer.put(&key(), &value("one")).await.unwrap();
    let version = write(&store.store, LEASE, "another's").await;
    let looked = store.get(&key()).await.unwrap().unwrap();
    assert_eq!((looked.value.expose(), looked.version), (b"another's".as_slice(), version));
    assert!(matches!(writer.put(&key(), &value("two")).await, Err(StoreError::Conflict { .. })));
    assert!(matches!(writer.delete(&key()).await, Err(StoreError::Conflict { .. })));
    writer.adopt(&key(), Some(version));
    writer.put(&key(), &value("two")).await.unwrap();
    assert_eq!(text(&*store).await.unwrap(), "two");
}

#[tokio::test]
async fn key_writer_of_the_holder_reports_another_write_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let writer = KeyWriter::of_holder(Arc::clone(&store) as _, locked(&*store).await);
    writer.put(&key(), &value("one")).await.unwrap();
    write(&store.store, LEASE, "a person's").await;
    assert!(matches!(writer.put(&key(), &value("two")).await, Err(StoreError::Conflict { .. })));
    writer.put(&key(), &value("two")).await.unwrap();
    assert_eq!(text(&*store).await.unwrap(), "two");
    // What it has not read is no change.
    write(&store.store, "lease/b", "before its time").await;
    writer.put(&"lease/b".parse().unwrap(), &value("its own")).await.unwrap();
}

#[tokio::test]
async fn key_writer_without_its_lock_writes_and_deletes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let lock = locked(&*store).await;
    let writer = KeyWriter::of_holder(Arc::clone(&store) as _, Arc::clone(&lock));
    writer.put(&key(), &value("one")).await.unwrap();
    lock.release().await;
    let successor = locked(&*store).await;
    assert!(successor.fencing() > lock.fencing());
    // The successor has not touched the key.
    assert!(writer.put(&key(), &value("two")).await.unwrap_err().is_lock_lost());
    assert!(writer.delete(&key()).await.unwrap_err().is_lock_lost());
    drop(lock);
    assert_eq!(text(&*store).await.unwrap(), "one");
    let successor = KeyWriter::of_holder(Arc::clone(&store) as _, successor);
    successor.read(&key()).await.unwrap();
    successor.put(&key(), &value("three")).await.unwrap();
}
