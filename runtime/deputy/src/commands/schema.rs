//! `deputy schema`

use clap::Args;
use deputy_config::{coordinator_schema, worker_schema};

use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;

/// Print the JSON Schema of deputy.toml, for editors
///
/// An editor with TOML support completes keys if the first line of the file names the schema, as `deputy init` writes it:
/// #:schema ./deputy.schema.json
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deputy schema > deputy.schema.json
  deputy schema --worker > worker.schema.json")]
pub(crate) struct SchemaArgs {
    /// That of worker.toml
    #[arg(long)]
    worker: bool,
}

pub(crate) fn run(context: &Context, arguments: &SchemaArgs) -> Result<Exit, CommandError> {
    context.stdout(if arguments.worker { worker_schema() } else { coordinator_schema() })?;
    Ok(Exit::Done)
}
