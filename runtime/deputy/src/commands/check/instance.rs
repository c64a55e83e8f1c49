//! What `deputy check` finds out about one instance.

use std::fs::File;
use std::io;
use std::path::Path;

use deputy_config::InstanceEntry;
use deputy_core::{FileSource, Instance, in_one_line};
use deputy_sandbox::{CallError, ComponentInfo, LoadedProvider, Sandbox};
use serde::Serialize;

use crate::capability::{Capability, Decision, unknown_imports};
use crate::commands::inspect::ComponentJson;
use crate::error::{CommandError, ErrorJson};
use crate::print::{ERROR, FAINT, GOOD, HEADING, WARNING, bytes, sanitize, styled};
use crate::table::Table;

#[derive(Serialize)]
pub(super) struct InstanceJson {
    name: String,
    pub(super) enabled: bool,
    pub(super) ok: bool,
    /// `null` for an instance whose tokens come only from a file.
    component: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<TokenFileJson>,
    /// Of an instance without a component. A component names its service itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    deliver_to: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    loaded: Option<LoadedJson>,
}

#[derive(Serialize)]
struct TokenFileJson {
    path: String,
    lifetime: String,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct LoadedJson {
    #[serde(flatten)]
    component: ComponentJson,
    service: AnswerJson<String>,
    tokens_required: AnswerJson<bool>,
    /// Imported and granted.
    granted: Vec<GrantJson>,
    /// Imported and not granted.
    not_granted: Vec<&'static str>,
    /// Granted and not imported.
    unused: Vec<GrantJson>,
    unknown_imports: Vec<String>,
    secrets: Vec<SecretJson>,
}

/// The result of a call without a grant.
#[derive(Serialize)]
#[serde(untagged)]
enum AnswerJson<T> {
    Ok(T),
    Failed { error: String },
}

#[derive(Serialize)]
struct GrantJson {
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

pub(super) async fn check(sandbox: &Sandbox, entry: &InstanceEntry) -> InstanceJson {
    let mut checked = InstanceJson {
        name: entry.name.to_string(),
        enabled: entry.enabled,
        ok: true,
        component: entry.component.as_ref().map(|instance| instance.component.display().to_string()),
        file: entry.file.as_ref().map(|source| TokenFileJson::check(source, entry.enabled)),
        service: entry.service.as_ref().map(ToString::to_string),
        deliver_to: entry.deliver_to.iter().map(ToString::to_string).collect(),
        error: None,
        loaded: None,
    };
    if !entry.enabled {
        return checked;
    }
    let Some(instance) = &entry.component else {
        // An instance that has a component as well can do without its file.
        checked.ok = checked.file.as_ref().is_some_and(|file| file.ok);
        return checked;
    };
    match sandbox.load(instance).await {
        Ok(provider) => {
            let loaded = LoadedJson::check(&provider, instance).await;
            checked.ok = loaded.is_ok();
            checked.loaded = Some(loaded);
        }
        Err(error) => {
            checked.ok = false;
            checked.error = Some(CommandError::from(error).json());
        }
    }
    checked
}

impl TokenFileJson {
    fn check(source: &FileSource, is_enabled: bool) -> Self {
        let error = if is_enabled { open(&source.path).err() } else { None };
        Self {
            path: source.path.display().to_string(),
            lifetime: source.lifetime.to_string(),
            ok: error.is_none(),
            error: error.map(|error| error.to_string()),
        }
    }
}

/// Opens a regular file. Opening anything else might not return.
fn open(path: &Path) -> io::Result<()> {
    if !path.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
    }
    File::open(path)?;
    Ok(())
}

impl LoadedJson {
    async fn check(provider: &LoadedProvider, instance: &Instance) -> Self {
        let info = provider.info();
        let service = provider.service_name().await.result.map(|service| service.to_string());
        let mut checked = Self {
            component: ComponentJson::from(info),
            service: AnswerJson::from(service),
            tokens_required: AnswerJson::from(provider.tokens_required().await.result),
            granted: Vec::new(),
            not_granted: Vec::new(),
            unused: Vec::new(),
            unknown_imports: unknown_imports(info).map(str::to_owned).collect(),
            secrets: secrets(provider, instance).await,
        };
        checked.compare(info, instance);
        checked
    }

    /// Compares what is imported with what is granted.
    fn compare(&mut self, info: &ComponentInfo, instance: &Instance) {
        for capability in Capability::ALL.into_iter().filter(|c| c.decision(info.kind) == Decision::ByGrant) {
            let grant = GrantJson {
                capability: capability.key(),
                words: capability.words(),
                grants: capability.granted(&instance.grant),
            };
            match (capability.is_imported(info), grant.grants.is_empty()) {
                (true, true) => self.not_granted.push(capability.words()),
                (true, false) => self.granted.push(grant),
                // Names come with the rules for connections, which are reported themselves.
                (false, false) if capability != Capability::Names => self.unused.push(grant),
                (false, _) => {}
            }
        }
    }

    fn is_ok(&self) -> bool {
        self.secrets.iter().all(|secret| secret.ok)
            && self.service.error().is_none()
            && self.tokens_required.error().is_none()
    }
}

async fn secrets(provider: &LoadedProvider, instance: &Instance) -> Vec<SecretJson> {
    let secrets = provider.check_secrets().await.into_iter();
    secrets
        .map(|(name, result)| SecretJson {
            source: instance.sources.get(&name).map_or("", |source| source.kind()),
            name: name.to_string(),
            ok: result.is_ok(),
            error: result.err().map(|error| in_one_line(&error)),
        })
        .collect()
}

impl<T> From<Result<T, CallError>> for AnswerJson<T> {
    fn from(result: Result<T, CallError>) -> Self {
        match result {
            Ok(answer) => Self::Ok(answer),
            Err(error) => Self::Failed { error: error.to_string() },
        }
    }
}

impl<T> AnswerJson<T> {
    fn error(&self) -> Option<&str> {
        match self {
            Self::Ok(_) => None,
            Self::Failed { error } => Some(error),
        }
    }
}

impl InstanceJson {
    pub(super) fn text(&self) -> String {
        let (style, state) = match (self.enabled, self.ok) {
            (false, _) => (FAINT, "not enabled"),
            (true, true) => (GOOD, "ok"),
            (true, false) => (ERROR, "not ok"),
        };
        let mut text = format!("{}: {}\n", styled(HEADING, &self.name), styled(style, state));
        text.push_str(&self.facts().render(2));
        if let Some(error) = &self.error {
            text.push_str(&format!("  {}\n", styled(ERROR, sanitize(&error.message))));
            error.causes.iter().for_each(|cause| text.push_str(&format!("    because {}\n", sanitize(cause))));
        }
        if let Some(loaded) = &self.loaded {
            text.push_str(&loaded.errors());
            text.push_str(&loaded.comparison());
        }
        text.push('\n');
        text
    }

    fn facts(&self) -> Table {
        let mut table = Table::default();
        if let Some(component) = &self.component {
            table.row(["component", component]);
        }
        if let Some(loaded) = &self.loaded {
            loaded.add_facts(&mut table);
        }
        if let Some(file) = &self.file {
            let service = self.service.as_ref().map(|service| format!("of {service}, ")).unwrap_or_default();
            table.row(["file", &file.path]);
            table.row(["", &format!("{service}valid for {} after it was written", file.lifetime)]);
            if let Some(error) = &file.error {
                table.row(["", &format!("cannot be read: {error}")]);
            }
        }
        if !self.deliver_to.is_empty() {
            table.row(["deliver to", &self.deliver_to.join(", ")]);
        }
        table
    }
}

impl LoadedJson {
    fn add_facts(&self, table: &mut Table) {
        let component = &self.component;
        let mut facts = match &self.service {
            AnswerJson::Ok(service) => format!("{} of {service}", component.kind),
            AnswerJson::Failed { .. } => component.kind.clone(),
        };
        if component.exports.renewal {
            facts.push_str(", renews");
        }
        if component.exports.revocation {
            facts.push_str(", revokes");
        }
        table.row(["", &format!("{facts}, {}", bytes(component.size))]);
        table.row(["sha256", &component.sha256]);
        if let AnswerJson::Ok(false) = self.tokens_required {
            table.row(["tokens", "not required with these settings"]);
        }
        for (index, secret) in self.secrets.iter().enumerate() {
            let state = secret.error.as_deref().unwrap_or("readable");
            let label = if index == 0 { "secrets" } else { "" };
            table.row([label, &format!("{} ({}): {state}", secret.name, secret.source)]);
        }
    }

    fn errors(&self) -> String {
        let answers = [("service", self.service.error()), ("tokens-required", self.tokens_required.error())];
        let failed = answers.into_iter().filter_map(|(function, error)| Some((function, error?)));
        failed.map(|(function, error)| format!("  {} {}\n", styled(ERROR, function), sanitize(error))).collect()
    }

    fn comparison(&self) -> String {
        let mut text = section("imported and granted", grant_rows(&self.granted));
        let not_granted = self.not_granted.iter().map(|words| [(*words).to_owned(), String::new()]).collect();
        let unknown = self.unknown_imports.iter().map(|import| [import.clone(), String::new()]).collect();
        text.push_str(&section(&styled(WARNING, "imported and not granted"), not_granted));
        text.push_str(&section(&styled(WARNING, "granted and not imported"), grant_rows(&self.unused)));
        text.push_str(&section(&styled(WARNING, "imported and unknown"), unknown));
        text
    }
}

fn grant_rows(grants: &[GrantJson]) -> Vec<[String; 2]> {
    grants.iter().map(|grant| [grant.words.to_owned(), grant.grants.join(", ")]).collect()
}

fn section(title: &str, rows: Vec<[String; 2]>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut table = Table::default();
    rows.into_iter().for_each(|row| table.row(row));
    format!("  {title}\n{}", table.render(4))
}
