//! A sealed copy of the leases and bindings, so that a worker starts while the coordinator is down.
//!
//! The cache is between the link and its consumers: leases are applied and given out once they are written. A worker that
//! used an unwritten lease would go back to an older one at its next start. If a write fails, as on a full disk, the older
//! copy is removed and the lease is used anyway; a disk that does not respond delays leases for a few seconds.
//!
//! Each delivery is a record of its own. One more record, the index, holds the bindings and the names of the deliveries. It
//! is written before them: if a delivery is missing or damaged, the rest is used, and the worker does not take a lost
//! delivery for a withdrawn one. It is written again after them, with their revisions: a delivery that is older than the
//! index says was restored from elsewhere and is not used. The coordinator sends whatever is missing here.

mod applied;
mod record;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use deputy_core::{InstanceName, LeaseVersion, SecretBytes, in_one_line};
use deputy_link::DeliveredState;
use deputy_store::{
    KeyPrefix, KeyWriter, Namespace, Store, StoreError, StoreKey, StoreKeyError, StoreLock, WriteRight,
};
use tokio::sync::watch;

use crate::apply_traces::ApplyTraces;
use record::CacheRecordError;

pub use applied::{AppliedByReceiver, AppliedCache};

const DELIVERY: Namespace = Namespace::new("delivery");
const INDEX: Namespace = Namespace::new("index");
const LOCK: Namespace = Namespace::new("lock");

/// How long to wait after a write that failed.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// How long what is held waits for a disk that does not answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// A state directory that no other worker uses while this exists. A worker takes it before it joins: otherwise it could
/// overwrite the identity of another one.
pub struct StateDirLock {
    store: Arc<dyn Store>,
    lock: Arc<StoreLock>,
}

/// Keeps what is held.
pub struct LeaseCache {
    store: Arc<dyn Store>,
    index: StoreKey,
    /// Whose it is: what another worker kept is of no use.
    worker: String,
    writer: KeyWriter,
    /// What is known to be on the disk.
    kept: Option<WrittenState>,
    lock: Arc<StoreLock>,
    traces: Arc<ApplyTraces>,
}

/// What of it is on the disk.
#[derive(PartialEq)]
struct WrittenState {
    deliveries: BTreeMap<InstanceName, LeaseVersion>,
    index: SecretIndex,
}

/// The index on the disk.
struct SecretIndex(SecretBytes);

impl PartialEq for SecretIndex {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose() == other.0.expose()
    }
}

/// What is held is not kept.
#[derive(Debug, thiserror::Error)]
pub enum LeaseCacheError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It can't be written down.
    #[error("cannot encode the cache record; this is a bug, please report it")]
    Encode(#[from] serde_json::Error),
    #[error(transparent)]
    Key(#[from] StoreKeyError),
}

impl StateDirLock {
    /// Takes a store: a worker's own, or that of the coordinator in whose process it runs.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if another worker uses it.
    pub async fn take(store: Arc<dyn Store>) -> Result<Self, LeaseCacheError> {
        let lock = Arc::new(store.lock(&StoreKey::new(&LOCK, "worker")?).await?);
        Ok(Self { store, lock })
    }

    /// The lock, for what else its holder writes.
    pub fn lock(&self) -> &Arc<StoreLock> {
        &self.lock
    }

    /// The cache there, for the worker of this id.
    ///
    /// # Errors
    /// If there can be no such cache.
    pub fn cache(&self, worker: &str) -> Result<LeaseCache, LeaseCacheError> {
        let store = Arc::clone(&self.store);
        let lock = Arc::clone(&self.lock);
        let index = StoreKey::new(&INDEX, "all")?;
        let writer = KeyWriter::of_holder(Arc::clone(&store), Arc::clone(&lock));
        Ok(LeaseCache { store, index, worker: worker.to_owned(), writer, kept: None, lock, traces: Arc::default() })
    }
}

impl LeaseCache {
    /// The same cache, which traces what it keeps.
    #[must_use]
    pub fn traced(self, traces: Arc<ApplyTraces>) -> Self {
        Self { traces, ..self }
    }

    /// Reads the copy. Unusable records are logged and left out. Expired leases are included: the configuration decides
    /// what happens to their files.
    pub async fn restore(&mut self) -> DeliveredState {
        let index = match self.read(&self.index.clone(), record::decode_index).await {
            Ok(Some(index)) => index,
            Ok(None) => return DeliveredState::default(),
            Err(()) => (DeliveredState::default(), BTreeMap::new()),
        };
        let (mut held, mut missing) = index;
        let keys = self.store.list(&KeyPrefix::Namespace(DELIVERY)).await.unwrap_or_else(|error| {
            tracing::warn!(error = in_one_line(&error), "reading the lease cache failed");
            Vec::new()
        });
        for key in keys {
            // What the index does not have was withdrawn, or is newer than it: the coordinator knows.
            let Ok(Some(delivery)) = self.read(&key, record::decode).await else { continue };
            let Some(oldest) = missing.get(key.name()).filter(|_| delivery.instance.as_str() == key.name()) else {
                continue;
            };
            if oldest.is_some_and(|oldest| is_older(delivery.stamp, oldest)) {
                tracing::error!(
                    instance = %delivery.instance, revision = %delivery.stamp.revision,
                    "ignored a cached lease that is older than the last one kept: was the state directory restored from a \
                     backup?"
                );
                continue;
            }
            missing.remove(key.name());
            held.deliveries.insert(delivery.instance.clone(), delivery);
        }
        held.complete &= missing.is_empty();
        tracing::info!(deliveries = held.deliveries.len(), missing = missing.len(), "lease cache read");
        held
    }

    async fn read<T>(
        &mut self,
        key: &StoreKey,
        decode: impl FnOnce(&str, &[u8]) -> Result<T, CacheRecordError>,
    ) -> Result<Option<T>, ()> {
        let error: String = match self.writer.read(key).await {
            Ok(None) => return Ok(None),
            Ok(Some(value)) => match decode(&self.worker, value.expose()) {
                Ok(value) => return Ok(Some(value)),
                Err(error @ CacheRecordError::Foreign) => {
                    tracing::debug!(%key, %error, "cache record ignored");
                    return Err(());
                }
                Err(error) => error.to_string(),
            },
            Err(error) => {
                if matches!(error, StoreError::Damaged { .. })
                    && let Err(error) = self.writer.quarantine(key).await
                {
                    tracing::warn!(%key, error = in_one_line(&error), "quarantining a damaged cache record failed");
                }
                in_one_line(&error)
            }
        };
        tracing::warn!(%key, error, "cache record unusable; waiting for the coordinator to send it");
        Err(())
    }

    /// Writes each new state and passes it on once it is written, until the sender is dropped.
    pub async fn follow(
        mut self,
        mut held: watch::Receiver<Arc<DeliveredState>>,
        used: watch::Sender<Arc<DeliveredState>>,
    ) {
        loop {
            let newest = Arc::clone(&held.borrow_and_update());
            let mut traced = if newest.complete { self.traces.cache(&newest) } else { Vec::new() };
            let kept = {
                let mut keeping = pin!(self.keep(&newest));
                loop {
                    match tokio::time::timeout(WRITE_TIMEOUT, &mut keeping).await {
                        Ok(kept) => break kept,
                        Err(_) => {
                            tracing::warn!("state disk not responding; applying leases before they are cached");
                            give(&used, &held.borrow());
                        }
                    }
                }
            };
            if kept.is_err() {
                traced.iter_mut().for_each(|span| span.fail("not-cached"));
            }
            drop(traced);
            give(&used, &newest);
            if let Err(error) = kept {
                let error = in_one_line(&error);
                tracing::warn!(
                    error,
                    "writing the lease cache failed; a start without the coordinator would lack these leases"
                );
                // Something newer may have room, or rights.
                if let Ok(Err(_)) = tokio::time::timeout(RETRY_DELAY, held.changed()).await {
                    return;
                }
            } else if held.changed().await.is_err() {
                return;
            }
        }
    }

    /// Writes what changed.
    ///
    /// # Errors
    /// If it can't be. What was not written is written with the next.
    pub async fn keep(&mut self, held: &DeliveredState) -> Result<(), LeaseCacheError> {
        // While the coordinator is still sending, what was kept may be more than this.
        if !held.complete {
            return Ok(());
        }
        let stamps = held.deliveries.iter().map(|(name, delivery)| (name.clone(), delivery.stamp)).collect();
        let index = SecretIndex(record::encode_index(&self.worker, held, &stamps)?);
        let wanted = WrittenState { deliveries: stamps, index };
        if self.kept.as_ref() == Some(&wanted) {
            return Ok(());
        }
        let before = self.kept.take();
        let begun = SecretIndex(record::encode_index(&self.worker, held, &on_disk(&wanted, before.as_ref()))?);
        if before.as_ref().is_none_or(|before| before.index != begun) {
            self.put_or_remove(&self.index.clone(), &begun.0).await?;
        }
        for (name, delivery) in &held.deliveries {
            let is_kept = before.as_ref().is_some_and(|before| before.deliveries.get(name) == Some(&delivery.stamp));
            if !is_kept {
                let key = StoreKey::of_instance(&DELIVERY, name);
                let value = record::encode(&self.worker, delivery)?;
                self.put_or_remove(&key, &value).await?;
            }
        }
        for key in self.store.list(&KeyPrefix::Namespace(DELIVERY)).await? {
            let is_held = held.deliveries.keys().any(|name| name.as_str() == key.name());
            if !is_held {
                self.remove(&key).await?;
            }
        }
        if begun != wanted.index {
            self.put(&self.index.clone(), &wanted.index.0).await?;
        }
        self.kept = Some(wanted);
        Ok(())
    }

    /// A start from what was there before would go back. That nothing is there it can say, and wait for the coordinator.
    async fn put_or_remove(&mut self, key: &StoreKey, value: &SecretBytes) -> Result<(), LeaseCacheError> {
        let put = self.put(key, value).await;
        if put.is_err()
            && let Err(error) = self.remove(key).await
        {
            let error = in_one_line(&error);
            tracing::warn!(%key, error, "removing an older cache record failed; the next start may use it");
        }
        put
    }

    async fn put(&mut self, key: &StoreKey, value: &SecretBytes) -> Result<(), LeaseCacheError> {
        Ok(self.writer.put(key, value).await?)
    }

    async fn remove(&mut self, key: &StoreKey) -> Result<(), LeaseCacheError> {
        self.writer.adopt(key, None);
        match self.store.get(key).await {
            Ok(Some(entry)) => {
                let by = WriteRight::holder(&self.lock, self.store.write_id()?);
                Ok(self.store.delete(key, entry.version, by).await?)
            }
            Ok(None) => Ok(()),
            Err(StoreError::Damaged { .. }) => Ok(self.store.quarantine(key).await?),
            Err(error) => Err(error.into()),
        }
    }
}

/// The leases that are on the disk before any of `wanted` is written, as far as there will be others in their place.
fn on_disk(wanted: &WrittenState, before: Option<&WrittenState>) -> BTreeMap<InstanceName, LeaseVersion> {
    let old = |name: &InstanceName| before.and_then(|before| before.deliveries.get(name)).copied();
    wanted.deliveries.iter().map(|(name, stamp)| (name.clone(), old(name).unwrap_or(*stamp))).collect()
}

/// Numbers alone do not tell: a coordinator that lost its state starts again at 1.
fn is_older(stamp: LeaseVersion, than: LeaseVersion) -> bool {
    (stamp.obtained_at, stamp.revision) < (than.obtained_at, than.revision)
}

/// Passes a complete state on. While the snapshot is incomplete, the state before stays in use.
fn give(used: &watch::Sender<Arc<DeliveredState>>, held: &Arc<DeliveredState>) {
    if held.complete {
        used.send_replace(Arc::clone(held));
    }
}
