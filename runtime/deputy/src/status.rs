//! `deputy status`

use std::time::Duration;

use deputy_coordinator::status::{InstanceStatus, Status};
use deputy_core::Span;

use crate::cli;
use crate::context::Context;
use crate::control::client;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::print::{HEADING, painted};
use crate::table::Table;

/// How often a watched status is asked for again.
const PACE: Duration = Duration::from_secs(1);

pub(crate) async fn run(context: &Context, arguments: &cli::Status) -> Result<Exit, CommandError> {
    let client = client(context, &arguments.socket)?;
    loop {
        match &arguments.instance {
            Some(name) => {
                let instance = client.instance(name).await?;
                if arguments.json { context.json(&instance)? } else { context.data(&story(&instance))? }
            }
            None => {
                let status = client.status().await?;
                if arguments.json {
                    context.json(&status)?;
                } else {
                    let clear = if arguments.watch { context.clear() } else { "" };
                    context.data(&format!("{clear}{}", overview(&status)))?;
                }
            }
        }
        if !arguments.watch {
            return Ok(Exit::Done);
        }
        pause().await;
    }
}

/// All instances, a line each.
fn overview(status: &Status) -> String {
    let mut table = Table::default();
    table.row(["INSTANCE", "SERVICE", "STATE", "REVISION", "VALID FOR", "NEXT", "WHY"]);
    for instance in &status.instances {
        let lease = instance.lease.as_ref();
        table.row([
            instance.name.clone(),
            instance.service.clone().unwrap_or_else(|| "-".to_owned()),
            instance.state.clone(),
            lease.map_or_else(|| "-".to_owned(), |lease| lease.revision.to_string()),
            lease.map_or_else(|| "-".to_owned(), |lease| valid_for(lease.valid_for_ms)),
            instance.next.as_deref().and_then(|next| next.get(11..19)).unwrap_or("-").to_owned(),
            instance.reason.chars().take(120).collect(),
        ]);
    }
    let text = table.render(0);
    let (head, rows) = text.split_once('\n').unwrap_or((&text, ""));
    let ready = status.instances.iter().filter(|instance| instance.ready).count();
    let mut end = format!("{ready} of {} ready", status.instances.len());
    for upstream in status.upstreams.iter().filter(|upstream| upstream.waiting > 0) {
        let wait = if upstream.waiting == 1 { "waits" } else { "wait" };
        end.push_str(&format!("; {} {wait} for {}", upstream.waiting, upstream.name));
    }
    format!("{}\n{rows}{end}\n", painted(HEADING, head))
}

/// One instance, with all that is known of it.
fn story(instance: &InstanceStatus) -> String {
    let mut table = Table::default();
    table.row(["instance", &instance.name]);
    table.row(["service", instance.service.as_deref().unwrap_or("-")]);
    table.row(["state", &instance.state]);
    table.row(["ready", if instance.ready { "yes" } else { "no" }]);
    table.row(["why", &instance.reason]);
    match &instance.lease {
        Some(lease) => {
            table.row(["revision", &format!("{}, from the {}", lease.revision, lease.origin)]);
            table.row(["obtained at", &lease.obtained_at]);
            table.row(["valid until", &format!("{}, {}", lease.valid_until, valid_for(lease.valid_for_ms))]);
        }
        None => table.row(["lease", "none"]),
    }
    table.row(["next", instance.next.as_deref().unwrap_or("-")]);
    table.row(["last success", instance.last_success.as_deref().unwrap_or("never, since the start")]);
    if let Some(trouble) = &instance.trouble {
        let text = format!("{} at {}: {}", trouble.kind, trouble.at, trouble.message);
        table.row(["last failure", &format!("{text} ({} in a row)", instance.failures)]);
    }
    if let Some(trouble) = &instance.file_trouble {
        table.row(["file", trouble]);
    }
    table.row(["upstream", &instance.upstream]);
    table.row(["to revoke", &instance.to_revoke.to_string()]);
    let can = match (instance.component, instance.renews, instance.revokes) {
        (false, ..) => "nothing: its tokens come from a file",
        (true, true, true) => "obtain, renew, revoke",
        (true, true, false) => "obtain, renew",
        (true, false, true) => "obtain, revoke",
        (true, false, false) => "obtain",
    };
    table.row(["can", can]);
    table.render(0)
}

fn valid_for(millis: i64) -> String {
    match u64::try_from(millis) {
        Ok(left) if left >= 1000 => Span::secs(left / 1000).to_string(),
        Ok(left) => format!("{left}ms"),
        Err(_) => format!("ended {} ago", Span::secs(millis.unsigned_abs() / 1000)),
    }
}

#[expect(clippy::disallowed_methods, reason = "a person looks once a second")]
async fn pause() {
    tokio::time::sleep(PACE).await;
}
