//! What `deputy doctor` finds of a worker: its files, its socket, and the way to its coordinator.

use std::path::Path;

use deputy_config::WorkerConfig;
use deputy_core::SecretSource;
use deputy_core::grant::{AddressClass, Grant, HostPattern, Network, Scheme, Target, TcpRule};
use deputy_files::ambient;
use deputy_link::{JoinString, MAX_JOIN_STRING};
use deputy_local::{ControlRequest, Parameters, SocketClient, SocketClientError};
use deputy_sandbox::attempts;
use deputy_sources::{SourceContext, ValueShape};
use deputy_worker::status::WorkerReport;

use super::finding::{FindingJson, Health};
use super::{hosts, machine, secret_files};
use crate::context::Context;
use crate::error::CommandError;

/// A coordinator may be anywhere but at a metadata service.
const NETWORKS: [AddressClass; 3] = [AddressClass::LinkLocal, AddressClass::Loopback, AddressClass::Private];

pub(super) async fn check(context: &Context, path: &Path) -> Result<Vec<FindingJson>, CommandError> {
    let config = WorkerConfig::load(path)?;
    let mut findings = vec![machine::config(path)];
    findings.extend(machine::state(&context.worker_state_dir(config.state_dir.as_deref())?));
    // A used join string may be gone.
    let join = config.join.iter().filter(|join| !is_gone(join));
    findings.extend(secret_files::check(join.chain(&config.key)).await);
    let (socket, known) = socket(context).await?;
    findings.push(socket);
    let known = match known.is_empty() {
        false => known,
        true => joined_addresses(config.join.as_ref()).await,
    };
    for target in known.iter().filter_map(|address| Target::parse(Scheme::Tcp, address).ok()) {
        findings.push(reach(&target).await);
    }
    Ok(findings)
}

fn is_gone(source: &SecretSource) -> bool {
    matches!(source, SecretSource::File(path) if ambient::exists(path).is_ok_and(|exists| !exists))
}

/// Whether a worker answers, and the addresses of its coordinators.
async fn socket(context: &Context) -> Result<(FindingJson, Vec<String>), CommandError> {
    let (path, peer) = context.worker_socket(None)?;
    let client = SocketClient::new(&path, peer);
    let path = path.display().to_string();
    let finding = |health, text: String| FindingJson::new("socket", &path, health, text);
    let report: WorkerReport = match client.json(&ControlRequest::Status, &Parameters::default()).await {
        Ok(report) => report,
        Err(SocketClientError::Connect { .. }) => {
            let text = format!("no worker runs here: `{}` starts it", context.command("worker"));
            return Ok((finding(Health::Note, text), Vec::new()));
        }
        Err(error) => return Ok((finding(Health::Warning, error.to_string()), Vec::new())),
    };
    let connection = report.connection;
    let ready = if report.ready { "ready" } else { "not ready" };
    let mut text = format!("a worker answers: {ready}, {}", connection.state);
    if let Some(error) = &connection.error {
        text.push_str(&format!(": {error}"));
    }
    let found = match report.ready {
        true => finding(Health::Ok, text),
        false => finding(Health::Warning, text).fix(format!("`{}` shows why", context.command("worker status"))),
    };
    // Earlier versions know one.
    let known = match connection.addresses.is_empty() {
        false => connection.addresses,
        true => vec![connection.coordinator],
    };
    Ok((found, known))
}

/// The coordinator's addresses in a join string that can be read; none otherwise.
async fn joined_addresses(join: Option<&SecretSource>) -> Vec<String> {
    let Some(join) = join else { return Vec::new() };
    let read = deputy_sources::read(join, ValueShape::bytes(MAX_JOIN_STRING), &SourceContext::of_process()).await;
    let Ok(read) = read else { return Vec::new() };
    let string = std::str::from_utf8(read.expose()).unwrap_or_default().parse::<JoinString>();
    string.map_or_else(|_| Vec::new(), |string| string.addresses.as_slice().iter().map(ToString::to_string).collect())
}

async fn reach(coordinator: &Target) -> FindingJson {
    let rule = TcpRule {
        host: HostPattern::Exactly(coordinator.host().clone()),
        port: coordinator.port(),
        networks: NETWORKS.map(Network::Class).to_vec(),
        tls: None,
    };
    let grant = Grant { tcp: vec![rule], ..Grant::default() };
    let mut found = Vec::new();
    for attempt in attempts(&grant) {
        found.push(hosts::reached_finding(&attempt.run().await, &[]));
    }
    let text = format!("{coordinator} names no host");
    found.pop().unwrap_or_else(|| FindingJson::new("reach", coordinator.to_string(), Health::Failed, text))
}
