//! Where records go: the store, a few at a time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use deputy_core::InstanceName;
use deputy_core::schedule::Record;
use deputy_store::{Expected, Key, Kind, Prefix, Store, StoreError, Version, overwrite};
use tokio::sync::Semaphore;

use crate::record::{self, RecordError};

/// Under which kind of key records are kept.
const LEASE: Kind = Kind::new("lease");

/// Writes at once. Each waits for the disk; together they share its journal.
const WRITES: usize = 16;

/// Keeps the records of all instances.
pub(crate) struct Keeper {
    store: Arc<dyn Store>,
    versions: Mutex<BTreeMap<InstanceName, Version>>,
    writes: Semaphore,
}

/// A record is not kept, or not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepError {
    /// By the store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It can't be written down.
    #[error("the record can't be encoded: this is a bug, please report it")]
    Encode(#[from] serde_json::Error),
    /// It was opened, and is none.
    #[error("{0} was opened, but {1}")]
    Record(Key, RecordError),
}

/// What was there at the start.
#[derive(Default)]
pub(crate) struct Restored {
    pub(crate) records: Vec<(InstanceName, Record)>,
    /// What could not be used: damaged files were set aside, what was opened and is no record will be overwritten.
    pub(crate) damaged: Vec<KeepError>,
}

impl Keeper {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, versions: Mutex::default(), writes: Semaphore::new(WRITES) }
    }

    /// Reads all there is. What is damaged costs itself alone.
    pub(crate) async fn restore(&self) -> Result<Restored, KeepError> {
        let mut restored = Restored::default();
        for key in self.store.list(&Prefix::Kind(LEASE)).await? {
            let Ok(name) = key.name().parse::<InstanceName>() else { continue };
            match self.read(&key).await {
                Ok(Some((record, version))) => {
                    self.versions().insert(name.clone(), version);
                    restored.records.push((name, record));
                }
                Ok(None) => {}
                // A later version of deputy can read it: it must not be lost to this one.
                Err(error @ KeepError::Record(_, RecordError::Format(_))) => return Err(error),
                Err(error @ KeepError::Record(..)) => restored.damaged.push(error),
                Err(error @ KeepError::Store(StoreError::Damaged { .. })) => {
                    self.store.quarantine(&key).await?;
                    restored.damaged.push(error);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(restored)
    }

    async fn read(&self, key: &Key) -> Result<Option<(Record, Version)>, KeepError> {
        let Some(entry) = self.store.get(key).await? else { return Ok(None) };
        let record = record::decode(entry.value.expose());
        Ok(Some((record.map_err(|error| KeepError::Record(key.clone(), error))?, entry.version)))
    }

    /// Writes a record.
    pub(crate) async fn save(&self, name: &InstanceName, record: &Record) -> Result<(), KeepError> {
        let bytes = record::encode(record)?;
        let key = Key::of_instance(&LEASE, name);
        // The semaphore is never closed.
        let _slot = self.writes.acquire().await;
        let version = overwrite(&*self.store, &key, &bytes, self.expected(name)).await?;
        self.versions().insert(name.clone(), version);
        Ok(())
    }

    /// Deletes a record.
    pub(crate) async fn forget(&self, name: &InstanceName) -> Result<(), KeepError> {
        let key = Key::of_instance(&LEASE, name);
        let version = self.versions().get(name).copied();
        let _slot = self.writes.acquire().await;
        if let Some(version) = version {
            match self.store.delete(&key, version).await {
                Err(StoreError::Conflict { found: Some(version), .. }) => self.store.delete(&key, version).await?,
                Err(StoreError::Conflict { found: None, .. }) => {}
                deleted => deleted?,
            }
        }
        self.versions().remove(name);
        Ok(())
    }

    fn expected(&self, name: &InstanceName) -> Expected {
        self.versions().get(name).copied().map_or(Expected::Absent, Expected::Version)
    }

    fn versions(&self) -> std::sync::MutexGuard<'_, BTreeMap<InstanceName, Version>> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
