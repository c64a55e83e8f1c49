//! Enrolment: the one owner of join tokens, worker records and the authority.
//!
//! Commands come in batches. Each batch changes the records in memory, then everything that changed is written, and only
//! then are the replies sent. What cannot be written stays to be written: the caller is asked to try again, and then finds
//! that it was done. A record that another process changed is read again, and nothing is decided on the old one: its
//! caller is asked to try again, too.

mod command;
mod maintenance;
mod persist;
mod records;
mod rejection;
mod requests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use deputy_core::Timestamp;
use deputy_core::time::{Clock, MonotonicTime};
use deputy_link::server::{ServerTls, Sessions};
use deputy_link::{
    Authority, AuthorityError, CertificateLifetimes, EnrolledWorker, Enrolment, GroupFeeds, JoinToken, ProtocolError,
    WorkerId,
};
use deputy_store::{Random, Store, StoreError, StoreKey, StoreKeyError, StoreLock};
use deputy_support::pause;
use tokio::sync::mpsc;

use super::trusted_clock::TrustedClock;
use persist::{authority_key, worker_key};
use records::{EnrolmentRecords, TOKEN};

pub(super) use command::{CertificateReply, EnrolmentCommand};
pub(crate) use records::{AUTHORITY, WORKER};
pub(super) use rejection::EnrolmentRejection;

const BATCH: usize = 64;

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
}

pub(super) struct EnrolmentActor {
    enrolment: Enrolment,
    authority: Authority,
    records: EnrolmentRecords,
    /// Keys of the records that are to be written.
    dirty: BTreeSet<StoreKey>,
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

/// Sends a reply, once the batch is written or with the reason why it could not be.
type PendingReply = Box<dyn FnOnce(Result<(), String>) + Send>;

impl EnrolmentActor {
    /// Reads all records. Creates an authority if there is none.
    pub(super) async fn open(
        store: Arc<dyn Store>,
        lock: Arc<StoreLock>,
        lifetimes: CertificateLifetimes,
        random: Random,
        clock: Arc<TrustedClock>,
        commands: mpsc::Receiver<EnrolmentCommand>,
    ) -> Result<Self, EnrolmentError> {
        let records = EnrolmentRecords::new(store, lock);
        let tokens = records.all::<JoinToken>(TOKEN).await?;
        let workers = records.all::<EnrolledWorker>(WORKER).await?;
        let mut enrolment = Enrolment::restored(tokens, workers);
        let now = clock.now();
        let key = authority_key()?;
        let authority = match records.read(&key).await? {
            Some(bytes) => Authority::restored(bytes.expose(), lifetimes)?,
            None => {
                let authority = Authority::generate(now.wall, lifetimes)?;
                records.write(&key, Some(&authority.encode()?)).await?;
                tracing::info!("worker certificate authority created");
                authority
            }
        };
        let dirty = enrolment.recover().into_iter().filter_map(worker_key).collect();
        Ok(Self {
            enrolment,
            authority,
            records,
            dirty,
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
        loop {
            tokio::select! {
                count = self.commands.recv_many(&mut batch, BATCH) => if count == 0 { return },
                () = pause(clock_check) => {}
            }
            self.clock.check();
            let replies: Vec<PendingReply> = batch.drain(..).filter_map(|command| self.run_command(command)).collect();
            self.maintain().await;
            let written = self.write_dirty().await;
            replies.into_iter().for_each(|reply| reply(written.clone()));
        }
    }

    /// Ends the sessions of a worker at once.
    fn disconnect(&self, worker: WorkerId, reason: ProtocolError) {
        if let Some(link) = &self.link {
            link.sessions.disconnect(worker, reason);
        }
    }
}

fn trusted_certificates(authority: &Authority) -> Vec<Vec<u8>> {
    authority.trusted().iter().map(|certificate| certificate.to_vec()).collect()
}
