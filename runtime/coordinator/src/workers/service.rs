//! The service for workers: opens its parts, runs them, and answers the operator.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;

use deputy_audit::Audit;
use deputy_core::time::Clock;
use deputy_core::{AdvertisedAddresses, GroupName, InstanceName, LeaseVersion, Span, Timestamp};
use deputy_link::server::{LinkServer, ServerLimits, ServerTls, ServerTlsError, Sessions};
use deputy_link::{
    AuthorityError, CertificateLifetimes, EnrolledWorker, EnrolmentStatus, GroupFeeds, JoinString, TokenId, WorkerId,
};
use deputy_metrics::CoordinatorMetrics;
use deputy_store::{Random, Store, StoreError, StoreLock};
use deputy_support::{ActorStopped, Mailbox};
use tokio::sync::{mpsc, watch};
use tokio::task::yield_now;

use super::enrolment::{EnrolmentActor, EnrolmentCommand, EnrolmentError, EnrolmentOptions};
use super::fanout::{Fanout, FanoutOptions};
use super::link_handler::{self, ServerHandler};
use super::status::{GroupCount, TokenStatus, WorkerPage, WorkerQuery, WorkerStatus};
use super::trusted_clock::TrustedClock;
use crate::deliveries::Deliveries;
use crate::delivery_traces::DeliveryTraces;
use crate::handle::CoordinatorHandle;
use crate::lease_board::LeaseBoard;
use crate::replica::Leading;

const COMMAND_QUEUE: usize = 1024;

/// Workers that are counted before other tasks have their turn.
const COUNTED_AT_ONCE: usize = 100;

pub struct WorkerServiceOptions {
    pub listen: SocketAddr,
    /// Where workers reach the coordinators of this state. Join strings contain it, and workers learn it.
    pub advertise: AdvertisedAddresses,
    pub lives: CertificateLifetimes,
    pub limits: ServerLimits,
    pub store: Arc<dyn Store>,
    /// The coordinator's lock, if it has it already: then a missing certificate authority is created.
    pub lock: Option<Arc<StoreLock>>,
    pub leading: Leading,
    /// Whether other coordinators use the same state.
    pub is_shared: bool,
    pub board: Arc<LeaseBoard>,
    /// Enrolment and the link trust it only while it is steady.
    pub clock: Arc<dyn Clock>,
    pub random: Random,
    pub audit: Arc<Audit>,
    pub metrics: Arc<CoordinatorMetrics>,
    pub traces: Arc<DeliveryTraces>,
    /// Learns how many workers use each instance.
    pub handle: CoordinatorHandle,
}

/// Why workers cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum WorkersError {
    #[error("cannot read the enrolment records")]
    Enrolment(#[from] EnrolmentError),
    #[error("cannot create the coordinator's certificates")]
    Authority(#[from] AuthorityError),
    #[error(transparent)]
    Tls(#[from] ServerTlsError),
    #[error("cannot listen for workers at {0}: `listen` in [coordinator] names the address")]
    Listen(SocketAddr, #[source] std::io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a request about workers or tokens failed.
#[derive(Debug, thiserror::Error)]
pub enum WorkerRequestError {
    #[error("there is no token {0}: `deputy token list` lists those that can be used")]
    UnknownToken(TokenId),
    #[error("there is no worker {0}: `deputy workers` lists them")]
    UnknownWorker(WorkerId),
    #[error("nothing was changed: {0}; try again")]
    Unchanged(String),
    #[error(
        "the change holds at this coordinator, and is not saved yet: {0}; it is saved, and holds everywhere, as soon as the state can be written"
    )]
    Unsaved(String),
    #[error("the coordinator is stopping")]
    Stopping,
}

/// Enrols workers and delivers leases to them. Cheap to clone.
#[derive(Clone)]
pub struct Workers {
    commands: Mailbox<EnrolmentCommand>,
    deliveries: watch::Sender<Arc<Deliveries>>,
    pub(super) feeds: Arc<GroupFeeds>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) advertise: Arc<AdvertisedAddresses>,
    address: SocketAddr,
    clock: Arc<TrustedClock>,
    is_shared: bool,
}

/// The tasks of the service. All of them run and end together.
pub struct WorkerTasks {
    enrolment: EnrolmentActor,
    server: LinkServer,
    fanout: Fanout,
}

impl Workers {
    /// Reads the enrolment records, creates an authority if there is none, and listens. Accepts no connection yet.
    ///
    /// # Errors
    /// If the records cannot be read, or the address cannot be bound.
    pub async fn open(options: WorkerServiceOptions) -> Result<(Self, WorkerTasks), WorkersError> {
        let WorkerServiceOptions {
            listen,
            lives,
            limits,
            store,
            lock,
            leading,
            is_shared,
            board,
            random,
            audit,
            metrics,
            traces,
            handle,
            ..
        } = options;
        let clock = Arc::new(TrustedClock::new(Arc::clone(&options.clock)));
        let (sender, receiver) = mpsc::channel(COMMAND_QUEUE);
        let commands = Mailbox::new(sender);
        let enrolment = EnrolmentActor::open(EnrolmentOptions {
            store,
            lock,
            leading,
            is_shared,
            lifetimes: lives,
            random,
            clock: Arc::clone(&clock),
            commands: receiver,
        })
        .await?;
        let tls = Arc::new(ServerTls::new(clock.wall(), enrolment.authority(), Arc::clone(&clock) as _)?);
        let feeds = Arc::new(GroupFeeds::default());
        feeds.set_addresses(&options.advertise);
        let observer = link_handler::observer(Arc::clone(&metrics), Arc::clone(&clock) as _, Arc::clone(&traces));
        let sessions = Arc::new(Sessions::new(Arc::clone(&clock) as _, Some(observer)));
        let enrolment = enrolment.with_link(Arc::clone(&tls), Arc::clone(&feeds), Arc::clone(&sessions));
        let deliveries = watch::Sender::new(Arc::new(Deliveries::default()));
        let handler = Arc::new(ServerHandler::new(
            commands.clone(),
            deliveries.subscribe(),
            Arc::clone(&clock) as _,
            audit,
            Arc::clone(&metrics),
        ));
        let server = LinkServer::bind(listen, handler, Arc::clone(&feeds), Arc::clone(&sessions), tls, limits)
            .map_err(|error| WorkersError::Listen(listen, error))?;
        let address = server.address().map_err(|error| WorkersError::Listen(listen, error))?;
        let fanout = Fanout::new(FanoutOptions {
            board,
            feeds: Arc::clone(&feeds),
            sessions: Arc::clone(&sessions),
            deliveries: deliveries.subscribe(),
            is_shared,
            handle,
            clock: options.clock,
            metrics,
            traces,
        });
        let advertise = Arc::new(options.advertise);
        let workers = Self { commands, deliveries, feeds, sessions, advertise, address, clock, is_shared };
        Ok((workers, WorkerTasks { enrolment, server, fanout }))
    }

    /// The address that is bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Replaces what each group gets.
    pub fn deliver(&self, deliveries: Deliveries) {
        self.deliveries.send_replace(Arc::new(deliveries));
    }

    /// Creates a join token. Returns its join string and expiry.
    ///
    /// # Errors
    /// If the token cannot be saved. Then there is none.
    pub async fn create_token(
        &self,
        group: GroupName,
        uses: u32,
        ttl: Span,
    ) -> Result<(JoinString, Timestamp), WorkerRequestError> {
        let token = self.commands.ask(|reply| EnrolmentCommand::CreateToken { group, uses, ttl, reply }).await??;
        let join_string = JoinString {
            token: token.id,
            secret: token.secret,
            authority: token.authority,
            addresses: AdvertisedAddresses::clone(&self.advertise),
        };
        Ok((join_string, token.expires))
    }

    /// The groups with deliveries. Empty before the first configuration.
    pub fn groups(&self) -> BTreeSet<GroupName> {
        self.deliveries.borrow().groups.keys().cloned().collect()
    }

    /// The join tokens that can still be used.
    ///
    /// # Errors
    /// If the coordinator is stopping.
    pub async fn tokens(&self) -> Result<Vec<TokenStatus>, WorkerRequestError> {
        Ok(self.commands.ask(EnrolmentCommand::Tokens).await?)
    }

    /// Revokes a join token. Workers that enrolled with it stay enrolled.
    ///
    /// # Errors
    /// If there is no such token, or the change cannot be saved.
    pub async fn revoke_token(&self, token: TokenId) -> Result<(), WorkerRequestError> {
        self.commands.ask(|reply| EnrolmentCommand::RevokeToken(token, reply)).await?
    }

    /// All workers, in the order of their ids.
    ///
    /// # Errors
    /// If the coordinator is stopping.
    pub async fn workers(&self) -> Result<Vec<WorkerStatus>, WorkerRequestError> {
        let mut statuses = Vec::new();
        self.visit(&WorkerQuery::default(), |status| {
            statuses.push(status);
            ControlFlow::Continue(())
        })
        .await?;
        Ok(statuses)
    }

    /// One page of workers.
    ///
    /// # Errors
    /// If the coordinator is stopping.
    pub async fn worker_page(&self, query: &WorkerQuery) -> Result<WorkerPage, WorkerRequestError> {
        let mut page = WorkerPage::default();
        self.visit(query, |status| page.add(status, query)).await?;
        Ok(page)
    }

    /// Makes the statuses of workers that a query may select, one by one, so that a page of few workers costs little.
    async fn visit(
        &self,
        query: &WorkerQuery,
        mut each: impl FnMut(WorkerStatus) -> ControlFlow<()>,
    ) -> Result<(), WorkerRequestError> {
        let now = self.clock.now().wall;
        let leases = self.leases();
        let none = BTreeMap::new();
        let mut after = query.after;
        loop {
            let enrolled = self.enrolled_after(after).await?;
            let Some(last) = enrolled.last() else { return Ok(()) };
            after = Some(last.id);
            for worker in &enrolled {
                let session = self.sessions.of(worker.id);
                let is_connected = session.as_ref().is_some_and(|session| session.is_connected());
                if query.may_match(worker, is_connected, self.is_shared) {
                    let leases = leases.get(&worker.group).unwrap_or(&none);
                    if each(WorkerStatus::new(worker, session.as_deref(), leases, self.is_shared, now)).is_break() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// The next enrolled workers, in the order of their ids; none if there are no more. Enrolment answers others between two
    /// such requests.
    async fn enrolled_after(&self, after: Option<WorkerId>) -> Result<Vec<EnrolledWorker>, WorkerRequestError> {
        Ok(self.commands.ask(|reply| EnrolmentCommand::WorkersAfter(after, reply)).await?)
    }

    /// The newest version of each lease, by group.
    fn leases(&self) -> BTreeMap<GroupName, BTreeMap<InstanceName, LeaseVersion>> {
        self.feeds.groups().into_iter().map(|(group, feed)| (group, feed.leases())).collect()
    }

    /// Each instance that is delivered, with how many connected workers have not applied its newest lease.
    pub async fn behind(&self) -> BTreeMap<InstanceName, u64> {
        let leases = self.leases();
        let instances = leases.values().flat_map(BTreeMap::keys);
        let mut behind: BTreeMap<InstanceName, u64> = instances.map(|instance| (instance.clone(), 0)).collect();
        for (number, session) in self.sessions.all().into_iter().enumerate() {
            // A scrape of many workers keeps no other task of this thread waiting.
            if number.is_multiple_of(COUNTED_AT_ONCE) {
                yield_now().await;
            }
            let Some(leases) = leases.get(&session.group).filter(|_| session.left().is_none()) else { continue };
            for instance in session.behind(leases) {
                behind.entry(instance.clone()).and_modify(|count| *count = count.saturating_add(1));
            }
        }
        behind
    }

    /// The groups that get leases or have workers.
    ///
    /// # Errors
    /// If the coordinator is stopping.
    pub async fn group_counts(&self) -> Result<BTreeMap<GroupName, GroupCount>, WorkerRequestError> {
        let leases = self.leases();
        let mut counts: BTreeMap<_, _> = leases
            .iter()
            .map(|(group, leases)| {
                (group.clone(), GroupCount { instances: leases.len() as u64, ..GroupCount::default() })
            })
            .collect();
        let none = BTreeMap::new();
        let mut after = None;
        loop {
            let enrolled = self.enrolled_after(after).await?;
            let Some(last) = enrolled.last() else { return Ok(counts) };
            after = Some(last.id);
            let active = enrolled.into_iter().filter(|worker| worker.status == EnrolmentStatus::Active);
            for (number, worker) in active.enumerate() {
                if number.is_multiple_of(COUNTED_AT_ONCE) {
                    yield_now().await;
                }
                let leases = leases.get(&worker.group).unwrap_or(&none);
                let count = counts.entry(worker.group).or_default();
                match self.sessions.of(worker.id).filter(|session| session.is_connected()) {
                    None if self.is_shared => count.not_here += 1,
                    None => count.away += 1,
                    Some(session) => {
                        count.connected += 1;
                        count.behind += u64::from(session.is_behind(leases));
                    }
                }
            }
        }
    }

    /// Removes or bans a worker, and disconnects it.
    ///
    /// # Errors
    /// If there is no such worker, or the change cannot be saved now. In the latter case the worker is disconnected,
    /// and the change is saved later.
    pub async fn exclude(&self, worker: WorkerId, status: EnrolmentStatus) -> Result<(), WorkerRequestError> {
        self.commands.ask(|reply| EnrolmentCommand::Exclude(worker, status, reply)).await?
    }
}

impl From<ActorStopped> for WorkerRequestError {
    fn from(_: ActorStopped) -> Self {
        Self::Stopping
    }
}

impl WorkerTasks {
    /// Runs until `stop` is true and all sessions received the message to reconnect. Accepts no connection before the first
    /// deliveries are known: a worker with an incomplete snapshot would drop what it holds.
    pub async fn run(self, stop: watch::Receiver<bool>) {
        let Self { server, enrolment, fanout } = self;
        let ready = fanout.when_ready();
        let serve = async {
            tokio::select! {
                () = wait_until_true(ready) => server.run(stop).await,
                () = wait_until_true(stop.clone()) => {}
            }
        };
        tokio::select! {
            () = serve => {}
            // Neither ends while the other end of its channel exists.
            () = enrolment.run() => {}
            () = fanout.run() => {}
        }
    }
}

/// Also completes when the value can no longer become true.
async fn wait_until_true(mut flag: watch::Receiver<bool>) {
    flag.wait_for(|value| *value).await.ok();
}
