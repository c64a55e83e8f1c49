//! A store in etcd, shared by several processes.
//!
//! | key | value |
//! |---|---|
//! | `<prefix>value/<namespace>/<name>` | a sealed value; under an etcd lease if it ends by itself |
//! | `<prefix>lock/<namespace>/<name>` | the id of the write that took the lock, under an etcd lease |
//! | `<prefix>damaged/<namespace>/<name>/<n>` | a quarantined value |
//! | `<prefix>record` | sealed: shows whether the master key fits |
//!
//! A version is the key's revision in etcd. Each write is one transaction: it compares the key's revision and, for a key of
//! a lock's holder, the lock. etcd sees sealed bytes and the names of keys. Reads are linearizable.

mod keys;
mod lifetimes;
mod lock;
mod lock_keeper;
mod pages;
mod record;
mod requests;
mod values;
mod watcher;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use deputy_core::{ByteSize, EtcdPrefix, MAX_ETCD_PAYLOAD, SecretBytes, Span};
use deputy_etcd::{EtcdClient, EtcdError};
use deputy_support::LockUnpoisoned as _;
use tokio::task::JoinSet;

use self::lifetimes::LifetimeLeases;
pub use self::lock_keeper::{KeepAliveResult, LockKeeper};
pub use self::requests::EtcdRequests;
use self::watcher::Watcher;
use crate::change;
use crate::store::check_size;
use crate::{
    Changes, ExpectedVersion, KeyFit, KeyPrefix, MasterKey, Random, Store, StoreError, StoreKey, StoreLock,
    StoredValue, Version, WriteId, WriteRight,
};

/// The largest value: the largest payload, and room for the head of its record.
const MAX_VALUE: ByteSize = ByteSize::bytes(MAX_ETCD_PAYLOAD.as_u64() + (64 << 10));

/// A store in etcd.
pub struct EtcdStore {
    state: Arc<EtcdState>,
    /// Watches that are followed.
    watches: Mutex<JoinSet<()>>,
}

struct EtcdState {
    client: Arc<EtcdClient>,
    requests: EtcdRequests,
    lifetimes: LifetimeLeases,
}

impl EtcdState {
    fn new(client: EtcdClient, prefix: EtcdPrefix, master: MasterKey, random: Random) -> Self {
        let requests = EtcdRequests::new(prefix, master, random);
        Self { client: Arc::new(client), requests, lifetimes: LifetimeLeases::default() }
    }
}

impl EtcdStore {
    /// Opens the state under a prefix. Fails with [`StoreError::EtcdKeyMismatch`], before anything is touched, if it was
    /// sealed with another key.
    pub async fn open(
        client: EtcdClient,
        prefix: EtcdPrefix,
        master: MasterKey,
        random: Random,
    ) -> Result<Self, StoreError> {
        let state = EtcdState::new(client, prefix, master, random);
        state.check_record().await?;
        Ok(Self { state: Arc::new(state), watches: Mutex::default() })
    }

    /// Whether a key fits the state under a prefix: opens one sealed record with it, and touches nothing.
    ///
    /// # Errors
    /// [`StoreError::EtcdKeyMismatch`] if the state was sealed with another key; if etcd does not answer.
    pub async fn check_key(
        client: EtcdClient,
        prefix: EtcdPrefix,
        master: MasterKey,
        random: Random,
    ) -> Result<KeyFit, StoreError> {
        EtcdState::new(client, prefix, master, random).look().await
    }
}

#[async_trait]
impl Store for EtcdStore {
    async fn list(&self, prefix: &KeyPrefix) -> Result<Vec<StoreKey>, StoreError> {
        Ok(self.state.list(prefix).await?.versions.into_keys().collect())
    }

    async fn get(&self, key: &StoreKey) -> Result<Option<StoredValue>, StoreError> {
        self.state.read(key).await
    }

    async fn put(
        &self,
        key: &StoreKey,
        value: &SecretBytes,
        expected: ExpectedVersion,
        by: WriteRight<'_>,
    ) -> Result<Version, StoreError> {
        check_size(key, value, MAX_VALUE)?;
        self.state.put(key, value, expected, by).await
    }

    async fn put_for(
        &self,
        lifetime: Span,
        key: &StoreKey,
        value: &SecretBytes,
        expected: ExpectedVersion,
        id: WriteId,
    ) -> Result<Version, StoreError> {
        check_size(key, value, MAX_VALUE)?;
        self.state.put_for(lifetime, key, value, expected, id).await
    }

    async fn delete(&self, key: &StoreKey, expected: Version, by: WriteRight<'_>) -> Result<(), StoreError> {
        self.state.delete(key, expected, by).await
    }

    async fn quarantine(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.state.quarantine(key).await
    }

    async fn watch(&self, prefix: KeyPrefix) -> Result<Changes, StoreError> {
        let listed = self.state.list(&prefix).await?;
        let (sender, changes) = change::channel();
        let watcher = Watcher::new(Arc::clone(&self.state), prefix, listed, sender);
        let mut watches = self.watches.lock_unpoisoned();
        // Those without a follower have ended.
        while watches.try_join_next().is_some() {}
        watches.spawn(watcher.run());
        Ok(changes)
    }

    async fn lock(&self, name: &StoreKey) -> Result<StoreLock, StoreError> {
        self.state.lock(name).await
    }

    fn write_id(&self) -> Result<WriteId, StoreError> {
        self.state.requests.write_id()
    }

    fn max_value(&self) -> ByteSize {
        MAX_VALUE
    }
}

impl From<EtcdError> for StoreError {
    fn from(error: EtcdError) -> Self {
        match &error {
            EtcdError::Refused(status) if status.is_out_of_space() => Self::EtcdFull,
            _ => Self::Etcd(error),
        }
    }
}

impl std::fmt::Debug for EtcdStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EtcdStore").field("prefix", &self.state.requests.prefix).finish_non_exhaustive()
    }
}
