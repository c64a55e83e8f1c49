//! What `deputy check` finds out about groups of workers and their receivers.

use std::collections::BTreeSet;

use deputy_audit::AuditSubject;
use deputy_config::{ReceiverComponent, SettingLines, SettingsOwner, WorkerGroup, WorkersSection};
use deputy_core::{GroupName, InstanceName, ReceiverName};
use deputy_host::check_binding;
use deputy_sandbox::{ComponentKind, Sandbox};
use schemars::JsonSchema;
use serde::Serialize;

use super::instance::{CheckedInstanceJson, bound};
use crate::commands::inspect::ComponentJson;
use crate::error::{CommandError, ErrorJson};
use crate::exit::Exit;
use crate::failed_setting::OwnSettings;
use crate::print::{ERROR, GOOD, HEADING, bytes, sanitize, styled};
use crate::settings_check::{self, DescriptionRequest};
use crate::table::Table;

/// Where workers connect.
#[derive(Serialize, JsonSchema)]
pub(super) struct CheckedWorkersJson {
    listen: String,
    /// The first of `addresses`.
    advertise: String,
    addresses: Vec<String>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct GroupJson {
    name: String,
    pub(super) ok: bool,
    instances: Vec<String>,
    receivers: Vec<GroupReceiverJson>,
}

#[derive(Serialize, JsonSchema)]
struct GroupReceiverJson {
    name: String,
    ok: bool,
    component: String,
    instances: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    loaded: Option<ComponentJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorJson>,
}

#[derive(Debug, thiserror::Error)]
enum ReceiverError {
    #[error("{path} is a provider, not a receiver: a receiver exports the interface `receiver`")]
    Provider { path: String },
    #[error("{path} has another SHA-256 than the configured one: {found}")]
    Digest { path: String, found: String },
}

impl From<&WorkersSection> for CheckedWorkersJson {
    fn from(workers: &WorkersSection) -> Self {
        let addresses: Vec<String> = workers.advertise.as_slice().iter().map(ToString::to_string).collect();
        Self {
            listen: workers.listen.to_string(),
            advertise: addresses.first().cloned().unwrap_or_default(),
            addresses,
        }
    }
}

pub(super) async fn check(
    sandbox: &Sandbox,
    name: &GroupName,
    group: &WorkerGroup,
    instances: &[CheckedInstanceJson],
    lines: &SettingLines,
) -> GroupJson {
    let mut receivers = Vec::new();
    for (receiver_name, receiver) in &group.receivers {
        let owner = SettingsOwner::GroupReceiver(name.clone(), receiver_name.clone());
        let settings = OwnSettings::new(lines, &owner);
        receivers.push(check_receiver(sandbox, receiver_name, receiver, instances, settings).await);
    }
    let ok = receivers.iter().all(|receiver| receiver.ok);
    GroupJson { name: name.to_string(), ok, instances: names(&group.instances), receivers }
}

async fn check_receiver(
    sandbox: &Sandbox,
    name: &ReceiverName,
    receiver: &ReceiverComponent,
    instances: &[CheckedInstanceJson],
    settings: OwnSettings<'_>,
) -> GroupReceiverJson {
    let loaded = load(sandbox, name, receiver, instances, settings).await;
    let error = loaded.as_ref().err().map(CommandError::json);
    GroupReceiverJson {
        name: name.to_string(),
        ok: error.is_none(),
        component: receiver.component.to_string(),
        instances: names(&receiver.instances),
        loaded: loaded.ok(),
        error,
    }
}

async fn load(
    sandbox: &Sandbox,
    name: &ReceiverName,
    receiver: &ReceiverComponent,
    instances: &[CheckedInstanceJson],
    settings: OwnSettings<'_>,
) -> Result<ComponentJson, CommandError> {
    let info = sandbox.inspect(&receiver.component).await?;
    let path = info.path.display().to_string();
    if receiver.sha256.is_some_and(|digest| digest != info.digest) {
        let found = info.digest.to_string();
        return Err(CommandError::new(Exit::Misconfigured, ReceiverError::Digest { path, found }));
    }
    if let ComponentKind::Provider = info.kind {
        return Err(CommandError::new(Exit::Misconfigured, ReceiverError::Provider { path }));
    }
    let subject = AuditSubject::Receiver(name.clone());
    let asked = DescriptionRequest { component: &receiver.component, sha256: receiver.sha256, subject };
    settings_check::check(sandbox, asked, &receiver.settings, settings).await?;
    let loaded = sandbox.load_receiver(&receiver.plan(name)).await?;
    // Without the answers of all its instances, the receiver would find some not bound.
    if let Some(bound) = bound(&receiver.instances, instances) {
        let checked = check_binding(&loaded, &bound).await;
        checked.map_err(|error| {
            let at = error.setting().and_then(|setting| settings.find(setting));
            CommandError::new(Exit::Misconfigured, error).at(at)
        })?;
    }
    Ok(ComponentJson::from(&info))
}

fn names(names: &BTreeSet<InstanceName>) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

impl GroupJson {
    pub(super) fn text(&self) -> String {
        let (style, state) = if self.ok { (GOOD, "ok") } else { (ERROR, "not ok") };
        let mut text = format!("group {}: {}\n", styled(HEADING, &self.name), styled(style, state));
        let mut table = Table::default();
        table.row(["gets", &self.instances.join(", ")]);
        for receiver in &self.receivers {
            table.row(["receiver", &format!("{}, for {}", receiver.name, receiver.instances.join(", "))]);
            table.row(["component", &receiver.component]);
            if let Some(loaded) = &receiver.loaded {
                if loaded.path != receiver.component {
                    table.row(["", &loaded.path]);
                }
                table.row(["", &format!("{}, {}", loaded.kind, bytes(loaded.size))]);
                table.row(["sha256", &loaded.sha256]);
            }
        }
        text.push_str(&table.render(2));
        for receiver in &self.receivers {
            let Some(error) = &receiver.error else { continue };
            text.push_str(&format!("  {}: {}\n", styled(ERROR, &receiver.name), sanitize(&error.message)));
            error.causes.iter().for_each(|cause| text.push_str(&format!("    because {}\n", sanitize(cause))));
        }
        text.push('\n');
        text
    }
}
