//! `deputy renew`, `revoke`, `reload` and `get`: what a coordinator that runs is asked to do.

use deputy_coordinator::{ControlClient, Removals};
use deputy_local::SocketClientError;
use serde::Serialize;

use crate::cli;
use crate::context::{Context, SCHEMA};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::PayloadFile;
use crate::print::WARNING;
use crate::table::Table;

#[derive(Serialize)]
struct DoneJson<'a> {
    schema: u32,
    done: &'static str,
    instance: &'a str,
}

#[derive(Serialize)]
struct GetJson<'a> {
    schema: u32,
    instance: &'a str,
    revision: Option<u64>,
    valid_until: Option<String>,
    payload_bytes: usize,
    out: Option<String>,
}

/// The coordinator's other end: at the socket that was named, or where the configuration has it.
pub(crate) fn client(context: &Context, socket: &cli::ControlSocketArgs) -> Result<ControlClient, CommandError> {
    let (socket, peer) = context.socket(socket.socket.as_deref())?.ok_or_else(crate::sandbox::no_state)?;
    Ok(ControlClient::new(&socket, peer))
}

/// The other end of whoever gives out leases: a coordinator or a worker.
pub(crate) fn either(
    context: &Context,
    socket: &cli::LeaseSocketArgs,
) -> Result<deputy_local::SocketClient, CommandError> {
    let (socket, peer) = context.either_socket(socket.socket.as_deref())?.ok_or_else(crate::sandbox::no_state)?;
    Ok(deputy_local::SocketClient::new(&socket, peer))
}

pub(crate) async fn renew(context: &Context, arguments: &cli::InstanceArgs) -> Result<Exit, CommandError> {
    client(context, &arguments.socket)?.renew(&arguments.instance).await?;
    done(context, arguments, "renew", "another lease is being obtained; `deputy status` tells when it is there")
}

pub(crate) async fn revoke(context: &Context, arguments: &cli::InstanceArgs) -> Result<Exit, CommandError> {
    client(context, &arguments.socket)?.revoke(&arguments.instance).await?;
    done(context, arguments, "revoke", "what it holds is being revoked; `deputy status` tells when that is done")
}

fn done(
    context: &Context,
    arguments: &cli::InstanceArgs,
    done: &'static str,
    text: &str,
) -> Result<Exit, CommandError> {
    if arguments.json {
        context.json(&DoneJson { schema: SCHEMA, done, instance: &arguments.instance })?;
    } else {
        context.data(&format!("{}: {text}\n", arguments.instance))?;
    }
    Ok(Exit::Done)
}

pub(crate) async fn reload(context: &Context, arguments: &cli::ReloadArgs) -> Result<Exit, CommandError> {
    let removals = if arguments.remove { Removals::Any } else { Removals::Few };
    let reloaded = client(context, &arguments.socket)?.reload(removals).await?;
    if arguments.json {
        context.json(&reloaded)?;
        return Ok(Exit::Done);
    }
    for warning in &reloaded.warnings {
        context.printer.labelled(WARNING, "warning", warning);
    }
    let mut table = Table::default();
    for (word, names) in [("added", &reloaded.added), ("changed", &reloaded.changed), ("removed", &reloaded.removed)] {
        if !names.is_empty() {
            table.row([word, &names.join(", ")]);
        }
    }
    table.row(["unchanged", &reloaded.unchanged.to_string()]);
    context.data(&table.render(0))?;
    Ok(Exit::Done)
}

pub(crate) async fn get(context: &Context, arguments: &cli::GetArgs) -> Result<Exit, CommandError> {
    let output = arguments.out.as_deref().map(PayloadFile::prepare).transpose();
    let output = output.map_err(|error| CommandError::new(Exit::Failed, error))?;
    let given = either(context, &arguments.socket)?.lease(&arguments.instance, arguments.wait).await?;
    if let Some(output) = output {
        output.commit(given.payload.expose()).map_err(|error| CommandError::new(Exit::Failed, error))?;
    }
    let out = arguments.out.as_ref().map(|path| path.display().to_string());
    if arguments.json {
        context.json(&GetJson {
            schema: SCHEMA,
            instance: &arguments.instance,
            revision: given.revision,
            valid_until: given.valid_until,
            payload_bytes: given.payload.len(),
            out,
        })?;
    } else if arguments.reveal {
        context.payload(given.payload.expose())?;
    } else {
        let mut table = Table::default();
        table.row(["instance", &arguments.instance]);
        table.row(["revision", &given.revision.map(|number| number.to_string()).unwrap_or_default()]);
        table.row(["valid until", &given.valid_until.unwrap_or_default()]);
        let bytes = given.payload.len();
        table.row([
            "payload",
            &match out {
                Some(path) => format!("{bytes} bytes, in {path}"),
                None => format!("{bytes} bytes, not shown: --reveal prints them, --out FILE keeps them"),
            },
        ]);
        context.data(&table.render(0))?;
    }
    Ok(Exit::Done)
}

/// The code for the kind of an instance's last failure.
fn of_failure(kind: &str) -> Exit {
    let exits = [Exit::Denied, Exit::Misconfigured, Exit::Refused, Exit::OverLimit, Exit::Broken, Exit::Internal];
    exits.into_iter().find(|exit| exit.word() == kind).unwrap_or(Exit::Unavailable)
}

impl From<SocketClientError> for CommandError {
    fn from(error: SocketClientError) -> Self {
        match error {
            SocketClientError::Refused(refused) => {
                let exit = match refused.kind.as_str() {
                    // As if the call had been this command's own.
                    "not-ready" => refused.cause.as_deref().map_or(Exit::Unavailable, of_failure),
                    "busy" | "starting" | "stopping" => Exit::Unavailable,
                    "internal" => Exit::Internal,
                    _ => Exit::Misconfigured,
                };
                Self::refused(exit, refused)
            }
            error @ SocketClientError::Forbidden { .. } => Self::new(Exit::Misconfigured, error),
            error @ (SocketClientError::Connect { .. }
            | SocketClientError::Broken { .. }
            | SocketClientError::InvalidReply { .. }) => Self::new(Exit::Unavailable, error),
        }
    }
}
