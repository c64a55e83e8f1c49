//! `deputy reload`

use clap::Args;
use deputy_coordinator::Removals;

use super::socket_args::ControlSocketArgs;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::print::WARNING;
use crate::table::Table;

/// Reload the coordinator's configuration
///
/// A configuration with an error changes nothing. A valid one restarts the instances that it changes, including those with a
/// changed component, and leaves all others alone. SIGHUP does the same.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deputy reload
  deputy reload --json | jq -r .changed[]")]
pub(crate) struct ReloadArgs {
    /// Reload even if more than a third of the instances, receivers or deliveries in use would be removed
    #[arg(long)]
    remove: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: ControlSocketArgs,
}

pub(crate) async fn run(context: &Context, arguments: &ReloadArgs) -> Result<Exit, CommandError> {
    let removals = if arguments.remove { Removals::Any } else { Removals::Few };
    let reloaded = arguments.socket.client(context)?.reload(removals).await?;
    if arguments.json {
        context.json(&reloaded)?;
        return Ok(Exit::Done);
    }
    for warning in &reloaded.warnings {
        context.printer.labelled(WARNING, "warning", warning);
    }
    let mut table = Table::default();
    for (label, names) in [("added", &reloaded.added), ("changed", &reloaded.changed), ("removed", &reloaded.removed)] {
        if !names.is_empty() {
            table.row([label, &names.join(", ")]);
        }
    }
    table.row(["unchanged", &reloaded.unchanged.to_string()]);
    context.stdout(&table.render(0))?;
    Ok(Exit::Done)
}
