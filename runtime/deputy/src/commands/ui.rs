//! `deputy ui`

use clap::Args;

use super::socket_args::ControlSocketArgs;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::relative_time::short_time;

/// Print a URL that opens the live page in a browser
///
/// The page shows instances, workers and the audit stream, and changes nothing. The URL opens once: the browser then has a
/// session, until it is closed or the coordinator restarts, and for 12 hours at most.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deputy ui
  deputy ui --json | jq -r .url")]
pub(crate) struct UiArgs {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: ControlSocketArgs,
}

pub(crate) async fn run(context: &Context, UiArgs { json, socket }: &UiArgs) -> Result<Exit, CommandError> {
    let url = socket.client(context)?.open_page().await?;
    if *json {
        context.json(&url)?;
    } else {
        context.stdout(&format!("{}\n", url.url))?;
        context.printer.stderr(&format!("it opens once, within {}\n", short_time(url.expires_in_ms)));
    }
    Ok(Exit::Done)
}
