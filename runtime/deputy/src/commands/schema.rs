//! `deputy schema`

use clap::Args;
use deputy_config::{coordinator_schema, worker_schema};

use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;

/// What commands print with `--json`.
pub(super) const OUTPUT_SCHEMA: &str = include_str!("../../schema/output.schema.json");

/// Print the JSON Schema of deputy.toml, for editors, or of what commands print
///
/// An editor with TOML support completes keys if the first line of the file names the schema, as `deputy init` writes it:
/// #:schema ./deputy.schema.json
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deputy schema > deputy.schema.json
  deputy schema --worker > worker.schema.json
  deputy schema --output > output.schema.json")]
pub(crate) struct SchemaArgs {
    /// Print the schema of worker.toml
    #[arg(long)]
    worker: bool,
    /// Print the schema of what commands print with --json
    #[arg(long, conflicts_with = "worker")]
    output: bool,
}

pub(crate) fn run(context: &Context, arguments: &SchemaArgs) -> Result<Exit, CommandError> {
    context.stdout(match (arguments.worker, arguments.output) {
        (true, _) => worker_schema(),
        (false, true) => OUTPUT_SCHEMA,
        (false, false) => coordinator_schema(),
    })?;
    Ok(Exit::Done)
}
