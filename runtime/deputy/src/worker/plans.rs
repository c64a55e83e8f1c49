//! From a worker's configuration to how its receivers' files are published.

use std::path::Path;

use deputy_config::{Account, Choice, Expired as Written, OnChange, Publish, ReceiverComponent, WorkerConfig};
use deputy_core::{ReceiverName, SomeLimits};
use deputy_link::Binding;
use deputy_worker::components::digest_of;
use deputy_worker::hook::{Command, Hook};
use deputy_worker::unit::{Access, FileMode, group, user};
use deputy_worker::{Expired, Plan, Plans};
use rustix::fs::{Gid, Uid};

use crate::error::CommandError;
use crate::exit::Exit;
use crate::run::failed;

/// All that the configuration says, with the receivers of its own.
pub(super) async fn plans(config: &WorkerConfig, state: &Path) -> Result<Plans, CommandError> {
    let mut plans = Plans {
        default: plan(&config.publish, SomeLimits::default(), state)?,
        receivers: Default::default(),
        bindings: Default::default(),
        wanted: config.instances.clone(),
        endpoints: config.endpoints.aws.iter().map(|aws| aws.instance.clone()).collect(),
        retry: Plans::RETRY,
    };
    for (name, receiver) in &config.receivers {
        let limits = match &receiver.choice {
            Choice::Worker(component) => {
                plans.bindings.insert(name.clone(), binding(name, component).await?);
                SomeLimits::default()
            }
            Choice::Coordinator(limits) => limits.clone(),
        };
        plans.receivers.insert(name.clone(), plan(&receiver.publish, limits, state)?);
    }
    Ok(plans)
}

async fn binding(name: &ReceiverName, component: &ReceiverComponent) -> Result<Binding, CommandError> {
    let bytes = tokio::fs::read(&component.component).await.map_err(|error| {
        let path = component.component.display();
        failed(error, "cannot read a receiver's component")
            .hint(format!("`component` in [receivers.{name}] names {path}"))
    })?;
    Ok(Binding {
        component: digest_of(&bytes),
        settings: component.settings.clone(),
        instances: component.instances.clone(),
        limits: component.limits.clone(),
    })
}

/// Without a folder of its own, what the coordinator's receivers write lies in the state directory.
fn plan(publish: &Publish, limits: SomeLimits, state: &Path) -> Result<Plan, CommandError> {
    let wrong = |error: deputy_worker::unit::AccessError| CommandError::new(Exit::Misconfigured, error);
    let owner = publish.owner.as_ref().map(|account| match account {
        Account::Id(id) => Ok(Uid::from_raw(*id)),
        Account::Name(name) => user(name, &accounts("/etc/passwd")).map_err(wrong),
    });
    let group = publish.group.as_ref().map(|account| match account {
        Account::Id(id) => Ok(Gid::from_raw(*id)),
        Account::Name(name) => group(name, &accounts("/etc/group")).map_err(wrong),
    });
    let mode: FileMode = publish.mode.to_string().parse().map_err(wrong)?;
    Ok(Plan {
        directory: publish.output.clone().unwrap_or_else(|| state.join("output")),
        access: Access { mode, owner: owner.transpose()?, group: group.transpose()? },
        hook: publish.on_change.as_ref().map(hook).transpose()?,
        expired: match publish.expired {
            Written::Keep => Expired::Keep,
            Written::Remove => Expired::Remove,
        },
        limits,
    })
}

fn hook(written: &OnChange) -> Result<Hook, CommandError> {
    let wrong = |error: deputy_worker::hook::HookFormError| CommandError::new(Exit::Misconfigured, error);
    match written {
        OnChange::Command { command, timeout } => {
            Ok(Hook::Command(Command::new(command.words(), *timeout).map_err(wrong)?))
        }
        OnChange::Signal { signal, pid_file } => {
            Ok(Hook::Signal(pid_file.clone(), signal.name().parse().map_err(wrong)?))
        }
    }
}

/// Who there is on this machine; nobody, if that can't be read.
fn accounts(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
