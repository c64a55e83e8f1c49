//! The deliveries that receivers applied last, sealed like the cache: a receiver that rejects the newest lease of an instance
//! keeps the one before, also after a restart.
//!
//! They are written before a unit is published, and so before the cache can replace its own copy. A record is one delivery
//! of one receiver, so there is at most one for each instance that a receiver is bound to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use deputy_core::{Delivery, InstanceName, ReceiverName, in_one_line};
use deputy_store::{KeyPrefix, Namespace, Store, StoreError, StoreKey, StoreLock, WriteRight, replace};
use deputy_support::sha256;

use super::record::CacheRecordError;
use super::{LeaseCacheError, StateDirLock, record};
use crate::applied_deliveries::AppliedChanges;

const APPLIED: Namespace = Namespace::new("applied");

/// How long a run waits for a disk that does not answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// What each receiver applied last.
pub type AppliedByReceiver = BTreeMap<ReceiverName, BTreeMap<InstanceName, Delivery>>;

/// Keeps what receivers applied last. Cheap to clone.
#[derive(Clone)]
pub struct AppliedCache {
    store: Arc<dyn Store>,
    /// The owner of the records: what another worker applied is of no use.
    worker: String,
    lock: Arc<StoreLock>,
}

impl StateDirLock {
    /// The deliveries that the worker of this id applied.
    pub fn applied(&self, worker: &str) -> AppliedCache {
        AppliedCache { store: Arc::clone(&self.store), worker: worker.to_owned(), lock: Arc::clone(&self.lock) }
    }
}

impl AppliedCache {
    /// Reads all records. Those that are unusable are removed, and so are those of receivers that are not `known`, if
    /// all are known.
    pub async fn restore(&self, known: Option<&BTreeSet<ReceiverName>>) -> AppliedByReceiver {
        let keys = self.store.list(&KeyPrefix::Namespace(APPLIED)).await.unwrap_or_else(|error| {
            tracing::warn!(error = in_one_line(&error), "reading the deliveries that were applied failed");
            Vec::new()
        });
        let mut applied = AppliedByReceiver::new();
        for key in keys {
            match self.read(&key).await {
                Some((receiver, delivery)) if known.is_none_or(|known| known.contains(&receiver)) => {
                    applied.entry(receiver).or_default().insert(delivery.instance.clone(), delivery);
                }
                _ => self.remove_or_warn(&key).await,
            }
        }
        applied
    }

    async fn read(&self, key: &StoreKey) -> Option<(ReceiverName, Delivery)> {
        let error = match self.store.get(key).await {
            Ok(None) => return None,
            Ok(Some(entry)) => match record::decode_applied(&self.worker, entry.value.expose()) {
                Ok((receiver, delivery)) if self::key(&receiver, &delivery.instance).is_ok_and(|own| own == *key) => {
                    return Some((receiver, delivery));
                }
                Ok(_) => "the record has the name of another".to_owned(),
                Err(error @ CacheRecordError::Foreign) => {
                    tracing::debug!(%key, %error, "record of an applied delivery ignored");
                    return None;
                }
                Err(error) => error.to_string(),
            },
            Err(error) => in_one_line(&error),
        };
        tracing::warn!(%key, error, "record of an applied delivery unusable");
        None
    }

    /// Writes what changed for a receiver. What cannot be written is logged: a restart would lack it, and a rejected lease
    /// would leave its instance without files then.
    pub(crate) async fn keep(&self, receiver: &ReceiverName, changes: &AppliedChanges) {
        let kept = tokio::time::timeout(WRITE_TIMEOUT, self.write(receiver, changes)).await;
        let error = match kept {
            Ok(Ok(())) => return,
            Ok(Err(error)) => in_one_line(&error),
            Err(_) => "the state disk does not respond".to_owned(),
        };
        tracing::warn!(%receiver, error, "writing the deliveries that were applied failed; publishing them anyway");
    }

    async fn write(&self, receiver: &ReceiverName, changes: &AppliedChanges) -> Result<(), LeaseCacheError> {
        for delivery in &changes.added {
            let key = key(receiver, &delivery.instance)?;
            let value = record::encode_applied(&self.worker, receiver, delivery)?;
            let written = replace(&*self.store, &key, &value, &self.lock).await;
            if let Err(error) = written {
                // Without it, an older one would be there at the next start.
                self.remove_or_warn(&key).await;
                return Err(error.into());
            }
        }
        for instance in &changes.removed {
            self.remove(&key(receiver, instance)?).await?;
        }
        Ok(())
    }

    async fn remove_or_warn(&self, key: &StoreKey) {
        if let Err(error) = self.remove(key).await {
            tracing::warn!(%key, error = in_one_line(&error), "removing the record of an applied delivery failed");
        }
    }

    async fn remove(&self, key: &StoreKey) -> Result<(), StoreError> {
        match self.store.get(key).await {
            Ok(Some(entry)) => {
                let by = WriteRight::holder(&self.lock, self.store.write_id()?);
                self.store.delete(key, entry.version, by).await
            }
            Ok(None) => Ok(()),
            Err(StoreError::Damaged { .. }) => self.store.quarantine(key).await,
            Err(error) => Err(error),
        }
    }
}

/// Two names can be longer than a key, and a key cannot have a separator that names lack.
fn key(receiver: &ReceiverName, instance: &InstanceName) -> Result<StoreKey, LeaseCacheError> {
    Ok(StoreKey::new(&APPLIED, &sha256(format!("{receiver}/{instance}").as_bytes()).to_string())?)
}
