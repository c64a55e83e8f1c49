//! The records of tokens, workers and the authority in the store: one key each.

use std::sync::Arc;

use deputy_core::SecretBytes;
use deputy_store::{KeyPrefix, Namespace, SingleWriter, Store, StoreError, StoreKey};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(super) const TOKEN: Namespace = Namespace::new("token");
pub(crate) const WORKER: Namespace = Namespace::new("worker");
pub(crate) const AUTHORITY: Namespace = Namespace::new("authority");

/// Damaged records beyond this are counted in the log and not named.
const MAX_DAMAGED_LOGGED: usize = 10;

const CONCURRENT_QUARANTINES: usize = 16;

pub(super) struct EnrolmentRecords {
    store: Arc<dyn Store>,
    writer: SingleWriter,
}

impl EnrolmentRecords {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { writer: SingleWriter::new(Arc::clone(&store)), store }
    }

    /// Reads all records of a namespace. A damaged one is logged and set aside.
    pub(super) async fn all<T: DeserializeOwned>(&self, kind: Namespace) -> Result<Vec<T>, StoreError> {
        let mut values = Vec::new();
        let mut damaged = Vec::new();
        for key in self.store.list(&KeyPrefix::Namespace(kind.clone())).await? {
            let error = match self.writer.read(&key).await {
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

    pub(super) async fn read(&self, key: &StoreKey) -> Result<Option<SecretBytes>, StoreError> {
        self.writer.read(key).await
    }

    /// Writes a record, or deletes it.
    pub(super) async fn write(&self, key: &StoreKey, value: Option<&SecretBytes>) -> Result<(), StoreError> {
        match value {
            Some(value) => self.writer.put(key, value).await,
            None => self.writer.delete(key).await,
        }
    }
}

pub(super) fn encode(value: &impl Serialize) -> Result<SecretBytes, serde_json::Error> {
    serde_json::to_vec(value).map(SecretBytes::new)
}
