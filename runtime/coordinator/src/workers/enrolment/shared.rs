//! What several coordinators on one state need: changes of the others are taken over as they are made, and what must not be
//! decided on an old record is read before.

use std::collections::BTreeSet;
use std::time::Duration;

use deputy_core::time::Clock as _;
use deputy_core::{Span, in_one_line};
use deputy_link::{Authority, ProtocolError, RotationOutcome};
use deputy_store::{Change, StoreKey};
use futures::stream::{self, StreamExt as _};

use super::persist::{authority_key, token_key, worker_key, worker_of};
use super::records::AUTHORITY;
use super::rejection::admission_code;
use super::{EnrolmentActor, EnrolmentCommand, EnrolmentError};

/// Reads for one batch of ids that are not known: peers without an identity can ask for any.
const MAX_UNKNOWN: usize = 16;

const CONCURRENT_READS: usize = 16;

/// How long a batch waits for a state that other coordinators use, too.
pub(super) const STATE_ANSWER: Duration = Duration::from_secs(2);

/// After the state did not answer, requests that need it are refused for so long without asking it.
const STATE_RETRY: Span = Span::secs(2);

pub(super) const UNANSWERED: &str = "the state does not answer";

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

    /// Reads what changed, until the state does not answer.
    pub(super) async fn read_outdated(&mut self) {
        if self.has_failed_lately() {
            return;
        }
        while let Some(key) = self.outdated.first().cloned() {
            let read = tokio::time::timeout(STATE_ANSWER, self.reload_any(&key)).await;
            let error = match read {
                Ok(Ok(())) => {
                    self.outdated.remove(&key);
                    self.disconnect_excluded(&key);
                    continue;
                }
                Ok(Err(error)) => in_one_line(&error),
                Err(_) => UNANSWERED.to_owned(),
            };
            tracing::warn!(%key, error, records = self.outdated.len(), "taking over changed records failed; trying again");
            self.note_failure();
            return;
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

    /// Ends the sessions of a worker that may have been removed, banned or locked elsewhere.
    fn disconnect_excluded(&self, key: &StoreKey) {
        if let Some(worker) = worker_of(key)
            && let Err(denied) = self.enrolment.check_active(worker)
        {
            self.disconnect(worker, ProtocolError::new(admission_code(&denied), denied));
        }
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
        let reads = stream::iter(keys.clone()).map(|key| async move {
            let read = records.read_any(&key).await;
            (key, read)
        });
        let mut unread = keys;
        let reads = reads.buffer_unordered(CONCURRENT_READS).collect::<Vec<_>>();
        // Workers that are known wait behind these.
        let read = tokio::time::timeout(STATE_ANSWER, reads).await;
        let mut error = read.is_err().then(|| UNANSWERED.to_owned());
        for (key, record) in read.unwrap_or_default() {
            match record {
                Ok(record) => {
                    unread.remove(&key);
                    self.adopt_record(&key, record);
                }
                Err(failure) => drop(error.get_or_insert_with(|| in_one_line(&failure))),
            }
        }
        if let Some(error) = error {
            tracing::warn!(records = unread.len(), error, "reading records failed; requests about them are refused");
            self.note_failure();
        }
        unread
    }

    /// The record that has to be fresh for a command, and whether its subject is known here. One that is still to be written is
    /// compared then.
    fn fresh_key(&self, command: &EnrolmentCommand) -> Option<(StoreKey, bool)> {
        let (key, is_known) = match command {
            EnrolmentCommand::Join { token, .. } => (token_key(*token)?, self.enrolment.token(*token).is_some()),
            EnrolmentCommand::Renew { peer, .. } => (worker_key(peer.worker)?, true),
            EnrolmentCommand::Admit { peer, .. } => match self.enrolment.worker(peer.worker) {
                Some(worker) if worker.key == peer.key => return None,
                // The authority certified it, maybe at another coordinator a moment ago: there are no more such peers than
                // workers, and each may be told for good that it is not one.
                _ => (worker_key(peer.worker)?, true),
            },
            EnrolmentCommand::RevokeToken(token, _) => (token_key(*token)?, true),
            EnrolmentCommand::Exclude(worker, ..) => (worker_key(*worker)?, true),
            EnrolmentCommand::CreateToken { .. } | EnrolmentCommand::Tokens(_) | EnrolmentCommand::WorkersAfter(..) => {
                return None;
            }
        };
        (!self.dirty.contains(&key)).then_some((key, is_known))
    }

    async fn reload_authority(&mut self) -> Result<(), EnrolmentError> {
        let Some(bytes) = self.records.read(&authority_key()?).await? else { return Ok(()) };
        if bytes.expose() == self.authority.encode()?.expose() {
            return Ok(());
        }
        self.authority = Authority::restored(bytes.expose(), self.lifetimes)?;
        tracing::info!("worker certificate authority rotated by the leader");
        self.renew_certificate(self.clock.now().wall, RotationOutcome::Changed);
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aws_lc_rs::rand::SystemRandom;
    use deputy_core::Span;
    use deputy_link::{CertificateLifetimes, TokenId, TokenSecret};
    use deputy_store::{DirectoryStore, MasterKey, Store};
    use deputy_support::SystemClock;
    use tokio::sync::{mpsc, watch};

    use super::*;
    use crate::testing::test_lock;
    use crate::workers::enrolment::EnrolmentOptions;
    use crate::workers::trusted_clock::TrustedClock;

    #[expect(clippy::disallowed_methods, reason = "a test's own chance")]
    async fn actor(folder: &std::path::Path) -> EnrolmentActor {
        let key = MasterKey::parse(&std::array::from_fn::<u8, 32, _>(|at| at as u8)).unwrap();
        let random = Arc::new(SystemRandom::new());
        let store = DirectoryStore::open(folder, key, Arc::clone(&random) as _).await.unwrap();
        let lock = test_lock(&store).await;
        let options = EnrolmentOptions {
            store: Arc::new(store) as Arc<dyn Store>,
            leading: watch::channel(Some(Arc::clone(&lock))).1,
            lock: Some(lock),
            is_shared: true,
            lifetimes: CertificateLifetimes { authority: Span::secs(864_000), worker: Span::secs(86_400) },
            random,
            clock: Arc::new(TrustedClock::new(Arc::new(SystemClock::default()))),
            commands: mpsc::channel(1).1,
        };
        EnrolmentActor::open(options).await.unwrap()
    }

    fn join(number: u8) -> EnrolmentCommand {
        EnrolmentCommand::Join {
            token: TokenId::from_bytes([number; 8]),
            secret: TokenSecret::new(&mut [number; 32]),
            request: Vec::new(),
            reply: Box::new(|_| {}),
        }
    }

    #[tokio::test]
    async fn join_with_one_of_many_unknown_tokens_is_not_refused_for_good() {
        let folder = tempfile::tempdir().unwrap();
        let actor = actor(&folder.path().join("state")).await;
        let (fresh, outdated) = actor.partition((1..=20).chain([3, 20]).map(join).collect());
        assert!(fresh.is_empty());
        assert_eq!((outdated.keys.len(), outdated.too_many.len(), outdated.commands.len()), (MAX_UNKNOWN, 4, 22));
    }
}
