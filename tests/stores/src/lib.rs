//! Stores for tests: each is a layer over a real store, and says only what it does otherwise.

use std::ops::Deref;

use async_trait::async_trait;
use deputy_core::{ByteSize, SecretBytes};
use deputy_store::{
    Changes, ExpectedVersion, KeyPrefix, Store, StoreError, StoreKey, StoreLock, StoredValue, Version, WriteId,
    WriteRight,
};

/// What a test changes in a store. A method that a layer does not have is that of the store behind it.
#[async_trait]
pub trait StoreLayer: Send + Sync {
    fn inner(&self) -> &dyn Store;

    async fn get(&self, key: &StoreKey) -> Result<Option<StoredValue>, StoreError> {
        self.inner().get(key).await
    }

    async fn put(
        &self,
        key: &StoreKey,
        value: &SecretBytes,
        expected: ExpectedVersion,
        by: WriteRight<'_>,
    ) -> Result<Version, StoreError> {
        self.inner().put(key, value, expected, by).await
    }

    async fn delete(&self, key: &StoreKey, expected: Version, by: WriteRight<'_>) -> Result<(), StoreError> {
        self.inner().delete(key, expected, by).await
    }

    async fn quarantine(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.inner().quarantine(key).await
    }

    async fn watch(&self, prefix: KeyPrefix) -> Result<Changes, StoreError> {
        self.inner().watch(prefix).await
    }

    async fn lock(&self, name: &StoreKey) -> Result<StoreLock, StoreError> {
        self.inner().lock(name).await
    }
}

/// A layer and the store behind it, as one store. Its `put_for` is the layer's `put`.
pub struct LayeredStore<L>(pub L);

impl<L> Deref for LayeredStore<L> {
    type Target = L;

    fn deref(&self) -> &L {
        &self.0
    }
}

#[async_trait]
impl<L: StoreLayer> Store for LayeredStore<L> {
    async fn list(&self, prefix: &KeyPrefix) -> Result<Vec<StoreKey>, StoreError> {
        self.0.inner().list(prefix).await
    }

    async fn get(&self, key: &StoreKey) -> Result<Option<StoredValue>, StoreError> {
        self.0.get(key).await
    }

    async fn put(
        &self,
        key: &StoreKey,
        value: &SecretBytes,
        expected: ExpectedVersion,
        by: WriteRight<'_>,
    ) -> Result<Version, StoreError> {
        self.0.put(key, value, expected, by).await
    }

    async fn delete(&self, key: &StoreKey, expected: Version, by: WriteRight<'_>) -> Result<(), StoreError> {
        self.0.delete(key, expected, by).await
    }

    async fn quarantine(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.0.quarantine(key).await
    }

    async fn watch(&self, prefix: KeyPrefix) -> Result<Changes, StoreError> {
        self.0.watch(prefix).await
    }

    async fn lock(&self, name: &StoreKey) -> Result<StoreLock, StoreError> {
        self.0.lock(name).await
    }

    fn write_id(&self) -> Result<WriteId, StoreError> {
        self.0.inner().write_id()
    }

    fn max_value(&self) -> ByteSize {
        self.0.inner().max_value()
    }
}
