//! The interface to state.
//!
//! The trait is what a directory of files and a replicated key-value store with revisions can both do: one value per
//! key, written only by a caller that names the version it replaces. There is no transaction over several values, so what
//! must change together belongs into one value. Nor is there a batch: in a directory, a thousand puts, sixteen at a
//! time, take as long as a thousand at once (0.9 to 1.2 times, measured), for the disk writes each file anyway.

use std::fmt;

use async_trait::async_trait;
use deputy_core::{ByteSize, SecretBytes, Span};

use crate::{Changes, KeyPrefix, StoreError, StoreKey, StoreLock, WriteId, WriteRight};

/// The largest value: the largest payload that a configuration allows, and room for the head of its record.
pub const MAX_VALUE: ByteSize = ByteSize::kib(2 * 1024 + 64);

/// The number of a write. Every write has a greater one than all before it, whatever their keys, also after a restart and
/// after a key was deleted. Only a store that was restored from a copy gives a number twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u64);

#[derive(Debug)]
pub struct StoredValue {
    pub value: SecretBytes,
    /// What the next writer has to name.
    pub version: Version,
    /// The write that it comes from.
    pub write: WriteId,
}

/// What a key holds instead of what a writer expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundVersion {
    pub version: Version,
    pub write: WriteId,
}

/// What a writer believes to replace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpectedVersion {
    Absent,
    Version(Version),
}

/// Values under keys.
///
/// The operations on one key take effect in the order of the calls. A call whose future is dropped, and one that fails
/// with an error of the system, may have taken effect: read the key to know.
#[async_trait]
pub trait Store: Send + Sync {
    /// The keys that have a value, whole or damaged, in their order.
    async fn list(&self, prefix: &KeyPrefix) -> Result<Vec<StoreKey>, StoreError>;

    /// Reads a value. [`StoreError::Damaged`] is about this key alone: see [`Store::quarantine`].
    async fn get(&self, key: &StoreKey) -> Result<Option<StoredValue>, StoreError>;

    /// Writes a value, which survives a power cut after this call. [`StoreError::Conflict`] if the key holds something else
    /// than expected, [`StoreError::LockLost`] if the writer's lock is in other hands. If it fails for lack of space or
    /// rights, the old value is whole.
    async fn put(
        &self,
        key: &StoreKey,
        value: &SecretBytes,
        expected: ExpectedVersion,
        by: WriteRight<'_>,
    ) -> Result<Version, StoreError>;

    /// Writes a value that any process may write, and that need not outlive this time unless it is written again. Where several
    /// processes share the store it is gone a little later; where one has it alone, that one deletes it.
    async fn put_for(
        &self,
        _lifetime: Span,
        key: &StoreKey,
        value: &SecretBytes,
        expected: ExpectedVersion,
        id: WriteId,
    ) -> Result<Version, StoreError> {
        self.put(key, value, expected, WriteRight::shared(id)).await
    }

    /// Deletes a value; [`StoreError::Conflict`] if the key holds something else or nothing.
    async fn delete(&self, key: &StoreKey, expected: Version, by: WriteRight<'_>) -> Result<(), StoreError>;

    /// Moves a damaged value to where a person can inspect it, so that the key is free again. Does nothing to a value that
    /// is whole.
    async fn quarantine(&self, key: &StoreKey) -> Result<(), StoreError>;

    /// Streams the changes from now on. A caller that lists the keys after this call misses nothing.
    async fn watch(&self, prefix: KeyPrefix) -> Result<Changes, StoreError>;

    /// Takes the lock of this name, which has nothing to do with the value of that key, or fails at once with
    /// [`StoreError::Locked`]. It is released when the [`StoreLock`] is dropped or the process ends, however that ends.
    async fn lock(&self, name: &StoreKey) -> Result<StoreLock, StoreError>;

    /// A name for the next write.
    fn write_id(&self) -> Result<WriteId, StoreError>;

    /// The largest value that it takes.
    fn max_value(&self) -> ByteSize;
}

/// Refuses a value that the store does not take.
pub(crate) fn check_size(key: &StoreKey, value: &SecretBytes, limit: ByteSize) -> Result<(), StoreError> {
    match value.len() {
        size if size > limit.as_usize() => Err(StoreError::TooLarge { key: key.clone(), size, limit }),
        _ => Ok(()),
    }
}

/// How often a value that changes meanwhile is read again before it is replaced.
const REPLACE_ATTEMPTS: usize = 3;

/// Replaces whatever a key holds, for the holder of a lock.
pub async fn replace(
    store: &dyn Store,
    key: &StoreKey,
    value: &SecretBytes,
    lock: &StoreLock,
) -> Result<Version, StoreError> {
    let by = WriteRight::holder(lock, store.write_id()?);
    let mut expected = ExpectedVersion::Absent;
    let mut attempts = 0;
    loop {
        attempts += 1;
        match store.put(key, value, expected, by).await {
            Err(StoreError::Conflict { found, .. }) if attempts < REPLACE_ATTEMPTS => {
                expected = found.map_or(ExpectedVersion::Absent, |found| ExpectedVersion::Version(found.version));
            }
            written => return written,
        }
    }
}

impl Version {
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ExpectedVersion {
    pub(crate) fn version(self) -> Option<Version> {
        match self {
            Self::Absent => None,
            Self::Version(version) => Some(version),
        }
    }
}
