//! What `deputy run` publishes and serves itself: a worker in the same process, fed from the board instead of a link.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use deputy_audit::Audit;
use deputy_config::WorkerConfig;
use deputy_coordinator::{Deliveries, DeliveryTraces, LeaseBoard, LocalFeed, LocalFeedOptions};
use deputy_core::S3Places;
use deputy_core::time::Clock;
use deputy_http_server::HealthCheck as _;
use deputy_link::DeliveryReport;
use deputy_local::SocketFile;
use deputy_metrics::WorkerMetrics;
use deputy_sandbox::Sandbox;
use deputy_store::Store;
use deputy_worker::cache::StateDirLock;
use deputy_worker::{
    ApplyTraces, ConnectionPhase, ConnectionSnapshot, Worker, WorkerHandle, WorkerHealth, WorkerOptions,
};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::error::ProcessError;
use crate::platform::Platform;
use crate::worker::{EndpointServers, SandboxedReceivers, WorkerNames, receiver_policies};

/// What a worker is called that has no link, by its receivers and in its records.
const NAME: &str = "local";

/// Reports of what was applied, which nothing waits for.
const REPORTS: usize = 16;

/// A worker that listens, and applies nothing before [`LocalWorker::spawn`].
pub(super) struct LocalWorker {
    worker: Worker,
    handle: WorkerHandle,
    feed: LocalFeed,
    endpoints: EndpointServers,
    reports: mpsc::Receiver<DeliveryReport>,
    metrics: Arc<WorkerMetrics>,
    audit: Arc<Audit>,
    state_lock: StateDirLock,
}

/// Of the process that it is part of.
pub(super) struct LocalWorkerOptions<'a> {
    pub(super) state_dir: &'a Path,
    /// The coordinator's: what receivers applied is sealed in it as well.
    pub(super) store: Arc<dyn Store>,
    pub(super) sandbox: &'a Sandbox,
    pub(super) audit: &'a Arc<Audit>,
    pub(super) board: &'a Arc<LeaseBoard>,
    pub(super) traces: &'a Arc<DeliveryTraces>,
    pub(super) deliveries: watch::Receiver<Arc<Deliveries>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) places: watch::Receiver<Arc<S3Places>>,
    pub(super) platform: &'a Platform,
}

/// Ends with the process: removes the socket, and gives the state free.
pub(super) struct LocalWorkerEnd {
    _socket: SocketFile,
    _state_lock: StateDirLock,
}

/// What status, probes and metrics ask.
pub(super) struct LocalWorkerStatus {
    handle: WorkerHandle,
    health: WorkerHealth,
}

impl LocalWorker {
    /// Opens its state and listens.
    pub(super) async fn build(config: &WorkerConfig, options: LocalWorkerOptions<'_>) -> Result<Self, ProcessError> {
        let LocalWorkerOptions { state_dir, store, sandbox, audit, board, traces, deliveries, clock, places, platform } =
            options;
        let policies = Arc::new(receiver_policies(config, state_dir, &platform.components).await?);
        let state_lock = StateDirLock::take(store).await.map_err(ProcessError::LeaseCache)?;
        let names = WorkerNames { worker: NAME, group: NAME };
        let receivers = SandboxedReceivers::new(sandbox.clone(), None, names, config, Arc::clone(&policies));
        let instances = config.named_instances();
        let (feed, held) = LocalFeed::new(LocalFeedOptions {
            board: Arc::clone(board),
            deliveries,
            instances,
            clock: Arc::clone(&clock),
            traces: Arc::clone(traces),
        });
        let applied_cache = state_lock.applied(NAME);
        let applied = applied_cache.restore(Some(&policies.bindings.keys().cloned().collect())).await;
        let metrics = Arc::new(WorkerMetrics::default());
        let (reports, taken) = mpsc::channel(REPORTS);
        let endpoints = EndpointServers::open(config, state_dir, &held, &clock, places, platform).await?;
        let (worker, handle) = Worker::new(WorkerOptions {
            policies,
            loader: Arc::new(receivers),
            applied_cache,
            applied,
            metrics: Arc::clone(&metrics),
            traces: Arc::new(ApplyTraces::new(traces.tracer().clone())),
            connection: connection(&*clock),
            clock,
            random: Arc::clone(&platform.random),
            seed: platform.seed()?,
            held,
            reports,
        });
        let audit = Arc::clone(audit);
        Ok(Self { worker, handle, feed, endpoints, reports: taken, metrics, audit, state_lock })
    }

    pub(super) fn status(&self) -> LocalWorkerStatus {
        let health = WorkerHealth::new(self.handle.clone(), Arc::clone(&self.metrics), Arc::clone(&self.audit));
        LocalWorkerStatus { handle: self.handle.clone(), health }
    }

    /// Runs in tasks, until they are dropped. What is published stays.
    pub(super) fn spawn(self, tasks: &mut JoinSet<()>) -> LocalWorkerEnd {
        let socket = self.endpoints.serve(tasks, &self.handle);
        let mut reports = self.reports;
        // The worker logs what it applied, and its status has it.
        tasks.spawn(async move { while reports.recv().await.is_some() {} });
        tasks.spawn(self.feed.run());
        tasks.spawn(self.worker.run());
        LocalWorkerEnd { _socket: socket, _state_lock: self.state_lock }
    }
}

#[async_trait]
impl deputy_coordinator::LocalWorkerView for LocalWorkerStatus {
    async fn status(&self) -> Option<(serde_json::Value, bool)> {
        let status = self.handle.status().await.ok()?;
        let ready = status.ready;
        Some((serde_json::to_value(status).ok()?, ready))
    }

    async fn ready(&self) -> Result<String, String> {
        // Its first line says that it is ready, as the lines of instances do.
        self.health.ready().await.map(|text| text.strip_prefix("ready\n").unwrap_or(&text).to_owned())
    }

    async fn metrics(&self) -> Result<String, String> {
        self.health.metrics().await
    }
}

/// A link that is always there.
fn connection(clock: &dyn Clock) -> Box<dyn Fn() -> ConnectionSnapshot + Send + Sync> {
    let since = clock.now().wall;
    Box::new(move || ConnectionSnapshot {
        worker: NAME.to_owned(),
        group: NAME.to_owned(),
        coordinator: "this process".to_owned(),
        addresses: Vec::new(),
        phase: ConnectionPhase::Connected,
        since,
        heard: None,
        error: None,
        certificate_ends: None,
        refused: Vec::new(),
    })
}
