//! Enrolment: the one owner of join tokens, worker records and the authority.
//!
//! Commands come in batches. Each batch changes the records in memory, then everything that changed is written, and only
//! then are the replies sent. What cannot be written stays to be written: the caller is asked to try again, and then finds
//! that it was done. A record that another coordinator changed meanwhile is read again, and what was decided on the old one
//! is decided again.

mod command;
mod maintenance;
mod persist;
mod records;
mod rejection;
mod requests;
mod shared;

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use deputy_core::Timestamp;
use deputy_core::time::{Clock, MonotonicTime};
use deputy_link::server::{ServerTls, Sessions};
use deputy_link::{
    Authority, AuthorityError, CertificateLifetimes, EnrolledWorker, Enrolment, GroupFeeds, JoinToken, ProtocolError,
    TokenId, WorkerId,
};
use deputy_store::{Change, Random, Store, StoreError, StoreKey, StoreKeyError, StoreLock};
use deputy_support::{RepeatedError, pause};
use tokio::sync::mpsc;

use super::trusted_clock::TrustedClock;
use crate::replica::Leading;
pub use persist::authority_key;
use persist::worker_key;
use records::{EnrolmentRecords, RecordChanges, TOKEN};
use rejection::admission_code;

pub(super) use command::{CertificateReply, EnrolmentCommand};
pub(crate) use records::{AUTHORITY, WORKER};
pub(super) use rejection::EnrolmentRejection;

const BATCH: usize = 64;

/// How often a request is decided again, if other coordinators change its record each time.
const MAX_RETRIES: usize = 16;

/// The longest wait between two looks at the clock: timers do not count the time that a machine sleeps.
const CLOCK_CHECK: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum EnrolmentError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    #[error(transparent)]
    Key(#[from] StoreKeyError),
    #[error("there is no certificate authority yet: the leader creates it; start it first")]
    NoAuthority,
}

impl EnrolmentError {
    /// Whether the state did not answer, and may a little later.
    fn is_temporary(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_temporary())
    }
}

pub(super) struct EnrolmentOptions {
    pub(super) store: Arc<dyn Store>,
    /// The lock, if this coordinator has it: then a missing authority is created.
    pub(super) lock: Option<Arc<StoreLock>>,
    pub(super) leading: Leading,
    /// Whether other coordinators use the same state.
    pub(super) is_shared: bool,
    pub(super) lifetimes: CertificateLifetimes,
    pub(super) random: Random,
    pub(super) clock: Arc<TrustedClock>,
    pub(super) commands: mpsc::Receiver<EnrolmentCommand>,
}

pub(super) struct EnrolmentActor {
    enrolment: Enrolment,
    authority: Authority,
    records: EnrolmentRecords,
    /// Keys of the records that are to be written.
    dirty: BTreeSet<StoreKey>,
    /// Changes of other coordinators; `None` if there are no others.
    changes: Option<RecordChanges>,
    /// Keys of records that changed and could not be read.
    outdated: BTreeSet<StoreKey>,
    /// When a state that others use, too, did not answer last.
    state_failed_at: Option<MonotonicTime>,
    /// Why records were not written. Commands keep coming while the state is full, and each has them tried again.
    write_errors: RepeatedError,
    /// Why records were not read. Others that can be read do not end the trouble of one that cannot.
    read_errors: RepeatedError,
    leading: Leading,
    random: Random,
    clock: Arc<TrustedClock>,
    lifetimes: CertificateLifetimes,
    commands: mpsc::Receiver<EnrolmentCommand>,
    link: Option<LinkParts>,
    /// When the coordinator's own certificate was issued.
    certificate_issued_at: Timestamp,
    /// Since when a rotation of the authority is due.
    rotation_due_since: Option<MonotonicTime>,
    pruned_at: MonotonicTime,
}

/// The parts of the link that changes of enrolment reach at once.
struct LinkParts {
    tls: Arc<ServerTls>,
    feeds: Arc<GroupFeeds>,
    sessions: Arc<Sessions>,
}

/// A reply that waits for the records that were changed for it.
struct PendingReply {
    keys: Vec<StoreKey>,
    /// The token that it creates, which is revoked if it cannot be saved: its join string is not shown.
    undone: Option<TokenId>,
    /// Replies, or returns the command, which is to be decided again.
    reply: Box<dyn FnOnce(WriteOutcome) -> Option<EnrolmentCommand> + Send>,
}

/// What became of the records of one reply.
#[derive(Debug, Clone)]
enum WriteOutcome {
    Written,
    /// Another coordinator changed one of them meanwhile.
    Conflict,
    Failed(String),
}

impl EnrolmentActor {
    /// Reads all records. Creates an authority if there is none and this coordinator leads.
    pub(super) async fn open(options: EnrolmentOptions) -> Result<Self, EnrolmentError> {
        let EnrolmentOptions { store, lock, leading, is_shared, lifetimes, random, clock, commands } = options;
        let records = EnrolmentRecords::new(store);
        // Before they are read, so that no change is missed.
        let changes = if is_shared { Some(records.watch().await?) } else { None };
        let tokens = records.all::<JoinToken>(TOKEN).await?;
        let workers = records.all::<EnrolledWorker>(WORKER).await?;
        let mut enrolment = Enrolment::restored(tokens, workers);
        let now = clock.now();
        let seen = records.look_for_authority().await?;
        let authority = match (seen.value(), &lock) {
            (Some(bytes), _) => Authority::restored(bytes.expose(), lifetimes)?,
            (None, Some(lock)) => {
                let authority = Authority::generate(now.wall, lifetimes)?;
                records.write_authority(&authority.encode()?, lock).await?;
                tracing::info!("worker certificate authority created");
                authority
            }
            (None, None) => return Err(EnrolmentError::NoAuthority),
        };
        records.adopt(&authority_key()?, seen);
        let recovered = if lock.is_some() { enrolment.recover() } else { Vec::new() };
        Ok(Self {
            enrolment,
            authority,
            records,
            dirty: recovered.into_iter().filter_map(worker_key).collect(),
            changes,
            outdated: BTreeSet::new(),
            state_failed_at: None,
            write_errors: RepeatedError::default(),
            read_errors: RepeatedError::default(),
            leading,
            random,
            clock,
            lifetimes,
            commands,
            link: None,
            certificate_issued_at: now.wall,
            rotation_due_since: None,
            pruned_at: now.mono,
        })
    }

    pub(super) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Connects enrolment to the link.
    pub(super) fn with_link(mut self, tls: Arc<ServerTls>, feeds: Arc<GroupFeeds>, sessions: Arc<Sessions>) -> Self {
        feeds.set_authorities(trusted_certificates(&self.authority));
        self.link = Some(LinkParts { tls, feeds, sessions });
        self
    }

    /// Runs until all senders of commands are gone.
    pub(super) async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        let clock_check = CLOCK_CHECK.min(self.lifetimes.worker.duration() / 8);
        // Outlives the turns of the loop: commands that keep coming must not put it off.
        let mut look = pin!(pause(clock_check));
        let mut retried = 0;
        loop {
            if batch.is_empty() {
                retried = 0;
                tokio::select! {
                    count = self.commands.recv_many(&mut batch, BATCH) => if count == 0 { return },
                    Some(change) = next_change(&mut self.changes) => {
                        self.take_over(&change).await;
                        continue;
                    }
                    Ok(()) = self.leading.changed() => self.begin_term().await,
                    () = &mut look => {
                        look.set(pause(clock_check));
                        self.read_outdated().await;
                    }
                }
            }
            self.clock.check();
            batch = self.run_batch(std::mem::take(&mut batch), retried).await;
            retried += 1;
        }
    }

    /// Decides, writes and replies. Returns what is to be decided again, since another coordinator changed its record.
    async fn run_batch(&mut self, batch: Vec<EnrolmentCommand>, retried: usize) -> Vec<EnrolmentCommand> {
        let (fresh, outdated) = self.partition(batch);
        let known = BTreeSet::new();
        let mut replies = self.run_commands(fresh, &known);
        let mut unread = self.refresh(outdated.keys).await;
        unread.extend(outdated.too_many);
        replies.extend(self.run_commands(outdated.commands, &unread));
        self.maintain().await;
        let written = self.write_dirty().await;
        let mut again = Vec::new();
        for PendingReply { keys, undone, reply } in replies {
            let outcome = if keys.iter().any(|key| written.conflicts.contains(key)) {
                match retried < MAX_RETRIES {
                    true => WriteOutcome::Conflict,
                    false => WriteOutcome::Failed("other coordinators keep changing the record: try again".to_owned()),
                }
            } else if let Some(error) = keys.iter().find_map(|key| written.failed.get(key)) {
                WriteOutcome::Failed(error.clone())
            } else {
                WriteOutcome::Written
            };
            if let Some(token) = undone.filter(|_| !matches!(outcome, WriteOutcome::Written)) {
                self.revoke_token(token).ok();
            }
            again.extend(reply(outcome));
        }
        again
    }

    /// Decides what is still waited for: after an etcd that hung, commands are old.
    fn run_commands(&mut self, commands: Vec<EnrolmentCommand>, unread: &BTreeSet<StoreKey>) -> Vec<PendingReply> {
        let awaited = commands.into_iter().filter(|command| !command.is_abandoned());
        awaited.filter_map(|command| self.run_command(command, unread)).collect()
    }

    /// Ends the sessions of a worker that is not admitted: it may have been removed, banned or locked elsewhere.
    fn disconnect_excluded(&self, worker: WorkerId) {
        if let Err(denied) = self.enrolment.check_active(worker) {
            self.disconnect(worker, ProtocolError::new(admission_code(&denied), denied));
        }
    }

    /// Ends the sessions of a worker at once.
    fn disconnect(&self, worker: WorkerId, reason: ProtocolError) {
        if let Some(link) = &self.link {
            link.sessions.disconnect(worker, reason);
        }
    }
}

/// Pending if there are no others.
async fn next_change(changes: &mut Option<RecordChanges>) -> Option<Change> {
    match changes {
        Some(changes) => changes.next().await,
        None => std::future::pending().await,
    }
}

fn trusted_certificates(authority: &Authority) -> Vec<Vec<u8>> {
    authority.trusted().iter().map(|certificate| certificate.to_vec()).collect()
}

#[cfg(test)]
mod tests;
