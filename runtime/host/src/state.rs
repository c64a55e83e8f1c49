//! The state as `deputy state` works on it, in its directory or in etcd: backup, restore, copy, another key.

use std::path::PathBuf;
use std::sync::Arc;

use deputy_config::EtcdSection;
use deputy_coordinator::{
    LOCK, RestoreSummary, Restoring, StateKeeperError, backed_up, copy_state, kept_state_owner, restore,
};
use deputy_core::{EtcdEndpoint, InstanceName, SecretSource, StateIdentity, Timestamp};
use deputy_etcd::message::RangeRequest;
use deputy_store::{Archive, DirectoryReader, EtcdStore, KeyFit, MasterKey, Store, StoreError, StoreKey, rekey};
use futures::future::try_join_all;

use crate::error::ProcessError;
use crate::platform::Platform;
use crate::sandbox::master_key;
use crate::store;

/// Who saved an instance's state, if any is kept.
pub type KeptStateOwner = Result<Option<StateIdentity>, StateKeeperError>;

pub struct StateDirectory {
    pub path: PathBuf,
    /// The configured source of the master key, if it is not in the state directory.
    pub key: Option<SecretSource>,
    /// Where the state is, if it is not in the directory.
    pub etcd: Option<EtcdSection>,
    pub platform: Platform,
}

/// Where a copy of the state comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopySource {
    /// The state directory; the copy goes to etcd.
    Directory,
    /// etcd; the copy goes to the state directory.
    Etcd,
}

/// Whether what etcd needs can be read: certificates, the key, the password.
pub async fn check_etcd(etcd: &EtcdSection, platform: &Platform) -> Result<(), ProcessError> {
    store::client(etcd, platform).await.map(drop)
}

/// Whether the client certificate for etcd is valid now, if there is one.
///
/// # Errors
/// If it is not, or cannot be read.
pub async fn check_etcd_client_certificate(etcd: &EtcdSection) -> Result<(), ProcessError> {
    store::check_client_certificate(etcd).await
}

/// Reads one key at each member of etcd by itself, as Deputy's user, and changes nothing.
///
/// # Errors
/// If what etcd needs cannot be read: certificates, the key, the password. Of each member, why it did not answer.
pub async fn ask_etcd_members(
    etcd: &EtcdSection,
    platform: &Platform,
) -> Result<Vec<(EtcdEndpoint, Result<(), StoreError>)>, ProcessError> {
    // At once: one that hangs costs its ten seconds alone.
    try_join_all(etcd.endpoints.iter().map(async |endpoint| {
        let alone = EtcdSection { endpoints: vec![endpoint.clone()], ..etcd.clone() };
        let key = RangeRequest { key: etcd.prefix.to_string().into_bytes(), ..RangeRequest::default() };
        let client = store::client(&alone, platform).await?;
        let answer = client.range(&key).await.map(drop).map_err(StoreError::Etcd);
        Ok((endpoint.clone(), answer))
    }))
    .await
}

impl StateDirectory {
    /// The sealed backup, and how many values are in it.
    pub async fn backup(&self, now: Timestamp) -> Result<(Vec<u8>, usize), ProcessError> {
        let values = backed_up(&*self.open().await?).await.map_err(ProcessError::Backup)?;
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
        let summary = restore(&*store, &lock, &archive.values, restoring).await.map_err(ProcessError::Restore);
        lock.release().await;
        summary
    }

    /// Copies the state between the directory and etcd, and compares the copy. Fails while a coordinator runs on one of
    /// them. Returns how many values were copied.
    pub async fn copy(&self, from: CopySource) -> Result<usize, ProcessError> {
        let etcd = self.etcd.as_ref().ok_or(ProcessError::NoEtcd)?;
        let directory = store::open(None, &self.path, self.master_key().await?, &self.platform).await?;
        let etcd = store::open(Some(etcd), &self.path, self.master_key().await?, &self.platform).await?;
        let (from, to) = match from {
            CopySource::Directory => (directory, etcd),
            CopySource::Etcd => (etcd, directory),
        };
        let lock: StoreKey = LOCK.parse()?;
        let from_lock = from.lock(&lock).await.map_err(ProcessError::CopyLock)?;
        let to_lock = to.lock(&lock).await.map_err(ProcessError::CopyLock)?;
        let copied = copy_state(&*from, &*to, &to_lock).await.map_err(ProcessError::Copy);
        to_lock.release().await;
        from_lock.release().await;
        copied
    }

    /// Reads the configured master key. `None` without one: that in the state directory is left to the coordinator.
    pub async fn configured_key(&self) -> Result<Option<MasterKey>, ProcessError> {
        let Some(key) = &self.key else { return Ok(None) };
        MasterKey::read(key, &self.platform.sources).await.map(Some).map_err(ProcessError::MasterKey)
    }

    /// Opens one sealed record of the state with a key, and touches nothing.
    ///
    /// # Errors
    /// If none opens, or the state cannot be read.
    pub async fn check_key(&self, key: MasterKey) -> Result<KeyFit, ProcessError> {
        let Some(etcd) = &self.etcd else {
            let directory = DirectoryReader::open(&self.path, key).await.map_err(ProcessError::State)?;
            let Some(directory) = directory else { return Ok(KeyFit::NoState) };
            return directory.check_key().await.map_err(ProcessError::State);
        };
        let client = store::client(etcd, &self.platform).await?;
        let random = Arc::clone(&self.platform.random);
        EtcdStore::check_key(client, etcd.prefix.clone(), key, random).await.map_err(ProcessError::EtcdState)
    }

    /// Seals the state with another key: that of `new_key`, or a generated one where the key is in the state directory.
    /// Returns how many values were sealed.
    pub async fn rekey(&self, new_key: Option<PathBuf>) -> Result<usize, ProcessError> {
        if self.etcd.is_some() {
            return Err(ProcessError::RekeyEtcd);
        }
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
        // In etcd, only a coordinator that runs says so: this looks at the directory alone.
        if self.etcd.is_some() {
            return Ok(Vec::new());
        }
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

    async fn open(&self) -> Result<Arc<dyn Store>, ProcessError> {
        store::open(self.etcd.as_ref(), &self.path, self.master_key().await?, &self.platform).await
    }
}
