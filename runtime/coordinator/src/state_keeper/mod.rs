//! Keeps what instances save as state: one sealed record for each, beside its lease record.
//!
//! A record is read at each use and written at each save, so that nothing here is newer or older than the disk. One call
//! of an instance at a time has a turn at its record. A value leaves here only for the identity that saved it, or for the
//! one that the operator lets inherit it.
//!
//! State is read and written while this coordinator leads: what is kept belongs to the holder of the lock.

mod record;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use deputy_core::{InstanceName, PolicyDenial, SecretBytes, Span, StateGrant, StateIdentity};
use deputy_store::{DirectoryReader, KeyPrefix, KeyWriter, Namespace, Store, StoreError, StoreKey, StoreLock};
use deputy_support::LockUnpoisoned;
use tokio::sync::{Mutex as TurnMutex, Notify, OwnedMutexGuard, Semaphore, SemaphorePermit};

use self::record::StateRecord;

pub(crate) const STATE: Namespace = Namespace::new("state");

/// Each write waits for the disk; together they share its journal.
const CONCURRENT_WRITES: u32 = 16;

/// How long writes may go on after the last one may have begun.
const FINAL_WRITES: Span = Span::secs(3);

/// Keeps the state of all instances.
pub struct StateKeeper {
    store: Arc<dyn Store>,
    /// `None` while this coordinator does not lead.
    term: Mutex<Option<Arc<KeeperTerm>>>,
    instances: Mutex<BTreeMap<InstanceName, KnownState>>,
}

/// What is written under one lock.
struct KeeperTerm {
    writer: KeyWriter,
    writes: Semaphore,
    lock_lost: Notify,
}

/// What is known of an instance's state.
#[derive(Default)]
struct KnownState {
    turn: Arc<TurnMutex<()>>,
    /// Who saved what is kept.
    owner: Option<StateIdentity>,
}

/// A turn at the state of an instance. No other call has one before this is dropped.
pub struct KeptStateTurn {
    keeper: Arc<StateKeeper>,
    instance: InstanceName,
    _turn: OwnedMutexGuard<()>,
}

/// Why state is not given or kept.
#[derive(Debug, thiserror::Error)]
pub enum StateKeeperError {
    #[error("{0}")]
    Denied(PolicyDenial),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot encode the record; this is a bug, please report it")]
    Encode(#[from] serde_json::Error),
    #[error("cannot decode {0}: {1}")]
    Decode(StoreKey, String),
    #[error("the coordinator does not lead any more")]
    NotLeading,
}

/// Who saved what is kept for an instance, for a command that only looks.
///
/// # Errors
/// If the record cannot be read: then it is not known.
pub async fn kept_state_owner(
    reader: &DirectoryReader,
    instance: &InstanceName,
) -> Result<Option<StateIdentity>, StateKeeperError> {
    let key = StoreKey::of_instance(&STATE, instance);
    let Some(value) = reader.get(&key).await? else { return Ok(None) };
    let record = record::decode(value.expose()).map_err(|error| StateKeeperError::Decode(key, error.to_string()))?;
    Ok(Some(record.owner))
}

impl StateKeeper {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, term: Mutex::default(), instances: Mutex::default() }
    }

    /// Begins to read and write under a lock: the records are its holder's, and what is written without it fails.
    pub(crate) fn lead(&self, lock: Arc<StoreLock>) {
        let term = KeeperTerm {
            writer: KeyWriter::of_holder(Arc::clone(&self.store), lock),
            writes: Semaphore::new(CONCURRENT_WRITES as usize),
            lock_lost: Notify::new(),
        };
        *self.term.lock_unpoisoned() = Some(Arc::new(term));
        for known in self.known().values_mut() {
            known.owner = None;
        }
    }

    /// Reads whose state is kept. Returns the instances for which there is some, whole or damaged.
    pub(crate) async fn restore(&self) -> Result<BTreeSet<InstanceName>, StateKeeperError> {
        let mut restored = BTreeSet::new();
        for key in self.store.list(&KeyPrefix::Namespace(STATE)).await? {
            let Ok(instance) = key.name().parse::<InstanceName>() else { continue };
            self.read(&instance).await?;
            restored.insert(instance);
        }
        Ok(restored)
    }

    /// Waits for a turn at the state of an instance.
    pub async fn turn(self: &Arc<Self>, instance: &InstanceName) -> KeptStateTurn {
        let turn = Arc::clone(&self.known().entry(instance.clone()).or_default().turn);
        KeptStateTurn { keeper: Arc::clone(self), instance: instance.clone(), _turn: turn.lock_owned().await }
    }

    /// Who saved what is kept for an instance.
    pub fn owner(&self, instance: &InstanceName) -> Option<StateIdentity> {
        self.known().get(instance)?.owner
    }

    /// Deletes the state of an instance that is gone.
    pub(crate) async fn forget(&self, instance: &InstanceName) -> Result<(), StateKeeperError> {
        self.delete(instance).await
    }

    /// Resolves when a write finds the coordinator's lock in other hands.
    pub(crate) async fn lock_lost(&self) {
        match self.term() {
            Ok(term) => term.lock_lost.notified().await,
            Err(_) => std::future::pending().await,
        }
    }

    /// Ends all writing: the coordinator's lock is lost, or about to be released.
    pub(crate) async fn close(&self) {
        let Ok(term) = self.term() else { return };
        let ended = tokio::time::timeout(FINAL_WRITES.duration(), term.writes.acquire_many(CONCURRENT_WRITES)).await;
        if ended.is_err() {
            tracing::warn!("saving state did not end before the coordinator did");
        }
        term.writes.close();
    }

    fn term(&self) -> Result<Arc<KeeperTerm>, StateKeeperError> {
        self.term.lock_unpoisoned().clone().ok_or(StateKeeperError::NotLeading)
    }

    /// The record of an instance. One that is unusable is set aside where that is possible, and counts as none.
    async fn read(&self, instance: &InstanceName) -> Result<Option<StateRecord>, StateKeeperError> {
        let key = StoreKey::of_instance(&STATE, instance);
        let writer = &self.term()?.writer;
        let found = match writer.read(&key).await {
            Ok(found) => found.map(|value| record::decode(value.expose())),
            Err(error @ StoreError::Damaged { .. }) => {
                tracing::error!(%instance, %error, "state unusable; what the component saved is lost");
                writer.quarantine(&key).await?;
                None
            }
            Err(error) => return Err(error.into()),
        };
        let found = match found {
            Some(Ok(record)) => Some(record),
            Some(Err(error)) if error.is_newer() => {
                return Err(StateKeeperError::Decode(key, error.to_string()));
            }
            // The next save replaces it.
            Some(Err(error)) => {
                tracing::error!(%instance, %error, "state unusable; what the component saved is lost");
                None
            }
            None => None,
        };
        self.note_owner(instance, found.as_ref().map(|record| record.owner));
        Ok(found)
    }

    async fn write(
        &self,
        instance: &InstanceName,
        owner: StateIdentity,
        value: &SecretBytes,
    ) -> Result<(), StateKeeperError> {
        let term = self.term()?;
        let _slot = term.slot().await?;
        let key = StoreKey::of_instance(&STATE, instance);
        let written = term.writer.put(&key, &record::encode(owner, value)?).await;
        term.notice_lost_lock(written)?;
        self.note_owner(instance, Some(owner));
        Ok(())
    }

    async fn delete(&self, instance: &InstanceName) -> Result<(), StateKeeperError> {
        let term = self.term()?;
        let _slot = term.slot().await?;
        let key = StoreKey::of_instance(&STATE, instance);
        let deleted = match term.writer.read(&key).await {
            Ok(Some(_)) => term.writer.delete(&key).await,
            Err(StoreError::Damaged { .. }) => term.writer.quarantine(&key).await,
            other => other.map(drop),
        };
        term.notice_lost_lock(deleted)?;
        self.note_owner(instance, None);
        Ok(())
    }

    fn note_owner(&self, instance: &InstanceName, owner: Option<StateIdentity>) {
        self.known().entry(instance.clone()).or_default().owner = owner;
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<InstanceName, KnownState>> {
        self.instances.lock_unpoisoned()
    }
}

impl KeeperTerm {
    async fn slot(&self) -> Result<SemaphorePermit<'_>, StateKeeperError> {
        self.writes.acquire().await.map_err(|_| StateKeeperError::NotLeading)
    }

    fn notice_lost_lock<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if result.as_ref().is_err_and(StoreError::is_lock_lost) {
            self.lock_lost.notify_one();
        }
        result
    }
}

impl KeptStateTurn {
    /// The value that was saved last. What `own` inherits is its own from then on.
    pub async fn load(
        &self,
        grant: &StateGrant,
        own: StateIdentity,
    ) -> Result<Option<Arc<SecretBytes>>, StateKeeperError> {
        let Some(record) = self.permitted(grant, own).await? else { return Ok(None) };
        if record.owner != own {
            self.keeper.write(&self.instance, own, &record.value).await?;
            tracing::info!(instance = %self.instance, from = %record.owner, to = %own, "state inherited");
        }
        Ok(Some(record.value))
    }

    /// Replaces the value. It survives a power cut after this call. An empty one removes it.
    pub async fn save(
        &self,
        grant: &StateGrant,
        own: StateIdentity,
        value: &SecretBytes,
    ) -> Result<(), StateKeeperError> {
        self.permitted(grant, own).await?;
        if value.is_empty() {
            return self.keeper.delete(&self.instance).await;
        }
        self.keeper.write(&self.instance, own, value).await
    }

    /// What is kept, if `own` may have it.
    async fn permitted(&self, grant: &StateGrant, own: StateIdentity) -> Result<Option<StateRecord>, StateKeeperError> {
        let found = self.keeper.read(&self.instance).await?;
        if let Some(record) = &found {
            grant.permit(record.owner, own).map_err(StateKeeperError::Denied)?;
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests;
