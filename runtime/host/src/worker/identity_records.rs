//! The worker's identity in its state, and what belongs to it: the key of an enrolment that was interrupted, the join token
//! that was used last, and whether the coordinator has ended the enrolment.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use deputy_core::{SecretBytes, in_one_line};
use deputy_link::client::{ClientStopped, IdentityStore};
use deputy_link::{JoinString, TokenId, WorkerIdentity, WorkerKey};
use deputy_store::{Namespace, Store, StoreError, StoreKey, StoreLock, replace};

use crate::enrolment_failure::EnrolmentFailure;

const IDENTITY: Namespace = Namespace::new("identity");

/// Names of records. They are part of the state's format.
const WORKER: &str = "worker";
const PENDING: &str = "joining";
const USED_TOKEN: &str = "token";
const ENDED: &str = "out";

pub(crate) struct IdentityRecords {
    store: Arc<dyn Store>,
    /// The worker's lock.
    lock: Arc<StoreLock>,
}

/// A key that is being certified, and the token that permits it.
#[derive(serde::Serialize, serde::Deserialize)]
struct PendingEnrolment {
    token: TokenId,
    key: WorkerKey,
}

impl IdentityRecords {
    pub(crate) fn new(store: Arc<dyn Store>, lock: Arc<StoreLock>) -> Self {
        Self { store, lock }
    }

    pub(crate) async fn identity(&self) -> Result<Option<WorkerIdentity>, EnrolmentFailure> {
        let record = self.read(WORKER).await?;
        Ok(record.map(|record| WorkerIdentity::restored(record.expose())).transpose()?)
    }

    /// Saves a new identity, and that its token is used.
    pub(crate) async fn enrolled(
        &self,
        identity: &WorkerIdentity,
        string: &JoinString,
    ) -> Result<(), EnrolmentFailure> {
        self.write(WORKER, &identity.encode()?).await?;
        self.write(USED_TOKEN, &SecretBytes::new(string.token.to_string().into_bytes())).await
    }

    pub(crate) async fn is_used(&self, string: &JoinString) -> Result<bool, EnrolmentFailure> {
        let used = self.read(USED_TOKEN).await?;
        Ok(used.is_some_and(|token| token.expose() == string.token.to_string().as_bytes()))
    }

    /// The key to enrol with. It is saved before it is used, so that a worker that is interrupted asks with the same key and
    /// spends the token once.
    pub(crate) async fn pending_key(&self, token: TokenId) -> Result<WorkerKey, EnrolmentFailure> {
        let record = self.read(PENDING).await?;
        if let Some(pending) = record.and_then(|bytes| serde_json::from_slice::<PendingEnrolment>(bytes.expose()).ok())
            && pending.token == token
        {
            return Ok(pending.key);
        }
        let pending = PendingEnrolment { token, key: WorkerKey::new()? };
        // Large enough that the buffer does not grow and leave a copy of the key behind.
        let mut bytes = Vec::with_capacity(4096);
        serde_json::to_writer(&mut bytes, &pending)?;
        self.write(PENDING, &SecretBytes::new(bytes)).await?;
        Ok(pending.key)
    }

    /// Whether the coordinator has ended the enrolment of this worker, as far as the last run knew.
    pub(crate) async fn is_ended(&self, identity: &WorkerIdentity) -> Result<bool, EnrolmentFailure> {
        let ended = self.read(ENDED).await?;
        Ok(ended.is_some_and(|worker| worker.expose() == identity.worker.to_string().as_bytes()))
    }

    /// Saves for the next start that the coordinator ended the enrolment, if that is why the link stopped.
    pub(crate) async fn link_stopped(&self, worker: &str, reason: &ClientStopped) {
        let ClientStopped::Refused(_) = reason else { return };
        if let Err(error) = self.write(ENDED, &SecretBytes::new(worker.as_bytes().to_vec())).await {
            // The next start hears it from the coordinator again.
            tracing::warn!(error = in_one_line(&error), "recording the end of this worker's enrolment failed");
        }
    }

    async fn read(&self, name: &str) -> Result<Option<SecretBytes>, EnrolmentFailure> {
        let key = StoreKey::new(&IDENTITY, name)?;
        match self.store.get(&key).await {
            Ok(entry) => Ok(entry.map(|entry| entry.value)),
            Err(error @ StoreError::Damaged { .. }) => {
                tracing::error!(%error, "worker identity damaged and quarantined; the worker must join again");
                self.store.quarantine(&key).await.map_err(EnrolmentFailure::Read)?;
                Ok(None)
            }
            Err(error) => Err(EnrolmentFailure::Read(error)),
        }
    }

    async fn write(&self, name: &str, value: &SecretBytes) -> Result<(), EnrolmentFailure> {
        let key = StoreKey::new(&IDENTITY, name)?;
        replace(&*self.store, &key, value, &self.lock).await.map_err(EnrolmentFailure::Save)?;
        Ok(())
    }
}

#[async_trait]
impl IdentityStore for IdentityRecords {
    async fn save(&self, identity: &WorkerIdentity) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(self.write(WORKER, &identity.encode()?).await?)
    }
}
