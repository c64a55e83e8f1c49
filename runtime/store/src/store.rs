//! What the coordinator asks of its state.
//!
//! The trait is what a directory of files and a replicated key-value store with revisions can both do: one value per
//! key, written only by who knows what it replaces. There is no transaction over several keys, so what must change
//! together belongs into one value. Nor is there a batch: in a directory, a thousand puts of which sixteen are under way
//! at a time take as long as a thousand at once (0.9 to 1.2 times, measured), for the disk writes each file anyway.

use std::fmt;

use async_trait::async_trait;
use deputy_core::{ByteSize, SecretBytes};

use crate::{Changes, KeyPrefix, StoreError, StoreKey, StoreLock};

/// The largest value: the largest payload that a configuration allows, and room for what is kept beside it.
pub const MAX_VALUE: ByteSize = ByteSize::kib(2 * 1024 + 64);

/// Which writing of a store a value comes from. Every writing has a greater one than all before it, whatever their keys,
/// also after a restart and where a key was deleted in between: no version ever names two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u64);

/// A value and where it stands.
#[derive(Debug)]
pub struct StoredValue {
    /// The value.
    pub value: SecretBytes,
    /// What the next writer has to name.
    pub version: Version,
}

/// What a writer believes that it replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpectedVersion {
    /// Nothing.
    Absent,
    /// The value of this version.
    Version(Version),
}

/// Values under keys.
///
/// The operations on one key take effect in the order in which they were begun. A call whose future is dropped, and one
/// that ends with another error than those that name their reason, may have taken effect: read the key to know.
#[async_trait]
pub trait Store: Send + Sync {
    /// The keys that have a value, whole or damaged, in their order.
    async fn list(&self, prefix: &KeyPrefix) -> Result<Vec<StoreKey>, StoreError>;

    /// The value, if there is one. [`StoreError::Damaged`] is about this key alone: see [`Store::quarantine`].
    async fn get(&self, key: &StoreKey) -> Result<Option<StoredValue>, StoreError>;

    /// Writes a value that survives the power cut after this call; [`StoreError::Conflict`] if the key holds something
    /// else than expected. When it fails for want of room or rights the old value is whole.
    async fn put(&self, key: &StoreKey, value: &SecretBytes, expected: ExpectedVersion) -> Result<Version, StoreError>;

    /// Removes a value; [`StoreError::Conflict`] if the key holds something else or nothing.
    async fn delete(&self, key: &StoreKey, expected: Version) -> Result<(), StoreError>;

    /// Sets a damaged value aside, where a person can look at it, so that the key is free again. Does nothing to a value
    /// that is whole.
    async fn quarantine(&self, key: &StoreKey) -> Result<(), StoreError>;

    /// What changes from now on. Who lists after this call misses nothing.
    async fn watch(&self, prefix: KeyPrefix) -> Result<Changes, StoreError>;

    /// Takes the lock of this name, which has nothing to do with the value of that key, or fails at once with
    /// [`StoreError::Locked`]. It ends with the [`Lock`], or with the process, however that ends.
    async fn lock(&self, name: &StoreKey) -> Result<StoreLock, StoreError>;
}

/// Writes a value for who is the only writer of a key: a write whose end nobody saw may have taken place, and then what is
/// there is its own.
pub async fn overwrite(
    store: &dyn Store,
    key: &StoreKey,
    value: &SecretBytes,
    expected: ExpectedVersion,
) -> Result<Version, StoreError> {
    match store.put(key, value, expected).await {
        Err(StoreError::Conflict { found, .. }) => {
            store.put(key, value, found.map_or(ExpectedVersion::Absent, ExpectedVersion::Version)).await
        }
        written => written,
    }
}

impl Version {
    /// From its number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
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
    /// What is expected to be found.
    pub(crate) fn version(self) -> Option<Version> {
        match self {
            Self::Absent => None,
            Self::Version(version) => Some(version),
        }
    }
}
