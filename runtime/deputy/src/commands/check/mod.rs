//! `deputy check`

mod groups;
mod health;
mod instance;
mod instance_text;
mod kept_state;
mod left_open;
mod login;
mod online;
mod store;
mod traces;
mod worker;

use std::sync::Arc;

use clap::Args;
use deputy_audit::Audit;
use deputy_config::{Colour, CoordinatorFile, Finding};
use deputy_host::coordinator::no_instance_warning;
use schemars::JsonSchema;
use serde::Serialize;

use crate::context::{Context, SCHEMA};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::print::{ERROR, GOOD, WARNING, count, sanitize, styled};
use groups::{CheckedWorkersJson, GroupJson};
use health::HealthTlsJson;
use instance::CheckedInstanceJson;
use kept_state::KeptStates;
use login::LoginJson;
use online::OnlineJson;
use store::StoreJson;
use traces::TracesJson;
use worker::LocalJson;
#[cfg(test)]
pub(super) use worker::WorkerCheckJson;

/// Check the configuration, the secrets and the components
///
/// Reads the configuration, reads every secret, loads every component that is enabled, and compares what each one imports with
/// what it is granted. Obtains nothing, unless --online is given. Checks a worker's configuration in the same way.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deputy check
  deputy check --config /etc/deputy/deputy.toml
  deputy check --online
  deputy check --config /etc/deputy/worker.toml
  deputy check --json | jq .ok")]
pub(crate) struct CheckArgs {
    /// Look up and connect to each granted host and each member of etcd, too, and obtain once from each provider, without
    /// publishing it
    #[arg(long)]
    online: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct CoordinatorCheckJson {
    schema: u32,
    ok: bool,
    config: String,
    warnings: Vec<Finding>,
    instances: Vec<CheckedInstanceJson>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    logins: Vec<LoginJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workers: Option<CheckedWorkersJson>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    groups: Vec<GroupJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traces: Option<TracesJson>,
    /// With --online.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    online: Vec<OnlineJson>,
    /// The state in etcd.
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<StoreJson>,
    /// TLS at the health port.
    #[serde(skip_serializing_if = "Option::is_none")]
    health_tls: Option<HealthTlsJson>,
    /// What the coordinator publishes itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    local: Option<LocalJson>,
}

pub(crate) async fn run(context: &Context, arguments: &CheckArgs) -> Result<Exit, CommandError> {
    match context.worker_config_here()? {
        Some(_) if arguments.online => {
            Err(CommandError::new(Exit::Misconfigured, "--online is for a coordinator's configuration"))
        }
        Some(path) => worker::check(context, &path, arguments.json).await,
        None => check_coordinator(context, arguments).await,
    }
}

async fn check_coordinator(context: &Context, arguments: &CheckArgs) -> Result<Exit, CommandError> {
    let json = arguments.json;
    let config = context.configuration()?;
    print_warnings(context, &config);
    let sandbox = context.sandbox(&config, Arc::new(Audit::nowhere())).await?;
    let kept = KeptStates::find(context, &config).await;
    let mut instances = Vec::new();
    for entry in config.instances.values() {
        let checked = instance::check(&sandbox, entry, &kept, &config.setting_lines).await;
        if !json {
            context.stdout(&checked.text())?;
        }
        instances.push(checked);
    }
    let logins = login::check(&sandbox, &config).await;
    if !json {
        for login in &logins {
            context.stdout(&login.text())?;
        }
    }
    let mut groups = Vec::new();
    for (name, group) in &config.groups {
        let checked = groups::check(&sandbox, name, group, &instances, &config.setting_lines).await;
        if !json {
            context.stdout(&checked.text())?;
        }
        groups.push(checked);
    }
    let traces = traces::check(context, config.traces.as_ref()).await?;
    if let Some(traces) = traces.as_ref().filter(|_| !json) {
        context.stdout(&traces.text())?;
    }
    let online = if arguments.online { online::check(context, &config, &sandbox, json).await? } else { Vec::new() };
    let local = match &config.local {
        Some(own) => {
            let state_dir = context.state_dir(Some(&config))?;
            Some(worker::check_local(context, &sandbox, own, &state_dir, &instances, &config.setting_lines).await?)
        }
        None => None,
    };
    if let Some(local) = local.as_ref().filter(|_| !json) {
        context.stdout(&local.text())?;
    }
    let store = store::check(context, &config, arguments.online).await?;
    if let Some(store) = store.as_ref().filter(|_| !json) {
        context.stdout(&store.text())?;
    }
    let health_tls = health::check(context, &config).await?;
    if let Some(health_tls) = health_tls.as_ref().filter(|_| !json) {
        context.stdout(&health_tls.text())?;
    }
    let ok = store.as_ref().is_none_or(|store| store.ok)
        && health_tls.as_ref().is_none_or(|tls| tls.ok)
        && local.as_ref().is_none_or(|local| local.ok)
        && traces.as_ref().is_none_or(|traces| traces.ok)
        && online.iter().all(|instance| instance.ok)
        && instances.iter().all(|instance| instance.ok)
        && logins.iter().all(|login| login.ok)
        && groups.iter().all(|group| group.ok);
    if json {
        context.json(&CoordinatorCheckJson {
            schema: SCHEMA,
            ok,
            config: config.path.display().to_string(),
            warnings: config.warnings.findings().collect(),
            instances,
            logins,
            workers: config.coordinator.workers.as_ref().map(CheckedWorkersJson::from),
            groups,
            traces,
            online,
            store,
            health_tls,
            local,
        })?;
    } else {
        let local_failed = local.as_ref().is_some_and(|local| !local.ok);
        let failed_online = online.iter().filter(|instance| !instance.ok).count();
        let store_failed = store.as_ref().is_some_and(|store| !store.ok);
        let health_failed = health_tls.as_ref().is_some_and(|tls| !tls.ok);
        let traces_failed = traces.as_ref().is_some_and(|traces| !traces.ok);
        let failed = usize::from(local_failed)
            + usize::from(store_failed)
            + usize::from(health_failed)
            + usize::from(traces_failed)
            + failed_online
            + failed(&instances, &logins, &groups);
        context.stdout(&summary(&config, &instances, &groups, failed))?;
    }
    Ok(if ok { Exit::Done } else { Exit::Failed })
}

fn print_warnings(context: &Context, config: &CoordinatorFile) {
    context.printer.stderr(&config.warnings.render(Colour::Always));
    if !config.warnings.is_empty() {
        context.printer.stderr("\n");
    }
    context.print_unused_proxy_warning();
    if let Some(warning) = no_instance_warning(config) {
        context.printer.labelled(WARNING, "warning", warning);
    }
}

fn failed(instances: &[CheckedInstanceJson], logins: &[LoginJson], groups: &[GroupJson]) -> usize {
    instances.iter().filter(|instance| !instance.ok).count()
        + logins.iter().filter(|login| !login.ok).count()
        + groups.iter().filter(|group| !group.ok).count()
}

fn summary(config: &CoordinatorFile, instances: &[CheckedInstanceJson], groups: &[GroupJson], failed: usize) -> String {
    let enabled = instances.iter().filter(|instance| instance.enabled).count();
    let mut text = format!("{}: {}", sanitize(&config.path.display().to_string()), count(enabled, "instance"));
    if !groups.is_empty() {
        text.push_str(&format!(", {}", count(groups.len(), "group")));
    }
    if let Some(workers) = &config.coordinator.workers {
        text.push_str(&format!(", workers connect to {}", workers.advertise.to_string().replace(',', ", ")));
    }
    match failed {
        0 => format!("{text}, {}\n", styled(GOOD, "all ok")),
        failed => format!("{text}, {}\n", styled(ERROR, format!("{failed} not ok"))),
    }
}
