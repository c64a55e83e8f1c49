//! Single values: one read, or one transaction.

use deputy_core::{SecretBytes, Span};
use deputy_etcd::Repeat;
use deputy_etcd::message::{Compare, KeyValue, RequestOp, TxnRequest};

use super::requests::get;
use super::{EtcdState, MAX_VALUE};
use crate::seal::OVERHEAD;
use crate::{ExpectedVersion, StoreError, StoreKey, StoredValue, Version, WriteId, WriteRight};

/// How many damaged values are kept of one key: the first ones, and the last.
const MAX_QUARANTINED: u8 = 3;

/// Bytes that are kept of a damaged value that is too large.
const KEPT: usize = 64 << 10;

impl EtcdState {
    pub(super) async fn read(&self, key: &StoreKey) -> Result<Option<StoredValue>, StoreError> {
        let found = self.client.range(&self.requests.value(key)).await?.kvs.into_iter().next();
        found.map(|found| self.requests.opened(key, found)).transpose()
    }

    pub(super) async fn raw(&self, key: &[u8]) -> Result<Option<KeyValue>, StoreError> {
        Ok(self.client.range(&get(key)).await?.kvs.into_iter().next())
    }

    pub(super) async fn put(
        &self,
        key: &StoreKey,
        value: &SecretBytes,
        expected: ExpectedVersion,
        by: WriteRight<'_>,
    ) -> Result<Version, StoreError> {
        let (transaction, repeat) = self.requests.put(key, value, expected, by)?;
        let answer = self.client.txn(&transaction, repeat).await?;
        self.requests.written(key, by, &answer)
    }

    /// Writes a value that ends with a lease of etcd's.
    pub(super) async fn put_for(
        &self,
        lifetime: Span,
        key: &StoreKey,
        value: &SecretBytes,
        expected: ExpectedVersion,
        id: WriteId,
    ) -> Result<Version, StoreError> {
        let by = WriteRight::shared(id);
        let lease = self.lifetimes.lease(&self.client, lifetime).await?;
        let (transaction, repeat) = self.requests.put_under(lease, key, value, expected, by)?;
        match self.client.txn(&transaction, repeat).await {
            Ok(answer) => self.requests.written(key, by, &answer),
            Err(error) => {
                // It may be about the lease, which a person can end.
                self.lifetimes.forget(lease).await;
                Err(error.into())
            }
        }
    }

    pub(super) async fn delete(&self, key: &StoreKey, expected: Version, by: WriteRight<'_>) -> Result<(), StoreError> {
        let answer = self.client.txn(&self.requests.delete(key, expected, by), Repeat::Always).await?;
        self.requests.deleted(key, by, &answer)
    }

    pub(super) async fn quarantine(&self, key: &StoreKey) -> Result<(), StoreError> {
        let prefix = &self.requests.prefix;
        let name = prefix.value(key);
        let Some(found) = self.raw(&name).await? else { return Ok(()) };
        let Err(error) = self.requests.opened(key, found.clone()) else { return Ok(()) };
        let mut number = 1;
        while number < MAX_QUARANTINED && self.raw(&prefix.damaged(key, number)).await?.is_some() {
            number += 1;
        }
        let transaction = TxnRequest {
            compare: vec![Compare::mod_revision(&name, found.mod_revision)],
            success: vec![RequestOp::put(&prefix.damaged(key, number), kept(found.value), 0), RequestOp::delete(&name)],
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
