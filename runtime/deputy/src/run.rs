//! `deputy run`

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::rand::SystemRandom;
use deputy_config::{Colour, Config, ConfigErrors, Coordinator as Coordinates, Finding};
use deputy_coordinator::{
    Board, Control, Coordinator, Deliveries, Handle, Health, Options, Reload, Setup, SystemClock, WorkerOptions,
    Workers,
};
use deputy_core::in_one_line;
use deputy_link::Lives;
use deputy_link::server::Limits;
use deputy_local::{ControlError, SocketFile};
use deputy_observe::{Audit, Listener, Metrics, listen, serve};
use deputy_sources::Surroundings;
use deputy_store::{Directory, MasterKey, Random, Store};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::cli;
use crate::context::{Context, SOCKET};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::open_files;
use crate::prepare::{Prepared, Preparer};
use crate::sandbox;

/// How often a component is tried again that could not be loaded.
const LOAD_AGAIN: Duration = Duration::from_secs(30);

pub(crate) async fn run(context: &Context, arguments: &cli::Run) -> Result<Exit, CommandError> {
    let config = context.configuration()?;
    let Some(state) = context.state_dir(Some(&config)) else { return Err(sandbox::no_state()) };
    for warning in warnings(&config).into_iter().chain(context.unused_proxy()) {
        tracing::warn!("{warning}");
    }
    let metrics = Arc::new(Metrics::default());
    let audit = Arc::new(audit(arguments, &config, &metrics)?);
    let sandbox = sandbox::open(Some(state.clone()), Arc::clone(&audit))?;
    let calls = sandbox.clone();

    let here = Arc::new(Surroundings::of_process());
    let random = random();
    let key = match &config.coordinator.key {
        Some(source) => MasterKey::read(source, &here).await,
        None => MasterKey::of_state(&state, &here, Arc::clone(&random)).await,
    };
    let key = key.map_err(|error| failed(error, "cannot have the key that seals the state"))?;
    let store = Directory::open(&state, key, Arc::clone(&random)).await;
    let store = store.map_err(|error| failed(error, "cannot use the state"))?;
    let (board, clock) = (Arc::new(Board::default()), Arc::new(SystemClock::default()));
    let store: Arc<dyn Store> = Arc::new(store);
    let options = Options {
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
                lives: Lives { authority: workers.authority_life, worker: workers.certificate_life },
                limits: open_files::room(Limits { heartbeat: workers.heartbeat, ..Limits::default() }),
                store,
                board: Arc::clone(&board),
                clock: Arc::clone(&clock) as _,
                random,
                audit: Arc::clone(&audit),
                metrics: Arc::clone(&metrics),
                handle: handle.clone(),
            };
            Some(Workers::open(options).await.map_err(|error| failed(error, "cannot let workers in"))?)
        }
        None => None,
    };
    let (workers, worker_tasks) = workers.unzip();

    let reloader = Arc::new(Reloader::new(Preparer::new(sandbox), config, workers.clone(), Arc::clone(&audit)));
    let commands = Control::new(handle.clone(), board, clock, Arc::clone(&reloader) as _).with_workers(workers.clone());
    let commands = Arc::new(commands);
    let mut tasks = JoinSet::new();
    tracing::info!(socket = %socket.display(), "commands come in here");
    tasks.spawn(serve(control, Arc::clone(&commands)));
    if let Some((address, listener)) = health {
        tracing::info!(%address, "/livez, /readyz and /metrics are here");
        tasks.spawn(serve(listener, Arc::new(Health::new(handle.clone(), metrics, Arc::clone(&audit)))));
    }
    tasks.spawn(obey(signals, handle, Arc::clone(&commands)));
    tasks.spawn(load_again(commands));
    let (stop, stopped) = watch::channel(false);
    let serve_workers = async {
        if let (Some(workers), Some(tasks)) = (workers, worker_tasks) {
            tracing::info!(address = %workers.address(), "workers come in here");
            tasks.run(stopped).await;
        }
    };
    let keep = async {
        coordinator.run(async move { reloader.first().await }).await;
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

pub(crate) fn port(error: io::Error, address: std::net::SocketAddr) -> CommandError {
    let hint = format!("is another process there? `health` in [coordinator] names the address {address}");
    failed(error, "cannot listen for health and metrics").hint(hint)
}

/// The log of what components did, counted as it is written.
fn audit(arguments: &cli::Run, config: &Config, metrics: &Arc<Metrics>) -> Result<Audit, CommandError> {
    let audit = sandbox::audit(arguments.audit.as_deref().or(config.audit.as_deref()))?;
    let metrics = Arc::clone(metrics);
    Ok(audit.watched(move |event| metrics.audited(event)))
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
pub(crate) fn listen_local(path: &Path, mode: u32, key: &'static str) -> Result<(Listener, SocketFile), CommandError> {
    let (listener, file) = SocketFile::listen(path, mode).map_err(|error| {
        let hint = format!("{key} names the socket; it is {}", path.display());
        failed(error, "cannot listen for commands").hint(hint)
    })?;
    Ok((Listener::Unix(listener), file))
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

async fn obey(mut signals: Signals, handle: Handle, control: Arc<Control>) {
    loop {
        tokio::select! {
            Some(()) = signals.hangup.recv() => match control.reload().await {
                Ok(reloaded) => {
                    for warning in &reloaded.warnings {
                        tracing::warn!("{warning}");
                    }
                    tracing::info!(
                        added = ?reloaded.added, changed = ?reloaded.changed, removed = ?reloaded.removed,
                        unchanged = reloaded.unchanged, "the configuration was read again"
                    );
                }
                Err(error) => tracing::error!(details = %error.details, "nothing was changed: {error}"),
            },
            Some(()) = signals.interrupt.recv() => drop(handle.stop().await),
            Some(()) = signals.terminate.recv() => drop(handle.stop().await),
            else => return,
        }
    }
}

/// Reads and prepares configurations.
struct Reloader {
    preparer: Preparer,
    path: PathBuf,
    current: Mutex<Current>,
    workers: Option<Workers>,
    audit: Arc<Audit>,
}

struct Current {
    config: Config,
    failed: BTreeSet<String>,
}

impl Reloader {
    fn new(preparer: Preparer, config: Config, workers: Option<Workers>, audit: Arc<Audit>) -> Self {
        let path = config.path.clone();
        Self { preparer, path, current: Mutex::new(Current { config, failed: BTreeSet::new() }), workers, audit }
    }

    fn deliver(&self, deliveries: Deliveries) {
        if let Some(workers) = &self.workers {
            workers.deliver(deliveries);
        }
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// At the start each instance stands for itself: one that can't be loaded keeps no other from its lease.
    async fn first(&self) -> Setup {
        let config = self.current().config.clone();
        tracing::info!(instances = config.instances.len(), "loading components; the first time they are compiled");
        let Prepared { setup, deliveries, failed } = self.preparer.prepare(&config).await;
        for (instance, why) in &failed {
            tracing::error!(%instance, %why, "can't be loaded; it is tried again every {} s", LOAD_AGAIN.as_secs());
        }
        self.current().failed = failed.into_keys().collect();
        self.deliver(deliveries);
        setup
    }
}

async fn load_again(control: Arc<Control>) {
    loop {
        pause(LOAD_AGAIN).await;
        if control.load_again().await.is_err() {
            return;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "nothing tells when a component's file is mended")]
async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

#[async_trait]
impl Reload for Reloader {
    async fn reload(&self) -> Result<(Setup, Vec<String>), ControlError> {
        // First, since a rotation of the log does not wait for a good configuration.
        let reopened = self.audit.reopen().await;
        let config = Config::load(&self.path).map_err(|error| wrong(&error))?;
        let mut warnings = warnings(&config);
        if let Err(error) = reopened {
            warnings.push(in_one_line(&error));
        }
        let Prepared { setup, deliveries, failed } = self.preparer.prepare(&config).await;
        let mut current = self.current();
        let new: Vec<_> = failed.iter().filter(|(name, _)| !current.failed.contains(*name)).collect();
        if !new.is_empty() {
            let details: String = new.iter().map(|(name, why)| format!("{name}: {why}\n")).collect();
            let these = if new.len() == 1 { "an instance".to_owned() } else { format!("{} instances", new.len()) };
            let message = format!("{these} can't be loaded: nothing was changed");
            return Err(ControlError { details, ..ControlError::new("misconfigured", &message) });
        }
        let calls = config.coordinator.calls;
        let before = Coordinates { calls, ..current.config.coordinator.clone() };
        if config.coordinator != before || config.audit != current.config.audit {
            warnings.push("`audit` and [coordinator], beside `calls`, change at the next start".to_owned());
        }
        current.failed = failed.into_keys().collect();
        current.config = config;
        self.deliver(deliveries);
        Ok((setup, warnings))
    }

    async fn again(&self) -> Option<Setup> {
        let (config, before) = {
            let current = self.current();
            (current.config.clone(), current.failed.clone())
        };
        if before.is_empty() {
            return None;
        }
        let Prepared { setup, deliveries, failed } = self.preparer.prepare(&config).await;
        let failed: BTreeSet<_> = failed.into_keys().collect();
        if failed == before {
            return None;
        }
        self.current().failed = failed;
        self.deliver(deliveries);
        Some(setup)
    }
}

/// What has no effect, or another one than it seems.
fn warnings(config: &Config) -> Vec<String> {
    let told = |finding: Finding| {
        let expected = finding.expected.map(|expected| format!(" ({expected})")).unwrap_or_default();
        format!("{}:{}:{}: {}{expected}", finding.file, finding.line, finding.column, finding.message)
    };
    config.warnings.findings().map(told).collect()
}

fn wrong(error: &ConfigErrors) -> ControlError {
    match error {
        ConfigErrors::Invalid(findings) => {
            let (count, path) = (findings.len(), findings.path().display());
            let errors = if count == 1 { "1 error".to_owned() } else { format!("{count} errors") };
            let message = format!("{errors} in {path}: nothing was changed");
            let details = findings.render(Colour::Never);
            ControlError { details, ..ControlError::new("misconfigured", &message) }
        }
        error => ControlError::new("misconfigured", &format!("{}: nothing was changed", in_one_line(error))),
    }
}
