//! From a worker's configuration to how its receivers' files are published.

use std::path::Path;

use deputy_config::{Choice, OnChange, Publish, ReceiverComponent, WorkerConfig};
use deputy_core::{LimitOverrides, ReceiverName};
use deputy_link::ReceiverBinding;
use deputy_worker::components::digest_of;
use deputy_worker::hook::Hook;
use deputy_worker::unit::{AccessError, FileAccess, group, user};
use deputy_worker::{ReceiverPolicies, ReceiverPolicy};

use crate::error::CommandError;
use crate::exit::Exit;
use crate::run::failed;

/// All that the configuration says, with the receivers of its own.
pub(super) async fn plans(config: &WorkerConfig, state: &Path) -> Result<ReceiverPolicies, CommandError> {
    let mut plans = ReceiverPolicies {
        default: plan(&config.publish, LimitOverrides::default(), state)?,
        receivers: Default::default(),
        bindings: Default::default(),
        wanted: config.instances.clone(),
        endpoints: config.endpoints.aws.iter().map(|aws| aws.instance.clone()).collect(),
        retry: ReceiverPolicies::RETRY,
    };
    for (name, receiver) in &config.receivers {
        let limits = match &receiver.choice {
            Choice::Worker(component) => {
                plans.bindings.insert(name.clone(), binding(name, component).await?);
                LimitOverrides::default()
            }
            Choice::Coordinator(limits) => limits.clone(),
        };
        plans.receivers.insert(name.clone(), plan(&receiver.publish, limits, state)?);
    }
    Ok(plans)
}

async fn binding(name: &ReceiverName, component: &ReceiverComponent) -> Result<ReceiverBinding, CommandError> {
    let bytes = tokio::fs::read(&component.component).await.map_err(|error| {
        let path = component.component.display();
        failed(error, "cannot read a receiver's component")
            .hint(format!("`component` in [receivers.{name}] names {path}"))
    })?;
    Ok(ReceiverBinding {
        component: digest_of(&bytes),
        settings: component.settings.clone(),
        instances: component.instances.clone(),
        limits: component.limits.clone(),
    })
}

/// Without a folder of its own, what the coordinator's receivers write lies in the state directory.
fn plan(publish: &Publish, limits: LimitOverrides, state: &Path) -> Result<ReceiverPolicy, CommandError> {
    let wrong = |error: AccessError| CommandError::new(Exit::Misconfigured, error);
    Ok(ReceiverPolicy {
        directory: publish.output.clone().unwrap_or_else(|| state.join("output")),
        access: FileAccess {
            mode: publish.mode,
            owner: publish.owner.as_ref().map(user).transpose().map_err(wrong)?,
            group: publish.group.as_ref().map(group).transpose().map_err(wrong)?,
        },
        hook: publish.on_change.as_ref().map(hook),
        expired: publish.expired,
        limits,
    })
}

fn hook(written: &OnChange) -> Hook {
    match written {
        OnChange::Command { command, timeout } => Hook::Command(command.clone(), *timeout),
        OnChange::Signal { signal, pid_file } => Hook::Signal(pid_file.clone(), *signal),
    }
}
