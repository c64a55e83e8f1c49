//! Reads and writes lease records.
//!
//! An instance has one record, and one more for each lease that waits for revocation. Those are written before the record
//! that names them, and deleted after the record that no longer does. After a crash in between, everything that the record
//! names exists, and what it does not name is deleted.
//!
//! The delay that a service asked for has a record of its own: it changes without the lease, and is small.

use std::collections::BTreeMap;
use std::sync::Arc;

use deputy_core::schedule::{Lease, LeaseRecord, RetiredLease, ServicePause};
use deputy_core::{InstanceName, Revision};
use deputy_store::{
    KeyPrefix, KeyWriter, Namespace, Store, StoreError, StoreKey, StoreKeyError, StoreLock, Version, WriteRight,
};
use tokio::sync::Semaphore;

use crate::lease_record::{self, DecodedRecord, LeaseRecordError};
use crate::pause_record;

pub(crate) const LEASE: Namespace = Namespace::new("lease");

/// Leases that wait for revocation, as `INSTANCE-REVISION`.
const RETIRED: Namespace = Namespace::new("retired");

/// Delays that services asked for.
const PAUSE: Namespace = Namespace::new("pause");

/// Each write waits for the disk; together they share its journal.
const CONCURRENT_WRITES: usize = 16;

pub(crate) struct LeaseStore {
    store: Arc<dyn Store>,
    lock: Arc<StoreLock>,
    writer: KeyWriter,
    writes: Semaphore,
}

#[derive(Debug, thiserror::Error)]
pub enum LeaseStoreError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot encode the record; this is a bug, please report it")]
    Encode(#[from] serde_json::Error),
    #[error(transparent)]
    Key(#[from] StoreKeyError),
    #[error("cannot decode {0}: {1}")]
    Record(StoreKey, LeaseRecordError),
    #[error("{0} is missing: the lease in it cannot be revoked")]
    Missing(StoreKey),
}

/// What is saved at the start.
#[derive(Default)]
pub(crate) struct RestoredLeases {
    pub(crate) records: Vec<(InstanceName, LeaseRecord)>,
    pub(crate) damaged: Vec<LeaseStoreError>,
    /// Keys to [clear](LeaseStore::clear): damaged records, and leases that no record names.
    pub(crate) leftovers: Vec<StoreKey>,
}

impl LeaseStore {
    /// The records are the lock's holder's: what is written without the lock fails.
    pub(crate) fn new(store: Arc<dyn Store>, lock: Arc<StoreLock>) -> Self {
        let writer = KeyWriter::of_holder(Arc::clone(&store), Arc::clone(&lock));
        Self { store, lock, writer, writes: Semaphore::new(CONCURRENT_WRITES) }
    }

    /// Reads all records. A damaged one costs no other.
    pub(crate) async fn restore(&self) -> Result<RestoredLeases, LeaseStoreError> {
        let mut restored = RestoredLeases::default();
        let mut pauses = self.restore_pauses(&mut restored).await?;
        let mut unreferenced: BTreeMap<StoreKey, ()> =
            self.store.list(&KeyPrefix::Namespace(RETIRED)).await?.into_iter().map(|key| (key, ())).collect();
        for key in self.store.list(&KeyPrefix::Namespace(LEASE)).await? {
            let Ok(name) = key.name().parse::<InstanceName>() else { continue };
            let Some(DecodedRecord { mut record, waiting }) = self.read_if_usable(&key, &mut restored).await? else {
                continue;
            };
            for (revision, revoke_at) in waiting {
                let key = retired_key(&name, revision)?;
                let exists = unreferenced.remove(&key).is_some();
                match self.read_if_usable(&key, &mut restored).await?.and_then(|decoded| decoded.record.lease) {
                    Some(lease) => record.retired.push(RetiredLease { lease, revoke_at }),
                    None if exists => {}
                    None => restored.damaged.push(LeaseStoreError::Missing(key)),
                }
            }
            record.pause = pauses.remove(&name);
            restored.records.push((name, record));
        }
        // One may pause before its first lease.
        let without_lease = pauses.into_iter().map(|(name, pause)| (name, Some(pause)));
        restored
            .records
            .extend(without_lease.map(|(name, pause)| (name, LeaseRecord { pause, ..LeaseRecord::default() })));
        restored.leftovers.extend(unreferenced.into_keys());
        Ok(restored)
    }

    async fn restore_pauses(
        &self,
        restored: &mut RestoredLeases,
    ) -> Result<BTreeMap<InstanceName, ServicePause>, LeaseStoreError> {
        let mut pauses = BTreeMap::new();
        for key in self.store.list(&KeyPrefix::Namespace(PAUSE)).await? {
            let Ok(name) = key.name().parse::<InstanceName>() else { continue };
            match self.writer.read(&key).await {
                Ok(found) => pauses
                    .extend(found.and_then(|value| pause_record::decode(value.expose())).map(|pause| (name, pause))),
                // Without it the service is called once too early.
                Err(StoreError::Damaged { .. }) => restored.leftovers.push(key),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(pauses)
    }

    /// Reads a record. Reports one that cannot be used, and returns `None`.
    async fn read_if_usable(
        &self,
        key: &StoreKey,
        restored: &mut RestoredLeases,
    ) -> Result<Option<DecodedRecord>, LeaseStoreError> {
        match self.read(key).await {
            Ok(decoded) => return Ok(decoded),
            // A newer version of deputy can read it, so this one must not overwrite it.
            Err(error @ LeaseStoreError::Record(_, LeaseRecordError::Format(_))) => return Err(error),
            // The next write replaces it.
            Err(error @ LeaseStoreError::Record(..)) => restored.damaged.push(error),
            Err(error @ LeaseStoreError::Store(StoreError::Damaged { .. })) => {
                restored.damaged.push(error);
                restored.leftovers.push(key.clone());
            }
            Err(error) => return Err(error),
        }
        Ok(None)
    }

    async fn read(&self, key: &StoreKey) -> Result<Option<DecodedRecord>, LeaseStoreError> {
        let Some(value) = self.writer.read(key).await? else { return Ok(None) };
        let decoded = lease_record::decode(value.expose());
        Ok(Some(decoded.map_err(|error| LeaseStoreError::Record(key.clone(), error))?))
    }

    /// Sets aside damaged records, and deletes leases that no record names. Slow: each waits for the disk.
    pub(crate) async fn clear(&self, leftovers: Vec<StoreKey>) {
        let mut failed = 0_usize;
        for key in leftovers {
            let cleared = match self.store.get(&key).await {
                Err(StoreError::Damaged { .. }) => self.store.quarantine(&key).await,
                Ok(Some(entry)) if *key.namespace() == RETIRED && !self.writer.knows(&key) => {
                    self.delete_unreferenced(&key, entry.version).await
                }
                other => other.map(drop),
            };
            if let Err(error) = cleared {
                failed += 1;
                if failed == 1 {
                    tracing::warn!(%key, %error, "removing a leftover record failed");
                }
            }
        }
        if failed > 1 {
            tracing::warn!(failed, "removing leftover records failed");
        }
    }

    async fn delete_unreferenced(&self, key: &StoreKey, version: Version) -> Result<(), StoreError> {
        self.store.delete(key, version, WriteRight::holder(&self.lock, self.store.write_id()?)).await
    }

    /// Whether a lease of this size can be saved.
    pub(crate) fn fits(&self, lease_bytes: usize) -> bool {
        // 16 KiB are more than any head has.
        lease_bytes.saturating_add(16 << 10) <= self.store.max_value().as_usize()
    }

    pub(crate) async fn save(&self, name: &InstanceName, record: &LeaseRecord) -> Result<(), LeaseStoreError> {
        // The semaphore is never closed.
        let _slot = self.writes.acquire().await;
        let mut referenced = Vec::new();
        for retired in &record.retired {
            let key = retired_key(name, retired.lease.revision)?;
            if !self.writer.knows(&key) {
                self.write_waiting(&key, &retired.lease).await?;
            }
            referenced.push(key);
        }
        self.write(&StoreKey::of_instance(&LEASE, name), &lease_record::encode(record)?).await?;
        for key in self.waiting_keys(name) {
            if !referenced.contains(&key) {
                self.writer.delete(&key).await?;
            }
        }
        Ok(())
    }

    async fn write_waiting(&self, key: &StoreKey, lease: &Lease) -> Result<(), LeaseStoreError> {
        let written = self.write(key, &lease_record::encode_waiting(lease)?).await;
        if written.is_err() {
            // It may have found what an earlier process left there, which is about to be cleared: it is not known as written.
            self.writer.adopt(key, None);
        }
        written
    }

    async fn write(&self, key: &StoreKey, bytes: &deputy_core::SecretBytes) -> Result<(), LeaseStoreError> {
        match self.writer.put(key, bytes).await {
            // It was damaged at the start, and is not set aside yet.
            Err(StoreError::Damaged { .. }) => {
                self.writer.quarantine(key).await?;
                Ok(self.writer.put(key, bytes).await?)
            }
            written => Ok(written?),
        }
    }

    pub(crate) async fn save_pause(
        &self,
        name: &InstanceName,
        pause: Option<&ServicePause>,
    ) -> Result<(), LeaseStoreError> {
        let _slot = self.writes.acquire().await;
        let key = StoreKey::of_instance(&PAUSE, name);
        match pause {
            Some(pause) => self.write(&key, &pause_record::encode(pause)?).await,
            None => Ok(self.writer.delete(&key).await?),
        }
    }

    /// Deletes the records of an instance.
    pub(crate) async fn forget(&self, name: &InstanceName) -> Result<(), LeaseStoreError> {
        let _slot = self.writes.acquire().await;
        self.writer.delete(&StoreKey::of_instance(&PAUSE, name)).await?;
        self.writer.delete(&StoreKey::of_instance(&LEASE, name)).await?;
        for key in self.waiting_keys(name) {
            self.writer.delete(&key).await?;
        }
        Ok(())
    }

    /// The keys under which waiting leases of an instance are saved.
    fn waiting_keys(&self, name: &InstanceName) -> Vec<StoreKey> {
        let begin = StoreKey::of_instance(&RETIRED, name);
        let mut keys =
            self.writer.known_while(begin, |key| *key.namespace() == RETIRED && key.name().starts_with(name.as_str()));
        keys.retain(|key| key.name().rsplit_once('-').is_some_and(|(of, _)| of == name.as_str()));
        keys
    }
}

fn retired_key(name: &InstanceName, revision: Revision) -> Result<StoreKey, StoreKeyError> {
    StoreKey::new(&RETIRED, &format!("{name}-{revision}"))
}

#[cfg(test)]
mod tests;
