//! `deputy workers`

use clap::{Args, Subcommand};
use deputy_coordinator::{AppliedStatus, WorkerCondition, WorkerList, WorkerQuery, WorkerStatus};
use deputy_core::{GroupName, InstanceName};
use deputy_link::WorkerId;
use serde::Serialize;

use super::socket_args::ControlSocketArgs;
use crate::context::{Context, SCHEMA};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::relative_time::short_time;
use crate::table::Table;

/// List workers with what they applied, remove or ban them
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  deputy workers
  deputy workers --group etl --worker-state connected
  deputy workers --json | jq '.workers[] | select(.connected | not)'
  deputy workers remove 9f31c07a52d84e66
  deputy workers ban 9f31c07a52d84e66"
)]
pub(crate) struct WorkersArgs {
    #[command(subcommand)]
    command: Option<WorkersSubcommand>,
    #[command(flatten)]
    list: ListWorkersArgs,
}

#[derive(Debug, Args)]
struct ListWorkersArgs {
    /// Only workers of this group
    #[arg(long, value_name = "GROUP")]
    group: Option<GroupName>,
    /// Only workers in this state: away, banned, connected, locked or removed
    // `--state` is the state directory.
    #[arg(id = "worker-state", long = "worker-state", value_name = "STATE")]
    state: Option<WorkerCondition>,
    /// Only workers that get or have applied this instance, and only what they have applied of it
    #[arg(long, value_name = "INSTANCE")]
    instance: Option<InstanceName>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: ControlSocketArgs,
}

#[derive(Debug, Subcommand)]
enum WorkersSubcommand {
    /// Disconnect a worker at once and refuse its key from then on
    #[command(after_help = "Examples:
  deputy workers ban 9f31c07a52d84e66
  deputy workers ban 9f31c07a52d84e66 --json")]
    Ban(WorkerIdArgs),
    /// Disconnect a worker at once; it can enrol again with a new token
    #[command(after_help = "Examples:
  deputy workers remove 9f31c07a52d84e66
  deputy workers remove 9f31c07a52d84e66 --json")]
    Remove(WorkerIdArgs),
}

#[derive(Debug, Args)]
struct WorkerIdArgs {
    /// The worker's ID, as printed by `deputy workers`
    worker: WorkerId,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: ControlSocketArgs,
}

#[derive(Serialize)]
struct WorkerActionJson {
    schema: u32,
    done: &'static str,
    id: String,
}

pub(crate) async fn run(context: &Context, arguments: &WorkersArgs) -> Result<Exit, CommandError> {
    match &arguments.command {
        None => list(context, &arguments.list).await?,
        Some(WorkersSubcommand::Ban(arguments)) => {
            arguments.socket.client(context)?.ban_worker(arguments.worker).await?;
            print_action(context, arguments, "ban", "disconnected, and its key is refused from now on")?;
        }
        Some(WorkersSubcommand::Remove(arguments)) => {
            arguments.socket.client(context)?.remove_worker(arguments.worker).await?;
            print_action(context, arguments, "remove", "disconnected; it can enrol again with a new token")?;
        }
    }
    Ok(Exit::Done)
}

fn print_action(
    context: &Context,
    arguments: &WorkerIdArgs,
    action: &'static str,
    text: &str,
) -> Result<(), CommandError> {
    let id = arguments.worker.to_string();
    if arguments.json {
        return context.json(&WorkerActionJson { schema: SCHEMA, done: action, id });
    }
    context.stdout(&format!("{id}: {text}\n"))
}

async fn list(context: &Context, arguments: &ListWorkersArgs) -> Result<(), CommandError> {
    let client = arguments.socket.client(context)?;
    let mut query = WorkerQuery {
        group: arguments.group.clone(),
        instance: arguments.instance.clone(),
        state: arguments.state,
        ..WorkerQuery::default()
    };
    let mut connected = 0;
    let mut total = 0;
    loop {
        let page = client.workers(&query).await?;
        let is_first = query.after.is_none();
        let text = if arguments.json { json_page(&page, is_first)? } else { table_page(&page.workers, is_first) };
        if !context.stdout_if_read(&text)? {
            return Ok(());
        }
        connected += page.workers.iter().filter(|worker| worker.connected).count();
        total += page.workers.len();
        match page.next {
            Some(next) => query.after = Some(next),
            None => break,
        }
    }
    let end = if arguments.json { "]}\n".to_owned() } else { format!("{connected} of {total} connected\n") };
    context.stdout(&end)
}

/// A page as a part of one object, which is printed page by page: not all workers need to be in memory at once.
fn json_page(page: &WorkerList, is_first: bool) -> Result<String, CommandError> {
    let mut text = if is_first { format!("{{\"schema\":{SCHEMA},\"workers\":[") } else { String::new() };
    for (number, worker) in page.workers.iter().enumerate() {
        if number > 0 || !is_first {
            text.push(',');
        }
        text.push_str(&serde_json::to_string(worker).map_err(|error| CommandError::new(Exit::Internal, error))?);
    }
    Ok(text)
}

fn table_page(workers: &[WorkerStatus], is_first: bool) -> String {
    let mut table = Table::default();
    table.row(["WORKER", "GROUP", "STATE", "ADDRESS", "HOST", "VERSION", "SEEN", "APPLIED"]);
    for worker in workers {
        let applied: Vec<String> = worker.applied.iter().map(applied_text).collect();
        table.row([
            worker.id.clone(),
            worker.group.clone(),
            worker.condition().word().to_owned(),
            or_dash(worker.address.as_deref()),
            or_dash(worker.host.as_deref()),
            or_dash(worker.version.as_deref()),
            or_dash(worker.seen_ago_ms.map(|millis| format!("{} ago", short_time(millis))).as_deref()),
            or_dash(Some(&applied.join(", "))),
        ]);
    }
    let text = table.render_with_heading(None);
    // Only the first page has a heading.
    if is_first { text } else { text.split_once('\n').map(|(_, rows)| rows.to_owned()).unwrap_or_default() }
}

fn or_dash(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty()).unwrap_or("-").to_owned()
}

/// `s3-prod 7`, and what is wrong with it.
fn applied_text(applied: &AppliedStatus) -> String {
    let instance = &applied.instance;
    let revision = or_dash(applied.revision.map(|revision| revision.to_string()).as_deref());
    match (&applied.failure, applied.newest) {
        (Some(failure), _) => format!("{instance} {revision} failed: {failure}"),
        (None, Some(newest)) if !applied.current => format!("{instance} {revision} of {newest}"),
        (None, _) => format!("{instance} {revision}"),
    }
}
