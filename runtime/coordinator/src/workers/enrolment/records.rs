//! The records of tokens, workers and the authority in the store: one key each.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use deputy_core::SecretBytes;
use deputy_store::{ExpectedVersion, KeyPrefix, Namespace, Store, StoreError, StoreKey, Version};
use deputy_support::LockUnpoisoned;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(super) const TOKEN: Namespace = Namespace::new("token");
pub(crate) const WORKER: Namespace = Namespace::new("worker");
pub(crate) const AUTHORITY: Namespace = Namespace::new("authority");

/// Damaged records beyond this are counted in the log and not named.
const MAX_DAMAGED_LOGGED: usize = 10;

const CONCURRENT_QUARANTINES: usize = 16;

/// Writes records, and knows the version that it last wrote of each.
pub(super) struct EnrolmentRecords {
    store: Arc<dyn Store>,
    versions: Mutex<BTreeMap<StoreKey, Version>>,
}

impl EnrolmentRecords {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, versions: Mutex::default() }
    }

    /// Reads all records of a namespace. A damaged one is logged and set aside.
    pub(super) async fn all<T: DeserializeOwned>(&self, kind: Namespace) -> Result<Vec<T>, StoreError> {
        let mut values = Vec::new();
        let mut damaged = Vec::new();
        for key in self.store.list(&KeyPrefix::Namespace(kind.clone())).await? {
            let error = match self.read(&key).await {
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
        let Some(entry) = self.store.get(key).await? else { return Ok(None) };
        self.versions().insert(key.clone(), entry.version);
        Ok(Some(entry.value))
    }

    /// Writes a record, or deletes it.
    pub(super) async fn write(&self, key: &StoreKey, value: Option<&SecretBytes>) -> Result<(), StoreError> {
        let known = self.versions().get(key).copied();
        match self.write_version(key, value, known).await {
            // A write without a result may have taken place. There is one writer, so the conflicting version is its own.
            Err(StoreError::Conflict { found, .. }) => self.write_version(key, value, found).await,
            written => written,
        }
    }

    async fn write_version(
        &self,
        key: &StoreKey,
        value: Option<&SecretBytes>,
        known: Option<Version>,
    ) -> Result<(), StoreError> {
        match (value, known) {
            (Some(value), known) => {
                let expected = known.map_or(ExpectedVersion::Absent, ExpectedVersion::Version);
                let version = self.store.put(key, value, expected).await?;
                self.versions().insert(key.clone(), version);
            }
            (None, Some(version)) => {
                self.store.delete(key, version).await?;
                self.versions().remove(key);
            }
            (None, None) => {}
        }
        Ok(())
    }

    fn versions(&self) -> MutexGuard<'_, BTreeMap<StoreKey, Version>> {
        self.versions.lock_unpoisoned()
    }
}

pub(super) fn encode(value: &impl Serialize) -> Result<SecretBytes, serde_json::Error> {
    serde_json::to_vec(value).map(SecretBytes::new)
}
