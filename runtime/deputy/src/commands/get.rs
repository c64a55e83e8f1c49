//! `deputy get`

use std::path::PathBuf;

use clap::{Args, ValueHint};
use clap_complete::engine::ArgValueCompleter;
use deputy_core::Span;
use deputy_local::ReceivedPayload;
use schemars::JsonSchema;
use serde::Serialize;

use super::lease_format::{self, LeaseFormat};
use super::socket_args::{LeaseSocketArgs, parse_wait};
use crate::completion;
use crate::context::{Context, SCHEMA};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::print::payload_text;
use crate::private_file::PrivateFile;
use crate::table::Table;

/// Print the payload of an instance's lease, or write it to a file
///
/// Asks the running coordinator, or the worker if its configuration or socket is given. For an on-demand instance, asking
/// makes the coordinator obtain a lease, which it keeps for a while.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deputy get s3-prod --out credentials.json
  deputy get s3-prod --config worker.toml
  deputy get s3-prod --wait 30s --reveal | jq -r .AccessKeyId
  deputy get s3-prod --format aws-process --socket /run/deputy/worker.sock
  deputy get s3-prod --format env --config worker.toml
  deputy get s3-prod --json")]
pub(crate) struct GetArgs {
    /// The name of an instance
    #[arg(add = ArgValueCompleter::new(completion::instances))]
    instance: String,
    /// Print the payload, and nothing else, on stdout
    #[arg(long, conflicts_with = "json")]
    reveal: bool,
    /// Print the credentials, and nothing else, on stdout in this form
    #[arg(long, value_name = "FORM", value_enum, conflicts_with_all = ["json", "reveal", "out"])]
    format: Option<LeaseFormat>,
    /// Write the payload to a file that only its owner can read (mode 0600)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    out: Option<PathBuf>,
    /// How long to wait for a lease, at most 60s
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_wait)]
    wait: Span,
    /// Print one JSON object, without the payload
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: LeaseSocketArgs,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct GetJson<'a> {
    schema: u32,
    instance: &'a str,
    revision: Option<u64>,
    kind: Option<String>,
    valid_until: Option<String>,
    payload_bytes: usize,
    out: Option<String>,
}

pub(crate) async fn run(context: &Context, arguments: &GetArgs) -> Result<Exit, CommandError> {
    let file = arguments.out.as_deref().map(PrivateFile::prepare).transpose()?;
    let lease = arguments.socket.client(context)?.lease(&arguments.instance, arguments.wait).await?;
    if let Some(file) = file {
        file.commit(lease.payload.expose())?;
    }
    if let Some(format) = arguments.format {
        let text = lease_format::text(format, &arguments.instance, &lease)?;
        context.payload(text.as_bytes())?;
    } else if arguments.json {
        context.json(&GetJson {
            schema: SCHEMA,
            instance: &arguments.instance,
            revision: lease.revision,
            kind: lease.kind,
            valid_until: lease.valid_until,
            payload_bytes: lease.payload.len(),
            out: arguments.out.as_ref().map(|path| path.display().to_string()),
        })?;
    } else if arguments.reveal {
        context.payload(lease.payload.expose())?;
    } else {
        context.stdout(&text(arguments, &lease))?;
    }
    Ok(Exit::Done)
}

fn text(arguments: &GetArgs, lease: &ReceivedPayload) -> String {
    let mut table = Table::default();
    table.row(["instance", &arguments.instance]);
    table.row(["revision", &lease.revision.map(|revision| revision.to_string()).unwrap_or_default()]);
    table.row(["kind", lease.kind.as_deref().unwrap_or("unknown")]);
    table.row(["valid until", lease.valid_until.as_deref().unwrap_or_default()]);
    table.row(["payload", &payload_text(lease.payload.len(), arguments.out.as_deref())]);
    table.render(0)
}
