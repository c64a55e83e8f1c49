//! `deputy run`

use std::convert::Infallible;
use std::path::PathBuf;

use clap::{Args, ValueHint};
use deputy_coordinator::Removals;
use deputy_host::coordinator::{
    CoordinatorAddresses, CoordinatorControls, CoordinatorProcess, CoordinatorProcessOptions, config_warnings,
};
use tokio::task::JoinSet;

use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::signals::{DaemonSignal, DaemonSignals};

/// Run the coordinator: keep a valid lease for every instance
///
/// Obtains and renews leases, saves them sealed in the state directory, and restores them after a restart.
/// SIGTERM stops it, SIGHUP reloads the configuration. `deputy status` shows all leases and failures.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deputy run
  deputy run --config /etc/deputy/deputy.toml
  deputy run --audit - --log warn")]
pub(crate) struct RunArgs {
    /// Start even if more than a third of the instances, receivers or deliveries of the last configuration are missing
    #[arg(long)]
    remove: bool,
    /// Append what components do as JSON lines to a file; - is stdout [default: see `audit` in the configuration]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    audit: Option<PathBuf>,
}

pub(crate) async fn run(context: &Context, arguments: &RunArgs) -> Result<Exit, CommandError> {
    let config = context.configuration()?;
    for warning in config_warnings(&config).into_iter().chain(context.unused_proxy_warning()) {
        tracing::warn!("{warning}");
    }
    let options = CoordinatorProcessOptions {
        state_dir: context.state_dir(Some(&config))?,
        config,
        audit: arguments.audit.clone(),
        removals: if arguments.remove { Removals::Any } else { Removals::Few },
        platform: context.platform()?,
    };
    let mut signals = DaemonSignals::new()?;
    let Some(coordinator) = signals.stop.unless_stopped(CoordinatorProcess::build(options)).await else {
        return Ok(Exit::Done);
    };
    let coordinator = coordinator?;
    log_addresses(&coordinator.addresses());
    let controls = coordinator.controls();
    tokio::select! {
        ended = coordinator.run() => {
            ended?;
            Ok(Exit::Done)
        }
        never = obey(signals, controls) => match never {},
    }
}

fn log_addresses(addresses: &CoordinatorAddresses<'_>) {
    tracing::info!(socket = %addresses.control.display(), "control socket listening");
    if let Some(address) = addresses.health {
        tracing::info!(%address, "health endpoint listening");
    }
    if let Some(address) = addresses.workers {
        tracing::info!(%address, "listening for workers");
    }
}

/// Reloads and stops the coordinator at signals. A reload may take minutes, and delays no stop.
async fn obey(mut signals: DaemonSignals, controls: CoordinatorControls) -> Infallible {
    let mut reload = JoinSet::new();
    loop {
        tokio::select! {
            signal = signals.recv(reload.is_empty()) => match signal {
                DaemonSignal::Reload => {
                    let controls = controls.clone();
                    reload.spawn(async move { controls.reload().await });
                }
                DaemonSignal::Stop => controls.stop().await,
            },
            Some(_) = reload.join_next() => {}
        }
    }
}
