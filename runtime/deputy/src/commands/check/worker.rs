//! `deputy check` of a worker's configuration.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deputy_audit::{Audit, AuditSubject};
use deputy_config::{Colour, Finding, ReceiverComponent, SettingLines, SettingsOwner, WorkerConfig};
use deputy_core::{BoundInstance, ByteSize, InstanceName, ReceiverName, SecretSource, in_one_line};
use deputy_files::FileError;
use deputy_host::check_binding;
use deputy_host::sandbox::open_without_state;
use deputy_host::worker::receiver_policies;
use deputy_sandbox::Sandbox;
use deputy_sources::{SourceContext, SourceError, ValueShape};
use deputy_worker::ReceiverPolicies;
use deputy_worker::unit::{self, PublishError};
use schemars::JsonSchema;
use serde::Serialize;

use super::instance::{CheckedInstanceJson, bound};
use super::traces::{self, TracesJson};
use crate::context::{Context, SCHEMA};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::failed_setting::{FailedSetting, OwnSettings};
use crate::print::{ERROR, GOOD, HEADING, sanitize, styled};
use crate::settings_check::{self, DescriptionRequest};
use crate::table::Table;

#[derive(Serialize, JsonSchema)]
pub(in crate::commands) struct WorkerCheckJson {
    schema: u32,
    ok: bool,
    config: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Finding>,
    receivers: Vec<WorkerReceiverJson>,
    /// In which files are published.
    directories: Vec<PathJson>,
    /// The files that the worker reads.
    files: Vec<PathJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traces: Option<TracesJson>,
}

#[derive(Serialize, JsonSchema)]
struct PathJson {
    path: String,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// What a coordinator publishes itself.
#[derive(Serialize, JsonSchema)]
pub(super) struct LocalJson {
    pub(super) ok: bool,
    receivers: Vec<WorkerReceiverJson>,
    /// In which files are published.
    directories: Vec<PathJson>,
}

/// A receiver of the worker's own, or its settings for one that the coordinator chooses.
#[derive(Serialize, JsonSchema)]
struct WorkerReceiverJson {
    name: String,
    ok: bool,
    output: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<String>,
    /// The file that was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    instances: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// The setting that the component calls wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<FailedSetting>,
}

/// Loads the worker's own receivers, and checks its directories and files. Joins no coordinator and applies nothing.
pub(super) async fn check(context: &Context, path: &Path, json: bool) -> Result<Exit, CommandError> {
    let config = WorkerConfig::load(path)?;
    context.printer.stderr(&config.warnings.render(Colour::Always));
    context.print_unused_proxy_warning();
    let state_dir = context.worker_state_dir(config.state_dir.as_deref())?;
    let platform = context.platform()?;
    let policies = receiver_policies(&config, &state_dir, &platform.components).await?;
    let sandbox = open_without_state(state_dir, config.key.as_ref(), Arc::new(Audit::nowhere()), &platform).await?;
    let receivers = check_receivers(&sandbox, &config, &policies, None, &config.setting_lines).await;
    let directories = check_directories(&policies);
    let files = check_files(&config, &platform.sources).await;
    let traces = traces::check(context, config.traces.as_ref()).await?;
    let ok = receivers.iter().all(|receiver| receiver.ok)
        && directories.iter().chain(&files).all(|path| path.ok)
        && traces.as_ref().is_none_or(|traces| traces.ok);
    let checked = WorkerCheckJson {
        schema: SCHEMA,
        ok,
        config: config.path.display().to_string(),
        warnings: config.warnings.findings().collect(),
        receivers,
        directories,
        files,
        traces,
    };
    if json {
        context.json(&checked)?;
    } else {
        context.stdout(&checked.text())?;
    }
    Ok(if ok { Exit::Done } else { Exit::Failed })
}

/// Checks what a coordinator publishes itself, against what its instances obtain. `lines` are those of its file.
pub(super) async fn check_local(
    context: &Context,
    sandbox: &Sandbox,
    config: &WorkerConfig,
    state_dir: &Path,
    instances: &[CheckedInstanceJson],
    lines: &SettingLines,
) -> Result<LocalJson, CommandError> {
    let policies = receiver_policies(config, state_dir, &context.platform()?.components).await?;
    let receivers = check_receivers(sandbox, config, &policies, Some(instances), lines).await;
    let directories = check_directories(&policies);
    let ok = receivers.iter().all(|receiver| receiver.ok) && directories.iter().all(|path| path.ok);
    Ok(LocalJson { ok, receivers, directories })
}

async fn check_receivers(
    sandbox: &Sandbox,
    config: &WorkerConfig,
    policies: &ReceiverPolicies,
    instances: Option<&[CheckedInstanceJson]>,
    lines: &SettingLines,
) -> Vec<WorkerReceiverJson> {
    let mut receivers = Vec::new();
    for (name, receiver) in &config.receivers {
        let output = policies.policy(name).directory.join(name.as_str());
        let owner = SettingsOwner::WorkerReceiver(name.clone());
        let settings = OwnSettings::new(lines, &owner);
        receivers.push(check_receiver(sandbox, name, receiver.component(), &output, instances, settings).await);
    }
    receivers
}

async fn check_receiver(
    sandbox: &Sandbox,
    name: &ReceiverName,
    component: Option<&ReceiverComponent>,
    output: &Path,
    instances: Option<&[CheckedInstanceJson]>,
    settings: OwnSettings<'_>,
) -> WorkerReceiverJson {
    let loaded = match component {
        Some(component) => Some(load(sandbox, name, component, instances, settings).await),
        None => None,
    };
    let (found, failure) = match loaded {
        Some(Ok(found)) => (Some(found), None),
        Some(Err(failure)) => (None, Some(failure)),
        None => (None, None),
    };
    let (path, sha256) = found.unzip();
    WorkerReceiverJson {
        name: name.to_string(),
        ok: failure.is_none(),
        output: output.display().to_string(),
        component: component.map(|component| component.component.to_string()),
        path,
        sha256,
        instances: component.iter().flat_map(|component| &component.instances).map(ToString::to_string).collect(),
        error: failure.as_ref().map(|(error, at)| FailedSetting::locate(at.as_ref(), error)),
        at: failure.and_then(|(_, at)| at),
    }
}

/// The directories of receivers. That one belongs to another user is no error: the worker may run as that user.
fn check_directories(policies: &ReceiverPolicies) -> Vec<PathJson> {
    let directories: BTreeSet<&PathBuf> =
        [&policies.default].into_iter().chain(policies.receivers.values()).map(|policy| &policy.directory).collect();
    directories
        .into_iter()
        .map(|directory| {
            let error = unit::check(directory).err();
            PathJson {
                path: directory.display().to_string(),
                ok: error.as_ref().is_none_or(|error| {
                    !error.is_lasting() || matches!(error, PublishError::File(FileError::Owner { .. }))
                }),
                error: error.map(|error| in_one_line(&error)),
            }
        })
        .collect()
}

/// The files of the join string and of the key. A used join string may be gone.
async fn check_files(config: &WorkerConfig, sources: &SourceContext) -> Vec<PathJson> {
    let mut files = Vec::new();
    for (source, is_required) in [(&config.join, false), (&config.key, true)] {
        let Some(source @ SecretSource::File(path)) = source else { continue };
        let error = deputy_sources::read(source, ValueShape::bytes(ByteSize::kib(4)), sources).await.err();
        let error = error.filter(|error| is_required || !is_not_found(error));
        files.push(PathJson {
            path: path.display().to_string(),
            // The worker may run as the user that owns it.
            ok: matches!(error, None | Some(SourceError::File(FileError::Owner { .. }))),
            error: error.map(|error| in_one_line(&error)),
        });
    }
    files
}

fn is_not_found(error: &SourceError) -> bool {
    matches!(error, SourceError::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

/// The component's file and its SHA-256, or why it cannot be loaded.
async fn load(
    sandbox: &Sandbox,
    name: &ReceiverName,
    component: &ReceiverComponent,
    instances: Option<&[CheckedInstanceJson]>,
    settings: OwnSettings<'_>,
) -> Result<(String, String), (String, Option<FailedSetting>)> {
    let subject = AuditSubject::Receiver(name.clone());
    let asked = DescriptionRequest { component: &component.component, sha256: component.sha256, subject };
    settings_check::check(sandbox, asked, &component.settings, settings).await.map_err(|error| {
        let at = error.place().cloned();
        (error.one_line(), at)
    })?;
    let receiver = sandbox.load_receiver(&component.plan(name)).await.map_err(|error| (in_one_line(&error), None))?;
    let bound = match instances {
        Some(known) => bound(&component.instances, known),
        None => Some(component.instances.iter().map(unknown).collect()),
    };
    // Without the answers of all its instances, the receiver would find some not bound.
    if let Some(bound) = bound {
        check_binding(&receiver, &bound).await.map_err(|error| {
            let at = error.setting().and_then(|setting| settings.find(setting));
            (in_one_line(&error), at)
        })?;
    }
    let info = receiver.info();
    Ok((info.path.display().to_string(), info.digest.to_string()))
}

fn unknown(instance: &InstanceName) -> BoundInstance {
    BoundInstance { instance: instance.clone(), service: None, kinds: BTreeSet::new() }
}

impl WorkerCheckJson {
    fn text(&self) -> String {
        let mut text: String = self.receivers.iter().map(WorkerReceiverJson::text).collect();
        text.push_str(&path_errors(self.directories.iter().chain(&self.files)));
        text.extend(self.traces.iter().map(TracesJson::text));
        text.push_str(&format!("{}: {}\n", self.config, ok_or_not(self.ok)));
        text
    }
}

impl LocalJson {
    pub(super) fn text(&self) -> String {
        let receivers: String = self.receivers.iter().map(WorkerReceiverJson::text).collect();
        receivers + &path_errors(&self.directories)
    }
}

fn path_errors<'p>(paths: impl IntoIterator<Item = &'p PathJson>) -> String {
    let line = |path: &PathJson| {
        let error = path.error.as_ref()?;
        Some(format!("{}: {}\n", styled(ERROR, sanitize(&path.path)), sanitize(error)))
    };
    paths.into_iter().filter_map(line).collect()
}

impl WorkerReceiverJson {
    fn text(&self) -> String {
        let mut table = Table::default();
        table.row(["component", self.component.as_deref().unwrap_or("chosen by the coordinator")]);
        if let Some(path) = self.path.as_ref().filter(|path| self.component.as_ref() != Some(path)) {
            table.row(["", path]);
        }
        for (label, value) in [("sha256", &self.sha256), ("because", &self.error)] {
            if let Some(value) = value {
                table.row([label, value]);
            }
        }
        if !self.instances.is_empty() {
            table.row(["for", &self.instances.join(", ")]);
        }
        table.row(["files in", &self.output]);
        let heading = styled(HEADING, &self.name);
        format!("receiver {heading}: {}\n{}\n", ok_or_not(self.ok), table.render(2))
    }
}

fn ok_or_not(ok: bool) -> String {
    if ok { styled(GOOD, "ok") } else { styled(ERROR, "not ok") }
}
