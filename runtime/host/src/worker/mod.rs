//! `deputy worker`: the worker put together.
//!
//! The link's client owns the connection and the identity, the worker's loop what is applied, the cache what survives a
//! restart. When the coordinator ends the worker's enrolment, the rest goes on: what is published stays.

mod endpoints;
mod enrolment;
mod identity_records;
mod join_watch;
mod link;
mod once;
mod receiver_policies;
mod sandboxed_receiver;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deputy_audit::Audit;
use deputy_config::WorkerConfig;
use deputy_core::time::Clock;
use deputy_core::{ReceiverName, in_one_line};
use deputy_http_server::{HttpListener, listen, serve};
use deputy_link::{DeliveredState, JoinString};
use deputy_metrics::WorkerMetrics;
use deputy_sandbox::{CacheKey, CodeCache, Sandbox};
use deputy_store::{DirectoryStore, Store};
use deputy_support::SystemClock;
use deputy_traces::{Resource, TraceExporter, Tracer};
use deputy_worker::cache::StateDirLock;
use deputy_worker::components::ComponentStore;
use deputy_worker::{ApplyTraces, ReceiverPolicies, Worker, WorkerHandle, WorkerHealth, WorkerOptions};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::error::ProcessError;
use crate::platform::Platform;
use crate::{fd_limit, s3_places, sandbox, traces};
pub(crate) use endpoints::EndpointServers;
use link::WorkerLink;
pub(crate) use sandboxed_receiver::{SandboxedReceivers, WorkerNames};

pub use crate::enrolment_failure::EnrolmentFailure;
pub use once::OnceOutcome;
pub use receiver_policies::receiver_policies;

/// A worker's socket in its state directory.
pub const SOCKET: &str = "worker.sock";

pub struct WorkerProcessOptions {
    pub config: WorkerConfig,
    pub state_dir: PathBuf,
    /// The join string of the command line.
    pub join: Option<JoinString>,
    /// The audit log, if not the one of the configuration.
    pub audit: Option<PathBuf>,
    /// Of the program, for the coordinator's list of workers.
    pub version: &'static str,
    pub platform: Platform,
}

/// A worker that has joined and listens, and applies nothing before [`WorkerProcess::run`].
pub struct WorkerProcess {
    worker: Worker,
    handle: WorkerHandle,
    link: WorkerLink,
    components: ComponentStore,
    endpoints: EndpointServers,
    health: Option<(SocketAddr, HttpListener)>,
    metrics: Arc<WorkerMetrics>,
    tracer: Tracer,
    exporter: Option<TraceExporter>,
    audit: Arc<Audit>,
    sandbox: Sandbox,
    /// Held until the process ends.
    state_lock: StateDirLock,
}

/// Where a worker listens.
pub struct WorkerAddresses<'a> {
    pub socket: &'a Path,
    pub health: Option<SocketAddr>,
}

/// Stops a running worker, and reopens its audit log. Cheap to clone.
#[derive(Clone)]
pub struct WorkerControls {
    handle: WorkerHandle,
    audit: Arc<Audit>,
}

impl WorkerProcess {
    /// Joins the coordinator if the worker has no identity, for as long as that takes.
    pub async fn build(options: WorkerProcessOptions) -> Result<Self, ProcessError> {
        let WorkerProcessOptions { config, state_dir, join, audit, version, platform } = options;
        fd_limit::raise();
        let (store, cache_key) = open_state(&config, &state_dir, &platform).await?;
        let policies = Arc::new(receiver_policies(&config, &state_dir, &platform.components).await?);
        let state_lock = StateDirLock::take(Arc::clone(&store)).await.map_err(ProcessError::LeaseCache)?;

        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let link = WorkerLink::open(&config, join, store, &state_lock, version, &clock, &platform).await?;
        let resource = Resource {
            role: "worker",
            instance: link.worker().to_owned(),
            group: link.group().to_owned(),
            host: traces::host_name(),
        };
        let (tracer, exporter) = traces::open(config.traces.as_ref(), resource, &platform).await?;
        let apply_traces = Arc::new(ApplyTraces::new(tracer.clone()));
        let link = link.traced(Arc::clone(&apply_traces));
        let metrics = Arc::new(WorkerMetrics::default());
        let audit = Arc::new(sandbox::open_audit(audit.as_deref().or(config.audit.as_deref()))?);
        let code_cache = CodeCache { state_dir: state_dir.clone(), key: cache_key };
        let sandbox = sandbox::open(Some(code_cache), Arc::clone(&audit), &platform)?;
        let components =
            ComponentStore::open(state_dir.join("components")).await.map_err(ProcessError::ComponentStore)?;
        let fetched = Some((components.clone(), link.link.clone()));
        let names = WorkerNames { worker: link.worker(), group: link.group() };
        let receivers = SandboxedReceivers::new(sandbox.clone(), fetched, names, &config, Arc::clone(&policies));
        let applied_cache = state_lock.applied(link.worker());
        let applied = applied_cache.restore(known_receivers(&link.in_use.borrow(), &policies).as_ref()).await;
        let (worker, handle) = Worker::new(WorkerOptions {
            policies,
            loader: Arc::new(receivers),
            applied_cache,
            applied,
            metrics: Arc::clone(&metrics),
            traces: apply_traces,
            clock: Arc::clone(&clock),
            random: Arc::clone(&platform.random),
            seed: platform.seed()?,
            held: link.in_use.clone(),
            reports: link.link.reports.clone(),
            connection: link.status(),
        });
        let (_, places) = watch::channel(Arc::new(s3_places::of_worker(&config)));
        let endpoints = EndpointServers::open(&config, &state_dir, &link.in_use, &clock, places, &platform).await?;
        let health = listen_for_health(&config).await?;
        Ok(Self {
            worker,
            handle,
            link,
            components,
            endpoints,
            health,
            metrics,
            tracer,
            exporter,
            audit,
            sandbox,
            state_lock,
        })
    }

    pub fn addresses(&self) -> WorkerAddresses<'_> {
        WorkerAddresses {
            socket: self.endpoints.socket_path(),
            health: self.health.as_ref().map(|(address, _)| *address),
        }
    }

    pub fn controls(&self) -> WorkerControls {
        WorkerControls { handle: self.handle.clone(), audit: Arc::clone(&self.audit) }
    }

    /// Runs until it is stopped, and then until calls have ended. What is published stays.
    pub async fn run(self) {
        let mut tasks = JoinSet::new();
        let socket_file = self.endpoints.serve(&mut tasks, &self.handle);
        if let Some((_, listener)) = self.health {
            let health = WorkerHealth::new(self.handle.clone(), self.metrics, Arc::clone(&self.audit));
            tasks.spawn(serve(listener, Arc::new(health.with_traces(self.tracer.clone()))));
        }
        let link = &self.link.link;
        tasks.spawn(self.components.follow(link.held.clone(), link.state.clone()));
        self.link.spawn(&mut tasks);
        if let Some(exporter) = self.exporter {
            tasks.spawn(exporter.run());
        }
        self.worker.run().await;
        self.tracer.flush().await;
        // Calls that were cut off are in the audit log before the program ends.
        self.sandbox.settle().await;
        drop(tasks);
        drop(socket_file);
        self.audit.flush().await;
        drop(self.state_lock);
    }
}

impl WorkerControls {
    /// Begins to stop. Does nothing if it is stopping.
    pub async fn stop(&self) {
        self.handle.stop().await.ok();
    }

    /// Opens the audit log again, as after a rotation, and logs the result. The configuration stays.
    pub async fn reopen_audit(&self) {
        match self.audit.reopen().await {
            Ok(()) => tracing::info!("SIGHUP: the audit log was reopened; worker.toml is read only at startup"),
            Err(error) => tracing::error!(error = in_one_line(&error), "SIGHUP: the audit log was not reopened"),
        }
    }
}

/// The sealed state, and the key of the compile cache, which comes from the same master key.
async fn open_state(
    config: &WorkerConfig,
    state_dir: &Path,
    platform: &Platform,
) -> Result<(Arc<dyn Store>, CacheKey), ProcessError> {
    let key = sandbox::master_key(state_dir, config.key.as_ref(), platform).await.map_err(ProcessError::MasterKey)?;
    let cache_key = sandbox::cache_key(&key)?;
    let store =
        DirectoryStore::open(state_dir, key, Arc::clone(&platform.random)).await.map_err(ProcessError::State)?;
    Ok((Arc::new(store), cache_key))
}

/// All receivers of this worker, if the cache has all of them.
fn known_receivers(held: &DeliveredState, policies: &ReceiverPolicies) -> Option<BTreeSet<ReceiverName>> {
    held.complete.then(|| held.receivers.keys().chain(policies.bindings.keys()).cloned().collect())
}

async fn listen_for_health(config: &WorkerConfig) -> Result<Option<(SocketAddr, HttpListener)>, ProcessError> {
    let Some(address) = config.health else { return Ok(None) };
    let listener = listen(address).await.map_err(|source| ProcessError::Health {
        address,
        key: "`health` in [worker]",
        source,
    })?;
    Ok(Some((address, listener)))
}
