//! Writes the records that changed.

use std::collections::BTreeSet;

use deputy_core::{SecretBytes, in_one_line};
use deputy_link::{TokenId, WorkerId};
use deputy_store::{StoreError, StoreKey, StoreKeyError};
use futures::stream::{self, StreamExt};

use super::EnrolmentActor;
use super::records::{AUTHORITY, TOKEN, WORKER, encode};
use super::shared::{STATE_ANSWER, UNANSWERED};

const CONCURRENT_WRITES: usize = 16;

/// What became of the records of a batch.
#[derive(Debug, Default)]
pub(super) struct WrittenRecords {
    /// Records that another coordinator changed meanwhile. They are read again.
    pub(super) conflicts: BTreeSet<StoreKey>,
    /// Why others are still to be written.
    pub(super) error: Option<String>,
}

impl EnrolmentActor {
    /// Tokens come first, since they hold the joins that used them: a worker is written once its token is. What fails stays
    /// to be written.
    pub(super) async fn write_dirty(&mut self) -> WrittenRecords {
        if self.changes.is_none() {
            return self.write_all().await;
        }
        if self.dirty.is_empty() {
            return WrittenRecords::default();
        }
        // Workers that are known wait behind these writes.
        if self.has_failed_lately() {
            return WrittenRecords { error: Some(UNANSWERED.to_owned()), ..WrittenRecords::default() };
        }
        // What a write did whose end was not awaited, the next one finds out.
        let written = tokio::time::timeout(STATE_ANSWER, self.write_all()).await.unwrap_or_else(|_| {
            tracing::error!(records = self.dirty.len(), error = UNANSWERED, "writing worker and token records failed");
            WrittenRecords { error: Some(UNANSWERED.to_owned()), ..WrittenRecords::default() }
        });
        if written.error.is_some() {
            self.note_failure();
        }
        written
    }

    async fn write_all(&mut self) -> WrittenRecords {
        let mut written = WrittenRecords::default();
        let tokens = self.dirty.iter().filter(|key| *key.namespace() == TOKEN).cloned().collect();
        self.write_records(tokens, &mut written).await;
        let rest = self.dirty.iter().filter(|key| *key.namespace() != TOKEN && !self.waits_for_token(key));
        let rest = rest.cloned().collect();
        self.write_records(rest, &mut written).await;
        written
    }

    fn waits_for_token(&self, key: &StoreKey) -> bool {
        let token = worker_of(key).and_then(|worker| self.enrolment.worker(worker)).map(|worker| worker.token);
        token.and_then(token_key).is_some_and(|token| self.dirty.contains(&token))
    }

    async fn write_records(&mut self, keys: Vec<StoreKey>, result: &mut WrittenRecords) {
        let values: Vec<(StoreKey, Result<Option<SecretBytes>, String>)> =
            keys.into_iter().map(|key| (key.clone(), self.record(&key))).collect();
        let records = &self.records;
        let writes = stream::iter(values).map(|(key, value)| async move {
            let written = match value {
                Ok(value) => records.write(&key, value.as_ref()).await.map_err(RecordWriteError::Store),
                Err(error) => Err(RecordWriteError::Record(error)),
            };
            (key, written)
        });
        let written: Vec<_> = writes.buffer_unordered(CONCURRENT_WRITES).collect().await;
        let mut failed = Vec::new();
        for (key, written) in written {
            match written {
                Ok(()) => {
                    if let Some(worker) = worker_of(&key) {
                        self.enrolment.record_saved(worker);
                    }
                    self.dirty.remove(&key);
                }
                Err(RecordWriteError::Store(StoreError::Conflict { .. })) => match self.reload(&key).await {
                    Ok(()) => drop(result.conflicts.insert(key)),
                    Err(error) => failed.push((key, in_one_line(&error))),
                },
                Err(error) => failed.push((key, in_one_line(&error))),
            }
        }
        let records = failed.len();
        let Some((key, error)) = failed.into_iter().next() else { return };
        tracing::error!(records, first = %key, %error, "writing worker and token records failed");
        result.error.get_or_insert(error);
    }

    /// Takes over a record that another process changed. Workers that joined by an outdated token are as the store has
    /// them: unless their join was saved, they have not joined.
    async fn reload(&mut self, key: &StoreKey) -> Result<(), StoreError> {
        let mut keys = vec![key.clone()];
        if let Some(token) = token_of(key) {
            let joined = |key: &&StoreKey| {
                let worker = worker_of(key).and_then(|worker| self.enrolment.worker(worker));
                worker.is_some_and(|worker| worker.token == token)
            };
            keys.extend(self.dirty.iter().filter(joined).cloned());
        }
        for key in keys {
            self.reload_record(&key).await?;
            self.dirty.remove(&key);
        }
        Ok(())
    }

    /// Reads the record of a token or a worker again.
    pub(super) async fn reload_record(&mut self, key: &StoreKey) -> Result<(), StoreError> {
        let record = self.records.read_any(key).await?;
        self.adopt_record(key, record);
        Ok(())
    }

    /// Replaces what is known of a token or a worker by its record. One that is damaged counts as missing.
    pub(super) fn adopt_record(&mut self, key: &StoreKey, record: Option<SecretBytes>) {
        if let Some(token) = token_of(key) {
            self.enrolment.reload_token(token, record.and_then(|bytes| serde_json::from_slice(bytes.expose()).ok()));
        } else if let Some(worker) = worker_of(key) {
            self.enrolment.reload_worker(worker, record.and_then(|bytes| serde_json::from_slice(bytes.expose()).ok()));
        }
    }

    /// The record to write under a key; `None` if it is to be deleted.
    fn record(&self, key: &StoreKey) -> Result<Option<SecretBytes>, String> {
        let record = if *key.namespace() == TOKEN {
            key.name().parse().ok().and_then(|id| self.enrolment.token(id)).map(encode).transpose()
        } else if *key.namespace() == WORKER {
            key.name().parse().ok().and_then(|id| self.enrolment.worker(id)).map(encode).transpose()
        } else {
            return Err(format!("{key} is not a record of a worker or a token"));
        };
        record.map_err(|error| error.to_string())
    }
}

/// A record could not be written.
#[derive(Debug, thiserror::Error)]
enum RecordWriteError {
    #[error("{0}")]
    Record(String),
    #[error(transparent)]
    Store(StoreError),
}

/// Where the certificate authority is kept: what is there was begun by a coordinator that led.
pub fn authority_key() -> Result<StoreKey, StoreKeyError> {
    StoreKey::new(&AUTHORITY, "workers")
}

pub(super) fn worker_key(worker: WorkerId) -> Option<StoreKey> {
    StoreKey::new(&WORKER, &worker.to_string()).ok()
}

pub(super) fn token_key(token: TokenId) -> Option<StoreKey> {
    StoreKey::new(&TOKEN, &token.to_string()).ok()
}

fn token_of(key: &StoreKey) -> Option<TokenId> {
    if *key.namespace() == TOKEN { key.name().parse().ok() } else { None }
}

pub(super) fn worker_of(key: &StoreKey) -> Option<WorkerId> {
    if *key.namespace() == WORKER { key.name().parse().ok() } else { None }
}
