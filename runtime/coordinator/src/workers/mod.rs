//! Workers: who they are, what they get, and who of them is there.
//!
//! Enrolment has one owner, the [`book`] task: it answers when what it did is written, so that a join that is cut off is
//! either as if it had never been, or is finished when the worker asks again. What is given out goes another way, from the
//! board through [`deliver`] to the hub of the link, and knows nothing of enrolment but the group. An operator's word (a
//! worker removed or banned) reaches the connections through the roster, at once.

mod audience;
mod enrolment_actor;
mod enrolment_records;
mod fanout;
mod link_handler;
mod recorder;
mod status;
mod trusted_clock;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use deputy_core::schedule::ConfigFingerprint;
use deputy_core::time::Clock;
use deputy_core::{Digest, GroupName, InstanceName, ReceiverName, Span, Timestamp};
use deputy_link::server::{LinkServer, ServerLimits, ServerTls, ServerTlsError, Sessions};
use deputy_link::{
    AuthorityError, CertificateLifetimes, EnrolmentStatus, GroupFeeds, JoinString, ReceiverBinding, TokenId, WorkerId,
};
use deputy_metrics::CoordinatorMetrics;
use deputy_observe::Audit;
use deputy_store::{Random, Store, StoreError};
use tokio::sync::{mpsc, oneshot, watch};

use crate::handle::CoordinatorHandle;
use crate::lease_board::LeaseBoard;
use enrolment_actor::{EnrolmentActor, EnrolmentCommand};
use link_handler::ServerHandler;
use trusted_clock::TrustedClock;

pub use enrolment_actor::EnrolmentError;
pub(crate) use enrolment_records::{AUTHORITY, WORKER};
pub use status::{AppliedStatus, TokenStatus, WorkerCondition, WorkerPage, WorkerQuery, WorkerStatus};

/// What workers are let in with.
pub struct WorkerServiceOptions {
    /// Where they come in.
    pub listen: SocketAddr,
    /// Where they are told that it is: `host:port`.
    pub advertise: String,
    /// How long certificates are good.
    pub lives: CertificateLifetimes,
    /// How connections are treated.
    pub limits: ServerLimits,
    /// Where tokens, workers and the authority are kept.
    pub store: Arc<dyn Store>,
    /// Where what is given out is found.
    pub board: Arc<LeaseBoard>,
    /// What it reads the time from.
    pub clock: Arc<dyn Clock>,
    /// For the identities that it makes.
    pub random: Random,
    /// Where it writes who came and who was refused.
    pub audit: Arc<Audit>,
    /// What it counts into.
    pub metrics: Arc<CoordinatorMetrics>,
    /// Whom it tells which instances are in use.
    pub handle: CoordinatorHandle,
}

/// What each group gets.
#[derive(Debug, Clone, Default)]
pub struct Deliveries {
    /// By group.
    pub groups: BTreeMap<GroupName, GroupDeliveries>,
    /// The configuration of each instance: a lease of another one goes to nobody who did not have it.
    pub fingerprints: BTreeMap<InstanceName, ConfigFingerprint>,
    /// What each group had before this process began.
    pub before: BTreeMap<GroupName, EarlierDeliveries>,
}

/// What a group had under an earlier configuration.
#[derive(Debug, Clone, Default)]
pub struct EarlierDeliveries {
    /// Its instances, and since when it had each.
    pub instances: BTreeMap<InstanceName, Timestamp>,
    /// Its receivers, by name.
    pub receivers: BTreeSet<ReceiverName>,
}

/// What one group gets.
#[derive(Debug, Clone, Default)]
pub struct GroupDeliveries {
    /// The leases.
    pub instances: BTreeSet<InstanceName>,
    /// The receivers. Of one that can't be loaded now there is nothing but its name: workers keep what they have of it.
    pub receivers: BTreeMap<ReceiverName, Option<ReceiverBinding>>,
    /// The components of the receivers.
    pub components: BTreeMap<Digest, Bytes>,
}

/// Workers can't be let in.
#[derive(Debug, thiserror::Error)]
pub enum WorkersError {
    /// What is kept of them.
    #[error("cannot read the enrolment records")]
    Book(#[from] EnrolmentError),
    /// The certificates.
    #[error("cannot create the coordinator's certificates")]
    Authority(#[from] AuthorityError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] ServerTlsError),
    /// The address.
    #[error("cannot listen for workers at {0}: `listen` in [coordinator] names the address")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Lets workers in and gives them what they may have. Cheap to clone.
#[derive(Clone)]
pub struct Workers {
    asks: mpsc::Sender<EnrolmentCommand>,
    deliveries: watch::Sender<Arc<Deliveries>>,
    hub: Arc<GroupFeeds>,
    roster: Arc<Sessions>,
    advertise: Arc<str>,
    address: SocketAddr,
    clock: Arc<TrustedClock>,
}

/// What runs beside: all of it is awaited together.
pub struct WorkerTasks {
    book: EnrolmentActor,
    server: LinkServer,
    deliver: fanout::Fanout,
}

/// A question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum WorkerRequestError {
    /// No such token.
    #[error("there is no token {0}: `deputy token list` lists those that can be used")]
    UnknownToken(TokenId),
    /// No such worker.
    #[error("there is no worker {0}: `deputy workers` lists them")]
    UnknownWorker(WorkerId),
    /// It is not written down, so it is not so.
    #[error("cannot save the change: {0}")]
    Save(String),
    /// The coordinator is stopping.
    #[error("the coordinator is stopping")]
    Stopping,
}

impl Workers {
    /// Reads what is kept, makes an authority if there is none, and listens. Lets nobody in yet.
    ///
    /// # Errors
    /// If one of these fails.
    pub async fn open(options: WorkerServiceOptions) -> Result<(Self, WorkerTasks), WorkersError> {
        let clock = Arc::new(TrustedClock::new(Arc::clone(&options.clock)));
        let now = clock.wall();
        let (hub, (asks, asked)) = (Arc::new(GroupFeeds::default()), mpsc::channel(1024));
        let (audit, metrics) = (options.audit, options.metrics);
        let roster = Arc::new(Sessions::new(
            Arc::clone(&clock) as _,
            Some(link_handler::observer(Arc::clone(&metrics), Arc::clone(&clock) as _)),
        ));
        let book =
            EnrolmentActor::open(options.store, options.lives, options.random, Arc::clone(&clock), asked).await?;
        let tls = Arc::new(ServerTls::new(now, book.authority(), Arc::clone(&clock) as _)?);
        let book = book.serving(Arc::clone(&tls), Arc::clone(&hub), Arc::clone(&roster));
        let deliveries = watch::Sender::new(Arc::new(Deliveries::default()));
        let desk = ServerHandler::new(
            asks.clone(),
            deliveries.subscribe(),
            Arc::clone(&clock) as _,
            audit,
            Arc::clone(&metrics),
        );
        let listen = |error| WorkersError::Listen(options.listen, error);
        let (hub_of_server, roster_of_server) = (Arc::clone(&hub), Arc::clone(&roster));
        let server =
            LinkServer::bind(options.listen, Arc::new(desk), hub_of_server, roster_of_server, tls, options.limits);
        let server = server.map_err(listen)?;
        let address = server.address().map_err(listen)?;
        let deliver = fanout::Fanout::new(
            options.board,
            Arc::clone(&hub),
            Arc::clone(&roster),
            deliveries.subscribe(),
            options.handle,
            options.clock,
            Arc::clone(&metrics),
        );
        let advertise = options.advertise.into();
        let workers = Self { asks, deliveries, hub, roster, advertise, address, clock };
        Ok((workers, WorkerTasks { book, server, deliver }))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what each group gets.
    pub fn deliver(&self, deliveries: Deliveries) {
        self.deliveries.send_replace(Arc::new(deliveries));
    }

    /// A new token, as the string that a worker joins with.
    ///
    /// # Errors
    /// If it can't be written down.
    pub async fn create_token(
        &self,
        group: GroupName,
        uses: u32,
        life: Span,
    ) -> Result<(JoinString, Timestamp), WorkerRequestError> {
        let (token, secret, authority, expires) =
            self.ask(|reply| EnrolmentCommand::CreateToken { group, uses, life, reply }).await??;
        let address = self.advertise.to_string();
        Ok((JoinString { token, secret, authority, address }, expires))
    }

    /// The groups that get anything; none while it is not known yet.
    pub fn groups(&self) -> BTreeSet<GroupName> {
        self.deliveries.borrow().groups.keys().cloned().collect()
    }

    /// Tokens that can still be used.
    ///
    /// # Errors
    /// If the coordinator is stopping.
    pub async fn tokens(&self) -> Result<Vec<TokenStatus>, WorkerRequestError> {
        self.ask(EnrolmentCommand::Tokens).await
    }

    /// Takes a token back. Workers that it made stay.
    ///
    /// # Errors
    /// If there is none, or it can't be written down.
    pub async fn revoke_token(&self, token: TokenId) -> Result<(), WorkerRequestError> {
        self.ask(|reply| EnrolmentCommand::RevokeToken(token, reply)).await?
    }

    /// All workers, in the order of their ids.
    ///
    /// # Errors
    /// If the coordinator is stopping.
    pub async fn workers(&self) -> Result<Vec<WorkerStatus>, WorkerRequestError> {
        self.picked(|_| true, |found| found.collect()).await
    }

    /// Some of them, as many as one answer holds.
    ///
    /// # Errors
    /// If the coordinator is stopping.
    pub async fn worker_page(&self, query: &WorkerQuery) -> Result<WorkerPage, WorkerRequestError> {
        self.picked(|worker| query.may_pick(worker), |found| WorkerPage::of(found, query)).await
    }

    async fn picked<T>(
        &self,
        pick: impl Fn(&deputy_link::EnrolledWorker) -> bool,
        collect: impl FnOnce(&mut dyn Iterator<Item = WorkerStatus>) -> T,
    ) -> Result<T, WorkerRequestError> {
        let enrolled = self.ask(EnrolmentCommand::Workers).await?;
        let present: BTreeMap<_, _> = self.roster.all().into_iter().map(|one| (one.worker, one)).collect();
        let now = self.clock.now().wall;
        let groups = self.hub.groups();
        let mut found = enrolled.into_iter().filter(pick).map(|worker| {
            let leases = groups.get(&worker.group).map(|group| group.leases()).unwrap_or_default();
            WorkerStatus::new(&worker, present.get(&worker.id).map(AsRef::as_ref), &leases, now)
        });
        Ok(collect(&mut found))
    }

    /// Shuts a worker out, and cuts it off.
    ///
    /// # Errors
    /// If there is none, or it can't be written down: then it is cut off all the same, until the next start.
    pub async fn exclude(&self, worker: WorkerId, standing: EnrolmentStatus) -> Result<(), WorkerRequestError> {
        self.ask(|reply| EnrolmentCommand::ShutOut(worker, standing, reply)).await?
    }

    async fn ask<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> EnrolmentCommand,
    ) -> Result<T, WorkerRequestError> {
        let (reply, answer) = oneshot::channel();
        self.asks.send(question(reply)).await.map_err(|_| WorkerRequestError::Stopping)?;
        answer.await.map_err(|_| WorkerRequestError::Stopping)
    }
}

impl WorkerTasks {
    /// Until `stop` is true, and all have been told. Nobody is served before it is known what each group gets: a worker
    /// that was told of less would let go of what it holds.
    pub async fn run(self, stop: watch::Receiver<bool>) {
        let Self { server, book, deliver } = self;
        let ready = deliver.when_ready();
        let serve = async {
            let mut stopped = stop.clone();
            tokio::select! {
                () = wait(ready) => server.run(stop).await,
                () = wait(&mut stopped) => {}
            }
        };
        tokio::select! {
            () = serve => {}
            // Neither ends as long as somebody holds the other end.
            () = book.run() => {}
            () = deliver.run() => {}
        }
    }
}

/// Until it is true, or can't become so.
async fn wait(mut so: impl std::borrow::BorrowMut<watch::Receiver<bool>>) {
    drop(so.borrow_mut().wait_for(|so| *so).await);
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
