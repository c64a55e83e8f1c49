//! The records of tokens, workers and the authority in the store: one key each. Any coordinator on the state writes those of
//! tokens and workers; the one that leads writes the authority.

use std::sync::Arc;

use deputy_core::SecretBytes;
use deputy_store::{
    Change, ChangeKind, Changes, KeyPrefix, KeyWriter, Namespace, Store, StoreError, StoreKey, StoreLock, StoredValue,
    Version, replace,
};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::EnrolmentError;
use super::persist::authority_key;

pub(super) const TOKEN: Namespace = Namespace::new("token");
pub(crate) const WORKER: Namespace = Namespace::new("worker");
pub(crate) const AUTHORITY: Namespace = Namespace::new("authority");

/// Damaged records beyond this are counted in the log and not named.
const MAX_DAMAGED_LOGGED: usize = 10;

const CONCURRENT_QUARANTINES: usize = 16;

/// Records that are read at once: one after the other, those of many workers in etcd take minutes.
const CONCURRENT_READS: usize = 64;

pub(super) struct EnrolmentRecords {
    store: Arc<dyn Store>,
    writer: KeyWriter,
}

impl EnrolmentRecords {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { writer: KeyWriter::shared(Arc::clone(&store)), store }
    }

    /// Reads all records of a namespace. A damaged one is logged and set aside.
    pub(super) async fn all<T: DeserializeOwned>(&self, kind: Namespace) -> Result<Vec<T>, StoreError> {
        let mut values = Vec::new();
        let mut damaged = Vec::new();
        let keys = stream::iter(self.store.list(&KeyPrefix::Namespace(kind.clone())).await?);
        let mut reads = keys.map(|key| async { (self.writer.read(&key).await, key) }).buffered(CONCURRENT_READS);
        while let Some((read, key)) = reads.next().await {
            let error = match read {
                Ok(Some(bytes)) => match serde_json::from_slice(bytes.expose()) {
                    Ok(value) => {
                        values.push(value);
                        continue;
                    }
                    Err(error) => error.to_string(),
                },
                Ok(None) => continue,
                Err(error @ StoreError::Damaged { .. }) => error.to_string(),
                Err(error) => return Err(error),
            };
            if damaged.len() < MAX_DAMAGED_LOGGED {
                tracing::error!(%key, error, "worker or token record damaged; its worker has to enrol again");
            }
            damaged.push(key);
        }
        if damaged.len() > MAX_DAMAGED_LOGGED {
            tracing::error!(records = damaged.len(), %kind, "worker or token records damaged; their workers have to enrol again");
        }
        // Each waits for the disk; together they share its journal.
        let quarantines =
            stream::iter(&damaged).map(|key| self.store.quarantine(key)).buffer_unordered(CONCURRENT_QUARANTINES);
        quarantines.try_collect::<()>().await?;
        Ok(values)
    }

    /// Reads a record, which counts as missing if it is damaged. It is still to be [adopted](Self::adopt): a write replaces only
    /// what was.
    pub(super) async fn look(&self, key: &StoreKey) -> Result<SeenRecord, StoreError> {
        let found = match self.store.get(key).await {
            Err(StoreError::Damaged { .. }) => {
                self.store.quarantine(key).await?;
                // Another coordinator may have replaced it meanwhile.
                self.store.get(key).await?
            }
            found => found?,
        };
        Ok(found.into())
    }

    /// Reads the authority. One that is damaged is an error, and stays where it is: without it all workers are lost.
    pub(super) async fn look_for_authority(&self) -> Result<SeenRecord, EnrolmentError> {
        Ok(self.store.get(&authority_key()?).await?.into())
    }

    /// Notes that what was read of a record is what this coordinator goes by. Returns its content.
    pub(super) fn adopt(&self, key: &StoreKey, seen: SeenRecord) -> Option<SecretBytes> {
        self.writer.adopt(key, seen.version);
        seen.value
    }

    /// Whether a record is still the one that this coordinator goes by.
    pub(super) fn is_current(&self, key: &StoreKey, seen: &SeenRecord) -> bool {
        self.writer.version(key) == seen.version
    }

    /// Whether there is such a record, as far as this coordinator has read or written it.
    pub(super) fn is_saved(&self, key: &StoreKey) -> bool {
        self.writer.knows(key)
    }

    /// Whether what this process read or wrote last is what a change is about.
    pub(super) fn is_known(&self, change: &Change) -> bool {
        self.writer.version(&change.key)
            == match change.event {
                ChangeKind::Deleted => None,
                ChangeKind::Put(version) => Some(version),
            }
    }

    /// Writes the record of a token or a worker, or deletes it. A damaged one is set aside, and written again.
    pub(super) async fn write(&self, key: &StoreKey, value: Option<&SecretBytes>) -> Result<(), StoreError> {
        match self.write_once(key, value).await {
            Err(error @ StoreError::Damaged { .. }) => {
                tracing::error!(%key, %error, "worker or token record damaged; writing it again");
                self.writer.quarantine(key).await?;
                self.write_once(key, value).await
            }
            written => written,
        }
    }

    async fn write_once(&self, key: &StoreKey, value: Option<&SecretBytes>) -> Result<(), StoreError> {
        match value {
            Some(value) => self.writer.put(key, value).await,
            None => self.writer.delete(key).await,
        }
    }

    /// Writes the authority, for the holder of the lock.
    pub(super) async fn write_authority(&self, value: &SecretBytes, lock: &StoreLock) -> Result<(), EnrolmentError> {
        replace(&*self.store, &authority_key()?, value, lock).await?;
        Ok(())
    }

    /// Follows the records that other coordinators change.
    pub(super) async fn watch(&self) -> Result<RecordChanges, StoreError> {
        let [tokens, workers, authority] = [TOKEN, WORKER, AUTHORITY].map(KeyPrefix::Namespace);
        Ok(RecordChanges {
            tokens: self.store.watch(tokens).await?,
            workers: self.store.watch(workers).await?,
            authority: self.store.watch(authority).await?,
        })
    }
}

/// What was read of a record, which this coordinator does not go by yet.
#[derive(Default)]
pub(super) struct SeenRecord {
    version: Option<Version>,
    value: Option<SecretBytes>,
}

impl SeenRecord {
    pub(super) fn value(&self) -> Option<&SecretBytes> {
        self.value.as_ref()
    }
}

impl From<Option<StoredValue>> for SeenRecord {
    fn from(found: Option<StoredValue>) -> Self {
        found.map_or_else(Self::default, |found| Self { version: Some(found.version), value: Some(found.value) })
    }
}

/// What other coordinators, and this one, change.
pub(super) struct RecordChanges {
    tokens: Changes,
    workers: Changes,
    authority: Changes,
}

impl RecordChanges {
    /// The next change. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Change> {
        tokio::select! {
            change = self.tokens.next() => change,
            change = self.workers.next() => change,
            change = self.authority.next() => change,
        }
    }
}

pub(super) fn encode(value: &impl Serialize) -> Result<SecretBytes, serde_json::Error> {
    serde_json::to_vec(value).map(SecretBytes::new)
}
