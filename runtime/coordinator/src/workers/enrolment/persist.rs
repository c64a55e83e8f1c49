//! Writes the records that changed.

use std::collections::{BTreeMap, BTreeSet};

use deputy_core::{SecretBytes, in_one_line};
use deputy_link::{AdmissionChange, EnrolledWorker, EnrolmentStatus, KeyDigest, TokenId, WorkerId};
use deputy_store::{StoreError, StoreKey, StoreKeyError};
use futures::stream::{self, StreamExt};

use super::EnrolmentActor;
use super::records::{AUTHORITY, SeenRecord, TOKEN, WORKER, encode};
use crate::state_answer::{STATE_ANSWER, UNANSWERED};

const CONCURRENT_WRITES: usize = 16;

/// What became of the records of a batch.
#[derive(Debug, Default)]
pub(super) struct WrittenRecords {
    /// Records that another coordinator changed meanwhile. They are read again.
    pub(super) conflicts: BTreeSet<StoreKey>,
    /// Those that are still to be written, and why. They cost the others nothing.
    pub(super) failed: BTreeMap<StoreKey, String>,
    /// Whether the state did not answer.
    is_unanswered: bool,
}

impl EnrolmentActor {
    /// Tokens come first, since they hold the joins that used them: a worker is first written once its token is. What fails stays
    /// to be written.
    pub(super) async fn write_dirty(&mut self) -> WrittenRecords {
        let mut written = WrittenRecords::default();
        if self.changes.is_none() {
            self.write_all(&mut written).await;
            self.note_written(&written);
            return written;
        }
        if self.dirty.is_empty() {
            return written;
        }
        // Workers that are known wait behind these writes.
        if self.has_failed_lately() {
            self.fail_dirty(&mut written, UNANSWERED);
            return written;
        }
        // What a write did whose end was not awaited, the next one finds out. What was found out before counts.
        if tokio::time::timeout(STATE_ANSWER, self.write_all(&mut written)).await.is_err() {
            if self.write_errors.is_new(UNANSWERED) {
                tracing::error!(
                    records = self.dirty.len(),
                    error = UNANSWERED,
                    "writing worker and token records failed"
                );
            }
            self.fail_dirty(&mut written, UNANSWERED);
            written.is_unanswered = true;
        }
        if written.is_unanswered {
            self.note_failure();
        }
        self.note_written(&written);
        written
    }

    fn note_written(&mut self, written: &WrittenRecords) {
        if written.failed.is_empty() {
            self.write_errors.clear();
        }
    }

    fn fail_dirty(&self, written: &mut WrittenRecords, error: &str) {
        for key in &self.dirty {
            written.failed.entry(key.clone()).or_insert_with(|| error.to_owned());
        }
    }

    async fn write_all(&mut self, written: &mut WrittenRecords) {
        let tokens = self.dirty.iter().filter(|key| *key.namespace() == TOKEN).cloned().collect();
        self.write_records(tokens, written).await;
        let (waiting, rest): (Vec<StoreKey>, Vec<StoreKey>) = self
            .dirty
            .iter()
            .filter(|key| *key.namespace() != TOKEN)
            .cloned()
            .partition(|key| self.waits_for_token(key));
        written.failed.extend(waiting.into_iter().map(|key| (key, "the record of its token is not saved".to_owned())));
        self.write_records(rest, written).await;
    }

    /// A worker that is saved does not wait: its join is complete, and it must be excluded whatever becomes of its token.
    fn waits_for_token(&self, key: &StoreKey) -> bool {
        if self.records.is_saved(key) {
            return false;
        }
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
        let mut failed: Vec<(StoreKey, RecordWriteError)> = Vec::new();
        for (key, written) in written {
            match written {
                Ok(()) => {
                    if let Some(worker) = worker_of(&key) {
                        self.enrolment.record_saved(worker);
                    }
                    self.dirty.remove(&key);
                }
                Err(RecordWriteError::Store(StoreError::Conflict { .. })) => match self.reload(&key).await {
                    Ok(reloaded) => result.conflicts.extend(reloaded),
                    Err(error) => failed.push((key, RecordWriteError::Store(error))),
                },
                Err(error) => failed.push((key, error)),
            }
        }
        if let Some((key, error)) = failed.first() {
            let error = in_one_line(error);
            if self.write_errors.is_new(&error) {
                tracing::error!(records = failed.len(), first = %key, error, "writing worker and token records failed");
            }
        }
        result.is_unanswered |= failed.iter().any(|(_, error)| error.is_temporary());
        result.failed.extend(failed.into_iter().map(|(key, error)| (key, in_one_line(&error))));
    }

    /// Takes over a record that another process changed, and returns what was taken over. Workers that joined by an outdated
    /// token are as the store has them: unless their join was saved, they have not joined.
    pub(super) async fn reload(&mut self, key: &StoreKey) -> Result<Vec<StoreKey>, StoreError> {
        let undone = token_of(key).map(|token| self.unsaved_joins(token)).unwrap_or_default();
        // All of it is read before any of it counts: a worker must not stay without the use of its token.
        let mut seen = Vec::new();
        for key in undone.iter().chain([key]) {
            seen.push((key.clone(), self.records.look(key).await?));
        }
        for (key, seen) in seen {
            let decided =
                worker_of(&key).and_then(|id| self.enrolment.worker(id)).map(|worker| (worker.id, worker.status));
            self.adopt_record(&key, seen);
            self.dirty.remove(&key);
            if let Some((worker, status)) = decided.filter(|_| !undone.contains(&key)) {
                self.keep_excluded(worker, status);
            }
        }
        Ok(undone.into_iter().chain([key.clone()]).collect())
    }

    /// The workers that joined by a token and are not saved, and those that they replaced.
    fn unsaved_joins(&self, token: TokenId) -> Vec<StoreKey> {
        let joined = self.dirty_workers().filter(|(_, worker)| worker.token == token);
        let keys: BTreeSet<KeyDigest> = joined.map(|(_, worker)| worker.key).collect();
        let undone = self.dirty_workers().filter(|(_, worker)| worker.token == token || keys.contains(&worker.key));
        undone.map(|(key, _)| key.clone()).collect()
    }

    fn dirty_workers(&self) -> impl Iterator<Item = (&StoreKey, &EnrolledWorker)> {
        self.dirty.iter().filter_map(|key| Some((key, self.enrolment.worker(worker_of(key)?)?)))
    }

    /// What was decided here about a worker stands, unless the other process decided more: a worker that was locked or banned
    /// must not come back because its certificate was renewed elsewhere at this moment.
    fn keep_excluded(&mut self, worker: WorkerId, decided: EnrolmentStatus) {
        if matches!(self.enrolment.exclude_at_least(worker, decided), Ok(AdmissionChange::Changed)) {
            self.dirty.extend(worker_key(worker));
            self.disconnect_excluded(worker);
        }
    }

    /// Reads the record of a token or a worker again.
    pub(super) async fn reload_record(&mut self, key: &StoreKey) -> Result<(), StoreError> {
        let seen = self.records.look(key).await?;
        self.adopt_record(key, seen);
        Ok(())
    }

    /// Replaces what is known of a token or a worker by its record. One that is damaged counts as missing. A worker that is not
    /// admitted any more is disconnected.
    pub(super) fn adopt_record(&mut self, key: &StoreKey, seen: SeenRecord) {
        self.outdated.remove(key);
        let record = self.records.adopt(key, seen);
        if let Some(token) = token_of(key) {
            let record = record.and_then(|bytes| serde_json::from_slice(bytes.expose()).ok());
            let records = &self.records;
            self.enrolment
                .reload_token(token, record, |worker| worker_key(worker).is_some_and(|key| records.is_saved(&key)));
        } else if let Some(worker) = worker_of(key) {
            self.enrolment.reload_worker(worker, record.and_then(|bytes| serde_json::from_slice(bytes.expose()).ok()));
            self.disconnect_excluded(worker);
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

impl RecordWriteError {
    /// Whether the state did not answer, rather than refuse this record.
    fn is_temporary(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_temporary())
    }
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

fn worker_of(key: &StoreKey) -> Option<WorkerId> {
    if *key.namespace() == WORKER { key.name().parse().ok() } else { None }
}
