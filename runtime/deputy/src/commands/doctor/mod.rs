//! `deputy doctor`

pub(crate) mod finding;
pub(crate) mod hosts;
mod machine;
pub(crate) mod saved_state;
mod secret_files;
mod worker;

use clap::Args;
use deputy_config::CoordinatorFile;
use deputy_coordinator::ControlClient;
use deputy_coordinator::status::StatusQuery;
use deputy_local::SocketClientError;
use schemars::JsonSchema;
use serde::Serialize;

use crate::context::{Context, SCHEMA};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::print::count;
use finding::{FindingJson, Health};

/// Look for what this machine or pod lacks
///
/// Looks at the modes of files, the limits on open files, the free space, the control socket and, for each host that an instance
/// is granted, at its name, the way to it, its TLS and its clock, and says what fixes each. It sends each HTTP server one HEAD
/// request without a secret. If the state is in etcd, it reads a key at each member as Deputy's user. It opens one sealed record
/// with the configured master key. Of a worker, it looks at its
/// own socket and at the way to its coordinator. It calls no component: `deputy check --online` does. Exits with 1 if something
/// failed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deputy doctor
  deputy doctor --config /etc/deputy/worker.toml
  deputy doctor --json | jq -r '.findings[].fix'")]
pub(crate) struct DoctorArgs {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct DoctorJson {
    schema: u32,
    version: &'static str,
    ok: bool,
    findings: Vec<FindingJson>,
}

pub(crate) async fn run(context: &Context, arguments: &DoctorArgs) -> Result<Exit, CommandError> {
    let version = env!("CARGO_PKG_VERSION");
    let mut findings = vec![FindingJson::new("version", "", Health::Ok, format!("deputy {version}"))];
    findings.push(machine::open_files());
    match context.worker_config_here()? {
        Some(path) => findings.extend(worker::check(context, &path).await?),
        None => coordinator(context, &mut findings).await?,
    }
    let ok = !findings.iter().any(|finding| finding.health == Health::Failed);
    if arguments.json {
        context.json(&DoctorJson { schema: SCHEMA, version, ok, findings })?;
    } else {
        for finding in &findings {
            context.stdout(&finding.text())?;
        }
    }
    Ok(if ok { Exit::Done } else { Exit::Failed })
}

async fn coordinator(context: &Context, findings: &mut Vec<FindingJson>) -> Result<(), CommandError> {
    let config: CoordinatorFile = context.configuration()?;
    findings.push(machine::config(&config.path));
    findings.extend(machine::state(&context.state_dir(Some(&config))?));
    let enabled = config.instances.values().filter(|entry| entry.enabled);
    let instances: Vec<_> = enabled.filter_map(|entry| entry.component.as_ref()).collect();
    let sources = instances.iter().flat_map(|instance| instance.sources.values());
    let tls_key = config.coordinator.health_tls.as_ref().map(|tls| &tls.key);
    let store = config.coordinator.store.as_ref();
    let etcd_key = store.and_then(|etcd| etcd.client_certificate.as_ref()).map(|(_, key)| key);
    let password = store.and_then(|etcd| etcd.user.as_ref()).map(|(_, password)| password);
    let sources = sources.chain(&config.coordinator.key).chain(tls_key).chain(etcd_key).chain(password);
    findings.extend(secret_files::check(sources).await);
    findings.extend(saved_state::check(context, &config).await?);
    findings.push(socket(context).await);
    findings.extend(hosts::check(context, instances).await);
    Ok(())
}

/// Whether a coordinator answers.
async fn socket(context: &Context) -> FindingJson {
    let (path, peer) = match context.control_socket(None) {
        Ok(found) => found,
        Err(error) => return FindingJson::new("socket", "", Health::Warning, error.json().message),
    };
    let client = ControlClient::new(&path, peer);
    let path = path.display().to_string();
    match client.status(StatusQuery::default()).await {
        Ok(status) => {
            let failing = status.instances.iter().filter(|instance| instance.trouble.is_some()).count();
            let instances = count(status.instances.len(), "instance");
            let text = format!("a coordinator answers: {instances}, {failing} failing");
            let finding =
                FindingJson::new("socket", path, if failing == 0 { Health::Ok } else { Health::Warning }, text);
            if failing == 0 { finding } else { finding.fix(format!("`{}` shows why", context.command("status"))) }
        }
        Err(error @ SocketClientError::Forbidden { .. }) => {
            FindingJson::new("socket", path, Health::Warning, error.to_string())
                .fix("run it as the coordinator's user, or set `control-mode = \"0660\"` and join its group")
        }
        Err(SocketClientError::Connect { .. }) => {
            let text = format!("no coordinator runs here: `{}`, or its service, starts it", context.command("run"));
            FindingJson::new("socket", path, Health::Note, text)
        }
        Err(error) => FindingJson::new("socket", path, Health::Failed, error.to_string())
            .fix("restart the coordinator; its log says why it does not answer"),
    }
}
