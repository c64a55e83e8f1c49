//! `deputy worker`

pub(crate) mod status;

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueHint};
use deputy_config::WorkerConfig;
use deputy_core::Span;
use deputy_host::worker::{OnceOutcome, WorkerAddresses, WorkerControls, WorkerProcess, WorkerProcessOptions};
use deputy_link::{JoinString, JoinStringError, MAX_JOIN_STRING};

use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::input::read_input;
use crate::signals::{DaemonSignal, DaemonSignals};
use status::WorkerStatusArgs;

/// Run a worker: receive leases and publish them as files
///
/// Joins the coordinator once, with a join string, and keeps its identity from then on. Runs the receivers of its group and its
/// own, and publishes the files of each receiver as one unit in the output directory. Published files stay when the coordinator
/// is unreachable and when the worker stops.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  deputy worker --join join.txt --output /run/deputy
  deputy worker --config /etc/deputy/worker.toml
  deputy worker --once --timeout 30s
  deputy worker status"
)]
pub(crate) struct WorkerArgs {
    #[command(subcommand)]
    pub(crate) command: Option<WorkerSubcommand>,
    /// The join string, or a file with it, or - for stdin. Needed once. Prefer a file: other users can see arguments
    #[arg(long, value_name = "STRING|FILE")]
    join: Option<OsString>,
    /// The directory in which receivers' files are published [default: see `output` in the configuration]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    output: Option<PathBuf>,
    /// Apply what the coordinator delivers, and exit: with code 0 if all of it is applied
    #[arg(long)]
    once: bool,
    /// How long --once waits until all is applied
    #[arg(long, value_name = "DURATION", default_value = "60s", requires = "once")]
    timeout: Span,
    /// Append what receivers do as JSON lines to a file; - is stdout [default: see `audit` in the configuration]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    audit: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WorkerSubcommand {
    Status(WorkerStatusArgs),
}

pub(crate) async fn run(context: &Context, arguments: &WorkerArgs) -> Result<Exit, CommandError> {
    match &arguments.command {
        Some(WorkerSubcommand::Status(arguments)) => status::run(context, arguments).await,
        None => run_worker(context, arguments).await,
    }
}

async fn run_worker(context: &Context, arguments: &WorkerArgs) -> Result<Exit, CommandError> {
    let config = configuration(context, arguments)?;
    if let Some(warning) = context.unused_proxy_warning() {
        tracing::warn!("{warning}");
    }
    let options = WorkerProcessOptions {
        state_dir: context.worker_state_dir(config.state_dir.as_deref())?,
        config,
        join: arguments.join.as_deref().map(join_string).transpose()?,
        audit: arguments.audit.clone(),
        version: env!("CARGO_PKG_VERSION"),
        platform: context.platform()?,
    };
    let mut signals = DaemonSignals::new()?;
    let built = signals.stop.unless_stopped(build(options, arguments.once.then_some(arguments.timeout)));
    let Some(worker) = built.await else { return Ok(Exit::Done) };
    let worker = worker?;
    log_addresses(&worker.addresses());
    let controls = worker.controls();
    if arguments.once {
        return tokio::select! {
            outcome = worker.run_once(arguments.timeout) => once(outcome),
            never = obey(signals, controls) => match never {},
        };
    }
    tokio::select! {
        () = worker.run() => Ok(Exit::Done),
        never = obey(signals, controls) => match never {},
    }
}

/// Joins the coordinator if it has to, for no longer than the limit if there is one.
async fn build(options: WorkerProcessOptions, limit: Option<Span>) -> Result<WorkerProcess, CommandError> {
    let building = WorkerProcess::build(options);
    let Some(limit) = limit else { return Ok(building.await?) };
    match tokio::time::timeout(limit.duration(), building).await {
        Ok(worker) => Ok(worker?),
        Err(_) => {
            Err(CommandError::new(Exit::Unavailable, format!("the worker did not join the coordinator in {limit}")))
        }
    }
}

/// What `--once` ends with.
fn once(outcome: OnceOutcome) -> Result<Exit, CommandError> {
    let (error, reasons) = match outcome {
        OnceOutcome::Applied | OnceOutcome::Stopped => return Ok(Exit::Done),
        OnceOutcome::NotAdmitted(reasons) => {
            (CommandError::new(Exit::Denied, "the coordinator does not admit this worker"), reasons)
        }
        OnceOutcome::Missing(reasons) => {
            (CommandError::new(Exit::Unavailable, "not everything was applied in time"), reasons)
        }
    };
    Err(reasons.lines().fold(error, CommandError::hint))
}

fn configuration(context: &Context, arguments: &WorkerArgs) -> Result<WorkerConfig, CommandError> {
    let mut config = context.worker_configuration()?;
    if let Some(output) = &arguments.output {
        let output = std::path::absolute(output)
            .map_err(|error| CommandError::new(Exit::Failed, error).context("cannot use the output directory"))?;
        config.publish.output = Some(output);
    }
    Ok(config)
}

fn log_addresses(addresses: &WorkerAddresses<'_>) {
    tracing::info!(socket = %addresses.socket.display(), "worker socket listening");
    if let Some(address) = addresses.health {
        tracing::info!(%address, "health endpoint listening");
    }
}

/// Reopens the audit log and stops the worker at signals.
async fn obey(mut signals: DaemonSignals, controls: WorkerControls) -> Infallible {
    loop {
        match signals.recv(true).await {
            DaemonSignal::Reload => controls.reopen_audit().await,
            DaemonSignal::Stop => controls.stop().await,
        }
    }
}

/// The argument of `--join`: the join string, or where it is.
fn join_string(argument: &OsStr) -> Result<JoinString, CommandError> {
    if let Some(text) = argument.to_str().filter(|text| text.starts_with("dj")) {
        return parse(text.as_bytes());
    }
    // Errors do not repeat the argument, which may be a mistyped join string.
    parse(&read_input(Path::new(argument), MAX_JOIN_STRING).map_err(|error| {
        CommandError::new(Exit::Failed, error).context("cannot read the join string").hint(
            "--join takes a join string (dj1.… or dj2.…), a file with one, or - for stdin; `deputy token create` on the coordinator \
             creates one",
        )
    })?)
}

fn parse(text: &[u8]) -> Result<JoinString, CommandError> {
    let text = std::str::from_utf8(text).unwrap_or_default();
    text.parse().map_err(|error: JoinStringError| CommandError::new(Exit::Misconfigured, error))
}
