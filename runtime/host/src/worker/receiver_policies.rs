//! From a worker's configuration to how the files of its receivers are published.

use std::collections::BTreeMap;
use std::path::Path;

use deputy_config::{Choice, OnChange, Publish, ReceiverComponent, WorkerConfig};
use deputy_core::{LimitOverrides, ReceiverName};
use deputy_link::ReceiverBinding;
use deputy_sandbox::{ComponentFolders, component_digest};
use deputy_worker::hook::Hook;
use deputy_worker::unit::{AccessError, FileAccess, group, user};
use deputy_worker::{ReceiverPolicies, ReceiverPolicy};

use crate::error::ProcessError;

/// The policies of all receivers, and the bindings of those that the worker's own configuration chooses.
pub async fn receiver_policies(
    config: &WorkerConfig,
    state_dir: &Path,
    folders: &ComponentFolders,
) -> Result<ReceiverPolicies, ProcessError> {
    let mut policies = ReceiverPolicies {
        default: policy(&config.publish, LimitOverrides::default(), state_dir)?,
        receivers: BTreeMap::new(),
        bindings: BTreeMap::new(),
        wanted: config.instances.clone(),
        endpoints: config.endpoints.aws.iter().map(|aws| aws.instance.clone()).collect(),
        retry: ReceiverPolicies::RETRY,
    };
    for (name, receiver) in &config.receivers {
        let limits = match &receiver.choice {
            Choice::Worker(component) => {
                policies.bindings.insert(name.clone(), binding(name, component, folders).await?);
                LimitOverrides::default()
            }
            Choice::Coordinator(limits) => limits.clone(),
        };
        policies.receivers.insert(name.clone(), policy(&receiver.publish, limits, state_dir)?);
    }
    Ok(policies)
}

async fn binding(
    name: &ReceiverName,
    component: &ReceiverComponent,
    folders: &ComponentFolders,
) -> Result<ReceiverBinding, ProcessError> {
    let digest = component_digest(folders, &component.component)
        .await
        .map_err(|source| ProcessError::ReceiverComponent { name: name.clone(), source: Box::new(source) })?;
    Ok(ReceiverBinding {
        component: digest,
        settings: component.settings.clone(),
        instances: component.instances.clone(),
        limits: component.limits.clone(),
    })
}

/// Without an output directory, files are published in the state directory.
fn policy(publish: &Publish, limits: LimitOverrides, state_dir: &Path) -> Result<ReceiverPolicy, AccessError> {
    Ok(ReceiverPolicy {
        directory: publish.output.clone().unwrap_or_else(|| state_dir.join("output")),
        access: FileAccess {
            mode: publish.mode,
            owner: publish.owner.as_ref().map(user).transpose()?,
            group: publish.group.as_ref().map(group).transpose()?,
        },
        hook: publish.on_change.as_ref().map(hook),
        expired: publish.expired,
        limits,
    })
}

fn hook(on_change: &OnChange) -> Hook {
    match on_change {
        OnChange::Command { command, timeout } => Hook::Command(command.clone(), *timeout),
        OnChange::Signal { signal, pid_file } => Hook::Signal(pid_file.clone(), *signal),
    }
}
