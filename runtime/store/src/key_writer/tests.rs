use async_trait::async_trait;
use deputy_core::ByteSize;

use super::*;
use crate::{Changes, DirectoryStore, KeyPrefix, MasterKey, Random, StoredValue};

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

    /// A write of another process.
    async fn write(&self, key: &StoreKey, text: &str) -> Version {
        let found = self.store.get(key).await.unwrap().map(|found| found.version);
        let expected = found.map_or(ExpectedVersion::Absent, ExpectedVersion::Version);
        let by = WriteRight::shared(self.store.write_id().unwrap());
        self.store.put(key, &value(text), expected, by).await.unwrap()
    }
}

#[async_trait]
impl Store for Forgetful {
    async fn list(&self, prefix: &KeyPrefix) -> Result<Vec<StoreKey>, StoreError> {
        self.store.list(prefix).await
    }

    async fn get(&self, key: &StoreKey) -> Result<Option<StoredValue>, StoreError> {
        self.store.get(key).await
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

    async fn quarantine(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.store.quarantine(key).await
    }

    async fn watch(&self, prefix: KeyPrefix) -> Result<Changes, StoreError> {
        self.store.watch(prefix).await
    }

    async fn lock(&self, name: &StoreKey) -> Result<StoreLock, StoreError> {
        self.store.lock(name).await
    }

    fn write_id(&self) -> Result<WriteId, StoreError> {
        self.store.write_id()
    }

    fn max_value(&self) -> ByteSize {
        self.store.max_value()
    }
}

fn value(text: &str) -> SecretBytes {
    SecretBytes::new(text.as_bytes().to_vec())
}

fn key() -> StoreKey {
    "lease/a".parse().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a test's own random numbers")]
async fn store(folder: &tempfile::TempDir) -> Arc<Forgetful> {
    let random: Random = Arc::new(aws_lc_rs::rand::SystemRandom::new());
    let (master, _) = MasterKey::generate(&random).unwrap();
    let store = DirectoryStore::open(&folder.path().join("state"), master, random).await.unwrap();
    Arc::new(Forgetful { store, answers: Mutex::default() })
}

async fn text(store: &Forgetful) -> Option<String> {
    let found = store.get(&key()).await.unwrap();
    found.map(|found| String::from_utf8(found.value.expose().to_vec()).unwrap())
}

async fn locked(store: &Forgetful) -> Arc<StoreLock> {
    Arc::new(store.lock(&"lock/coordinator".parse().unwrap()).await.unwrap())
}

#[tokio::test]
async fn key_writer_recognises_its_own_write_without_a_result() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    for writer in [
        KeyWriter::of_holder(Arc::clone(&store) as _, locked(&store).await),
        KeyWriter::shared(Arc::clone(&store) as _),
    ] {
        store.lose(&[false, false]);
        writer.put(&key(), &value("one")).await.unwrap_err();
        assert!(!writer.knows(&key()));
        writer.put(&key(), &value("two")).await.unwrap_err();
        // Its first write is what it finds, and its second: neither is another process's.
        writer.put(&key(), &value("three")).await.unwrap();
        assert_eq!(text(&store).await.unwrap(), "three");
        store.lose(&[false, false]);
        writer.put(&key(), &value("four")).await.unwrap_err();
        writer.delete(&key()).await.unwrap_err();
        writer.delete(&key()).await.unwrap();
        assert!(text(&store).await.is_none() && !writer.knows(&key()));
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
    assert!(text(&store).await.is_none());
    // Another process's value is no leftover.
    store.lose(&[false]);
    writer.put(&key(), &value("two")).await.unwrap_err();
    store.write(&key(), "another's").await;
    writer.delete(&key()).await.unwrap();
    assert_eq!(text(&store).await.unwrap(), "another's");
}

#[tokio::test]
async fn key_writer_of_a_shared_key_reads_again_before_it_replaces() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let writer = KeyWriter::shared(Arc::clone(&store) as _);
    writer.put(&key(), &value("one")).await.unwrap();
    store.write(&key(), "another's").await;
    for _ in 0..2 {
        let error = writer.put(&key(), &value("two")).await.unwrap_err();
        assert!(matches!(error, StoreError::Conflict { .. }), "{error}");
        assert!(matches!(writer.delete(&key()).await, Err(StoreError::Conflict { .. })));
    }
    assert_eq!(writer.read(&key()).await.unwrap().unwrap().expose(), b"another's");
    writer.put(&key(), &value("three")).await.unwrap();
    assert_eq!(text(&store).await.unwrap(), "three");
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
    let version = store.write(&key(), "another's").await;
    let looked = store.get(&key()).await.unwrap().unwrap();
    assert_eq!((looked.value.expose(), looked.version), (b"another's".as_slice(), version));
    assert!(matches!(writer.put(&key(), &value("two")).await, Err(StoreError::Conflict { .. })));
    assert!(matches!(writer.delete(&key()).await, Err(StoreError::Conflict { .. })));
    writer.adopt(&key(), Some(version));
    writer.put(&key(), &value("two")).await.unwrap();
    assert_eq!(text(&store).await.unwrap(), "two");
}

#[tokio::test]
async fn key_writer_of_the_holder_reports_another_write_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let writer = KeyWriter::of_holder(Arc::clone(&store) as _, locked(&store).await);
    writer.put(&key(), &value("one")).await.unwrap();
    store.write(&key(), "a person's").await;
    assert!(matches!(writer.put(&key(), &value("two")).await, Err(StoreError::Conflict { .. })));
    writer.put(&key(), &value("two")).await.unwrap();
    assert_eq!(text(&store).await.unwrap(), "two");
    // What it has not read is no change.
    store.write(&"lease/b".parse().unwrap(), "before its time").await;
    writer.put(&"lease/b".parse().unwrap(), &value("its own")).await.unwrap();
}

#[tokio::test]
async fn key_writer_without_its_lock_writes_and_deletes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let lock = locked(&store).await;
    let writer = KeyWriter::of_holder(Arc::clone(&store) as _, Arc::clone(&lock));
    writer.put(&key(), &value("one")).await.unwrap();
    lock.release().await;
    let successor = locked(&store).await;
    assert!(successor.fencing() > lock.fencing());
    // The successor has not touched the key.
    assert!(writer.put(&key(), &value("two")).await.unwrap_err().is_lock_lost());
    assert!(writer.delete(&key()).await.unwrap_err().is_lock_lost());
    drop(lock);
    assert_eq!(text(&store).await.unwrap(), "one");
    let successor = KeyWriter::of_holder(Arc::clone(&store) as _, successor);
    successor.read(&key()).await.unwrap();
    successor.put(&key(), &value("three")).await.unwrap();
}
