//! What `deputy check` says of groups of workers: what each gets, and whether its receivers can be what they are to be.

use std::collections::BTreeSet;

use deputy_config::{ReceiverComponent, WorkerGroup, WorkersSection};
use deputy_core::{GroupName, InstanceName, Limits, ReceiverName, ReceiverPlan};
use deputy_sandbox::{ComponentKind, Sandbox};
use serde::Serialize;

use crate::error::{CommandError, ErrorJson};
use crate::exit::Exit;
use crate::inspect::ComponentJson;
use crate::print::{ERROR, GOOD, HEADING, bytes, sanitize, styled};
use crate::receiver_settings;
use crate::table::Table;

/// Where workers come in.
#[derive(Serialize)]
pub(crate) struct WorkersJson {
    listen: String,
    advertise: String,
}

/// One group, as both people and programs are told.
#[derive(Serialize)]
pub(crate) struct GroupJson {
    name: String,
    pub(crate) ok: bool,
    /// What its workers get.
    instances: Vec<String>,
    receivers: Vec<ReceiverJson>,
}

/// A receiver of a group.
#[derive(Serialize)]
struct ReceiverJson {
    name: String,
    ok: bool,
    component: String,
    instances: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    loaded: Option<ComponentJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorJson>,
}

/// The component of a receiver can't be one.
#[derive(Debug, thiserror::Error)]
enum ReceiverError {
    #[error("{path} is a provider, not a receiver: a receiver exports `receiver`")]
    Provider { path: String },
    #[error("{path} has the SHA-256 {found}, which is not the configured one")]
    Digest { path: String, found: String },
    #[error("it does not take its settings: {said}")]
    Settings { said: String },
}

impl From<&WorkersSection> for WorkersJson {
    fn from(workers: &WorkersSection) -> Self {
        Self { listen: workers.listen.to_string(), advertise: workers.advertise.to_string() }
    }
}

/// Looks at the components of a group.
pub(crate) async fn check(sandbox: &Sandbox, name: &GroupName, group: &WorkerGroup) -> GroupJson {
    let mut receivers = Vec::new();
    for (name, receiver) in &group.receivers {
        receivers.push(self::receiver(sandbox, name, receiver).await);
    }
    let ok = receivers.iter().all(|receiver| receiver.ok);
    GroupJson { name: name.to_string(), ok, instances: names(&group.instances), receivers }
}

async fn receiver(sandbox: &Sandbox, name: &ReceiverName, receiver: &ReceiverComponent) -> ReceiverJson {
    let (loaded, error) = match load(sandbox, name, receiver).await {
        Ok(loaded) => (Some(loaded), None),
        Err(error) => (None, Some(error.json())),
    };
    let component = receiver.component.display().to_string();
    let instances = names(&receiver.instances);
    ReceiverJson { name: name.to_string(), ok: error.is_none(), component, instances, loaded, error }
}

async fn load(
    sandbox: &Sandbox,
    name: &ReceiverName,
    receiver: &ReceiverComponent,
) -> Result<ComponentJson, CommandError> {
    let inspection = sandbox.inspect(&receiver.component).await?;
    let path = receiver.component.display().to_string();
    if receiver.sha256.is_some_and(|digest| digest != inspection.digest) {
        let found = inspection.digest.to_string();
        return Err(CommandError::new(Exit::Misconfigured, ReceiverError::Digest { path, found }));
    }
    if let ComponentKind::Provider = inspection.kind {
        return Err(CommandError::new(Exit::Misconfigured, ReceiverError::Provider { path }));
    }
    let plan = ReceiverPlan {
        name: name.clone(),
        component: receiver.component.clone(),
        sha256: receiver.sha256,
        settings: receiver.settings.clone(),
        limits: Limits::default().with(&receiver.limits),
    };
    let said = receiver_settings::check(&sandbox.load_receiver(&plan).await?).await;
    said.map_err(|said| CommandError::new(Exit::Misconfigured, ReceiverError::Settings { said }))?;
    Ok(ComponentJson::from(&inspection))
}

fn names(names: &BTreeSet<InstanceName>) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// One group, for a person to read.
pub(crate) fn shown(group: &GroupJson) -> String {
    let (style, word) = if group.ok { (GOOD, "ok") } else { (ERROR, "not ok") };
    let mut text = format!("group {}: {}\n", styled(HEADING, &group.name), styled(style, word));
    let mut table = Table::default();
    table.row(["gets", &group.instances.join(", ")]);
    for receiver in &group.receivers {
        table.row(["receiver", &format!("{}, for {}", receiver.name, receiver.instances.join(", "))]);
        table.row(["component", &receiver.component]);
        if let Some(loaded) = &receiver.loaded {
            table.row(["", &format!("{}, {}", loaded.kind, bytes(loaded.size))]);
            table.row(["sha256", &loaded.sha256]);
        }
    }
    text.push_str(&table.render(2));
    for receiver in &group.receivers {
        let Some(error) = &receiver.error else { continue };
        text.push_str(&format!("  {}: {}\n", styled(ERROR, &receiver.name), sanitize(&error.message)));
        error.causes.iter().for_each(|cause| text.push_str(&format!("    because {}\n", sanitize(cause))));
    }
    text.push('\n');
    text
}
