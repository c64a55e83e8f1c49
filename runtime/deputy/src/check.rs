//! `deputy check`

use std::sync::Arc;

use std::fs::File;
use std::io;
use std::path::Path;

use deputy_config::{Colour, CoordinatorFile, Finding, InstanceEntry};
use deputy_core::{FileSource, Instance, SecretName, in_one_line};
use deputy_sandbox::{ComponentInfo, LoadedProvider, Sandbox, SecretFault};
use serde::Serialize;

use crate::capability::{Capability, Permission, strange};
use crate::check_groups::{self, GroupJson, WorkersJson};
use crate::cli;
use crate::context::{Context, SCHEMA};
use crate::error::{CommandError, ErrorJson};
use crate::exit::Exit;
use crate::inspect::ComponentJson;
use crate::print::{ERROR, FAINT, GOOD, HEADING, WARNING, bytes, sanitize, styled};
use crate::removal;
use crate::sandbox;
use crate::table::Table;
use crate::worker;

/// The whole check, for a program to read.
#[derive(Serialize)]
struct CheckJson {
    schema: u32,
    ok: bool,
    config: String,
    warnings: Vec<Finding>,
    instances: Vec<InstanceJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workers: Option<WorkersJson>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    groups: Vec<GroupJson>,
}

/// One instance, as both people and programs are told.
#[derive(Serialize)]
struct InstanceJson {
    name: String,
    enabled: bool,
    ok: bool,
    /// `null` where a file is all there is.
    component: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<FileJson>,
    /// Of an instance without a component, which would name it.
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    /// The groups of workers that get what it holds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    deliver_to: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    loaded: Option<Loaded>,
}

#[derive(Serialize)]
struct FileJson {
    path: String,
    lifetime: String,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct Loaded {
    #[serde(flatten)]
    component: ComponentJson,
    service: Answer<String>,
    tokens_required: Answer<bool>,
    /// Imported and granted.
    granted: Vec<Granted>,
    /// Imported and not granted.
    not_granted: Vec<&'static str>,
    /// Granted and not imported.
    unused: Vec<Granted>,
    unknown_imports: Vec<String>,
    secrets: Vec<SecretJson>,
}

/// What the component said when it was called without a grant.
#[derive(Serialize)]
#[serde(untagged)]
enum Answer<T> {
    Said(T),
    Failed { error: String },
}

#[derive(Serialize)]
struct Granted {
    capability: &'static str,
    #[serde(skip)]
    words: &'static str,
    grants: Vec<String>,
}

#[derive(Serialize)]
struct SecretJson {
    name: String,
    source: &'static str,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub(crate) async fn run(context: &Context, arguments: &cli::CheckArgs) -> Result<Exit, CommandError> {
    if let Some(path) = context.names_worker()? {
        return worker::check(context, &path, arguments).await;
    }
    let config = context.configuration()?;
    context.printer.stderr(&config.warnings.render(Colour::Always));
    if !config.warnings.is_empty() {
        context.printer.stderr("\n");
    }
    if let Some(proxy) = context.unused_proxy() {
        context.printer.labelled(WARNING, "warning", &proxy);
    }
    if let Some(warning) = removal::no_instance(&config) {
        context.printer.labelled(WARNING, "warning", warning);
    }
    let (state, key) = (context.state_dir(Some(&config)), config.coordinator.key.as_ref());
    let sandbox = sandbox::open_beside(state, key, Arc::new(sandbox::nobody())).await?;
    let mut instances = Vec::new();
    for instance in config.instances.values() {
        let checked = check(&sandbox, instance).await;
        if !arguments.json {
            context.data(&shown(&checked))?;
        }
        instances.push(checked);
    }
    let mut groups = Vec::new();
    for (name, group) in &config.groups {
        let checked = check_groups::check(&sandbox, name, group).await;
        if !arguments.json {
            context.data(&check_groups::shown(&checked))?;
        }
        groups.push(checked);
    }
    let ok = instances.iter().all(|instance| instance.ok) && groups.iter().all(|group| group.ok);
    if arguments.json {
        context.json(&json(&config, ok, instances, groups))?;
    } else {
        context.data(&summary(&config, &instances, &groups))?;
    }
    Ok(if ok { Exit::Done } else { Exit::Failed })
}

fn json(config: &CoordinatorFile, ok: bool, instances: Vec<InstanceJson>, groups: Vec<GroupJson>) -> CheckJson {
    let warnings = config.warnings.findings().collect();
    let workers = config.coordinator.workers.as_ref().map(WorkersJson::from);
    CheckJson { schema: SCHEMA, ok, config: config.path.display().to_string(), warnings, instances, workers, groups }
}

async fn check(sandbox: &Sandbox, entry: &InstanceEntry) -> InstanceJson {
    let mut checked = InstanceJson {
        name: entry.name.to_string(),
        enabled: entry.enabled,
        ok: true,
        component: entry.component.as_ref().map(|instance| instance.component.display().to_string()),
        file: entry.file.as_ref().map(|source| file(source, entry.enabled)),
        service: entry.service.as_ref().map(ToString::to_string),
        deliver_to: entry.deliver_to.iter().map(ToString::to_string).collect(),
        error: None,
        loaded: None,
    };
    if !entry.enabled {
        return checked;
    }
    let Some(instance) = &entry.component else {
        // Beside a component a file may come and go.
        checked.ok = checked.file.as_ref().is_some_and(|file| file.ok);
        return checked;
    };
    match sandbox.load(instance).await {
        Ok(provider) => {
            let loaded = loaded(&provider, instance).await;
            checked.ok = loaded.secrets.iter().all(|secret| secret.ok)
                && matches!(loaded.service, Answer::Said(_))
                && matches!(loaded.tokens_required, Answer::Said(_));
            checked.loaded = Some(loaded);
        }
        Err(error) => {
            checked.ok = false;
            checked.error = Some(CommandError::from(error).json());
        }
    }
    checked
}

/// What is not enabled is not looked at.
fn file(source: &FileSource, enabled: bool) -> FileJson {
    let error = if enabled { readable(&source.path).err().map(|error| error.to_string()) } else { None };
    let path = source.path.display().to_string();
    FileJson { path, lifetime: source.lifetime.to_string(), ok: error.is_none(), error }
}

/// Whether there is a file that can be opened. What is no file might never open.
fn readable(path: &Path) -> io::Result<()> {
    if !path.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
    }
    File::open(path).map(drop)
}

async fn loaded(provider: &LoadedProvider, instance: &Instance) -> Loaded {
    let inspection = provider.info();
    let (service, required) = (provider.service_name().await, provider.tokens_required().await);
    let failed = |error: deputy_sandbox::CallError| error.to_string();
    let (granted, not_granted, unused) = compare(inspection, instance);
    Loaded {
        component: ComponentJson::from(inspection),
        service: Answer::of(service.result.map(|service| service.to_string()).map_err(failed)),
        tokens_required: Answer::of(required.result.map_err(failed)),
        granted,
        not_granted,
        unused,
        unknown_imports: strange(inspection).map(str::to_owned).collect(),
        secrets: secrets(provider, instance).await,
    }
}

/// What is imported and granted, imported and not granted, granted and not imported.
fn compare(inspection: &ComponentInfo, instance: &Instance) -> (Vec<Granted>, Vec<&'static str>, Vec<Granted>) {
    let (mut granted, mut not_granted, mut unused) = (Vec::new(), Vec::new(), Vec::new());
    for capability in Capability::ALL.into_iter().filter(|c| c.leave(inspection.kind) == Permission::Granted) {
        let grants = capability.granted(&instance.grant);
        let entry = Granted { capability: capability.key(), words: capability.words(), grants };
        match (capability.imported(inspection), entry.grants.is_empty()) {
            (true, true) => not_granted.push(capability.words()),
            (true, false) => granted.push(entry),
            // Names come with the rules for connections, which tell of themselves.
            (false, false) if capability != Capability::Names => unused.push(entry),
            (false, _) => {}
        }
    }
    (granted, not_granted, unused)
}

async fn secrets(provider: &LoadedProvider, instance: &Instance) -> Vec<SecretJson> {
    let source = |name: &SecretName| instance.sources.get(name).map_or("", |source| source.kind());
    let json = |(name, result): (SecretName, Result<(), SecretFault>)| SecretJson {
        source: source(&name),
        name: name.to_string(),
        ok: result.is_ok(),
        error: result.err().map(|error| in_one_line(&error)),
    };
    provider.check_secrets().await.into_iter().map(json).collect()
}

impl<T> Answer<T> {
    fn of(result: Result<T, String>) -> Self {
        match result {
            Ok(said) => Self::Said(said),
            Err(error) => Self::Failed { error },
        }
    }
}

fn shown(instance: &InstanceJson) -> String {
    let (style, word) = match (instance.enabled, instance.ok) {
        (false, _) => (FAINT, "not enabled"),
        (true, true) => (GOOD, "ok"),
        (true, false) => (ERROR, "not ok"),
    };
    let mut text = format!("{}: {}\n", styled(HEADING, &instance.name), styled(style, word));
    let mut table = Table::default();
    if let Some(component) = &instance.component {
        table.row(["component", component]);
    }
    if let Some(loaded) = &instance.loaded {
        describe(&mut table, loaded);
    }
    if let Some(file) = &instance.file {
        describe_file(&mut table, file, instance.service.as_deref());
    }
    if !instance.deliver_to.is_empty() {
        table.row(["deliver to", &instance.deliver_to.join(", ")]);
    }
    text.push_str(&table.render(2));
    if let Some(error) = &instance.error {
        text.push_str(&format!("  {}\n", styled(ERROR, sanitize(&error.message))));
        error.causes.iter().for_each(|cause| text.push_str(&format!("    because {}\n", sanitize(cause))));
    }
    if let Some(loaded) = &instance.loaded {
        for (title, answer) in
            [("service", loaded.service.error()), ("tokens-required", loaded.tokens_required.error())]
        {
            if let Some(error) = answer {
                text.push_str(&format!("  {} {}\n", styled(ERROR, title), sanitize(error)));
            }
        }
        text.push_str(&compared(loaded));
    }
    text.push('\n');
    text
}

impl<T> Answer<T> {
    fn error(&self) -> Option<&str> {
        match self {
            Self::Said(_) => None,
            Self::Failed { error } => Some(error),
        }
    }
}

fn describe(table: &mut Table, loaded: &Loaded) {
    let component = &loaded.component;
    let able: Vec<_> = [(component.exports.renewal, "renews"), (component.exports.revocation, "revokes")]
        .into_iter()
        .filter_map(|(able, word)| able.then_some(word))
        .collect();
    let able = if able.is_empty() { String::new() } else { format!(", {}", able.join(", ")) };
    let service = match &loaded.service {
        Answer::Said(service) => format!(" of {service}"),
        Answer::Failed { .. } => String::new(),
    };
    table.row(["", &format!("{}{service}{able}, {}", component.kind, bytes(component.size))]);
    table.row(["sha256", &component.sha256]);
    if let Answer::Said(false) = loaded.tokens_required {
        table.row(["tokens", "not needed with these settings"]);
    }
    for (index, secret) in loaded.secrets.iter().enumerate() {
        let state = match &secret.error {
            None => format!("{} ({}): can be read", secret.name, secret.source),
            Some(error) => format!("{} ({}): {error}", secret.name, secret.source),
        };
        table.row([if index == 0 { "secrets" } else { "" }, &state]);
    }
}

fn describe_file(table: &mut Table, file: &FileJson, service: Option<&str>) {
    let service = service.map(|service| format!("of {service}, ")).unwrap_or_default();
    table.row(["file", &file.path]);
    table.row(["", &format!("{service}good for {} from when it was written", file.lifetime)]);
    if let Some(error) = &file.error {
        table.row(["", &format!("cannot be read: {error}")]);
    }
}

fn compared(loaded: &Loaded) -> String {
    let mut text = String::new();
    let mut section = |title: String, rows: Vec<(String, String)>| {
        if !rows.is_empty() {
            let mut table = Table::default();
            rows.into_iter().for_each(|(words, grants)| table.row([words, grants]));
            text.push_str(&format!("  {title}\n{}", table.render(4)));
        }
    };
    let rows = |entries: &[Granted]| {
        entries.iter().map(|entry| (entry.words.to_owned(), entry.grants.join(", "))).collect::<Vec<_>>()
    };
    let words = |words: &[&str]| words.iter().map(|words| ((*words).to_owned(), String::new())).collect::<Vec<_>>();
    section("imported and granted".to_owned(), rows(&loaded.granted));
    section(styled(WARNING, "imported and not granted"), words(&loaded.not_granted));
    section(styled(WARNING, "granted and not imported"), rows(&loaded.unused));
    let unknown = loaded.unknown_imports.iter().map(String::as_str).collect::<Vec<_>>();
    section(styled(WARNING, "imported and unknown"), words(&unknown));
    text
}

fn summary(config: &CoordinatorFile, instances: &[InstanceJson], groups: &[GroupJson]) -> String {
    let count = |predicate: fn(&&InstanceJson) -> bool| instances.iter().filter(predicate).count();
    let enabled = count(|instance| instance.enabled);
    let wrong = count(|instance| !instance.ok) + groups.iter().filter(|group| !group.ok).count();
    let path = sanitize(&config.path.display().to_string());
    let number = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    let mut text = format!("{path}: {}", number(enabled, "instance"));
    if !groups.is_empty() {
        text.push_str(&format!(", {}", number(groups.len(), "group")));
    }
    if let Some(workers) = &config.coordinator.workers {
        text.push_str(&format!(", workers come in at {}", workers.advertise));
    }
    match wrong {
        0 => format!("{text}, {}\n", styled(GOOD, "all ok")),
        wrong => format!("{text}, {}\n", styled(ERROR, format!("{wrong} not ok"))),
    }
}
