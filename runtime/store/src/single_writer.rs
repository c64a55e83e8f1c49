//! The only writer of some keys.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use deputy_core::SecretBytes;
use deputy_support::LockUnpoisoned as _;

use crate::{ExpectedVersion, Store, StoreError, StoreKey, Version, overwrite};

/// Writes values, and knows the version that it last read or wrote of each. A write without a result may have taken place:
/// a version that conflicts is the writer's own, and is replaced.
pub struct SingleWriter {
    store: Arc<dyn Store>,
    versions: Mutex<BTreeMap<StoreKey, Version>>,
}

impl SingleWriter {
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, versions: Mutex::default() }
    }

    pub async fn read(&self, key: &StoreKey) -> Result<Option<SecretBytes>, StoreError> {
        let Some(entry) = self.store.get(key).await? else { return Ok(None) };
        self.versions().insert(key.clone(), entry.version);
        Ok(Some(entry.value))
    }

    /// Whether this key was read or written, and not deleted.
    pub fn knows(&self, key: &StoreKey) -> bool {
        self.versions().contains_key(key)
    }

    /// The known keys from one on, for as long as they are wanted.
    pub fn known_while(&self, begin: StoreKey, is_wanted: impl Fn(&StoreKey) -> bool) -> Vec<StoreKey> {
        self.versions().range(begin..).map(|(key, _)| key).take_while(|key| is_wanted(key)).cloned().collect()
    }

    pub async fn put(&self, key: &StoreKey, value: &SecretBytes) -> Result<(), StoreError> {
        let expected = self.version(key).map_or(ExpectedVersion::Absent, ExpectedVersion::Version);
        let version = overwrite(&*self.store, key, value, expected).await?;
        self.versions().insert(key.clone(), version);
        Ok(())
    }

    /// Deletes a known key.
    pub async fn delete(&self, key: &StoreKey) -> Result<(), StoreError> {
        if let Some(version) = self.version(key) {
            match self.store.delete(key, version).await {
                Err(StoreError::Conflict { found: Some(version), .. }) => self.store.delete(key, version).await?,
                Err(StoreError::Conflict { found: None, .. }) => {}
                deleted => deleted?,
            }
        }
        self.forget(key);
        Ok(())
    }

    /// Takes a key for one that does not exist.
    pub fn forget(&self, key: &StoreKey) {
        self.versions().remove(key);
    }

    fn version(&self, key: &StoreKey) -> Option<Version> {
        self.versions().get(key).copied()
    }

    fn versions(&self) -> MutexGuard<'_, BTreeMap<StoreKey, Version>> {
        self.versions.lock_unpoisoned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DirectoryStore, MasterKey, Namespace};

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "a test's own random numbers")]
    async fn single_writer_replaces_and_deletes_what_it_did_not_note() {
        let folder = tempfile::tempdir().unwrap();
        let random: crate::Random = Arc::new(aws_lc_rs::rand::SystemRandom::new());
        let (master, _) = MasterKey::generate(&random).unwrap();
        let store: Arc<dyn Store> =
            Arc::new(DirectoryStore::open(&folder.path().join("state"), master, random).await.unwrap());
        let writer = SingleWriter::new(Arc::clone(&store));
        let key = StoreKey::new(&Namespace::new("lease"), "a").unwrap();
        let value = |text: &str| SecretBytes::new(text.as_bytes().to_vec());
        store.put(&key, &value("an unnoted write"), ExpectedVersion::Absent).await.unwrap();
        writer.put(&key, &value("two")).await.unwrap();
        assert!(writer.knows(&key));
        let known = writer.version(&key).unwrap();
        store.put(&key, &value("another unnoted write"), ExpectedVersion::Version(known)).await.unwrap();
        writer.delete(&key).await.unwrap();
        assert!(store.get(&key).await.unwrap().is_none() && !writer.knows(&key));
        writer.put(&key, &value("three")).await.unwrap();
        let known = writer.version(&key).unwrap();
        store.delete(&key, known).await.unwrap();
        writer.delete(&key).await.unwrap();
        assert!(writer.read(&key).await.unwrap().is_none());
    }
}
