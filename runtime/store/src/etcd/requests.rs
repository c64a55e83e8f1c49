//! What a store asks of etcd, and what the answers mean. Pure: the client sends, and the tests simulate.

use deputy_core::{EtcdPrefix, SecretBytes};
use deputy_etcd::Repeat;
use deputy_etcd::message::{Compare, KeyValue, RangeRequest, RequestOp, TxnRequest, TxnResponse};

use super::keys::EtcdKeys;
use crate::seal::{self, Plaintext, SealLabel, WriteStamp};
use crate::{
    ExpectedVersion, FoundVersion, MasterKey, Random, StoreError, StoreKey, StoreLock, StoredValue, Version, WriteId,
    WriteRight,
};

/// The requests of a store under one prefix, sealed with one key.
pub struct EtcdRequests {
    pub(super) prefix: EtcdKeys,
    pub(super) master: MasterKey,
    pub(super) random: Random,
}

impl EtcdRequests {
    pub fn new(prefix: EtcdPrefix, master: MasterKey, random: Random) -> Self {
        Self { prefix: EtcdKeys(prefix), master, random }
    }

    /// A name for the next write.
    pub fn write_id(&self) -> Result<WriteId, StoreError> {
        WriteId::random(&self.random)
    }

    /// Reads the value of a key.
    pub fn value(&self, key: &StoreKey) -> RangeRequest {
        get(&self.prefix.value(key))
    }

    /// Reads who holds a lock.
    pub fn holder(&self, name: &StoreKey) -> RangeRequest {
        get(&self.prefix.lock(name))
    }

    /// The key whose value has this name in etcd.
    pub fn key(&self, name: &[u8]) -> Option<StoreKey> {
        self.prefix.parse(name)
    }

    /// The value in an answer.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if it does not open under this key.
    pub fn opened(&self, key: &StoreKey, found: KeyValue) -> Result<StoredValue, StoreError> {
        let version = version(found.mod_revision);
        let opened = seal::open(found.value, &SealLabel::of_key(key), &self.master);
        let (stamp, value) = opened.map_err(|why| StoreError::Damaged { key: key.clone(), why })?;
        Ok(StoredValue { value, version, write: stamp.write })
    }

    /// Takes a lock that has no holder, under a lease.
    pub fn take(&self, name: &StoreKey, id: WriteId, lease: i64) -> TxnRequest {
        let key = self.prefix.lock(name);
        TxnRequest {
            compare: vec![Compare::create_revision(&key, 0)],
            success: vec![RequestOp::put(&key, id.as_bytes().to_vec(), lease)],
            failure: vec![RequestOp::get(&key)],
        }
    }

    /// The fencing number, if the lock was [taken](Self::take).
    pub fn taken(&self, id: WriteId, answer: &TxnResponse) -> Option<u64> {
        let revision = match answer.found(0) {
            _ if answer.succeeded => answer.revision(),
            // A repetition finds what the first request wrote.
            Some(found) if found.value == id.as_bytes() => found.create_revision,
            _ => return None,
        };
        Some(u64::try_from(revision).unwrap_or(0))
    }

    /// Writes a value, sealed.
    ///
    /// # Errors
    /// [`StoreError::Random`] if there is none for the seal.
    pub fn put(
        &self,
        key: &StoreKey,
        value: &SecretBytes,
        expected: ExpectedVersion,
        by: WriteRight<'_>,
    ) -> Result<(TxnRequest, Repeat), StoreError> {
        self.put_under(0, key, value, expected, by)
    }

    /// The same under a lease of etcd's, with which the value ends.
    ///
    /// # Errors
    /// [`StoreError::Random`] if there is none for the seal.
    pub(super) fn put_under(
        &self,
        lease: i64,
        key: &StoreKey,
        value: &SecretBytes,
        expected: ExpectedVersion,
        by: WriteRight<'_>,
    ) -> Result<(TxnRequest, Repeat), StoreError> {
        let stamp = WriteStamp { write: by.id, replaced: expected.version() };
        let sealed =
            Plaintext::new(value.expose()).seal(&SealLabel::of_key(key), stamp, &self.master, &*self.random)?;
        let put = RequestOp::put(&self.prefix.value(key), sealed, lease);
        // A shared key that was created and deleted again by another process must not come back with a repetition.
        let repeat = match (expected, by.lock) {
            (ExpectedVersion::Absent, None) => Repeat::Unsent,
            _ => Repeat::Always,
        };
        Ok((self.transaction(key, expected, by.lock, put), repeat))
    }

    /// The version that was written.
    ///
    /// # Errors
    /// [`StoreError::Conflict`], or [`StoreError::LockLost`].
    pub fn written(&self, key: &StoreKey, by: WriteRight<'_>, answer: &TxnResponse) -> Result<Version, StoreError> {
        if answer.succeeded {
            return Ok(version(answer.revision()));
        }
        match self.conflict(key, answer, by.lock)? {
            // A repetition finds what the first request wrote.
            Some(found) if found.write == by.id => Ok(found.version),
            found => Err(StoreError::Conflict { key: key.clone(), found }),
        }
    }

    /// Deletes a value.
    pub fn delete(&self, key: &StoreKey, expected: Version, by: WriteRight<'_>) -> TxnRequest {
        let delete = RequestOp::delete(&self.prefix.value(key));
        self.transaction(key, ExpectedVersion::Version(expected), by.lock, delete)
    }

    /// Whether the value was deleted.
    ///
    /// # Errors
    /// [`StoreError::Conflict`], or [`StoreError::LockLost`].
    pub fn deleted(&self, key: &StoreKey, by: WriteRight<'_>, answer: &TxnResponse) -> Result<(), StoreError> {
        if answer.succeeded {
            return Ok(());
        }
        let found = self.conflict(key, answer, by.lock)?;
        Err(StoreError::Conflict { key: key.clone(), found })
    }

    /// Compares the key and the lock, and reads both if one of them is not as expected.
    fn transaction(
        &self,
        key: &StoreKey,
        expected: ExpectedVersion,
        lock: Option<&StoreLock>,
        change: RequestOp,
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
        TxnRequest { compare, success: vec![change], failure }
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
}

pub(super) fn get(key: &[u8]) -> RangeRequest {
    RangeRequest { key: key.to_vec(), ..RangeRequest::default() }
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
