//! A state that two coordinators share, and that fails for single records when the test says so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use deputy_core::{ByteSize, SecretBytes};
use deputy_etcd::EtcdError;
use deputy_store::{
    Changes, Corruption, DirectoryStore, ExpectedVersion, KeyPrefix, Namespace, Store, StoreError, StoreKey,
    StoredValue, Version, WriteRight,
};
use deputy_support::LockUnpoisoned as _;
use deputy_test_stores::{LayeredStore, StoreLayer};

/// What happens to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordFault {
    /// It is damaged, until it is set aside.
    Damaged,
    /// It is never read to the end.
    Hanging,
    /// It is written, and the answer never comes.
    Unanswered,
    /// The state does not answer when it is deleted.
    Undeletable,
    /// The state does not answer when it is read.
    Unreadable,
    /// The state takes no such value.
    Unwritable,
}

/// As one coordinator sees the state.
pub(crate) struct FaultyStore {
    pub(crate) store: Arc<DirectoryStore>,
    faults: Mutex<BTreeMap<StoreKey, RecordFault>>,
    /// The beginnings of names that it takes no value for.
    unwritable: Mutex<Vec<String>>,
    /// Whether no change is heard of.
    is_deaf: bool,
}

impl FaultyStore {
    pub(crate) fn new(store: Arc<DirectoryStore>) -> LayeredStore<Self> {
        LayeredStore(Self { store, faults: Mutex::default(), unwritable: Mutex::default(), is_deaf: false })
    }

    /// The state without word of what other coordinators change.
    pub(crate) fn deaf(store: Arc<DirectoryStore>) -> LayeredStore<Self> {
        LayeredStore(Self { is_deaf: true, ..Self::new(store).0 })
    }

    pub(crate) fn break_record(&self, key: &StoreKey, fault: RecordFault) {
        self.faults.lock_unpoisoned().insert(key.clone(), fault);
    }

    /// Takes no values whose names begin so.
    pub(crate) fn refuse(&self, beginning: &str) {
        self.unwritable.lock_unpoisoned().push(beginning.to_owned());
    }

    pub(crate) fn mend(&self) {
        self.unwritable.lock_unpoisoned().clear();
        self.faults.lock_unpoisoned().clear();
    }

    fn fault(&self, key: &StoreKey) -> Option<RecordFault> {
        let is_refused = self.unwritable.lock_unpoisoned().iter().any(|beginning| key.name().starts_with(beginning));
        let fault = self.faults.lock_unpoisoned().get(key).copied();
        fault.or(is_refused.then_some(RecordFault::Unwritable))
    }

    fn damaged(key: &StoreKey) -> StoreError {
        StoreError::Damaged { key: key.clone(), why: Corruption::Unsealed }
    }
}

#[async_trait]
impl StoreLayer for FaultyStore {
    fn inner(&self) -> &dyn Store {
        &*self.store
    }

    async fn get(&self, key: &StoreKey) -> Result<Option<StoredValue>, StoreError> {
        match self.fault(key) {
            Some(RecordFault::Damaged) => Err(Self::damaged(key)),
            Some(RecordFault::Hanging) => std::future::pending().await,
            Some(RecordFault::Unreadable) => Err(StoreError::Etcd(EtcdError::Unreachable)),
            Some(RecordFault::Unanswered | RecordFault::Undeletable | RecordFault::Unwritable) | None => {
                self.store.get(key).await
            }
        }
    }

    async fn put(
        &self,
        key: &StoreKey,
        value: &SecretBytes,
        expected: ExpectedVersion,
        by: WriteRight<'_>,
    ) -> Result<Version, StoreError> {
        match self.fault(key) {
            Some(RecordFault::Damaged) => Err(Self::damaged(key)),
            Some(RecordFault::Unanswered) => {
                self.store.put(key, value, expected, by).await?;
                std::future::pending().await
            }
            Some(RecordFault::Unwritable) => {
                Err(StoreError::TooLarge { key: key.clone(), size: value.len(), limit: ByteSize::bytes(0) })
            }
            Some(RecordFault::Hanging | RecordFault::Undeletable | RecordFault::Unreadable) | None => {
                self.store.put(key, value, expected, by).await
            }
        }
    }

    async fn delete(&self, key: &StoreKey, expected: Version, by: WriteRight<'_>) -> Result<(), StoreError> {
        match self.fault(key) {
            Some(RecordFault::Undeletable) => Err(StoreError::Etcd(EtcdError::Unreachable)),
            _ => self.store.delete(key, expected, by).await,
        }
    }

    async fn quarantine(&self, key: &StoreKey) -> Result<(), StoreError> {
        let is_damaged = self.fault(key) == Some(RecordFault::Damaged);
        if is_damaged && let Some(found) = self.store.get(key).await? {
            self.store.delete(key, found.version, WriteRight::shared(self.store.write_id()?)).await?;
        }
        if is_damaged {
            self.faults.lock_unpoisoned().remove(key);
        }
        Ok(())
    }

    async fn watch(&self, prefix: KeyPrefix) -> Result<Changes, StoreError> {
        match self.is_deaf {
            true => self.store.watch(KeyPrefix::Namespace(Namespace::new("silence"))).await,
            false => self.store.watch(prefix).await,
        }
    }
}
