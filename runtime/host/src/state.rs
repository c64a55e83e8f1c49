//! The state directory as `deputy state` works on it: backup, restore, another key.

use std::path::PathBuf;
use std::sync::Arc;

use deputy_coordinator::{LOCK, RestoreSummary, Restoring, backed_up, restore};
use deputy_core::{SecretSource, Timestamp};
use deputy_store::{Archive, DirectoryStore, MasterKey, Store, StoreKey, rekey};

use crate::error::HostError;
use crate::platform::Platform;
use crate::sandbox::master_key;

pub struct StateDirectory {
    pub path: PathBuf,
    /// The configured source of the master key, if it is not in the state directory.
    pub key: Option<SecretSource>,
    pub platform: Platform,
}

impl StateDirectory {
    /// The sealed backup, and how many values are in it.
    pub async fn backup(&self, now: Timestamp) -> Result<(Vec<u8>, usize), HostError> {
        let values = backed_up(&self.open().await?).await.map_err(HostError::Backup)?;
        let archive = Archive { made_ms: now.as_millis(), values };
        let sealed = archive.seal(&self.master_key().await?, &self.platform.random).map_err(HostError::Archive)?;
        Ok((sealed, archive.values.len()))
    }

    /// Writes the values of a sealed backup. Fails while a coordinator runs.
    pub async fn restore(&self, sealed: Vec<u8>, restoring: Restoring) -> Result<RestoreSummary, HostError> {
        let archive = Archive::open(sealed, &self.master_key().await?).map_err(HostError::Archive)?;
        let store = self.open().await?;
        let lock: StoreKey = LOCK.parse()?;
        let lock = store.lock(&lock).await.map_err(HostError::RestoreLock)?;
        let summary = restore(&store, &archive.values, restoring).await.map_err(HostError::Restore);
        drop(lock);
        summary
    }

    /// Seals the state with another key: that of `new_key`, or a generated one where the key is in the state directory.
    /// Returns how many values were sealed.
    pub async fn rekey(&self, new_key: Option<PathBuf>) -> Result<usize, HostError> {
        let old = self.master_key().await?;
        let random = Arc::clone(&self.platform.random);
        let (new, file) = match (new_key, &self.key) {
            (Some(path), _) => {
                let source = SecretSource::File(path);
                let key = MasterKey::read(&source, &self.platform.sources).await.map_err(HostError::MasterKey)?;
                (key, None)
            }
            (None, None) => {
                let (key, text) = MasterKey::generate(&random).map_err(HostError::MasterKey)?;
                (key, Some(text))
            }
            (None, Some(_)) => return Err(HostError::NewKeyUnnamed),
        };
        rekey(&self.path, old, new, random, file).await.map_err(HostError::Rekey)
    }

    async fn master_key(&self) -> Result<MasterKey, HostError> {
        master_key(&self.path, self.key.as_ref(), &self.platform).await.map_err(HostError::MasterKey)
    }

    async fn open(&self) -> Result<DirectoryStore, HostError> {
        let random = Arc::clone(&self.platform.random);
        DirectoryStore::open(&self.path, self.master_key().await?, random).await.map_err(HostError::State)
    }
}
