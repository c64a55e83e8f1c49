//! `deputy run`: the coordinator put together.

mod component_loader;
mod configured_component;
mod effective_config;
mod instance_plan;
mod instance_state;
mod leadership;
mod listeners;
mod loading_tasks;
mod local_worker;
mod provider_answers;
mod reload_report;
mod reloader;
mod removal;
mod sandboxed_provider;
mod unloaded_config;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deputy_audit::Audit;
use deputy_config::CoordinatorFile;
use deputy_coordinator::{
    ConfigurationNames, Control, CoordinatorHandle, CoordinatorHealth, CoordinatorOptions, DeliveryTraces, LeaseBoard,
    PageUrls, Reload as _, Removals, Replica, WorkerServiceOptions, WorkerTasks, Workers, authority_key, is_uncopied,
};
use deputy_core::{S3Places, SecretSource};
use deputy_http_server::{HttpListener, serve};
use deputy_link::CertificateLifetimes;
use deputy_link::server::ServerLimits;
use deputy_local::SocketFile;
use deputy_metrics::CoordinatorMetrics;
use deputy_page::{LivePage, PageAccess, RecentEvents};
use deputy_sandbox::{CodeCache, Sandbox};
use deputy_store::{DirectoryReader, Store};
use deputy_support::SystemClock;
use deputy_traces::{Resource, TraceExporter, Tracer};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::error::ProcessError;
use crate::platform::Platform;
use crate::{fd_limit, s3_places, sandbox, store, traces};
use component_loader::ComponentLoader;
use leadership::Leadership;
use listeners::{HealthListener, Listeners};
use local_worker::{LocalWorker, LocalWorkerOptions};
use reloader::{ReloadHandle, Reloader};

pub use reload_report::config_warnings;
pub use removal::no_instance_warning;

/// The coordinator's socket in the state directory.
pub const SOCKET: &str = "control.sock";

pub struct CoordinatorProcessOptions {
    pub config: CoordinatorFile,
    pub state_dir: PathBuf,
    /// The audit log, if not the one of the configuration.
    pub audit: Option<PathBuf>,
    /// Whether the configuration may lack much of what the last one had.
    pub removals: Removals,
    pub platform: Platform,
}

/// A coordinator that listens, and obtains nothing before [`CoordinatorProcess::run`].
pub struct CoordinatorProcess {
    replica: Replica,
    leadership: Leadership,
    handle: CoordinatorHandle,
    workers: Option<(Workers, WorkerTasks)>,
    local: Option<LocalWorker>,
    reloader: Reloader,
    reloads: Arc<ReloadHandle>,
    previous: ConfigurationNames,
    /// Ends with the process, and removes the socket's file.
    control: (HttpListener, SocketFile),
    control_path: PathBuf,
    health: Option<HealthPort>,
    board: Arc<LeaseBoard>,
    clock: Arc<SystemClock>,
    places: watch::Receiver<Arc<S3Places>>,
    metrics: Arc<CoordinatorMetrics>,
    tracer: Tracer,
    exporter: Option<TraceExporter>,
    audit: Arc<Audit>,
    sandbox: Sandbox,
}

/// Where probes, scrapers and browsers connect.
struct HealthPort {
    address: SocketAddr,
    listener: HttpListener,
    page: Arc<PageAccess>,
    events: Arc<RecentEvents>,
    renewals: JoinSet<()>,
}

/// Where a coordinator listens.
pub struct CoordinatorAddresses<'a> {
    pub control: &'a Path,
    pub health: Option<SocketAddr>,
    pub workers: Option<SocketAddr>,
}

/// Stops and reloads a running coordinator. Cheap to clone.
#[derive(Clone)]
pub struct CoordinatorControls {
    handle: CoordinatorHandle,
    reloads: Arc<ReloadHandle>,
}

impl CoordinatorProcess {
    pub async fn build(options: CoordinatorProcessOptions) -> Result<Self, ProcessError> {
        let CoordinatorProcessOptions { config, state_dir, audit, removals, platform } = options;
        let metrics = Arc::new(CoordinatorMetrics::default());
        let events = config.coordinator.health.map(|_| Arc::new(RecentEvents::default()));
        let audit = audit.as_deref().or(config.audit.as_deref());
        let machine = leadership::machine();
        let mut audit = watched_audit(audit, &metrics, events.clone())?;
        if config.coordinator.store.is_some() {
            audit = audit.of_coordinator(machine.clone());
        }
        let audit = Arc::new(audit);
        let key = sandbox::master_key(&state_dir, config.coordinator.key.as_ref(), &platform)
            .await
            .map_err(ProcessError::MasterKey)?;
        let cache = CodeCache { state_dir: state_dir.clone(), key: sandbox::cache_key(&key)? };
        let sandbox = sandbox::open(Some(cache), Arc::clone(&audit), &platform)?;
        let store = store::open(config.coordinator.store.as_ref(), &state_dir, key, &platform).await?;
        // Listen before anything is obtained, so that a wrong address costs nothing. In etcd, others may lead the same state.
        let is_shared = config.coordinator.store.is_some();
        let (first, listeners) = if is_shared {
            let listeners = Listeners::open(&config.coordinator, &state_dir, &platform).await?;
            warn_of_uncopied(&*store, &state_dir, config.coordinator.key.as_ref(), &platform).await?;
            let lock = match config.coordinator.workers {
                Some(_) => leadership::wait_until_begun(&*store, &authority_key()?, &listeners).await?,
                None => None,
            };
            (lock, listeners)
        } else {
            let lock = leadership::lock(&*store).await?;
            (Some(lock), Listeners::open(&config.coordinator, &state_dir, &platform).await?)
        };
        let first = first.map(Arc::new);
        let Listeners { control, control_path, health } = listeners;
        let previous = removal::check_at_start(&config, &*store, removals).await?;
        let resource =
            Resource { role: "coordinator", instance: String::new(), group: String::new(), host: traces::host_name() };
        let (tracer, exporter) = traces::open(config.traces.as_ref(), resource, &platform).await?;
        let delivery_traces = Arc::new(DeliveryTraces::new(tracer.clone()));
        let board = Arc::new(if is_shared { LeaseBoard::unread() } else { LeaseBoard::default() });
        let clock = Arc::new(SystemClock::default());
        let options = CoordinatorOptions {
            name: machine,
            store: Arc::clone(&store),
            metrics: Arc::clone(&metrics),
            traces: Arc::clone(&delivery_traces),
            board: Arc::clone(&board),
            clock: Arc::clone(&clock) as _,
            surroundings: Arc::clone(&platform.sources),
            seed: platform.seed()?,
            shutdown: config.coordinator.shutdown,
            known: config.instances.values().filter(|entry| entry.enabled).map(|entry| entry.name.clone()).collect(),
            is_shared,
        };
        let (replica, handle) = Replica::new(options);

        let health = health.zip(events).map(|(HealthListener { listener, address, renewals }, events)| HealthPort {
            address: address.listen,
            listener,
            page: Arc::new(PageAccess::new(address, Arc::clone(&platform.random), Arc::clone(&clock) as _)),
            events,
            renewals,
        });
        let workers = match &config.coordinator.workers {
            Some(section) => Some(
                Workers::open(WorkerServiceOptions {
                    listen: section.listen,
                    advertise: section.advertise.clone(),
                    lives: CertificateLifetimes { authority: section.authority_life, worker: section.certificate_life },
                    limits: fd_limit::bound(ServerLimits { heartbeat: section.heartbeat, ..ServerLimits::default() }),
                    store: Arc::clone(&store),
                    lock: first.clone(),
                    leading: replica.leading(),
                    is_shared,
                    board: Arc::clone(&board),
                    clock: Arc::clone(&clock) as _,
                    random: Arc::clone(&platform.random),
                    audit: Arc::clone(&audit),
                    metrics: Arc::clone(&metrics),
                    traces: Arc::clone(&delivery_traces),
                    handle: handle.clone(),
                })
                .await
                .map_err(ProcessError::Workers)?,
            ),
            None => None,
        };
        let places = watch::Sender::new(Arc::new(s3_places::of_coordinator(&config)));
        let local = match &config.local {
            Some(own) => {
                // What is published here stays with this machine.
                let own_store = match &config.coordinator.store {
                    None => Arc::clone(&store),
                    Some(_) => {
                        let key = sandbox::master_key(&state_dir, config.coordinator.key.as_ref(), &platform).await;
                        store::open(None, &state_dir, key.map_err(ProcessError::MasterKey)?, &platform).await?
                    }
                };
                let options = LocalWorkerOptions {
                    state_dir: &state_dir,
                    store: own_store,
                    sandbox: &sandbox,
                    audit: &audit,
                    board: &board,
                    traces: &delivery_traces,
                    deliveries: replica.deliveries(),
                    clock: Arc::clone(&clock) as _,
                    places: places.subscribe(),
                    platform: &platform,
                };
                Some(LocalWorker::build(own, options).await?)
            }
            None => None,
        };
        let state_keeper = Arc::clone(replica.state_keeper());
        let loader = ComponentLoader::new(sandbox.clone(), Arc::clone(&clock) as _, state_keeper);
        let known_places = places.subscribe();
        let leading = replica.leading();
        let (reloader, reloads) =
            Reloader::new(loader, config, handle.clone(), Arc::clone(&audit), Arc::clone(&store), leading, places);
        let reloads = Arc::new(reloads);
        let leadership = Leadership {
            store,
            is_shared,
            first,
            config: reloader.in_effect(),
            clock: Arc::clone(&clock),
            audit: Arc::clone(&audit),
        };
        Ok(Self {
            replica,
            leadership,
            handle,
            workers,
            local,
            reloader,
            reloads,
            previous,
            control,
            control_path,
            health,
            board,
            clock,
            places: known_places,
            metrics,
            tracer,
            exporter,
            audit,
            sandbox,
        })
    }

    pub fn addresses(&self) -> CoordinatorAddresses<'_> {
        CoordinatorAddresses {
            control: &self.control_path,
            health: self.health.as_ref().map(|health| health.address),
            workers: self.workers.as_ref().map(|(workers, _)| workers.address()),
        }
    }

    pub fn controls(&self) -> CoordinatorControls {
        CoordinatorControls { handle: self.handle.clone(), reloads: Arc::clone(&self.reloads) }
    }

    /// Runs until it is stopped, and then until calls, writes and connections have ended.
    ///
    /// # Errors
    /// If the lock on a state in a directory is lost.
    pub async fn run(self) -> Result<(), ProcessError> {
        let (workers, worker_tasks) = self.workers.unzip();
        let (listener, socket_file) = self.control;
        let control = Control::new(self.handle.clone(), self.board, self.clock, self.reloads as _);
        let mut tasks = JoinSet::new();
        let status =
            self.local.as_ref().map(|local| Arc::new(local.status()) as Arc<dyn deputy_coordinator::LocalWorkerView>);
        let urls = self.health.as_ref().map(|health| Arc::clone(&health.page) as Arc<dyn PageUrls>);
        let control = control.with_workers(workers.clone()).with_local(status.clone()).with_page(urls);
        let control = control.with_places(self.places);
        tasks.spawn(serve(listener, Arc::new(control)));
        let mut renewals = None;
        if let Some(HealthPort { listener, page, events, renewals: of_certificate, .. }) = self.health {
            renewals = Some(of_certificate);
            let health = CoordinatorHealth::new(self.handle.clone(), self.metrics, Arc::clone(&self.audit));
            let health = health.with_local(status).with_workers(workers.clone()).with_traces(self.tracer.clone());
            let audit = Arc::clone(&self.audit);
            let page = LivePage::new(health, page, events, self.handle, workers.clone(), audit);
            tasks.spawn(serve(listener, Arc::new(page)));
        }
        if let Some(exporter) = self.exporter {
            tasks.spawn(exporter.run());
        }
        let local = self.local.map(|local| local.spawn(&mut tasks));
        tasks.spawn(async move { self.reloader.run(&self.previous).await });
        let (stop, stopped) = watch::channel(false);
        let serve_workers = async {
            if let Some(worker_tasks) = worker_tasks {
                worker_tasks.run(stopped).await;
            }
        };
        let keep_leases = async {
            let ended = self.leadership.run(self.replica.with_workers(workers)).await;
            stop.send_replace(true);
            ended
        };
        let (ended, ()) = tokio::join!(keep_leases, serve_workers);
        // Calls that were cut off are in the audit log before the program ends.
        self.sandbox.settle().await;
        self.tracer.flush().await;
        drop((tasks, renewals));
        drop((socket_file, local));
        self.audit.flush().await;
        ended
    }
}

impl CoordinatorControls {
    /// Begins to stop. Does nothing if it is stopping.
    pub async fn stop(&self) {
        self.handle.stop().await.ok();
    }

    /// Reads the configuration again, as the operator's `reload` does, and logs the result.
    pub async fn reload(&self) {
        reload_report::log(&self.reloads.reload(Removals::Few).await);
    }
}

/// Warns if the state in etcd is empty while the state directory has one, which would be forgotten.
async fn warn_of_uncopied(
    store: &dyn Store,
    state_dir: &Path,
    key: Option<&SecretSource>,
    platform: &Platform,
) -> Result<(), ProcessError> {
    let key = sandbox::master_key(state_dir, key, platform).await.map_err(ProcessError::MasterKey)?;
    let directory = DirectoryReader::open(state_dir, key).await.map_err(ProcessError::State)?;
    let Some(directory) = directory else { return Ok(()) };
    if is_uncopied(&directory, store).await.map_err(ProcessError::EtcdState)? {
        let directory = state_dir.display();
        tracing::warn!(
            %directory,
            "the state in etcd is empty, and the state directory holds one that is not used: workers have to join again; \
             `deputy state copy directory` copies it, before the first start with etcd"
        );
    }
    Ok(())
}

/// The audit log, whose events the metrics count and the page shows.
fn watched_audit(
    path: Option<&Path>,
    metrics: &Arc<CoordinatorMetrics>,
    recent: Option<Arc<RecentEvents>>,
) -> Result<Audit, ProcessError> {
    let metrics = Arc::clone(metrics);
    Ok(sandbox::open_audit(path)?.watched(move |event| {
        metrics.record_event(event);
        if let Some(recent) = &recent {
            recent.push(event);
        }
    }))
}
