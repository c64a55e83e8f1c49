//! `deputy status`

use std::time::Duration;

use deputy_coordinator::ControlClient;
use deputy_coordinator::status::{CoordinatorStatus, InstanceStatus, NotRevokedStatus};
use deputy_core::Span;
use deputy_local::SocketClientError;
use serde::Serialize;

use crate::cli;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::lease_commands::client;
use crate::print::{HEADING, WARNING, styled};
use crate::table::Table;

/// How often a watched status is asked for again.
const PACE: Duration = Duration::from_secs(1);

/// So much of a reason is in a table: all of it is in the story of its instance.
const REASON: usize = 120;

pub(crate) async fn run(context: &Context, arguments: &cli::StatusArgs) -> Result<Exit, CommandError> {
    let client = client(context, &arguments.socket)?;
    if !arguments.watch {
        context.data(&text(&client, arguments).await?)?;
        return Ok(Exit::Done);
    }
    let clear = if arguments.json { "" } else { context.clear() };
    let mut shown = text(&client, arguments).await?;
    let mut is_away = false;
    // Until whoever reads it has seen enough.
    while context.shown(&format!("{clear}{shown}"))? {
        shown = loop {
            pause().await;
            match text(&client, arguments).await {
                Ok(text) => break text,
                Err(error) if error.is_transient() => {
                    if !is_away {
                        context.printer.labelled(WARNING, "warning", &format!("{error}; waiting for it"));
                    }
                    is_away = true;
                    if !context.is_read() {
                        return Ok(Exit::Done);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        };
        is_away = false;
    }
    Ok(Exit::Done)
}

/// What is shown at one moment.
async fn text(client: &ControlClient, arguments: &cli::StatusArgs) -> Result<String, SocketClientError> {
    match (&arguments.instance, arguments.json) {
        (Some(name), true) => client.instance(name).await.map(|instance| line(&instance)),
        (Some(name), false) => client.instance(name).await.map(|instance| story(&instance)),
        (None, true) => client.status().await.map(|status| line(&status)),
        (None, false) => client.status().await.map(|status| overview(&status)),
    }
}

fn line(object: &impl Serialize) -> String {
    // What came as JSON can be written as JSON.
    serde_json::to_string(object).unwrap_or_default() + "\n"
}

/// All instances, a line each.
fn overview(status: &CoordinatorStatus) -> String {
    let mut table = Table::default();
    table.row(["INSTANCE", "SERVICE", "STATE", "REVISION", "VALID FOR", "NEXT IN", "WHY"]);
    for instance in &status.instances {
        let lease = instance.lease.as_ref();
        table.row([
            instance.name.clone(),
            instance.service.clone().unwrap_or_else(|| "-".to_owned()),
            instance.state.clone(),
            lease.map_or_else(|| "-".to_owned(), |lease| lease.revision.to_string()),
            lease.map_or_else(|| "-".to_owned(), |lease| valid_for(lease.valid_for_ms)),
            instance.next_in_ms.map_or_else(|| "-".to_owned(), |millis| brief(millis.max(0).unsigned_abs())),
            shortened(&instance.reason),
        ]);
    }
    let text = table.render(0);
    let (head, rows) = text.split_once('\n').unwrap_or((&text, ""));
    let ready = status.instances.iter().filter(|instance| instance.ready).count();
    let mut end = format!("{ready} of {} ready", status.instances.len());
    if status.starting {
        end = "starting: components are being loaded".to_owned();
    }
    for upstream in status.upstreams.iter().filter(|upstream| upstream.waiting > 0) {
        let wait = if upstream.waiting == 1 { "waits" } else { "wait" };
        end.push_str(&format!("; {} {wait} for {}", upstream.waiting, upstream.name));
    }
    for orphan in &status.orphans {
        end.push_str(&format!(
            "; {} is not configured: its lease is kept for {}",
            orphan.name,
            brief(orphan.kept_for_ms)
        ));
    }
    format!("{}\n{rows}{end}\n", styled(HEADING, head))
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
            table.row(["payload", &format!("{} bytes: `deputy get` gives it out", lease.bytes)]);
            table.row(["obtained at", &lease.obtained_at]);
            table.row(["valid until", &format!("{}, {}", lease.valid_until, in_or_ago(lease.valid_for_ms))]);
        }
        None => table.row(["lease", "none"]),
    }
    let next = instance.next.iter().zip(instance.next_in_ms).next();
    table.row(["next call", &next.map_or_else(|| "-".to_owned(), |(at, left)| format!("{at}, {}", in_or_ago(left)))]);
    table.row(["last success", instance.last_success.as_deref().unwrap_or("none since the start")]);
    if let Some(trouble) = &instance.trouble {
        table.row(["last failure", &format!("{}: {}", trouble.kind, trouble.message)]);
        table.row(["failed at", &trouble.at]);
        table.row(["failed calls", &format!("{} since the last success", instance.failures)]);
    }
    if let Some(trouble) = &instance.file_trouble {
        table.row(["file", trouble]);
    }
    if let Some(error) = &instance.unsaved {
        table.row(["unsaved", error]);
    }
    if instance.to_revoke > 0 {
        table.row(["to revoke", &instance.to_revoke.to_string()]);
    }
    if let Some(not_revoked) = &instance.not_revoked {
        let NotRevokedStatus { count, revision, message, at, .. } = not_revoked;
        table.row(["not revoked", &format!("{count} since the start; at {at} revision {revision}: {message}")]);
    }
    table.row(["upstream", &instance.upstream]);
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

pub(crate) fn valid_for(millis: i64) -> String {
    if millis > 0 { brief(millis.unsigned_abs()) } else { in_or_ago(millis) }
}

fn in_or_ago(millis: i64) -> String {
    let span = brief(millis.unsigned_abs());
    if millis > 0 { format!("in {span}") } else { format!("{span} ago") }
}

/// A time as people say it: two units are enough.
pub(crate) fn brief(millis: u64) -> String {
    let seconds = millis / 1000;
    let rounded = match seconds {
        0 => Span::millis(millis),
        1..3600 => Span::secs(seconds),
        3600..86_400 => Span::secs(seconds / 60 * 60),
        _ => Span::secs(seconds / 3600 * 3600),
    };
    rounded.to_string()
}

fn shortened(reason: &str) -> String {
    match reason.char_indices().nth(REASON) {
        Some((end, _)) => format!("{}…", reason.get(..end).unwrap_or_default()),
        None => reason.to_owned(),
    }
}

#[expect(clippy::disallowed_methods, reason = "a person looks once a second")]
async fn pause() {
    tokio::time::sleep(PACE).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_two_units_at_most() {
        for (millis, text) in [
            (0, "0s"),
            (999, "999ms"),
            (59_999, "59s"),
            (61_500, "1m1s"),
            (3_599_999, "59m59s"),
            (3_600_000, "1h"),
            (86_399_999, "23h59m"),
            (90_061_000, "1d1h"),
            (31_536_000_000, "365d"),
        ] {
            assert_eq!(brief(millis), text);
        }
        assert_eq!(
            (in_or_ago(61_500), in_or_ago(-5000), valid_for(-5000)),
            ("in 1m1s".into(), "5s ago".into(), "5s ago".into())
        );
    }

    #[test]
    fn a_long_reason_is_shortened_between_letters() {
        let long = "ü".repeat(REASON + 1);
        assert_eq!(shortened(&long), "ü".repeat(REASON) + "…");
        assert_eq!(shortened(&"ü".repeat(REASON)), "ü".repeat(REASON));
    }
}
