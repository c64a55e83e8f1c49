//! The record of the state: sealed like any value, it is the first thing that a wrong master key does not open.
//!
//! If the record itself is damaged or gone, any value that opens shows that the key is right, and it is written again.

use deputy_etcd::Repeat;
use deputy_etcd::message::{Compare, RequestOp, TxnRequest};

use super::EtcdState;
use crate::seal::{self, FORMAT, Plaintext, SealLabel, WriteStamp};
use crate::{Corruption, KeyFit, KeyPrefix, StoreError};

/// Values that are tried with the key if the record does not open.
const TRIED: usize = 16;

/// How often the record is looked at, if another process writes it at the same time.
const ATTEMPTS: usize = 3;

impl EtcdState {
    /// Looks whether the key fits, and writes nothing.
    pub(super) async fn look(&self) -> Result<KeyFit, StoreError> {
        let found = self.raw(&self.requests.prefix.record()).await?;
        let opened = found.map(|found| seal::open(found.value, &SealLabel::of_record(), &self.requests.master));
        match opened {
            Some(Ok(_)) => Ok(KeyFit::Fits),
            Some(Err(why)) => self.check_values(Some(why)).await,
            None => self.check_values(None).await,
        }
    }

    /// Checks that the key fits. Writes the record if there is none.
    pub(super) async fn check_record(&self) -> Result<(), StoreError> {
        let name = self.requests.prefix.record();
        for _ in 0..ATTEMPTS {
            let found = self.raw(&name).await?;
            let revision = found.as_ref().map_or(0, |found| found.mod_revision);
            let why = match found.map(|found| seal::open(found.value, &SealLabel::of_record(), &self.requests.master)) {
                Some(Ok(_)) => return Ok(()),
                Some(Err(why)) => Some(why),
                None => None,
            };
            if self.check_values(why).await? == KeyFit::Fits {
                let prefix = &self.requests.prefix.0;
                tracing::warn!(%prefix, "record of the state in etcd damaged; writing it again");
            }
            let stamp = WriteStamp { write: self.requests.write_id()?, replaced: None };
            let sealed = Plaintext::new(&[]).seal(
                &SealLabel::of_record(),
                stamp,
                &self.requests.master,
                &*self.requests.random,
            )?;
            let transaction = TxnRequest {
                compare: vec![Compare::mod_revision(&name, revision)],
                success: vec![RequestOp::put(&name, sealed, 0)],
                failure: Vec::new(),
            };
            self.client.txn(&transaction, Repeat::Always).await?;
        }
        Err(self.mismatch())
    }

    /// Without a record that opens, one of the values has to open, unless there is nothing at all.
    async fn check_values(&self, why: Option<Corruption>) -> Result<KeyFit, StoreError> {
        let keys = self.list(&KeyPrefix::All).await?.versions;
        for key in keys.keys().take(TRIED) {
            match self.read(key).await {
                Ok(Some(_)) => return Ok(KeyFit::Fits),
                Ok(None) | Err(StoreError::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        match why {
            None if keys.is_empty() => Ok(KeyFit::NoState),
            Some(Corruption::Format(found)) => {
                let prefix = self.requests.prefix.0.to_string();
                Err(StoreError::EtcdFormat { prefix, found, supported: FORMAT })
            }
            _ => Err(self.mismatch()),
        }
    }

    fn mismatch(&self) -> StoreError {
        StoreError::EtcdKeyMismatch { prefix: self.requests.prefix.0.to_string() }
    }
}
