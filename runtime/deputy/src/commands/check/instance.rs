//! What `deputy check` finds out about one instance.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::Path;

use deputy_audit::AuditSubject;
use deputy_config::{InstanceEntry, SettingLines, SettingsOwner};
use deputy_core::{BoundInstance, FileSource, Instance, InstanceName, PayloadKind, SecretSource, in_one_line};
use deputy_sandbox::{CallError, ComponentInfo, LoadedProvider, Sandbox};
use deputy_sources::SourceContext;
use schemars::JsonSchema;
use serde::Serialize;

use super::kept_state::{KeptStates, StateJson};
use super::left_open::{LeftOpenJson, left_open};
use crate::capability::{Capability, Decision, unknown_imports};
use crate::commands::inspect::ComponentJson;
use crate::error::{CommandError, ErrorJson};
use crate::failed_setting::{FailedSetting, OwnSettings};
use crate::settings_check::{self, DescriptionRequest};

/// The instances that are bound to a receiver, if all of them are known.
pub(super) fn bound(of: &BTreeSet<InstanceName>, instances: &[CheckedInstanceJson]) -> Option<Vec<BoundInstance>> {
    let find = |name: &InstanceName| instances.iter().find(|instance| instance.name == name.as_str())?.bound.clone();
    of.iter().map(find).collect()
}

#[derive(Serialize, JsonSchema)]
pub(super) struct CheckedInstanceJson {
    pub(super) name: String,
    pub(super) enabled: bool,
    pub(super) ok: bool,
    /// `null` for an instance whose tokens come only from a file.
    pub(super) component: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<TokenFileJson>,
    /// Of an instance without a component. A component names its service itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) service: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) deliver_to: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<ErrorJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) loaded: Option<LoadedJson>,
    /// What receivers are checked against, if it is known.
    #[serde(skip)]
    pub(super) bound: Option<BoundInstance>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct TokenFileJson {
    pub(super) path: String,
    pub(super) lifetime: String,
    pub(super) ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct LoadedJson {
    #[serde(flatten)]
    pub(super) component: ComponentJson,
    pub(super) service: AnswerJson<String>,
    pub(super) kinds: AnswerJson<BTreeSet<String>>,
    pub(super) tokens_required: AnswerJson<bool>,
    /// Imported and granted.
    pub(super) granted: Vec<CheckedGrantJson>,
    /// Imported and not granted.
    pub(super) not_granted: Vec<&'static str>,
    /// Granted and not imported.
    pub(super) unused: Vec<CheckedGrantJson>,
    pub(super) unknown_imports: Vec<String>,
    /// What the component may choose in what it signs.
    pub(super) left_open: Vec<LeftOpenJson>,
    /// If state is granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) state: Option<StateJson>,
    pub(super) secrets: Vec<SecretJson>,
}

/// The result of a call without a grant.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum AnswerJson<T> {
    Ok(T),
    Failed {
        error: String,
        /// The setting that the component calls wrong.
        #[serde(skip_serializing_if = "Option::is_none")]
        at: Option<FailedSetting>,
    },
}

#[derive(Serialize, JsonSchema)]
pub(super) struct CheckedGrantJson {
    pub(super) capability: &'static str,
    #[serde(skip)]
    pub(super) words: &'static str,
    pub(super) grants: Vec<String>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct SecretJson {
    pub(super) name: String,
    pub(super) source: &'static str,
    pub(super) ok: bool,
    /// Whether it is a credential of systemd, which only the service has.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) unread: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

pub(super) async fn check(
    sandbox: &Sandbox,
    entry: &InstanceEntry,
    kept: &KeptStates,
    lines: &SettingLines,
) -> CheckedInstanceJson {
    let mut checked = CheckedInstanceJson {
        name: entry.name.to_string(),
        enabled: entry.enabled,
        ok: true,
        component: entry.component.as_ref().map(|instance| instance.component.to_string()),
        file: entry.file.as_ref().map(|source| TokenFileJson::check(source, entry.enabled)),
        service: entry.service.as_ref().map(ToString::to_string),
        deliver_to: entry.deliver_to.iter().map(ToString::to_string).collect(),
        error: None,
        loaded: None,
        bound: file_bound(entry),
    };
    if !entry.enabled {
        return checked;
    }
    let Some(instance) = &entry.component else {
        // An instance that has a component as well can do without its file.
        checked.ok = checked.file.as_ref().is_some_and(|file| file.ok);
        return checked;
    };
    let owner = SettingsOwner::Instance(entry.name.clone());
    let subject = AuditSubject::Instance(entry.name.clone());
    let asked = DescriptionRequest { component: &instance.component, sha256: instance.sha256, subject };
    let own = OwnSettings::new(lines, &owner);
    if let Err(error) = settings_check::check(sandbox, asked, &instance.settings, own).await {
        checked.ok = false;
        checked.error = Some(error.json());
        return checked;
    }
    match sandbox.load(instance).await {
        Ok(provider) => {
            let state = StateJson::check(entry, instance, provider.info().digest, kept);
            let loaded = LoadedJson::check(&provider, instance, OwnSettings::new(lines, &owner)).await;
            let loaded = LoadedJson { state, ..loaded };
            checked.ok = loaded.is_ok();
            checked.bound = loaded.bound(instance, entry.kind.as_ref());
            checked.loaded = Some(loaded);
        }
        Err(error) => {
            checked.ok = false;
            checked.error = Some(CommandError::from(error).json());
        }
    }
    checked
}

/// An instance whose tokens come only from a file.
fn file_bound(entry: &InstanceEntry) -> Option<BoundInstance> {
    let kinds = entry.kind.iter().cloned().collect();
    Some(BoundInstance { instance: entry.name.clone(), service: Some(entry.service.clone()?), kinds })
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
#[expect(clippy::disallowed_methods, reason = "an edge: whether the operator's file can be opened")]
fn open(path: &Path) -> io::Result<()> {
    if !path.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
    }
    File::open(path)?;
    Ok(())
}

impl LoadedJson {
    /// The instance as its receivers know it, if its component answered.
    fn bound(&self, instance: &Instance, file_kind: Option<&PayloadKind>) -> Option<BoundInstance> {
        let (AnswerJson::Ok(service), AnswerJson::Ok(kinds)) = (&self.service, &self.kinds) else { return None };
        let kinds = kinds.iter().map(|kind| kind.parse()).chain(file_kind.cloned().map(Ok));
        Some(BoundInstance {
            instance: instance.name.clone(),
            service: Some(service.parse().ok()?),
            kinds: kinds.collect::<Result<_, _>>().ok()?,
        })
    }

    async fn check(provider: &LoadedProvider, instance: &Instance, settings: OwnSettings<'_>) -> Self {
        let info = provider.info();
        let service = provider.service_name().await.result.map(|service| service.to_string());
        let kinds = provider.kinds().await.result.map(|kinds| kinds.iter().map(ToString::to_string).collect());
        let mut checked = Self {
            component: ComponentJson::from(info),
            service: AnswerJson::new(service, settings),
            kinds: AnswerJson::new(kinds, settings),
            tokens_required: AnswerJson::new(provider.tokens_required().await.result, settings),
            granted: Vec::new(),
            not_granted: Vec::new(),
            unused: Vec::new(),
            unknown_imports: unknown_imports(info).map(str::to_owned).collect(),
            left_open: left_open(info, instance),
            state: None,
            secrets: secrets(provider, instance).await,
        };
        checked.compare(info, instance);
        checked
    }

    /// Compares what is imported with what is granted.
    fn compare(&mut self, info: &ComponentInfo, instance: &Instance) {
        for capability in Capability::ALL.into_iter().filter(|c| c.decision(info.kind) == Decision::ByGrant) {
            let grant = CheckedGrantJson {
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
            && self.kinds.error().is_none()
            && self.tokens_required.error().is_none()
    }
}

async fn secrets(provider: &LoadedProvider, instance: &Instance) -> Vec<SecretJson> {
    let is_service = SourceContext::of_process().has_credentials();
    let secrets = provider.check_secrets().await.into_iter();
    secrets
        .map(|(name, result)| {
            let source = instance.sources.get(&name);
            let unread = matches!(source, Some(SecretSource::Credential(_))) && !is_service;
            let error = result.err().filter(|_| !unread);
            SecretJson {
                source: source.map_or("", |source| source.kind()),
                name: name.to_string(),
                ok: error.is_none(),
                unread,
                error: error.map(|error| in_one_line(&error)),
            }
        })
        .collect()
}

impl<T> AnswerJson<T> {
    fn new(result: Result<T, CallError>, settings: OwnSettings<'_>) -> Self {
        match result {
            Ok(answer) => Self::Ok(answer),
            Err(error) => {
                let at = settings.of_call(&error);
                Self::Failed { error: FailedSetting::locate(at.as_ref(), &error.to_string()), at }
            }
        }
    }

    pub(super) fn error(&self) -> Option<&str> {
        match self {
            Self::Ok(_) => None,
            Self::Failed { error, .. } => Some(error),
        }
    }
}
