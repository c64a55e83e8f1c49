//! What `deputy doctor` finds of a worker: its files, its socket, and the way to its coordinator.

use std::path::Path;

use deputy_config::WorkerConfig;
use deputy_core::grant::{AddressClass, Grant, HostPattern, Network, Scheme, Target, TcpRule};
use deputy_core::{ByteSize, SecretSource};
use deputy_files::ambient;
use deputy_link::JoinString;
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
    let (socket, coordinator) = socket(context).await?;
    findings.push(socket);
    let coordinator = match coordinator {
        Some(address) => Some(address),
        None => joined_address(config.join.as_ref()).await,
    };
    if let Some(target) = coordinator.and_then(|address| Target::parse(Scheme::Tcp, &address).ok()) {
        findings.push(reach(&target).await);
    }
    Ok(findings)
}

fn is_gone(source: &SecretSource) -> bool {
    matches!(source, SecretSource::File(path) if ambient::exists(path).is_ok_and(|exists| !exists))
}

/// Whether a worker answers, and to which coordinator it belongs.
async fn socket(context: &Context) -> Result<(FindingJson, Option<String>), CommandError> {
    let (path, peer) = context.worker_socket(None)?;
    let client = SocketClient::new(&path, peer);
    let path = path.display().to_string();
    let finding = |health, text: String| FindingJson::new("socket", &path, health, text);
    let report: WorkerReport = match client.json(&ControlRequest::Status, &Parameters::default()).await {
        Ok(report) => report,
        Err(SocketClientError::Connect { .. }) => {
            let text = format!("no worker runs here: `{}` starts it", context.command("worker"));
            return Ok((finding(Health::Note, text), None));
        }
        Err(error) => return Ok((finding(Health::Warning, error.to_string()), None)),
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
    Ok((found, Some(connection.coordinator)))
}

/// The coordinator's address in a join string that can be read.
async fn joined_address(join: Option<&SecretSource>) -> Option<String> {
    let read = deputy_sources::read(join?, ValueShape::bytes(ByteSize::kib(4)), &SourceContext::of_process()).await;
    let text = String::from_utf8(read.ok()?.expose().to_vec()).ok()?;
    Some(text.trim().parse::<JoinString>().ok()?.address)
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
