//! What `deputy renew` and `deputy revoke` share: both ask the coordinator to do something with one instance.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use deputy_coordinator::Performer;
use schemars::JsonSchema;
use serde::Serialize;

use super::socket_args::ControlSocketArgs;
use crate::completion;
use crate::context::{Context, SCHEMA};
use crate::error::CommandError;
use crate::exit::Exit;

#[derive(Debug, Args)]
pub(crate) struct InstanceArgs {
    /// The name of an instance
    #[arg(add = ArgValueCompleter::new(completion::instances))]
    pub(crate) instance: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub(crate) socket: ControlSocketArgs,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct InstanceActionJson<'a> {
    schema: u32,
    done: &'static str,
    instance: &'a str,
    /// `own`, or `leader` if the coordinator that was asked follows another one.
    by: Performer,
}

/// Prints that the coordinator has begun it.
pub(crate) fn print(
    context: &Context,
    arguments: &InstanceArgs,
    action: &'static str,
    by: Performer,
    text: &str,
) -> Result<Exit, CommandError> {
    if arguments.json {
        context.json(&InstanceActionJson { schema: SCHEMA, done: action, instance: &arguments.instance, by })?;
    } else {
        context.stdout(&format!("{}: {text}\n", arguments.instance))?;
    }
    Ok(Exit::Done)
}
