//! Single values: one read, or one transaction.

use deputy_core::SecretBytes;
use deputy_etcd::Repeat;
use deputy_etcd::message::{Compare, KeyValue, RangeRequest, RequestOp, TxnRequest, TxnResponse};

use super::{EtcdState, MAX_VALUE};
use crate::seal::{self, OVERHEAD, Plaintext, SealLabel, WriteStamp};
use crate::{ExpectedVersion, FoundVersion, StoreError, StoreKey, StoreLock, StoredValue, Version, WriteRight};

/// How many damaged values are kept of one key: the first ones, and the last.
const MAX_QUARANTINED: u8 = 3;

/// Bytes that are kept of a damaged value that is too large.
const KEPT: usize = 64 << 10;

impl EtcdState {
    pub(super) async fn read(&self, key: &StoreKey) -> Result<Option<StoredValue>, StoreError> {
        self.raw(&self.prefix.value(key)).await?.map(|found| self.opened(key, found)).transpose()
    }

    pub(super) async fn raw(&self, key: &[u8]) -> Result<Option<KeyValue>, StoreError> {
        let request = RangeRequest { key: key.to_vec(), ..RangeRequest::default() };
        Ok(self.client.range(&request).await?.kvs.into_iter().next())
    }

    pub(super) fn opened(&self, key: &StoreKey, found: KeyValue) -> Result<StoredValue, StoreError> {
        let version = version(found.mod_revision);
        let opened = seal::open(found.value, &SealLabel::of_key(key), &self.master);
        let (stamp, value) = opened.map_err(|why| StoreError::Damaged { key: key.clone(), why })?;
        Ok(StoredValue { value, version, write: stamp.write })
    }

    pub(super) async fn put(
        &self,
        key: &StoreKey,
        value: &SecretBytes,
        expected: ExpectedVersion,
        by: WriteRight<'_>,
    ) -> Result<Version, StoreError> {
        let stamp = WriteStamp { write: by.id, replaced: expected.version() };
        let sealed =
            Plaintext::new(value.expose()).seal(&SealLabel::of_key(key), stamp, &self.master, &*self.random)?;
        let name = self.prefix.value(key);
        let put = RequestOp::put(&name, sealed, 0);
        // A shared key that was created and deleted again by another process must not come back with a repetition.
        let repeat = match (expected, by.lock) {
            (ExpectedVersion::Absent, None) => Repeat::Unsent,
            _ => Repeat::Always,
        };
        let answer = self.client.txn(&self.transaction(key, expected, by.lock, vec![put]), repeat).await?;
        if answer.succeeded {
            return Ok(version(answer.revision()));
        }
        match self.conflict(key, &answer, by.lock)? {
            // A repetition finds what the first request wrote.
            Some(found) if found.write == by.id => Ok(found.version),
            found => Err(StoreError::Conflict { key: key.clone(), found }),
        }
    }

    pub(super) async fn delete(&self, key: &StoreKey, expected: Version, by: WriteRight<'_>) -> Result<(), StoreError> {
        let delete = RequestOp::delete(&self.prefix.value(key));
        let transaction = self.transaction(key, ExpectedVersion::Version(expected), by.lock, vec![delete]);
        let answer = self.client.txn(&transaction, Repeat::Always).await?;
        if answer.succeeded {
            return Ok(());
        }
        let found = self.conflict(key, &answer, by.lock)?;
        Err(StoreError::Conflict { key: key.clone(), found })
    }

    /// Compares the key and the lock, and reads both if one of them is not as expected.
    fn transaction(
        &self,
        key: &StoreKey,
        expected: ExpectedVersion,
        lock: Option<&StoreLock>,
        success: Vec<RequestOp>,
    ) -> TxnRequest {
        let name = self.prefix.value(key);
        let mut compare = vec![Compare::mod_revision(&name, revision(expected.version()))];
        let mut failure = vec![RequestOp::get(&name)];
        if let Some(lock) = lock {
            let name = self.prefix.lock(lock.name());
            compare.push(Compare::create_revision(&name, fencing_revision(lock)));
            // In a cluster that was restored from a snapshot, another holder may have the same revision.
            compare.push(Compare::value(&name, lock.id().as_bytes()));
            failure.push(RequestOp::get(&name));
        }
        TxnRequest { compare, success, failure }
    }

    /// What a transaction found instead. Fails if the lock is in other hands, or the value is damaged.
    fn conflict(
        &self,
        key: &StoreKey,
        answer: &TxnResponse,
        lock: Option<&StoreLock>,
    ) -> Result<Option<FoundVersion>, StoreError> {
        if let Some(lock) = lock {
            let is_held = answer.found(1).is_some_and(|found| {
                found.create_revision == fencing_revision(lock) && found.value == lock.id().as_bytes()
            });
            if !is_held {
                return Err(StoreError::LockLost { name: lock.name().clone() });
            }
        }
        let Some(found) = answer.found(0) else { return Ok(None) };
        let found = self.opened(key, found.clone())?;
        Ok(Some(FoundVersion { version: found.version, write: found.write }))
    }

    pub(super) async fn quarantine(&self, key: &StoreKey) -> Result<(), StoreError> {
        let name = self.prefix.value(key);
        let Some(found) = self.raw(&name).await? else { return Ok(()) };
        let Err(error) = self.opened(key, found.clone()) else { return Ok(()) };
        let mut number = 1;
        while number < MAX_QUARANTINED && self.raw(&self.prefix.damaged(key, number)).await?.is_some() {
            number += 1;
        }
        let transaction = TxnRequest {
            compare: vec![Compare::mod_revision(&name, found.mod_revision)],
            success: vec![
                RequestOp::put(&self.prefix.damaged(key, number), kept(found.value), 0),
                RequestOp::delete(&name),
            ],
            failure: Vec::new(),
        };
        // If it was replaced meanwhile, it is not the damaged one any more.
        if self.client.txn(&transaction, Repeat::Always).await?.succeeded {
            tracing::warn!(%error, number, "damaged record quarantined in etcd");
        }
        Ok(())
    }
}

/// What is kept of a damaged value: the beginning of one that is larger than any value of ours, which etcd may not take again.
fn kept(mut damaged: Vec<u8>) -> Vec<u8> {
    if damaged.len() > MAX_VALUE.as_usize() + OVERHEAD {
        damaged.truncate(KEPT);
    }
    damaged
}

pub(super) fn version(revision: i64) -> Version {
    Version::new(u64::try_from(revision).unwrap_or(0))
}

fn revision(version: Option<Version>) -> i64 {
    version.map_or(0, |version| i64::try_from(version.as_u64()).unwrap_or(i64::MAX))
}

fn fencing_revision(lock: &StoreLock) -> i64 {
    i64::try_from(lock.fencing()).unwrap_or(i64::MAX)
}
