//! `deputy worker`: joins, stays connected, applies, and gives out on this machine.
//!
//! Each part has its owner: the link's client the connection and the identity, the worker's loop what is applied, the
//! cache what survives. Here they are put together and awaited together. When the coordinator does not let the worker in
//! any more, the rest goes on: what is applied stays, and the operator is told how to join again.

mod check;
mod identity;
mod plans;
mod receiver;
mod status;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use deputy_config::WorkerConfig;
use deputy_core::in_one_line;
use deputy_core::time::Clock;
use deputy_http_server::{listen, serve};
use deputy_link::WorkerState;
use deputy_link::client::{ClientOptions as LinkOptions, LinkClient};
use deputy_metrics::WorkerMetrics;
use deputy_observe::Audit;
use deputy_sandbox::{CacheKey, CodeCache};
use deputy_sources::SourceContext;
use deputy_store::{DirectoryStore, Random, Store};
use deputy_support::SystemClock;
use deputy_worker::cache::{LeaseCacheError, StateDirLock};
use deputy_worker::components::ComponentStore;
use deputy_worker::endpoint::{AwsEndpoint, LeaseAccess, LocalEndpoint, TokenFile};
use deputy_worker::{ConnectionPhase, ConnectionSnapshot, Worker, WorkerHandle, WorkerHealth, WorkerOptions};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::cli;
use crate::context::{Context, WORKER_SOCKET};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::fd_limit;
use crate::run::{failed, listen_local, random, seed};
use crate::sandbox;
use identity::Identities;
use receiver::SandboxedReceivers;

pub(crate) use check::check;
pub(crate) use status::status;

pub(crate) async fn run(context: &Context, arguments: &cli::WorkerArgs) -> Result<Exit, CommandError> {
    fd_limit::raise();
    let mut config = context.worker_configuration()?;
    if let Some(output) = &arguments.output {
        let output = std::path::absolute(output).map_err(|error| failed(error, "cannot use the output folder"))?;
        config.publish.output = Some(output);
    }
    let Some(state) = context.worker_state_dir(config.state_dir.as_deref()) else { return Err(sandbox::no_state()) };
    let here = Arc::new(SourceContext::of_process());
    let random = random();
    let (store, cache_key) = open_state(&config, &state, &here, &random).await?;
    let plans = Arc::new(plans::plans(&config, &state).await?);

    let claim = StateDirLock::take(Arc::clone(&store)).await.map_err(unusable)?;

    let identities = Arc::new(Identities::new(store));
    let (argument, configured) = (arguments.join.as_deref(), config.join.as_ref());
    let identity = identity::identity(&identities, argument, configured, &here, SystemClock::wall()).await?;
    let worker = identity.worker.to_string();
    let mut cache = claim.cache(&worker).map_err(unusable)?;
    // What can't be read is no error: the coordinator has it all.
    let held = cache.restore().await;
    tracing::info!(%worker, group = %identity.group, coordinator = identity.address, held = held.deliveries.len(), "starting");

    // What is used is kept: what the link brings goes through the cache.
    let (used, in_use) = watch::channel(Arc::new(held.clone()));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let (address, group) = (identity.address.clone(), identity.group.to_string());
    let (client, link) = LinkClient::new(LinkOptions {
        identity,
        keep: Arc::clone(&identities) as _,
        wanted: config.instances.clone().unwrap_or_default(),
        held,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        host: host(),
        clock: Arc::clone(&clock),
        seed: seed(&random)?,
    });
    let metrics = Arc::new(WorkerMetrics::default());
    let audit = Arc::new(sandbox::audit(arguments.audit.as_deref().or(config.audit.as_deref()))?);
    let sandbox = sandbox::open(CodeCache { state_dir: state.clone(), key: cache_key }, Arc::clone(&audit))?;
    let calls = sandbox.clone();
    let components = ComponentStore::open(state.join("components")).await;
    let components = components.map_err(|error| failed(error, "cannot keep receivers' components"))?;
    let following = components.clone().follow(link.held.clone(), link.state.clone());
    let loader = SandboxedReceivers::new(sandbox, components, link.clone(), &config);
    let name = worker.clone();
    let state_of_link = link.state.clone();
    let (worker, handle) = Worker::new(WorkerOptions {
        plans,
        loader: Arc::new(loader),
        metrics: Arc::clone(&metrics),
        clock,
        random: Arc::clone(&random),
        seed: seed(&random)?,
        held: in_use.clone(),
        reports: link.reports.clone(),
        connection: Box::new(move || connection(&worker, &group, &address, &state_of_link)),
    });

    let mut tasks = JoinSet::new();
    let file = endpoints(&mut tasks, &config, &state, &in_use, &handle, &random, &here).await?;
    if let Some(address) = config.health {
        let listener = listen(address).await.map_err(|error| crate::run::port(error, address))?;
        tracing::info!(%address, "health endpoint listening");
        tasks.spawn(serve(listener, Arc::new(WorkerHealth::new(handle.clone(), metrics, Arc::clone(&audit)))));
    }
    tasks.spawn(cache.follow(link.held.clone(), used));
    tasks.spawn(following);
    tasks.spawn(obey(handle, Arc::clone(&audit))?);
    let again =
        config.join.as_ref().map_or("", |_| "; a new string where `join` in [worker] says is used at the next start");
    tasks.spawn(async move {
        let out = client.run().await;
        identities.ended(&name, &out).await;
        tracing::error!("link to the coordinator closed: {out}; held leases stay in use{again}");
    });
    worker.run().await;
    // Calls that were cut off are in the audit trail before the program ends.
    calls.settle().await;
    drop(tasks);
    drop(file);
    audit.flush().await;
    drop(claim);
    Ok(Exit::Done)
}

/// The sealed state, and the key for compiled code that comes with it.
async fn open_state(
    config: &WorkerConfig,
    state: &Path,
    here: &SourceContext,
    random: &Random,
) -> Result<(Arc<dyn Store>, CacheKey), CommandError> {
    let key = sandbox::master_key(state, config.key.as_ref(), here, Arc::clone(random)).await;
    let key = key.map_err(|error| failed(error, "cannot have the key that seals the state"))?;
    let cache_key = sandbox::cache_key(&key)?;
    let store = DirectoryStore::open(state, key, Arc::clone(random)).await;
    Ok((Arc::new(store.map_err(|error| failed(error, "cannot use the state"))?), cache_key))
}

fn unusable(error: LeaseCacheError) -> CommandError {
    failed(error, "cannot use the state")
}

/// What programs on this machine can ask. The socket for the status is always there.
async fn endpoints(
    tasks: &mut JoinSet<()>,
    config: &WorkerConfig,
    state: &Path,
    held: &watch::Receiver<Arc<WorkerState>>,
    handle: &WorkerHandle,
    random: &Random,
    here: &SourceContext,
) -> Result<deputy_local::SocketFile, CommandError> {
    let configured = config.endpoints.socket.as_ref();
    let leases = if configured.is_some() { LeaseAccess::Given } else { LeaseAccess::Withheld };
    let socket: PathBuf =
        configured.and_then(|socket| socket.path.clone()).unwrap_or_else(|| state.join(WORKER_SOCKET));
    let mode = configured.map(|socket| socket.mode).unwrap_or_default().bits();
    let (listener, file) = listen_local(&socket, mode, "`path` in [endpoints.socket]")?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let local = LocalEndpoint::new(held.clone(), Arc::clone(&clock), Arc::new(handle.clone()), leases);
    tasks.spawn(serve(listener, Arc::new(local)));
    for aws in &config.endpoints.aws {
        let token = TokenFile::open(&aws.token_file, &**random, here, Arc::clone(&clock)).await;
        let token = token.map_err(|error| failed(error, "cannot have the token of an endpoint"))?;
        let listener = listen(aws.listen).await.map_err(|error| {
            let hint = format!("`listen` in [[endpoints.aws]] names the address {}", aws.listen);
            failed(error, "cannot listen for AWS's libraries").hint(hint)
        })?;
        let url = format!("http://{}{}", aws.listen, AwsEndpoint::path(&aws.instance));
        tracing::info!(instance = %aws.instance, url, "AWS endpoint listening");
        let endpoint = AwsEndpoint::new(aws.instance.clone(), token, held.clone(), Arc::clone(&clock));
        tasks.spawn(serve(listener, Arc::new(endpoint)));
    }
    Ok(file)
}

/// The link as the worker's status shows it.
fn connection(
    worker: &str,
    group: &str,
    coordinator: &str,
    state: &watch::Receiver<deputy_link::client::LinkState>,
) -> ConnectionSnapshot {
    use deputy_link::client::LinkPhase as Linked;
    let state = state.borrow();
    ConnectionSnapshot {
        worker: worker.to_owned(),
        group: group.to_owned(),
        coordinator: coordinator.to_owned(),
        phase: match state.phase {
            Linked::Connecting => ConnectionPhase::Connecting,
            Linked::Connected => ConnectionPhase::Connected,
            Linked::Out => ConnectionPhase::Out,
        },
        since: state.since,
        heard: state.heard,
        error: state.error.clone(),
        certificate_ends: Some(state.certificate_ends),
        refused: state.refused.iter().map(ToString::to_string).collect(),
    }
}

/// Ends the worker at a signal. What is published stays.
fn obey(handle: WorkerHandle, audit: Arc<Audit>) -> Result<impl Future<Output = ()> + Send + 'static, CommandError> {
    let signal = |kind| signal(kind).map_err(|error| CommandError::new(Exit::Failed, error));
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        loop {
            tokio::select! {
                Some(()) = hangup.recv() => reopen(&audit).await,
                Some(()) = interrupt.recv() => drop(handle.stop().await),
                Some(()) = terminate.recv() => drop(handle.stop().await),
                else => return,
            }
        }
    })
}

/// Opens the audit log again, as after a rotation. The configuration stays what it was.
async fn reopen(audit: &Audit) {
    match audit.reopen().await {
        Ok(()) => tracing::info!("SIGHUP: the audit log was reopened; worker.toml is read only at startup"),
        Err(error) => tracing::error!(error = in_one_line(&error), "SIGHUP: the audit log was not reopened"),
    }
}

/// The name of this machine, for `deputy workers`. Without one it has none.
fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}
