//! Where tokens, workers and the authority are kept: one key each.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use deputy_core::SecretBytes;
use deputy_store::{ExpectedVersion, KeyPrefix, Namespace, Store, StoreError, StoreKey, Version};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(super) const TOKEN: Namespace = Namespace::new("token");
pub(crate) const WORKER: Namespace = Namespace::new("worker");
pub(crate) const AUTHORITY: Namespace = Namespace::new("authority");

/// Of damaged records, so many are named in the log.
const DAMAGED_SHOWN: usize = 10;

/// Damaged records that are set aside at once.
const QUARANTINES: usize = 16;

/// Keeps values under keys, and knows what it last wrote.
pub(super) struct EnrolmentRecords {
    store: Arc<dyn Store>,
    versions: Mutex<BTreeMap<StoreKey, Version>>,
}

impl EnrolmentRecords {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, versions: Mutex::default() }
    }

    /// All values of a kind. What is damaged is set aside and told: it costs itself alone.
    pub(super) async fn all<T: DeserializeOwned>(&self, kind: Namespace) -> Result<Vec<T>, StoreError> {
        let (mut values, mut damaged) = (Vec::new(), Vec::new());
        for key in self.store.list(&KeyPrefix::Namespace(kind.clone())).await? {
            let why = match self.read(&key).await {
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
            if damaged.len() < DAMAGED_SHOWN {
                tracing::error!(%key, error = why, "a record of a worker or token is damaged: its worker has to join again");
            }
            damaged.push(key);
        }
        if damaged.len() > DAMAGED_SHOWN {
            tracing::error!(records = damaged.len(), %kind, "records are damaged: their workers have to join again");
        }
        // Each costs a wait for the disk; together they share its journal.
        let aside = stream::iter(&damaged).map(|key| self.store.quarantine(key)).buffer_unordered(QUARANTINES);
        aside.try_collect::<()>().await?;
        Ok(values)
    }

    pub(super) async fn read(&self, key: &StoreKey) -> Result<Option<SecretBytes>, StoreError> {
        let Some(entry) = self.store.get(key).await? else { return Ok(None) };
        self.versions().insert(key.clone(), entry.version);
        Ok(Some(entry.value))
    }

    /// Writes a value, or deletes it.
    pub(super) async fn write(&self, key: &StoreKey, value: Option<&SecretBytes>) -> Result<(), StoreError> {
        let known = self.versions().get(key).copied();
        match self.once(key, value, known).await {
            // A write whose end nobody saw may have taken place. There is one writer: what is there is ours.
            Err(StoreError::Conflict { found, .. }) => self.once(key, value, found).await,
            written => written,
        }
    }

    async fn once(
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

    fn versions(&self) -> std::sync::MutexGuard<'_, BTreeMap<StoreKey, Version>> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As it is kept. It holds no secret, but what is sealed is sealed.
pub(super) fn encoded(value: &impl Serialize) -> Result<SecretBytes, serde_json::Error> {
    serde_json::to_vec(value).map(SecretBytes::new)
}
