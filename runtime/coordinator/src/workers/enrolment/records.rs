//! The records of tokens, workers and the authority in the store: one key each. Any coordinator on the state writes those of
//! tokens and workers; the one that leads writes the authority.

use std::sync::Arc;

use deputy_core::SecretBytes;
use deputy_store::{
    Change, ChangeKind, Changes, KeyPrefix, KeyWriter, Namespace, Store, StoreError, StoreKey, StoreLock, replace,
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

    /// Reads a record, which counts as missing if it is damaged.
    pub(super) async fn read_any(&self, key: &StoreKey) -> Result<Option<SecretBytes>, StoreError> {
        match self.writer.read(key).await {
            Err(StoreError::Damaged { .. }) => self.writer.quarantine(key).await.map(|()| None),
            read => read,
        }
    }

    pub(super) async fn read(&self, key: &StoreKey) -> Result<Option<SecretBytes>, StoreError> {
        self.writer.read(key).await
    }

    /// Whether what this process read or wrote last is what a change is about.
    pub(super) fn is_known(&self, change: &Change) -> bool {
        self.writer.version(&change.key)
            == match change.event {
                ChangeKind::Deleted => None,
                ChangeKind::Put(version) => Some(version),
            }
    }

    /// Writes the record of a token or a worker, or deletes it.
    pub(super) async fn write(&self, key: &StoreKey, value: Option<&SecretBytes>) -> Result<(), StoreError> {
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
