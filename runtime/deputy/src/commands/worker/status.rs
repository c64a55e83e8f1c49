//! `deputy worker status`

use std::path::PathBuf;

use clap::{Args, ValueHint};
use deputy_local::{ControlRequest, Parameters, SocketClient, SocketClientError};
use deputy_worker::status::{ConnectionStatus, DeliveryStatus, ReceiverStatus, WorkerReport};

use crate::attention;
use crate::commands::watch::watch;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::relative_time::{short_time, valid_for};
use crate::table::{Cell, Table};
use deputy_coordinator::Attention;

/// Show the worker's leases and what its receivers applied
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deputy worker status
  deputy worker status --config /etc/deputy/worker.toml
  deputy worker status --watch
  deputy worker status --json | jq .ready")]
pub(crate) struct WorkerStatusArgs {
    /// Refresh every second until interrupted
    #[arg(long)]
    watch: bool,
    /// Print one JSON object, or one per line with --watch
    #[arg(long)]
    json: bool,
    /// The worker's socket [default: see [endpoints.socket] in its configuration]
    #[arg(long, value_name = "SOCKET", value_hint = ValueHint::FilePath)]
    socket: Option<PathBuf>,
}

pub(crate) async fn run(context: &Context, arguments: &WorkerStatusArgs) -> Result<Exit, CommandError> {
    let (socket, peer) = context.worker_socket(arguments.socket.as_deref())?;
    let client = SocketClient::new(&socket, peer);
    if arguments.watch {
        watch(context, arguments.json, async || current(&client, arguments.json, context.width()).await).await?;
    } else {
        context.stdout(&current(&client, arguments.json, context.width()).await?)?;
    }
    Ok(Exit::Done)
}

async fn current(client: &SocketClient, json: bool, width: Option<usize>) -> Result<String, SocketClientError> {
    let parameters = Parameters::default();
    if json {
        // Untyped, since a newer worker may have more fields.
        let status: serde_json::Value = client.json(&ControlRequest::Status, &parameters).await?;
        return Ok(format!("{status}\n"));
    }
    client.json(&ControlRequest::Status, &parameters).await.map(|status: WorkerReport| text(&status, width))
}

fn text(status: &WorkerReport, width: Option<usize>) -> String {
    let mut text = summary(status, width);
    if !status.instances.is_empty() {
        // KIND, REVISION and SERVICE are not for a narrow terminal.
        let mut table = Table::with_optional(&[2, 3, 1]);
        table.row(["INSTANCE", "SERVICE", "KIND", "REVISION", "VALID FOR", "STATE", "WHY"]);
        let mut instances: Vec<&DeliveryStatus> = status.instances.iter().collect();
        instances.sort_by_key(|instance| attention::of_delivery(instance));
        instances.into_iter().for_each(|instance| table.row(instance_row(instance)));
        text.push_str(&format!("\n{}", table.render_with_heading(width)));
    }
    if status.instances.iter().any(|instance| instance.next_at.is_some() || instance.renewable_until.is_some()) {
        let mut table = Table::default();
        table.row(["INSTANCE", "NEXT AT", "RENEWABLE UNTIL"]);
        status.instances.iter().for_each(|instance| table.row(times_row(instance)));
        text.push_str(&format!("\n{}", table.render_with_heading(width)));
    }
    if !status.receivers.is_empty() {
        text.push_str(&format!("\n{}", receiver_table(status, width)));
    }
    if status.receivers.iter().any(|receiver| !receiver.facts.is_empty()) {
        let mut table = Table::default();
        table.row(["RECEIVER", "SAYS", ""]);
        for receiver in &status.receivers {
            receiver.facts.iter().for_each(|fact| table.row([&receiver.name, &fact.name, &fact.value]));
        }
        text.push_str(&format!("\n{}", table.render_with_heading(width)));
    }
    text
}

/// The receivers, a line each: first those that need a person.
pub(crate) fn receiver_table(status: &WorkerReport, width: Option<usize>) -> String {
    // UNIT is not for a narrow terminal.
    let mut table = Table::with_optional(&[2]);
    table.row(["RECEIVER", "STATE", "UNIT", "FILES AT", "WHY"]);
    let mut receivers: Vec<&ReceiverStatus> = status.receivers.iter().collect();
    receivers.sort_by_key(|receiver| attention::of_receiver(receiver));
    receivers.into_iter().for_each(|receiver| table.row(receiver_row(receiver)));
    table.render_with_heading(width)
}

fn summary(status: &WorkerReport, width: Option<usize>) -> String {
    let connection = &status.connection;
    let mut table = Table::default();
    table.row(["worker", &format!("{}, group {}", connection.worker, connection.group)]);
    table.row(["coordinator", &link(connection)]);
    let others: Vec<&str> =
        connection.addresses.iter().filter(|address| **address != connection.coordinator).map(String::as_str).collect();
    if !others.is_empty() {
        table.row(["other addresses", &others.join(", ")]);
    }
    if let Some(error) = &connection.error {
        table.row(["last error", error]);
    }
    if let Some(ends) = &connection.certificate_ends {
        table.row(["certificate", &format!("valid until {ends}")]);
    }
    let (ready, attention) = if status.ready { ("yes", Attention::Fine) } else { ("no", Attention::Down) };
    table.row([Cell::new("ready"), Cell::new(ready).styled(attention::style(attention))]);
    if !status.complete {
        table.row(["incomplete", "the coordinator has not sent all leases of this worker yet"]);
    }
    if !status.missing.is_empty() {
        table.row(["missing", &format!("the coordinator cannot load these receivers: {}", status.missing.join(", "))]);
    }
    if status.group_is_empty {
        table.row([
            "empty",
            "no instance is delivered to this worker's group: name the group in `deliver-to` of an instance",
        ]);
    }
    for absent in &status.absent {
        table.row(["no lease", &format!("{}: {}", absent.name, absent.message)]);
    }
    for refused in &connection.refused {
        table.row(["refused", refused]);
    }
    for warning in &status.warnings {
        table.row(["warning", warning]);
    }
    table.row(["version", &format!("{}, process {}, running since {}", status.version, status.pid, status.since)]);
    table.render_within(width)
}

fn link(connection: &ConnectionStatus) -> String {
    let contact = match connection.last_contact_age_ms {
        Some(age) => format!("last contact {} ago", short_time(age)),
        None => "no contact yet".to_owned(),
    };
    format!("{}, {} since {}, {contact}", connection.coordinator, connection.state, connection.since)
}

fn instance_row(instance: &DeliveryStatus) -> [Cell; 7] {
    [
        Cell::new(&instance.name),
        Cell::new(&instance.service),
        Cell::new(&instance.kind),
        instance.revision.to_string().into(),
        valid_for(instance.valid_for_ms).into(),
        Cell::new(&instance.state).styled(attention::style(attention::of_delivery(instance))),
        Cell::new(instance.reason.as_deref().unwrap_or_default()),
    ]
}

fn times_row(instance: &DeliveryStatus) -> [&str; 3] {
    [&instance.name, instance.next_at.as_deref().unwrap_or("-"), instance.renewable_until.as_deref().unwrap_or("-")]
}

fn receiver_row(receiver: &ReceiverStatus) -> [Cell; 5] {
    let unit = receiver.unit.as_ref();
    let mut reasons: Vec<String> = receiver.reason.iter().cloned().collect();
    if let Some(failure) = &receiver.trouble {
        reasons.push(format!("failed {} times in a row: {}: {}", receiver.failures, failure.kind, failure.message));
    }
    if let Some(left) = receiver.retry_in_ms {
        reasons.push(format!("next attempt in {}", short_time(left)));
    }
    if let Some(error) = receiver.hook.as_ref().and_then(|hook| hook.error.as_ref()) {
        reasons.push(format!("hook: {error}"));
    }
    [
        Cell::new(&receiver.name),
        Cell::new(&receiver.state).styled(attention::style(attention::of_receiver(receiver))),
        unit.map_or_else(|| "-".to_owned(), |unit| format!("{} ({} files)", unit.number, unit.files.len())).into(),
        Cell::new(&receiver.path),
        reasons.join("; ").into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use anstream::adapter::strip_str;

    /// A worker with a receiver whose failure has a long message.
    fn status() -> WorkerReport {
        serde_json::from_value(serde_json::json!({
            "schema": 1, "version": "0.1.0", "pid": 7, "since": "2026-01-01T00:00:00.000Z",
            "now": "2026-01-01T01:00:00.000Z", "complete": true, "ready": false, "missing": [],
            "connection": {
                "worker": "9f31c07a52d84e66", "group": "etl", "coordinator": "deputy.example:8271",
                "state": "connected", "since": "2026-01-01T00:00:01.000Z", "last_contact": null,
                "last_contact_age_ms": 2000, "error": null, "certificate_ends": "2026-01-02T00:00:00.000Z",
                "refused": [],
            },
            "instances": [{
                "name": "s3-prod", "service": "s3", "kind": "aws-credential-process/1", "revision": 4, "obtained_at": "", "valid_until": "",
                "valid_for_ms": 61000, "received_at": "", "age_ms": 0, "bytes": 100, "state": "failed",
                "reason": "it failed ".repeat(30),
            }],
            "receivers": [{
                "name": "aws", "component": null, "instances": ["s3-prod"], "state": "retrying", "ready": false,
                "path": "/run/deputy/aws", "unit": {"number": 3, "published_at": null, "files": ["credentials"]},
                "failures": 2, "trouble": {"kind": "broken", "message": "no room ".repeat(40), "at": ""},
                "retry_in_ms": 5000, "hook": null,
            }],
        }))
        .unwrap()
    }

    #[test]
    fn worker_status_fits_the_terminal() {
        for width in [80, 100] {
            let text = strip_str(&text(&status(), Some(width))).to_string();
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= width, "{widest} columns of {width}:\n{text}");
            for part in ["9f31c07a52d84e66, group etl", "s3-prod", "/run/deputy/aws", "retrying", "1m1s", "…"] {
                assert!(text.contains(part), "{part} is not in\n{text}");
            }
        }
        let text = strip_str(&text(&status(), None)).to_string();
        assert!(text.contains("next attempt in 5s") && !text.contains('…'), "{text}");
        assert!(text.contains("aws-credential-process/1") && !text.contains("NEXT AT"), "{text}");
    }

    #[test]
    fn worker_status_shows_the_other_addresses() {
        let mut status = status();
        let shown = |status: &WorkerReport| strip_str(&text(status, None)).to_string();
        assert!(!shown(&status).contains("other addresses"));
        status.connection.addresses =
            ["a.example:8271", "deputy.example:8271", "z.example:8271"].map(str::to_owned).to_vec();
        let text = shown(&status);
        let line = text.lines().find(|line| line.starts_with("other addresses")).unwrap();
        assert!(line.ends_with("  a.example:8271, z.example:8271"), "{text}");
    }

    #[test]
    fn worker_status_shows_what_the_service_said_of_times() {
        let mut status = status();
        let mut other = status.instances[0].clone();
        other.name = "vault".to_owned();
        other.next_at = Some("2026-01-01T02:00:00.000Z".to_owned());
        status.instances.push(other);
        let text = strip_str(&text(&status, Some(100))).to_string();
        let line = |start: &str| text.lines().rfind(|line| line.starts_with(start)).unwrap().to_owned();
        let words = |line: String| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(line("vault")), ["vault", "2026-01-01T02:00:00.000Z", "-"], "{text}");
        assert_eq!(words(line("INSTANCE")), ["INSTANCE", "NEXT", "AT", "RENEWABLE", "UNTIL"], "{text}");
    }
}
