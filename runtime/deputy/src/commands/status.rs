//! `deputy status`

use std::num::NonZeroUsize;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use deputy_coordinator::ControlClient;
use deputy_coordinator::status::{CoordinatorStatus, InstanceStatus, KerberosLoginStatus, LeaseStatus, StatusQuery};
use deputy_core::truncated;
use deputy_local::{FactStatus, SocketClientError};
use deputy_worker::status::WorkerReport;
use schemars::JsonSchema;
use serde::Serialize;

use super::socket_args::ControlSocketArgs;
use super::watch::watch;
use super::worker::status::receiver_table;
use crate::attention;
use crate::completion;
use crate::context::{Context, SCHEMA};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::login_text::{clock_warning, login_table};
use crate::relative_time::{in_or_ago, short_time, valid_for};
use crate::table::{Cell, Table};
use deputy_coordinator::Attention;

/// Columns that a narrow terminal does not show: REVISION, SERVICE, NEXT IN.
const OPTIONAL: [usize; 3] = [3, 1, 5];

/// Reasons are truncated to this many characters in the overview. `deputy status INSTANCE` has all of it.
const MAX_REASON: usize = 120;

/// Show the coordinator's instances, leases and failures
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deputy status
  deputy status s3-prod
  deputy status --prefix s3- --not-ready
  deputy status --limit 20
  deputy status --watch
  deputy status --json | jq .ready")]
pub(crate) struct StatusArgs {
    /// Show one instance in detail
    #[arg(add = ArgValueCompleter::new(completion::instances))]
    instance: Option<String>,
    #[command(flatten)]
    list: ListArgs,
    /// Refresh every second until interrupted
    #[arg(long)]
    watch: bool,
    /// Print one JSON object, or one per line with --watch
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: ControlSocketArgs,
}

/// Which instances are listed.
#[derive(Debug, Args)]
struct ListArgs {
    /// Only instances whose name begins with this
    #[arg(long, value_name = "TEXT", conflicts_with = "instance")]
    prefix: Option<String>,
    /// Only instances that are not ready
    #[arg(long, conflicts_with = "instance")]
    not_ready: bool,
    /// At most this many instances
    #[arg(long, value_name = "NUMBER", conflicts_with = "instance")]
    limit: Option<NonZeroUsize>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct InstanceJson {
    schema: u32,
    #[serde(flatten)]
    instance: InstanceStatus,
}

impl ListArgs {
    fn query(&self) -> StatusQuery {
        StatusQuery {
            limit: self.limit.map(NonZeroUsize::get),
            prefix: self.prefix.clone(),
            ready: self.not_ready.then_some(false),
            ..StatusQuery::default()
        }
    }
}

pub(crate) async fn run(context: &Context, arguments: &StatusArgs) -> Result<Exit, CommandError> {
    let client = arguments.socket.client(context)?;
    if arguments.watch {
        // The width is that of the terminal now: it may change.
        watch(context, arguments.json, async || text(&client, arguments, context.width()).await).await?;
    } else {
        context.stdout(&text(&client, arguments, context.width()).await?)?;
    }
    Ok(Exit::Done)
}

async fn text(
    client: &ControlClient,
    arguments: &StatusArgs,
    width: Option<usize>,
) -> Result<String, SocketClientError> {
    match (&arguments.instance, arguments.json) {
        (Some(name), true) => {
            let instance = client.instance(name).await?;
            Ok(json_line(&InstanceJson { schema: SCHEMA, instance }))
        }
        (Some(name), false) => client.instance(name).await.map(|instance| details(&instance)),
        (None, true) => client.status(arguments.list.query()).await.map(|status| json_line(&status)),
        (None, false) => {
            // All of them, since those that need a person come first.
            let query = StatusQuery { limit: None, ..arguments.list.query() };
            let limit = arguments.list.limit.map_or(usize::MAX, NonZeroUsize::get);
            client.status(query).await.map(|status| overview(status, limit, width))
        }
    }
}

fn json_line(object: &impl Serialize) -> String {
    // It came as JSON, so it can be written as JSON.
    serde_json::to_string(object).unwrap_or_default() + "\n"
}

/// Instances, a line each: first those that need a person, and others by name.
fn overview(mut status: CoordinatorStatus, limit: usize, width: Option<usize>) -> String {
    // The sort is stable, and they come by name.
    status.instances.sort_by_key(Attention::of_instance);
    status.instances.truncate(limit);
    let mut table = Table::with_optional(&OPTIONAL);
    table.row(["INSTANCE", "SERVICE", "STATE", "REVISION", "VALID FOR", "NEXT IN", "WHY"]);
    status.instances.iter().for_each(|instance| table.row(instance_row(instance)));
    let (receivers, logins) = (receivers(&status, width), login_table(&status.logins, width));
    format!("{}{logins}{receivers}{}\n", table.render_with_heading(width), summary(&status))
}

fn instance_row(instance: &InstanceStatus) -> [Cell; 7] {
    let lease = instance.lease.as_ref();
    [
        Cell::new(&instance.name),
        or_dash(instance.service.clone()).into(),
        Cell::new(&instance.state).styled(attention::style(Attention::of_instance(instance))),
        or_dash(lease.map(|lease| lease.revision.to_string())).into(),
        or_dash(lease.map(|lease| valid_for(lease.valid_for_ms))).into(),
        or_dash(instance.next_in_ms.map(|millis| short_time(millis.max(0).unsigned_abs()))).into(),
        truncated(&instance.reason, MAX_REASON).into(),
    ]
}

/// What the coordinator publishes itself.
fn receivers(status: &CoordinatorStatus, width: Option<usize>) -> String {
    let local = status.local.clone().and_then(|local| serde_json::from_value::<WorkerReport>(local).ok());
    let local = local.filter(|local| !local.receivers.is_empty());
    local.map(|local| format!("\n{}\n", receiver_table(&local, width))).unwrap_or_default()
}

fn summary(status: &CoordinatorStatus) -> String {
    let mut summary = if status.starting {
        "starting: components are being loaded".to_owned()
    } else {
        format!("{} of {} ready", status.ready_count, status.instance_count)
    };
    if let Some(trouble) = &status.state_trouble {
        summary.push_str(&format!("; the state in etcd cannot be read: {}", truncated(trouble, MAX_REASON)));
    } else if let Some(leadership) = status.leadership() {
        summary.push_str(&format!("; {leadership}"));
        if status.has_other_configuration() {
            summary.push_str(
                ", with another configuration: compare the files and the components, and `deputy reload` both",
            );
        }
    }
    if status.instances.len() < status.instance_count {
        summary.push_str(&format!("; {} listed", status.instances.len()));
    }
    for upstream in status.upstreams.iter().filter(|upstream| upstream.waiting > 0) {
        let verb = if upstream.waiting == 1 { "waits" } else { "wait" };
        summary.push_str(&format!("; {} {verb} for {}", upstream.waiting, upstream.name));
    }
    for orphan in &status.orphans {
        let time = short_time(orphan.kept_for_ms);
        summary.push_str(&format!("; {} is not configured: what it holds is kept for {time}", orphan.name));
    }
    summary
}

/// One instance in detail.
fn details(instance: &InstanceStatus) -> String {
    let mut table = Table::default();
    table.row(["instance", &instance.name]);
    table.row(["service", instance.service.as_deref().unwrap_or("-")]);
    let style = attention::style(Attention::of_instance(instance));
    table.row([Cell::new("state"), Cell::new(&instance.state).styled(style)]);
    table.row(["ready", if instance.ready { "yes" } else { "no" }]);
    table.row(["why", &instance.reason]);
    match &instance.lease {
        Some(lease) => {
            table.row(["revision", &format!("{}, from the {}", lease.revision, lease.origin)]);
            let kind = lease.kind.as_deref().unwrap_or("of unknown kind");
            table.row(["payload", &format!("{kind}, {} bytes: see `deputy get`", lease.bytes)]);
            table.row(["obtained at", &lease.obtained_at]);
            table.row(["valid until", &expiry(lease)]);
            if let Some(at) = &lease.next_at {
                table.row(["newer at", at]);
            }
            if let Some(until) = &lease.renewable_until {
                table.row(["renewable", &format!("until {until}")]);
            }
            add_facts(&mut table, &lease.facts);
        }
        None => table.row(["lease", "none"]),
    }
    let next_call = instance.next.as_ref().zip(instance.next_in_ms);
    table.row(["next call", &or_dash(next_call.map(|(at, left)| format!("{at}, {}", in_or_ago(left))))]);
    table.row(["last success", instance.last_success.as_deref().unwrap_or("none since the start")]);
    if let Some(failure) = &instance.trouble {
        let code = failure.code.as_deref().filter(|code| !failure.message.contains(code));
        let code = code.map(|code| format!(" ({code})")).unwrap_or_default();
        table.row(["last failure", &format!("{}: {}{code}", failure.kind, failure.message)]);
        add_facts(&mut table, &failure.facts);
        table.row(["failed at", &failure.at]);
        table.row(["failed calls", &format!("{} since the last success", instance.failures)]);
    }
    if let Some(error) = &instance.file_trouble {
        table.row(["file", error]);
    }
    if let Some(error) = &instance.unsaved {
        table.row(["unsaved", error]);
    }
    if instance.to_revoke > 0 {
        table.row(["to revoke", &instance.to_revoke.to_string()]);
    }
    if let Some(not_revoked) = &instance.not_revoked {
        let last = format!("at {} revision {}: {}", not_revoked.at, not_revoked.revision, not_revoked.message);
        table.row(["not revoked", &format!("{} since the start; {last}", not_revoked.count)]);
    }
    if let Some(login) = &instance.login {
        add_login(&mut table, login);
    }
    if let Some(kept) = &instance.kept_state {
        table.row(["kept state", &format!("of {}", kept.identity)]);
    }
    table.row(["upstream", &instance.upstream]);
    table.row(["supports", supported_calls(instance)]);
    table.render(0)
}

fn expiry(lease: &LeaseStatus) -> String {
    match lease.valid_for_ms {
        Some(millis) => format!("{}, {}", lease.valid_until, in_or_ago(millis)),
        None => lease.valid_until.clone(),
    }
}

fn add_login(table: &mut Table, login: &KerberosLoginStatus) {
    table.row(["login", &format!("{}, as {}", login.name, login.principal)]);
    let ticket = login.expiry.as_ref().zip(login.valid_for_ms);
    let ticket = ticket.map(|(expiry, left)| format!("until {expiry}, {}", in_or_ago(left)));
    table.row(["ticket", ticket.as_deref().unwrap_or("none")]);
    table.row(["last login", login.last_login.as_deref().unwrap_or("none since the start")]);
    if let Some(fault) = &login.fault {
        table.row(["login failed", &format!("{} ({})", fault.message, fault.code)]);
        table.row(["hint", &fault.hint]);
    }
    if let Some(warning) = clock_warning(login.clock_offset_seconds) {
        table.row(["clock", &warning]);
    }
}

/// A component's words, each on a line of its own.
fn add_facts(table: &mut Table, facts: &[FactStatus]) {
    for fact in facts {
        table.row(["", &format!("{}: {}", fact.name, fact.value)]);
    }
}

fn supported_calls(instance: &InstanceStatus) -> &'static str {
    match (instance.component, instance.renews, instance.revokes) {
        (false, ..) => "no calls: its tokens come from a file",
        (true, true, true) => "obtain, renew, revoke",
        (true, true, false) => "obtain, renew",
        (true, false, true) => "obtain, revoke",
        (true, false, false) => "obtain",
    }
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

#[cfg(test)]
mod tests;
