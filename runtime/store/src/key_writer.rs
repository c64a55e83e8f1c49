//! Writes keys, and remembers what it knows of each.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use deputy_core::{SecretBytes, Span};
use deputy_support::LockUnpoisoned as _;

use crate::{ExpectedVersion, FoundVersion, Store, StoreError, StoreKey, StoreLock, Version, WriteId, WriteRight};

/// Writes without a result that are remembered of each key. More are not in progress at once.
const MAX_UNRESOLVED: usize = 8;

/// How often one call writes, if what it finds is its own earlier write.
const MAX_ATTEMPTS: usize = 3;

/// Writes values, and knows the version that it last read or wrote of each.
///
/// A write without a result may have taken place. A later one then finds another version than it expects, and recognises
/// it by the id of the write. Whatever else it finds is another process's, and an error.
pub struct KeyWriter {
    store: Arc<dyn Store>,
    lock: Option<Arc<StoreLock>>,
    keys: Mutex<BTreeMap<StoreKey, KnownKey>>,
}

#[derive(Default)]
struct KnownKey {
    version: Option<Version>,
    unresolved: VecDeque<WriteId>,
}

impl KeyWriter {
    /// Writes keys of the lock's holder. Nothing but a person changes them beside it: what changed since it was read is
    /// reported once, and replaced by the next write.
    pub fn of_holder(store: Arc<dyn Store>, lock: Arc<StoreLock>) -> Self {
        Self { store, lock: Some(lock), keys: Mutex::default() }
    }

    /// Writes keys that any process may write. After a conflict, the key has to be read again before it can be written.
    pub fn shared(store: Arc<dyn Store>) -> Self {
        Self { store, lock: None, keys: Mutex::default() }
    }

    /// Reads a key, and takes what it holds for what the caller goes by from now on.
    pub async fn read(&self, key: &StoreKey) -> Result<Option<SecretBytes>, StoreError> {
        let Some(entry) = self.store.get(key).await? else {
            self.adopt(key, None);
            return Ok(None);
        };
        self.adopt(key, Some(entry.version));
        Ok(Some(entry.value))
    }

    /// Whether this key was read or written, and not deleted.
    pub fn knows(&self, key: &StoreKey) -> bool {
        self.version(key).is_some()
    }

    /// The known keys from one on, for as long as they are wanted.
    pub fn known_while(&self, begin: StoreKey, is_wanted: impl Fn(&StoreKey) -> bool) -> Vec<StoreKey> {
        let keys = self.keys();
        let wanted = keys.range(begin..).take_while(|(key, _)| is_wanted(key));
        wanted.filter(|(_, known)| known.version.is_some()).map(|(key, _)| key.clone()).collect()
    }

    pub async fn put(&self, key: &StoreKey, value: &SecretBytes) -> Result<(), StoreError> {
        self.put_with(key, value, None).await
    }

    /// Writes a shared value that [need not outlive](Store::put_for) this time.
    pub async fn put_for(&self, lifetime: Span, key: &StoreKey, value: &SecretBytes) -> Result<(), StoreError> {
        self.put_with(key, value, Some(lifetime)).await
    }

    async fn put_with(&self, key: &StoreKey, value: &SecretBytes, lifetime: Option<Span>) -> Result<(), StoreError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let id = self.store.write_id()?;
            // Before the write, whose future may be dropped.
            let expected = self.begin(key, id);
            let put = match lifetime {
                Some(lifetime) => self.store.put_for(lifetime, key, value, expected, id).await,
                None => self.store.put(key, value, expected, self.writer(id)).await,
            };
            match put {
                Ok(version) => {
                    self.adopt(key, Some(version));
                    return Ok(());
                }
                Err(StoreError::Conflict { found, .. }) if attempts < MAX_ATTEMPTS && self.accepts(key, found) => {}
                failed => return failed.map(drop),
            }
        }
    }

    /// Deletes a key that is known, or that a write without a result made.
    pub async fn delete(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.find_unresolved(key).await?;
        let mut attempts = 0;
        while let Some(version) = self.version(key) {
            attempts += 1;
            let by = self.writer(self.store.write_id()?);
            match self.store.delete(key, version, by).await {
                // It is gone, which is what was wanted.
                Ok(()) | Err(StoreError::Conflict { found: None, .. }) => self.adopt(key, None),
                Err(StoreError::Conflict { found, .. }) if attempts < MAX_ATTEMPTS && self.accepts(key, found) => {}
                failed => return failed,
            }
        }
        Ok(())
    }

    /// Sets a damaged value aside, so that the key is free again.
    pub async fn quarantine(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.store.quarantine(key).await?;
        self.adopt(key, None);
        Ok(())
    }

    fn writer(&self, id: WriteId) -> WriteRight<'_> {
        match &self.lock {
            Some(lock) => WriteRight::holder(lock, id),
            None => WriteRight::shared(id),
        }
    }

    /// Reads a key that only a write without a result may have made.
    async fn find_unresolved(&self, key: &StoreKey) -> Result<(), StoreError> {
        let is_unresolved =
            self.keys().get(key).is_some_and(|known| known.version.is_none() && !known.unresolved.is_empty());
        if is_unresolved && let Some(found) = self.store.get(key).await? {
            self.accepts(key, Some(FoundVersion { version: found.version, write: found.write }));
        }
        Ok(())
    }

    /// Notes a write, and returns what it replaces.
    fn begin(&self, key: &StoreKey, id: WriteId) -> ExpectedVersion {
        let mut keys = self.keys();
        let known = keys.entry(key.clone()).or_default();
        if known.unresolved.len() >= MAX_UNRESOLVED {
            known.unresolved.pop_front();
        }
        known.unresolved.push_back(id);
        known.version.map_or(ExpectedVersion::Absent, ExpectedVersion::Version)
    }

    /// Whether to write again over what a write found: an earlier write of this writer or, for the holder, a value that it
    /// has not read yet. Its version is noted then.
    fn accepts(&self, key: &StoreKey, found: Option<FoundVersion>) -> bool {
        let mut keys = self.keys();
        let Some(known) = keys.get_mut(key) else { return false };
        let is_own = found.is_some_and(|found| known.unresolved.contains(&found.write));
        let is_unread = self.lock.is_some() && known.version.is_none();
        if !is_own && !is_unread {
            tracing::warn!(%key, "record changed by another process");
        }
        if is_own || self.lock.is_some() {
            known.version = found.map(|found| found.version);
        }
        is_own || is_unread
    }

    /// Takes a version for what the caller goes by from now on; `None` if the key does not exist.
    pub fn adopt(&self, key: &StoreKey, version: Option<Version>) {
        let mut keys = self.keys();
        match version {
            Some(version) => keys.entry(key.clone()).or_default().version = Some(version),
            // A write in progress may still be of interest.
            None => match keys.get_mut(key) {
                Some(known) if !known.unresolved.is_empty() => known.version = None,
                _ => drop(keys.remove(key)),
            },
        }
    }

    /// The version that was last read or written of a key.
    pub fn version(&self, key: &StoreKey) -> Option<Version> {
        self.keys().get(key)?.version
    }

    fn keys(&self) -> MutexGuard<'_, BTreeMap<StoreKey, KnownKey>> {
        self.keys.lock_unpoisoned()
    }
}
