//! The records of tokens, workers and the authority in the store: one key each.

use std::sync::Arc;

use deputy_core::SecretBytes;
use deputy_store::{KeyPrefix, KeyWriter, Namespace, Store, StoreError, StoreKey, StoreLock};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

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
    /// Of tokens and workers, which any coordinator may write.
    shared: KeyWriter,
    /// Of the authority, which the lock's holder alone writes.
    holder: KeyWriter,
}

impl EnrolmentRecords {
    pub(super) fn new(store: Arc<dyn Store>, lock: Arc<StoreLock>) -> Self {
        let shared = KeyWriter::shared(Arc::clone(&store));
        Self { shared, holder: KeyWriter::of_holder(Arc::clone(&store), lock), store }
    }

    /// Reads all records of a namespace. A damaged one is logged and set aside.
    pub(super) async fn all<T: DeserializeOwned>(&self, kind: Namespace) -> Result<Vec<T>, StoreError> {
        let mut values = Vec::new();
        let mut damaged = Vec::new();
        let keys = stream::iter(self.store.list(&KeyPrefix::Namespace(kind.clone())).await?);
        let mut reads = keys.map(|key| async { (self.shared.read(&key).await, key) }).buffered(CONCURRENT_READS);
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

    /// Reads a record of a token or a worker again. One that is damaged counts as missing.
    pub(super) async fn read_record<T: DeserializeOwned>(&self, key: &StoreKey) -> Result<Option<T>, StoreError> {
        match self.shared.read(key).await {
            Ok(Some(bytes)) => Ok(serde_json::from_slice(bytes.expose()).ok()),
            Ok(None) => Ok(None),
            Err(StoreError::Damaged { .. }) => self.shared.quarantine(key).await.map(|()| None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn read(&self, key: &StoreKey) -> Result<Option<SecretBytes>, StoreError> {
        self.writer(key).read(key).await
    }

    fn writer(&self, key: &StoreKey) -> &KeyWriter {
        if *key.namespace() == AUTHORITY { &self.holder } else { &self.shared }
    }

    /// Writes a record, or deletes it.
    pub(super) async fn write(&self, key: &StoreKey, value: Option<&SecretBytes>) -> Result<(), StoreError> {
        match value {
            Some(value) => self.writer(key).put(key, value).await,
            None => self.writer(key).delete(key).await,
        }
    }
}

pub(super) fn encode(value: &impl Serialize) -> Result<SecretBytes, serde_json::Error> {
    serde_json::to_vec(value).map(SecretBytes::new)
}
