//! The measuring process: a coordinator on a state that is filled, and workers that join and connect.

use std::collections::BTreeSet;
use std::error::Error;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use aws_lc_rs::rand::SystemRandom;
use deputy_audit::Audit;
use deputy_coordinator::{
    Coordinator, CoordinatorHandle, CoordinatorOptions, Deliveries, LOCK, Leading, LeaseBoard, Replica, RestoredState,
    WorkerCondition, WorkerQuery, WorkerServiceOptions, WorkerTasks, Workers,
};
use deputy_core::Span;
use deputy_link::client::{ClientOptions, IdentityStore, LinkClient, LinkPhase, join};
use deputy_link::server::ServerLimits;
use deputy_link::{CertificateLifetimes, DeliveredState, JoinString, WorkerId, WorkerIdentity, WorkerKey};
use deputy_metrics::CoordinatorMetrics;
use deputy_sources::SourceContext;
use deputy_store::{Random, Store, StoreLock};
use deputy_support::SystemClock;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::state::{self, GROUP};
use super::{Figures, Place};
use crate::Result;
use crate::leases::resident;

/// How often all records are read.
const OPENS: usize = 3;

const PAGE: usize = 100;

/// No connection takes longer, unless it is broken.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn measure(place: &Place, repetitions: usize) -> Result {
    let site = Site::open(place).await?;
    let mut figures = Figures::default();
    let before = resident()?;
    let (mut workers, mut tasks) = site.timed_open(&mut figures).await?;
    figures.memory = resident()? - before;
    for _ in 1..OPENS {
        drop((workers, tasks));
        (workers, tasks) = site.timed_open(&mut figures).await?;
    }
    let (stop, stopped) = watch::channel(false);
    let mut running = JoinSet::new();
    running.spawn(tasks.run(stopped));
    workers.deliver(Deliveries::default());
    let identities = joined(&workers, &mut figures, repetitions).await?;
    pages(&workers, &mut figures, repetitions).await?;
    figures.connect = connected(&identities).await?;
    let lister = workers.clone();
    let mut listing = JoinSet::new();
    listing.spawn(async move { while lister.worker_page(&page(None)).await.is_ok() {} });
    figures.connect_beside_pages = connected(&identities).await?;
    listing.shutdown().await;
    println!("{}", serde_json::to_string(&figures)?);
    stop.send_replace(true);
    while running.join_next().await.is_some() {}
    site.stop().await
}

/// What a service for workers needs.
struct Site {
    store: Arc<dyn Store>,
    lock: Arc<StoreLock>,
    leading: Leading,
    handle: CoordinatorHandle,
    board: Arc<LeaseBoard>,
    clock: Arc<SystemClock>,
    metrics: Arc<CoordinatorMetrics>,
    coordinator: JoinSet<()>,
}

impl Site {
    async fn open(place: &Place) -> Result<Self> {
        let store = state::open(place).await?;
        let (board, metrics) = (Arc::new(LeaseBoard::default()), Arc::new(CoordinatorMetrics::default()));
        let clock = Arc::new(SystemClock::default());
        let lock = Arc::new(store.lock(&LOCK.parse()?).await?);
        let (replica, handle) = Replica::new(CoordinatorOptions {
            name: String::new(),
            store: Arc::clone(&store),
            metrics: Arc::clone(&metrics),
            traces: Arc::default(),
            board: Arc::clone(&board),
            clock: Arc::clone(&clock) as _,
            surroundings: Arc::new(SourceContext::of_process()),
            seed: 1,
            shutdown: Span::secs(1),
            known: BTreeSet::new(),
            is_shared: false,
        });
        let leading = replica.leading();
        let state = RestoredState::read(&replica, Arc::clone(&lock)).await?;
        let coordinator = Coordinator::lead(replica, state).await;
        let mut running = JoinSet::new();
        running.spawn(async move {
            coordinator.run().await.ok();
        });
        Ok(Self { store, lock, leading, handle, board, clock, metrics, coordinator: running })
    }

    /// Releases the lock.
    async fn stop(mut self) -> Result {
        self.handle.stop().await?;
        while self.coordinator.join_next().await.is_some() {}
        Ok(())
    }

    async fn timed_open(&self, figures: &mut Figures) -> Result<(Workers, WorkerTasks)> {
        let random: Random = Arc::new(SystemRandom::new());
        let begun = Instant::now();
        let opened = Workers::open(WorkerServiceOptions {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            advertise: "localhost:1".parse()?,
            lives: CertificateLifetimes { authority: Span::secs(180 * 86_400), worker: Span::secs(86_400) },
            limits: ServerLimits::default(),
            store: Arc::clone(&self.store),
            lock: Some(Arc::clone(&self.lock)),
            leading: self.leading.clone(),
            is_shared: false,
            board: Arc::clone(&self.board),
            clock: Arc::clone(&self.clock) as _,
            random,
            audit: Arc::new(Audit::nowhere()),
            metrics: Arc::clone(&self.metrics),
            traces: Arc::default(),
            handle: self.handle.clone(),
        })
        .await?;
        figures.open.push(micros(begun));
        Ok(opened)
    }
}

/// Workers that joined, one after the other.
async fn joined(workers: &Workers, figures: &mut Figures, count: usize) -> Result<Vec<WorkerIdentity>> {
    let uses = u32::try_from(count)?;
    let (string, _) = workers.create_token(GROUP.parse()?, uses, Span::secs(3600)).await?;
    let string = JoinString { addresses: workers.address().to_string().parse()?, ..string };
    let mut identities = Vec::with_capacity(count);
    for _ in 0..count {
        let key = WorkerKey::new()?;
        let begun = Instant::now();
        identities.push(join(&string, key).await?);
        figures.join.push(micros(begun));
    }
    Ok(identities)
}

async fn pages(workers: &Workers, figures: &mut Figures, count: usize) -> Result {
    let middle = page(Some(WorkerId::from_bytes([0x80, 0, 0, 0, 0, 0, 0, 0])));
    let empty = WorkerQuery { state: Some(WorkerCondition::Connected), ..page(None) };
    for _ in 0..count {
        for (query, times) in [
            (&page(None), &mut figures.first_page),
            (&middle, &mut figures.middle_page),
            (&empty, &mut figures.empty_page),
        ] {
            let begun = Instant::now();
            workers.worker_page(query).await?;
            times.push(micros(begun));
        }
    }
    Ok(())
}

fn page(after: Option<WorkerId>) -> WorkerQuery {
    WorkerQuery { after, limit: Some(PAGE), ..WorkerQuery::default() }
}

/// How long each worker takes until it is connected and has what its group gets.
async fn connected(identities: &[WorkerIdentity]) -> Result<Vec<f64>> {
    let mut times = Vec::with_capacity(identities.len());
    for identity in identities {
        let (client, mut link) = LinkClient::new(ClientOptions {
            identity: identity.clone(),
            identity_store: Arc::new(Unsaved),
            instances: BTreeSet::new(),
            held: DeliveredState::default(),
            version: String::new(),
            host: String::new(),
            clock: Arc::new(SystemClock::default()),
            seed: 1,
        });
        let mut running = JoinSet::new();
        let begun = Instant::now();
        running.spawn(async move { drop(client.run().await) });
        let is_connected = link.state.wait_for(|state| state.phase == LinkPhase::Connected);
        drop(tokio::time::timeout(PATIENCE, is_connected).await??);
        times.push(micros(begun));
    }
    Ok(times)
}

/// No certificate is renewed while this runs.
struct Unsaved;

#[async_trait]
impl IdentityStore for Unsaved {
    async fn save(&self, _: &WorkerIdentity) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(())
    }
}

fn micros(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1e6
}
