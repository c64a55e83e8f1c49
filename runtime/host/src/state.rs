//! The state directory as `deputy state` works on it: backup, restore, another key.

use std::path::PathBuf;
use std::sync::Arc;

use deputy_coordinator::{LOCK, RestoreSummary, Restoring, StateKeeperError, backed_up, kept_state_owner, restore};
use deputy_core::{InstanceName, SecretSource, StateIdentity, Timestamp};
use deputy_store::{Archive, DirectoryReader, DirectoryStore, MasterKey, Store, StoreKey, rekey};

use crate::error::ProcessError;
use crate::platform::Platform;
use crate::sandbox::master_key;

/// Who saved an instance's state, if any is kept.
pub type KeptStateOwner = Result<Option<StateIdentity>, StateKeeperError>;

pub struct StateDirectory {
    pub path: PathBuf,
    /// The configured source of the master key, if it is not in the state directory.
    pub key: Option<SecretSource>,
    pub platform: Platform,
}

impl StateDirectory {
    /// The sealed backup, and how many values are in it.
    pub async fn backup(&self, now: Timestamp) -> Result<(Vec<u8>, usize), ProcessError> {
        let values = backed_up(&self.open().await?).await.map_err(ProcessError::Backup)?;
        let archive = Archive { made_ms: now.as_millis(), values };
        let sealed = archive.seal(&self.master_key().await?, &self.platform.random).map_err(ProcessError::Archive)?;
        Ok((sealed, archive.values.len()))
    }

    /// Writes the values of a sealed backup. Fails while a coordinator runs.
    pub async fn restore(&self, sealed: Vec<u8>, restoring: Restoring) -> Result<RestoreSummary, ProcessError> {
        let archive = Archive::open(sealed, &self.master_key().await?).map_err(ProcessError::Archive)?;
        let store = self.open().await?;
        let lock: StoreKey = LOCK.parse()?;
        let lock = store.lock(&lock).await.map_err(ProcessError::RestoreLock)?;
        let summary = restore(&store, &lock, &archive.values, restoring).await.map_err(ProcessError::Restore);
        drop(lock);
        summary
    }

    /// Seals the state with another key: that of `new_key`, or a generated one where the key is in the state directory.
    /// Returns how many values were sealed.
    pub async fn rekey(&self, new_key: Option<PathBuf>) -> Result<usize, ProcessError> {
        let old = self.master_key().await?;
        let random = Arc::clone(&self.platform.random);
        let (new, file) = match (new_key, &self.key) {
            (Some(path), _) => {
                let source = SecretSource::File(path);
                let key = MasterKey::read(&source, &self.platform.sources).await.map_err(ProcessError::MasterKey)?;
                (key, None)
            }
            (None, None) => {
                let (key, text) = MasterKey::generate(&random).map_err(ProcessError::MasterKey)?;
                (key, Some(text))
            }
            (None, Some(_)) => return Err(ProcessError::NewKeyUnnamed),
        };
        rekey(&self.path, old, new, random, file).await.map_err(ProcessError::Rekey)
    }

    /// Who saved the state of these instances. Reads the sealed records and changes nothing, whether or not a coordinator
    /// runs. Of each instance it is known by itself, or why it is not.
    pub async fn kept_state_owners(
        &self,
        instances: &[InstanceName],
    ) -> Result<Vec<(InstanceName, KeptStateOwner)>, ProcessError> {
        let reader = DirectoryReader::open(&self.path, self.master_key().await?).await.map_err(ProcessError::State)?;
        let Some(reader) = reader else { return Ok(Vec::new()) };
        let mut owners = Vec::new();
        for instance in instances {
            owners.push((instance.clone(), kept_state_owner(&reader, instance).await));
        }
        Ok(owners)
    }

    async fn master_key(&self) -> Result<MasterKey, ProcessError> {
        master_key(&self.path, self.key.as_ref(), &self.platform).await.map_err(ProcessError::MasterKey)
    }

    async fn open(&self) -> Result<DirectoryStore, ProcessError> {
        let random = Arc::clone(&self.platform.random);
        DirectoryStore::open(&self.path, self.master_key().await?, random).await.map_err(ProcessError::State)
    }
}
