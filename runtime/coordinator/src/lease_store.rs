//! Where records go: the store, a few at a time.
//!
//! An instance has one record, and one more for each lease that waits to be revoked. Those are written before the record
//! that names them, and deleted after the one that no longer does: after a crash in between, what the record names is
//! there, and what it doesn't name is deleted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use deputy_core::schedule::{Lease, LeaseRecord, RetiredLease};
use deputy_core::{InstanceName, Revision};
use deputy_store::{
    ExpectedVersion, KeyPrefix, MAX_VALUE, Namespace, Store, StoreError, StoreKey, StoreKeyError, Version, overwrite,
};
use tokio::sync::Semaphore;

use crate::lease_record::{self, Decoded, LeaseRecordError};

/// Under which kind of key records are kept.
const LEASE: Namespace = Namespace::new("lease");

/// And leases that wait to be revoked: the name is the instance's, and the lease's number.
const RETIRED: Namespace = Namespace::new("retired");

/// Writes at once. Each waits for the disk; together they share its journal.
const WRITES: usize = 16;

/// Keeps the records of all instances.
pub(crate) struct LeaseStore {
    store: Arc<dyn Store>,
    versions: Mutex<BTreeMap<StoreKey, Version>>,
    writes: Semaphore,
}

/// A record is not kept, or not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LeaseStoreError {
    /// By the store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It can't be written down.
    #[error("cannot encode the record; this is a bug, please report it")]
    Encode(#[from] serde_json::Error),
    /// A name is none of a key.
    #[error(transparent)]
    Key(#[from] StoreKeyError),
    /// It was opened, and is none.
    #[error("{0} was opened, but {1}")]
    Record(StoreKey, LeaseRecordError),
    /// A lease that waited to be revoked is gone.
    #[error("{0} is missing: the lease in it is not revoked")]
    Missing(StoreKey),
}

/// What was there at the start.
#[derive(Default)]
pub(crate) struct RestoredLeases {
    pub(crate) records: Vec<(InstanceName, LeaseRecord)>,
    /// What could not be used.
    pub(crate) damaged: Vec<LeaseStoreError>,
    /// Keys to be cleared once all else runs: what was damaged is set aside, what no record names is deleted.
    pub(crate) leftovers: Vec<StoreKey>,
}

impl LeaseStore {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, versions: Mutex::default(), writes: Semaphore::new(WRITES) }
    }

    /// Reads all there is. What is damaged costs itself alone.
    pub(crate) async fn restore(&self) -> Result<RestoredLeases, LeaseStoreError> {
        let mut restored = RestoredLeases::default();
        let mut unnamed: BTreeMap<StoreKey, ()> =
            self.store.list(&KeyPrefix::Namespace(RETIRED)).await?.into_iter().map(|key| (key, ())).collect();
        for key in self.store.list(&KeyPrefix::Namespace(LEASE)).await? {
            let Ok(name) = key.name().parse::<InstanceName>() else { continue };
            let Some(Decoded { mut record, waiting }) = self.usable(&key, &mut restored).await? else { continue };
            for (revision, revoke_at) in waiting {
                let key = retired_key(&name, revision)?;
                let is_there = unnamed.remove(&key).is_some();
                match self.usable(&key, &mut restored).await?.and_then(|decoded| decoded.record.lease) {
                    Some(lease) => record.retired.push(RetiredLease { lease, revoke_at }),
                    None if is_there => {}
                    None => restored.damaged.push(LeaseStoreError::Missing(key)),
                }
            }
            restored.records.push((name, record));
        }
        restored.leftovers.extend(unnamed.into_keys());
        Ok(restored)
    }

    /// A record, unless it is damaged.
    async fn usable(&self, key: &StoreKey, restored: &mut RestoredLeases) -> Result<Option<Decoded>, LeaseStoreError> {
        match self.read(key).await {
            Ok(decoded) => return Ok(decoded),
            // A later version of deputy can read it: it must not be lost to this one.
            Err(error @ LeaseStoreError::Record(_, LeaseRecordError::Format(_))) => return Err(error),
            // It is overwritten by the next one.
            Err(error @ LeaseStoreError::Record(..)) => restored.damaged.push(error),
            Err(error @ LeaseStoreError::Store(StoreError::Damaged { .. })) => {
                restored.damaged.push(error);
                restored.leftovers.push(key.clone());
            }
            Err(error) => return Err(error),
        }
        Ok(None)
    }

    async fn read(&self, key: &StoreKey) -> Result<Option<Decoded>, LeaseStoreError> {
        let Some(entry) = self.store.get(key).await? else { return Ok(None) };
        self.versions().insert(key.clone(), entry.version);
        let decoded = lease_record::decode(entry.value.expose());
        Ok(Some(decoded.map_err(|error| LeaseStoreError::Record(key.clone(), error))?))
    }

    /// Sets aside what was damaged, and deletes what no record names. Each costs a wait for the disk, so nobody waits for it.
    pub(crate) async fn clear(&self, leftovers: Vec<StoreKey>) {
        let mut failed = 0_usize;
        for key in leftovers {
            let cleared = match self.store.get(&key).await {
                Err(StoreError::Damaged { .. }) => self.store.quarantine(&key).await,
                Ok(Some(entry)) if *key.namespace() == RETIRED && !self.versions().contains_key(&key) => {
                    self.store.delete(&key, entry.version).await
                }
                other => other.map(drop),
            };
            if let Err(error) = cleared {
                failed += 1;
                if failed == 1 {
                    tracing::warn!(%key, %error, "a leftover of the state could not be cleared");
                }
            }
        }
        if failed > 1 {
            tracing::warn!(failed, "leftovers of the state could not be cleared");
        }
    }

    /// Whether a lease can be kept at all: too much is a failure of the call that brought it.
    pub(crate) fn fits(lease_bytes: usize) -> bool {
        // The head has names, numbers and times.
        lease_bytes.saturating_add(16 << 10) <= MAX_VALUE.as_usize()
    }

    /// Writes a record.
    pub(crate) async fn save(&self, name: &InstanceName, record: &LeaseRecord) -> Result<(), LeaseStoreError> {
        // The semaphore is never closed.
        let _slot = self.writes.acquire().await;
        let mut named = Vec::new();
        for retired in &record.retired {
            let key = retired_key(name, retired.lease.revision)?;
            if !self.versions().contains_key(&key) {
                self.write_waiting(&key, &retired.lease).await?;
            }
            named.push(key);
        }
        self.write(&StoreKey::of_instance(&LEASE, name), &lease_record::encode(record)?).await?;
        for key in self.waiting(name) {
            if !named.contains(&key) {
                self.delete(&key).await?;
            }
        }
        Ok(())
    }

    async fn write_waiting(&self, key: &StoreKey, lease: &Lease) -> Result<(), LeaseStoreError> {
        self.write(key, &lease_record::encode_waiting(lease)?).await
    }

    async fn write(&self, key: &StoreKey, bytes: &deputy_core::SecretBytes) -> Result<(), LeaseStoreError> {
        let expected = self.versions().get(key).copied().map_or(ExpectedVersion::Absent, ExpectedVersion::Version);
        let version = match overwrite(&*self.store, key, bytes, expected).await {
            // It was damaged when the process began, and is not set aside yet.
            Err(StoreError::Damaged { .. }) => {
                self.store.quarantine(key).await?;
                self.store.put(key, bytes, ExpectedVersion::Absent).await?
            }
            written => written?,
        };
        self.versions().insert(key.clone(), version);
        Ok(())
    }

    /// Deletes a record.
    pub(crate) async fn forget(&self, name: &InstanceName) -> Result<(), LeaseStoreError> {
        let _slot = self.writes.acquire().await;
        self.delete(&StoreKey::of_instance(&LEASE, name)).await?;
        for key in self.waiting(name) {
            self.delete(&key).await?;
        }
        Ok(())
    }

    async fn delete(&self, key: &StoreKey) -> Result<(), LeaseStoreError> {
        let version = self.versions().get(key).copied();
        if let Some(version) = version {
            match self.store.delete(key, version).await {
                Err(StoreError::Conflict { found: Some(version), .. }) => self.store.delete(key, version).await?,
                Err(StoreError::Conflict { found: None, .. }) => {}
                deleted => deleted?,
            }
        }
        self.versions().remove(key);
        Ok(())
    }

    /// The keys of the leases of an instance that wait to be revoked, as they are in the store.
    fn waiting(&self, name: &InstanceName) -> Vec<StoreKey> {
        let versions = self.versions();
        let begin = StoreKey::of_instance(&RETIRED, name);
        let near = versions.range(begin..).map(|(key, _)| key);
        let near = near.take_while(|key| *key.namespace() == RETIRED && key.name().starts_with(name.as_str()));
        let is_of = |key: &&StoreKey| key.name().rsplit_once('-').is_some_and(|(of, _)| of == name.as_str());
        near.filter(is_of).cloned().collect()
    }

    fn versions(&self) -> std::sync::MutexGuard<'_, BTreeMap<StoreKey, Version>> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn retired_key(name: &InstanceName, revision: Revision) -> Result<StoreKey, StoreKeyError> {
    StoreKey::new(&RETIRED, &format!("{name}-{revision}"))
}

#[cfg(test)]
#[path = "lease_store_tests.rs"]
mod tests;
