//! `deputy check` of a worker's configuration.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deputy_config::{Colour, Finding, ReceiverComponent, WorkerConfig};
use deputy_core::{ByteSize, Limits, ReceiverName, ReceiverPlan, SecretSource, in_one_line};
use deputy_sandbox::Sandbox;
use deputy_sources::{SourceContext, SourceError, ValueShape};
use deputy_worker::ReceiverPolicies;
use deputy_worker::unit::{self, PublishError};
use serde::Serialize;

use super::plans;
use crate::cli;
use crate::context::{Context, SCHEMA};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::print::{ERROR, GOOD, HEADING, sanitize, styled};
use crate::receiver_settings;
use crate::sandbox;
use crate::table::Table;

#[derive(Serialize)]
struct CheckJson {
    schema: u32,
    ok: bool,
    config: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Finding>,
    receivers: Vec<ReceiverJson>,
    /// Where files are published.
    directories: Vec<PlaceJson>,
    /// The files that the worker reads.
    files: Vec<PlaceJson>,
}

/// A directory or a file that the worker needs.
#[derive(Serialize)]
struct PlaceJson {
    path: String,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// A receiver of the worker's own, or what it says of one that the coordinator chooses.
#[derive(Serialize)]
struct ReceiverJson {
    name: String,
    ok: bool,
    output: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    instances: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Reads the configuration, loads the worker's own receivers, and looks whether what it says of files and hooks can be
/// done. Joins nobody and applies nothing.
pub(crate) async fn check(context: &Context, path: &Path, arguments: &cli::CheckArgs) -> Result<Exit, CommandError> {
    let config = WorkerConfig::load(path)?;
    context.printer.stderr(&config.warnings.render(Colour::Always));
    let Some(state) = context.worker_state_dir(config.state_dir.as_deref()) else { return Err(sandbox::no_state()) };
    let plans = plans::plans(&config, &state).await?;
    let sandbox = sandbox::open_beside(Some(state), config.key.as_ref(), Arc::new(sandbox::nobody())).await?;
    let mut receivers = Vec::new();
    for (name, receiver) in &config.receivers {
        let component = receiver.component();
        let loaded = match component {
            Some(component) => Some(load(&sandbox, name, component).await),
            None => None,
        };
        receivers.push(ReceiverJson {
            name: name.to_string(),
            ok: !matches!(loaded, Some(Err(_))),
            output: plans.plan(name).directory.join(name.as_str()).display().to_string(),
            component: component.map(|component| component.component.display().to_string()),
            sha256: loaded.as_ref().and_then(|loaded| loaded.as_ref().ok()).cloned(),
            instances: component.iter().flat_map(|of| &of.instances).map(ToString::to_string).collect(),
            error: loaded.and_then(Result::err),
        });
    }
    let directories = directories(&plans);
    let files = files(&config).await;
    let places = directories.iter().chain(&files);
    let ok = receivers.iter().all(|receiver| receiver.ok) && places.clone().all(|place| place.ok);
    if arguments.json {
        let (config, warnings) = (config.path.display().to_string(), config.warnings.findings().collect());
        context.json(&CheckJson { schema: SCHEMA, ok, config, warnings, receivers, directories, files })?;
    } else {
        let mut shown: String = receivers.iter().map(shown).collect();
        for (path, error) in places.filter_map(|place| Some((&place.path, place.error.as_ref()?))) {
            shown.push_str(&format!("{}: {}\n", styled(ERROR, sanitize(path)), sanitize(error)));
        }
        let (style, word) = if ok { (GOOD, "ok") } else { (ERROR, "not ok") };
        context.data(&format!("{shown}{}: {}\n", config.path.display(), styled(style, word)))?;
    }
    Ok(if ok { Exit::Done } else { Exit::Failed })
}

/// The directories of the receivers. One that belongs to somebody else may be right for the user that the worker is to run
/// as.
fn directories(plans: &ReceiverPolicies) -> Vec<PlaceJson> {
    let all = [&plans.default].into_iter().chain(plans.receivers.values()).map(|plan| &plan.directory);
    let all: BTreeSet<&PathBuf> = all.collect();
    let place = |path: &PathBuf| {
        let found = unit::check(path);
        let ok = !matches!(&found, Err(error) if error.is_slow() && !matches!(error, PublishError::Owner { .. }));
        PlaceJson { path: path.display().to_string(), ok, error: found.err().map(|error| in_one_line(&error)) }
    };
    all.into_iter().map(place).collect()
}

/// The file of the join string, and that of the key. The join string may be gone since it was used.
async fn files(config: &WorkerConfig) -> Vec<PlaceJson> {
    let here = SourceContext::of_process();
    let mut files = Vec::new();
    for (source, is_needed) in [(&config.join, false), (&config.key, true)] {
        let Some(source @ SecretSource::File(path)) = source else { continue };
        let found = deputy_sources::read(source, ValueShape::bytes(ByteSize::kib(4)), &here).await;
        let error = match found {
            Err(SourceError::Read { source, .. }) if !is_needed && source.kind() == io::ErrorKind::NotFound => None,
            found => found.err(),
        };
        // It may be right for the user that the worker is to run as.
        let ok = matches!(error, None | Some(SourceError::Owner { .. }));
        let error = error.map(|error| in_one_line(&error));
        files.push(PlaceJson { path: path.display().to_string(), ok, error });
    }
    files
}

/// The component's SHA-256, or why it can't be loaded.
async fn load(sandbox: &Sandbox, name: &ReceiverName, component: &ReceiverComponent) -> Result<String, String> {
    let plan = ReceiverPlan {
        name: name.clone(),
        component: component.component.clone(),
        sha256: component.sha256,
        settings: component.settings.clone(),
        limits: Limits::default().with(&component.limits),
    };
    let receiver = sandbox.load_receiver(&plan).await.map_err(|error| in_one_line(&error))?;
    receiver_settings::check(&receiver).await.map_err(|said| format!("it does not take its settings: {said}"))?;
    Ok(receiver.info().digest.to_string())
}

fn shown(receiver: &ReceiverJson) -> String {
    let (style, word) = if receiver.ok { (GOOD, "ok") } else { (ERROR, "not ok") };
    let mut table = Table::default();
    match &receiver.component {
        Some(component) => table.row(["component", component.as_str()]),
        None => table.row(["component", "of the coordinator's choice"]),
    }
    for (name, value) in [("sha256", &receiver.sha256), ("because", &receiver.error)] {
        if let Some(value) = value {
            table.row([name, &sanitize(value)]);
        }
    }
    if !receiver.instances.is_empty() {
        table.row(["for", &receiver.instances.join(", ")]);
    }
    table.row(["files in", &receiver.output]);
    format!("receiver {}: {}\n{}\n", styled(HEADING, &receiver.name), styled(style, word), table.render(2))
}
