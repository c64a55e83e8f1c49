//! What several coordinators on one state need: changes of the others are taken over as they are made, and what must not be
//! decided on an old record is read before.

use std::collections::BTreeSet;

use deputy_core::time::Clock as _;
use deputy_core::{Span, in_one_line};
use deputy_link::{Authority, RotationOutcome};
use deputy_store::{Change, StoreError, StoreKey};
use futures::stream::{self, StreamExt as _};

use super::persist::{authority_key, token_key, worker_key};
use super::records::AUTHORITY;
use super::{EnrolmentActor, EnrolmentCommand, EnrolmentError};
use crate::state_answer::{STATE_ANSWER, UNANSWERED};

/// Reads for one batch of ids that are not known: peers without an identity can ask for any.
const MAX_UNKNOWN: usize = 16;

const CONCURRENT_READS: usize = 16;

/// After the state did not answer, requests that need it are refused for so long without asking it.
const STATE_RETRY: Span = Span::secs(2);

/// What must not be decided on an old record.
#[derive(Default)]
pub(super) struct OutdatedCommands {
    pub(super) commands: Vec<EnrolmentCommand>,
    pub(super) keys: BTreeSet<StoreKey>,
    /// Records beyond the bound, which are not read in this batch: their peers are asked to try again.
    pub(super) too_many: BTreeSet<StoreKey>,
}

impl EnrolmentActor {
    /// Takes over what another coordinator changed. What cannot be read is [read later](Self::read_outdated).
    pub(super) async fn take_over(&mut self, change: &Change) {
        // What is written here is compared with the store then.
        if self.records.is_known(change) || self.dirty.contains(&change.key) {
            return;
        }
        self.outdated.insert(change.key.clone());
        self.read_outdated().await;
    }

    /// Reads what changed, until the state does not answer. One record that cannot be used costs no other.
    pub(super) async fn read_outdated(&mut self) {
        if self.has_failed_lately() {
            return;
        }
        let mut failed = None;
        for key in self.outdated.clone() {
            // What is written here is compared with the store then.
            if self.dirty.contains(&key) {
                self.outdated.remove(&key);
                continue;
            }
            let (error, is_unanswered) = match tokio::time::timeout(STATE_ANSWER, self.reload_any(&key)).await {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => (in_one_line(&error), error.is_temporary()),
                Err(_) => (UNANSWERED.to_owned(), true),
            };
            failed.get_or_insert((key, error));
            if is_unanswered {
                self.note_failure();
                break;
            }
        }
        if let Some((key, error)) = failed
            && self.read_errors.is_new(&error)
        {
            tracing::warn!(%key, error, records = self.outdated.len(), "taking over changed records failed; trying again");
        }
    }

    async fn reload_any(&mut self, key: &StoreKey) -> Result<(), EnrolmentError> {
        match *key.namespace() == AUTHORITY {
            true => self.reload_authority().await,
            false => Ok(self.reload_record(key).await?),
        }
    }

    /// Whether a state that others use, too, did not answer a moment ago.
    pub(super) fn has_failed_lately(&self) -> bool {
        self.state_failed_at.is_some_and(|at| self.clock.now().mono.since(at) < STATE_RETRY)
    }

    pub(super) fn note_failure(&mut self) {
        self.state_failed_at = Some(self.clock.now().mono);
    }

    /// Takes from a batch what must not be decided on an old record.
    pub(super) fn partition(&self, batch: Vec<EnrolmentCommand>) -> (Vec<EnrolmentCommand>, OutdatedCommands) {
        let (mut fresh, mut outdated) = (Vec::new(), OutdatedCommands::default());
        if self.changes.is_none() {
            return (batch, outdated);
        }
        let mut unknown = 0;
        for command in batch {
            let Some((key, is_known)) = self.fresh_key(&command) else {
                fresh.push(command);
                continue;
            };
            unknown += usize::from(!is_known);
            if is_known || unknown <= MAX_UNKNOWN {
                outdated.keys.insert(key);
            } else if !outdated.keys.contains(&key) {
                outdated.too_many.insert(key);
            }
            outdated.commands.push(command);
        }
        (fresh, outdated)
    }

    /// Reads records again. Returns those that cannot be read now.
    pub(super) async fn refresh(&mut self, keys: BTreeSet<StoreKey>) -> BTreeSet<StoreKey> {
        if keys.is_empty() || self.has_failed_lately() {
            return keys;
        }
        let records = &self.records;
        let reads = stream::iter(keys.clone()).map(|key| async move { (records.look(&key).await, key) });
        let mut reads = reads.buffer_unordered(CONCURRENT_READS);
        let mut looked = Vec::with_capacity(keys.len());
        let reading = async {
            while let Some(read) = reads.next().await {
                looked.push(read);
            }
        };
        // Workers that are known wait behind these.
        let mut is_unanswered = tokio::time::timeout(STATE_ANSWER, reading).await.is_err();
        drop(reads);
        let mut error = is_unanswered.then(|| UNANSWERED.to_owned());
        let mut unread = keys;
        for (read, key) in looked {
            let taken = match read {
                Ok(seen) if !self.dirty.contains(&key) => {
                    self.adopt_record(&key, seen);
                    Ok(())
                }
                // What could not be written yet stands, unless another coordinator was faster.
                Ok(seen) if self.records.is_current(&key, &seen) => Ok(()),
                Ok(_) => match tokio::time::timeout(STATE_ANSWER, self.reload(&key)).await {
                    Ok(reloaded) => reloaded.map(drop),
                    Err(_) => {
                        is_unanswered = true;
                        error.get_or_insert_with(|| UNANSWERED.to_owned());
                        // It would be waited for as long for each of the others.
                        break;
                    }
                },
                Err(failure) => Err(failure),
            };
            match taken {
                Ok(()) => drop(unread.remove(&key)),
                Err(failure) => {
                    is_unanswered |= failure.is_temporary();
                    error.get_or_insert_with(|| in_one_line(&failure));
                }
            }
        }
        if let Some(error) = error
            && self.read_errors.is_new(&error)
        {
            tracing::warn!(records = unread.len(), error, "reading records failed; requests about them are refused");
        }
        if is_unanswered {
            self.note_failure();
        }
        unread
    }

    /// The record that has to be fresh for a command, and whether its subject is known here.
    fn fresh_key(&self, command: &EnrolmentCommand) -> Option<(StoreKey, bool)> {
        match command {
            EnrolmentCommand::Join { token, .. } => Some((token_key(*token)?, self.enrolment.token(*token).is_some())),
            EnrolmentCommand::Renew { peer, .. } => Some((worker_key(peer.worker)?, true)),
            EnrolmentCommand::Admit { peer, .. } => {
                let key = worker_key(peer.worker)?;
                let is_current = self.enrolment.worker(peer.worker).is_some_and(|worker| worker.key == peer.key);
                if is_current && !self.outdated.contains(&key) {
                    return None;
                }
                // The authority certified it, maybe at another coordinator a moment ago: there are no more such peers than
                // workers, and each may be told for good that it is not one.
                Some((key, true))
            }
            EnrolmentCommand::RevokeToken(token, _) => Some((token_key(*token)?, true)),
            EnrolmentCommand::Exclude(worker, ..) => Some((worker_key(*worker)?, true)),
            EnrolmentCommand::CreateToken { .. } | EnrolmentCommand::Tokens(_) | EnrolmentCommand::WorkersAfter(..) => {
                None
            }
        }
    }

    async fn reload_authority(&mut self) -> Result<(), EnrolmentError> {
        let key = authority_key()?;
        let seen = match self.records.look_for_authority().await {
            Ok(seen) => seen,
            // Requests that need other records do not wait for a person.
            Err(EnrolmentError::Store(error @ StoreError::Damaged { .. })) => {
                tracing::error!(%error, "worker certificate authority damaged in the state; the one before it stays in use");
                self.outdated.remove(&key);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let present = self.authority.encode()?;
        let next = match seen.value().filter(|bytes| bytes.expose() != present.expose()) {
            Some(bytes) => Some(Authority::restored(bytes.expose(), self.lifetimes)?),
            None => None,
        };
        self.records.adopt(&key, seen);
        self.outdated.remove(&key);
        if let Some(next) = next {
            let before = std::mem::replace(&mut self.authority, next);
            // Otherwise it was only confirmed, or another one was prepared.
            if before.fingerprint() != self.authority.fingerprint() {
                tracing::info!("worker certificate authority rotated by the leader");
            }
            self.renew_certificate(self.clock.now().wall, RotationOutcome::Changed);
        }
        Ok(())
    }

    /// This coordinator begins to lead, or ends: what its predecessor left half done is done.
    pub(super) async fn begin_term(&mut self) {
        if self.leading.borrow_and_update().is_none() {
            return;
        }
        // Of what its predecessor wrote last, the change may still be on its way.
        self.outdated.extend(authority_key());
        self.read_outdated().await;
        let recovered = self.enrolment.recover().into_iter().filter_map(worker_key);
        self.dirty.extend(recovered);
    }

    /// Whether this coordinator keeps the authority and forgets old records.
    pub(super) fn is_leading(&self) -> bool {
        self.leading.borrow().is_some()
    }
}
