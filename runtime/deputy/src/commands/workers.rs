//! `deputy workers`

use std::fmt;

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use deputy_coordinator::{
    AppliedStatus, Attention, ControlClient, WorkerCondition, WorkerList, WorkerQuery, WorkerStatus,
};
use deputy_core::{GroupName, InstanceName, truncated};
use deputy_link::WorkerId;
use deputy_local::SocketClientError;
use schemars::JsonSchema;
use serde::Serialize;

use super::socket_args::ControlSocketArgs;
use super::watch::watch;
use crate::attention;
use crate::completion;
use crate::context::{Context, SCHEMA};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::relative_time::short_time;
use crate::table::{Cell, Table};

const HEADING: [&str; 8] = ["WORKER", "GROUP", "STATE", "ADDRESS", "HOST", "VERSION", "SEEN", "APPLIED"];

/// Columns that a narrow terminal does not show: VERSION, HOST, ADDRESS, SEEN.
const OPTIONAL: [usize; 4] = [5, 4, 3, 6];

/// After the last page.
const JSON_END: &str = "]}\n";

/// List workers with what they applied, remove or ban them
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  deputy workers
  deputy workers --group etl --worker-state connected
  deputy workers --watch
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
    #[arg(long, value_name = "GROUP", add = ArgValueCompleter::new(completion::groups))]
    group: Option<GroupName>,
    /// Only workers in this state: away, banned, connected, locked, not-here or removed
    // `--state` is the state directory.
    #[arg(id = "worker-state", long = "worker-state", value_name = "STATE")]
    state: Option<WorkerCondition>,
    /// Only workers that get or have applied this instance, and only what they have applied of it
    #[arg(long, value_name = "INSTANCE", add = ArgValueCompleter::new(completion::instances))]
    instance: Option<InstanceName>,
    /// Refresh every second until interrupted
    #[arg(long)]
    watch: bool,
    /// Print one JSON object, or one per line with --watch
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
    #[arg(add = ArgValueCompleter::new(completion::workers))]
    worker: WorkerId,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: ControlSocketArgs,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct WorkerActionJson {
    schema: u32,
    done: &'static str,
    id: String,
}

pub(crate) async fn run(context: &Context, arguments: &WorkersArgs) -> Result<Exit, CommandError> {
    match &arguments.command {
        None => {
            let client = arguments.list.socket.client(context)?;
            list(context, &client, &arguments.list).await?;
        }
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

async fn list(context: &Context, client: &ControlClient, arguments: &ListWorkersArgs) -> Result<(), CommandError> {
    match (arguments.watch, arguments.json, context.width()) {
        (true, json, _) => watch(context, json, async || whole(client, arguments, context.width()).await).await,
        (false, false, Some(width)) => context.stdout(&sorted(client, arguments, Some(width)).await?),
        (false, ..) => print_pages(context, client, arguments).await,
    }
}

/// Prints workers by id, page by page: not all of them need to be in memory at once.
async fn print_pages(
    context: &Context,
    client: &ControlClient,
    arguments: &ListWorkersArgs,
) -> Result<(), CommandError> {
    let mut query = arguments.query();
    let mut count = WorkerCount::default();
    loop {
        let page = client.workers(&query).await?;
        let is_first = query.after.is_none();
        let text = if arguments.json { json_page(&page, is_first) } else { table_page(&page.workers, is_first) };
        if !context.stdout_if_read(&text)? {
            return Ok(());
        }
        count.add(&page.workers);
        match page.next {
            Some(next) => query.after = Some(next),
            None => break,
        }
    }
    context.stdout(&if arguments.json { JSON_END.to_owned() } else { count.to_string() })
}

/// All workers as one text, which `--watch` shows again and again.
async fn whole(
    client: &ControlClient,
    arguments: &ListWorkersArgs,
    width: Option<usize>,
) -> Result<String, SocketClientError> {
    if !arguments.json {
        return sorted(client, arguments, width).await;
    }
    let mut query = arguments.query();
    let mut text = String::new();
    loop {
        let page = client.workers(&query).await?;
        text.push_str(&json_page(&page, query.after.is_none()));
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(text + JSON_END),
        }
    }
}

/// All workers in a table: first those that need a person, and others by id.
async fn sorted(
    client: &ControlClient,
    arguments: &ListWorkersArgs,
    width: Option<usize>,
) -> Result<String, SocketClientError> {
    let mut query = arguments.query();
    let mut count = WorkerCount::default();
    let mut rows = Vec::new();
    loop {
        let page = client.workers(&query).await?;
        count.add(&page.workers);
        rows.extend(page.workers.iter().map(|worker| (Attention::of_worker(worker), worker_row(worker, width))));
        match page.next {
            Some(next) => query.after = Some(next),
            None => break,
        }
    }
    // The sort is stable, and they come by id.
    rows.sort_by_key(|(attention, _)| *attention);
    let mut table = Table::with_optional(&OPTIONAL);
    table.row(HEADING);
    rows.into_iter().for_each(|(_, row)| table.row(row));
    Ok(table.render_with_heading(width) + &count.to_string())
}

impl ListWorkersArgs {
    fn query(&self) -> WorkerQuery {
        WorkerQuery {
            group: self.group.clone(),
            instance: self.instance.clone(),
            state: self.state,
            ..WorkerQuery::default()
        }
    }
}

/// The line below a table.
#[derive(Default)]
struct WorkerCount {
    connected: usize,
    all: usize,
}

impl WorkerCount {
    fn add(&mut self, workers: &[WorkerStatus]) {
        self.connected += workers.iter().filter(|worker| worker.connected).count();
        self.all += workers.len();
    }
}

impl fmt::Display for WorkerCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} of {} connected", self.connected, self.all)
    }
}

/// A page as a part of one object.
fn json_page(page: &WorkerList, is_first: bool) -> String {
    let mut text = if is_first { format!("{{\"schema\":{SCHEMA},\"workers\":[") } else { String::new() };
    for (number, worker) in page.workers.iter().enumerate() {
        if number > 0 || !is_first {
            text.push(',');
        }
        // It came as JSON, so it can be written as JSON.
        text.push_str(&serde_json::to_string(worker).unwrap_or_default());
    }
    text
}

fn table_page(workers: &[WorkerStatus], is_first: bool) -> String {
    let mut table = Table::default();
    table.row(HEADING);
    workers.iter().for_each(|worker| table.row(worker_row(worker, None)));
    let text = table.render_with_heading(None);
    // Only the first page has a heading.
    if is_first { text } else { text.split_once('\n').map(|(_, rows)| rows.to_owned()).unwrap_or_default() }
}

fn worker_row(worker: &WorkerStatus, width: Option<usize>) -> [Cell; 8] {
    let mut deliveries: Vec<&AppliedStatus> = worker.applied.iter().collect();
    deliveries.sort_by_key(|applied| Attention::of_applied(applied));
    let applied = deliveries.into_iter().map(applied_text).collect::<Vec<_>>().join(", ");
    // No more than can be shown: a fleet has many workers.
    let applied = width.map_or_else(|| applied.clone(), |width| truncated(&applied, width));
    [
        Cell::new(&worker.id),
        Cell::new(&worker.group),
        Cell::new(worker.condition().word()).styled(attention::style(Attention::of_worker(worker))),
        or_dash(worker.address.as_deref()).into(),
        or_dash(worker.host.as_deref()).into(),
        or_dash(worker.version.as_deref()).into(),
        or_dash(worker.seen_ago_ms.map(|millis| format!("{} ago", short_time(millis))).as_deref()).into(),
        or_dash(Some(&applied)).into(),
    ]
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
