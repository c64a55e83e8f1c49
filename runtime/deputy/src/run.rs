//! `deputy run`

use std::future::pending;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use deputy_config::CoordinatorFile;
use deputy_coordinator::{
    Control, Coordinator, CoordinatorHandle, CoordinatorHealth, CoordinatorOptions, EnrolmentError, LeaseBoard, Reload,
    ReloadReply, Removals, WorkerOptions, Workers, WorkersError,
};
use deputy_core::time::Clock as _;
use deputy_http_server::{HttpListener, listen, serve};
use deputy_link::server::ServerLimits;
use deputy_link::{AuthorityError, CertificateLifetimes};
use deputy_local::{ControlError, SocketFile};
use deputy_metrics::CoordinatorMetrics;
use deputy_observe::Audit;
use deputy_sandbox::CodeCache;
use deputy_sources::SourceContext;
use deputy_store::{DirectoryStore, Random, Store, StoreError};
use deputy_support::SystemClock;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::cli;
use crate::context::{Context, SOCKET};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::fd_limit;
use crate::load::ComponentLoader;
use crate::reload::{Reloader, Reloads, warnings};
use crate::removal;
use crate::sandbox;

pub(crate) async fn run(context: &Context, arguments: &cli::RunArgs) -> Result<Exit, CommandError> {
    let config = context.configuration()?;
    let Some(state) = context.state_dir(Some(&config)) else { return Err(sandbox::no_state()) };
    for warning in warnings(&config).into_iter().chain(context.unused_proxy()) {
        tracing::warn!("{warning}");
    }
    let metrics = Arc::new(CoordinatorMetrics::default());
    let audit = Arc::new(audit(arguments, &config, &metrics)?);
    let here = Arc::new(SourceContext::of_process());
    let random = random();
    let key = sandbox::master_key(&state, config.coordinator.key.as_ref(), &here, Arc::clone(&random)).await;
    let key = key.map_err(|error| failed(error, "cannot have the key that seals the state"))?;
    let cache = CodeCache { state_dir: state.clone(), key: sandbox::cache_key(&key)? };
    let sandbox = sandbox::open(cache, Arc::clone(&audit))?;
    let calls = sandbox.clone();
    let store = DirectoryStore::open(&state, key, Arc::clone(&random)).await;
    let store = store.map_err(|error| failed(error, "cannot use the state"))?;
    let (board, clock) = (Arc::new(LeaseBoard::default()), Arc::new(SystemClock::default()));
    let store: Arc<dyn Store> = Arc::new(store);
    let before = removal::at_start(&config, &*store, arguments.remove).await?;
    let options = CoordinatorOptions {
        store: Arc::clone(&store),
        metrics: Arc::clone(&metrics),
        board: Arc::clone(&board),
        clock: Arc::clone(&clock) as _,
        surroundings: here,
        seed: seed(&random)?,
        shutdown: config.coordinator.shutdown,
        known: config.instances.values().filter(|entry| entry.enabled).map(|entry| entry.name.clone()).collect(),
    };
    let (coordinator, handle) =
        Coordinator::open(options).await.map_err(|error| failed(error, "cannot start the coordinator"))?;
    removal::keep(&config, &*store, clock.now().wall).await;

    // What others connect to is there before anything is obtained, so that a wrong address costs nothing.
    let socket = config.coordinator.control.clone().unwrap_or_else(|| state.join(SOCKET));
    let mode = config.coordinator.control_mode.bits();
    let (control, file) = listen_local(&socket, mode, "`control` in [coordinator]")?;
    let health = match config.coordinator.health {
        Some(address) => Some((address, listen(address).await.map_err(|error| port(error, address))?)),
        None => None,
    };
    let signals = Signals::new().map_err(|error| CommandError::new(Exit::Failed, error))?;

    let workers = match &config.coordinator.workers {
        Some(workers) => {
            let options = WorkerOptions {
                listen: workers.listen,
                advertise: workers.advertise.to_string(),
                lives: CertificateLifetimes { authority: workers.authority_life, worker: workers.certificate_life },
                limits: fd_limit::room(ServerLimits { heartbeat: workers.heartbeat, ..ServerLimits::default() }),
                store: Arc::clone(&store),
                board: Arc::clone(&board),
                clock: Arc::clone(&clock) as _,
                random,
                audit: Arc::clone(&audit),
                metrics: Arc::clone(&metrics),
                handle: handle.clone(),
            };
            Some(Workers::open(options).await.map_err(no_workers)?)
        }
        None => None,
    };
    let (workers, worker_tasks) = workers.unzip();

    let preparer = ComponentLoader::new(sandbox, Arc::clone(&clock) as _);
    let (reloader, reloads) = Reloader::new(preparer, config, handle.clone(), Arc::clone(&audit), store, &before);
    let reloads = Arc::new(reloads);
    let commands = Control::new(handle.clone(), board, clock, Arc::clone(&reloads) as _).with_workers(workers.clone());
    let mut tasks = JoinSet::new();
    tracing::info!(socket = %socket.display(), "control socket listening");
    tasks.spawn(serve(control, Arc::new(commands)));
    if let Some((address, listener)) = health {
        tracing::info!(%address, "health endpoint listening");
        tasks.spawn(serve(listener, Arc::new(CoordinatorHealth::new(handle.clone(), metrics, Arc::clone(&audit)))));
    }
    tasks.spawn(obey(signals, handle, reloads));
    tasks.spawn(reloader.run());
    let (stop, stopped) = watch::channel(false);
    let coordinator = coordinator.with_workers(workers.clone());
    let serve_workers = async {
        if let (Some(workers), Some(tasks)) = (workers, worker_tasks) {
            tracing::info!(address = %workers.address(), "listening for workers");
            tasks.run(stopped).await;
        }
    };
    let keep = async {
        coordinator.run().await;
        stop.send_replace(true);
    };
    tokio::join!(keep, serve_workers);
    // Calls that were cut off are in the audit trail before the program ends.
    calls.settle().await;
    drop(tasks);
    drop(file);
    audit.flush().await;
    Ok(Exit::Done)
}

pub(crate) fn failed(error: impl std::error::Error + Send + Sync + 'static, doing: &'static str) -> CommandError {
    CommandError::new(Exit::Failed, error).context(doing)
}

/// What is lost with the authority's record is lost for all workers: so it is not made anew unasked.
fn no_workers(error: WorkersError) -> CommandError {
    let is_damage = matches!(
        error,
        WorkersError::Book(
            EnrolmentError::Store(StoreError::Damaged { .. }) | EnrolmentError::Authority(AuthorityError::Kept(_))
        )
    );
    let error = failed(error, "cannot let workers in");
    if !is_damage {
        return error;
    }
    error.hint("put the authority back with `deputy state restore BACKUP`").hint(
        "without a backup, move `authority.workers.sealed` out of the state directory: a new authority is made, and every \
         worker joins again with a new join string (`deputy token create`)",
    )
}

pub(crate) fn port(error: io::Error, address: std::net::SocketAddr) -> CommandError {
    let hint = format!("is another process there? `health` in [coordinator] names the address {address}");
    failed(error, "cannot listen for health and metrics").hint(hint)
}

/// The log of what components did, counted as it is written.
fn audit(
    arguments: &cli::RunArgs,
    config: &CoordinatorFile,
    metrics: &Arc<CoordinatorMetrics>,
) -> Result<Audit, CommandError> {
    let audit = sandbox::audit(arguments.audit.as_deref().or(config.audit.as_deref()))?;
    let metrics = Arc::clone(metrics);
    Ok(audit.watched(move |event| metrics.record_event(event)))
}

#[expect(clippy::disallowed_methods, reason = "the program's entry brings the randomness")]
pub(crate) fn random() -> Random {
    Arc::new(SystemRandom::new())
}

pub(crate) fn seed(random: &Random) -> Result<u64, CommandError> {
    let mut bytes = [0; 8];
    let filled = random.fill(&mut bytes);
    filled.map_err(|_| CommandError::new(Exit::Internal, "the system has no random numbers"))?;
    Ok(u64::from_le_bytes(bytes))
}

/// Listens at a socket's path.
pub(crate) fn listen_local(
    path: &Path,
    mode: u32,
    key: &'static str,
) -> Result<(HttpListener, SocketFile), CommandError> {
    let (listener, file) = SocketFile::listen(path, mode).map_err(|error| {
        let hint = format!("{key} names the socket; it is {}", path.display());
        failed(error, "cannot listen for commands").hint(hint)
    })?;
    Ok((HttpListener::Unix(listener), file))
}

/// What the operating system tells us.
struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }
}

type Reloading = Pin<Box<dyn Future<Output = Result<ReloadReply, ControlError>> + Send>>;

/// Does what the signals say. A reload may take minutes, and delays no end.
async fn obey(mut signals: Signals, handle: CoordinatorHandle, reloads: Arc<Reloads>) {
    let mut reloading: Option<Reloading> = None;
    loop {
        tokio::select! {
            Some(()) = signals.hangup.recv(), if reloading.is_none() => {
                let reloads = Arc::clone(&reloads);
                reloading = Some(Box::pin(async move { reloads.reload(Removals::Few).await }));
            }
            result = finished(&mut reloading) => {
                reloading = None;
                report(result);
            }
            Some(()) = signals.interrupt.recv() => drop(handle.stop().await),
            Some(()) = signals.terminate.recv() => drop(handle.stop().await),
        }
    }
}

/// Never, while nothing is reloaded.
async fn finished(reloading: &mut Option<Reloading>) -> Result<ReloadReply, ControlError> {
    match reloading {
        Some(reloading) => reloading.await,
        None => pending().await,
    }
}

fn report(result: Result<ReloadReply, ControlError>) {
    match result {
        Ok(reloaded) => {
            for warning in &reloaded.warnings {
                tracing::warn!("{warning}");
            }
            tracing::info!(
                added = ?reloaded.added, changed = ?reloaded.changed, removed = ?reloaded.removed,
                unchanged = reloaded.unchanged, "configuration reloaded"
            );
        }
        Err(error) => {
            tracing::error!(details = %error.details, "reload failed; the current configuration stays in effect: {error}")
        }
    }
}
