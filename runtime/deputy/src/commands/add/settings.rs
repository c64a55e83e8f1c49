//! The settings of a new instance: those of the command line, and answers for what the component misses.

use std::collections::BTreeMap;

use deputy_audit::AuditSubject;
use deputy_core::{ComponentDescription, ComponentFailure, ComponentRef, DescribedSetting};
use deputy_sandbox::{ComponentInfo, Sandbox};

use crate::error::CommandError;
use crate::exit::Exit;
use crate::prompter::Prompter;
use crate::setting_arg::{SettingArg, settings};
use crate::settings_check::{DescriptionRequest, describe, refuse};

/// The most questions: a component could find something missing again and again.
const MAX_QUESTIONS: usize = 16;

/// Settings with which the component said what it wants.
pub(super) struct CompleteSettings {
    pub(super) settings: BTreeMap<String, String>,
    pub(super) description: ComponentDescription,
}

/// Asks for settings that the component needs, until it says what it wants.
pub(super) async fn complete(
    sandbox: &Sandbox,
    component: &ComponentRef,
    info: &ComponentInfo,
    subject: AuditSubject,
    prompter: &Prompter,
    arguments: &[SettingArg],
) -> Result<CompleteSettings, CommandError> {
    let mut settings = settings(arguments);
    for _ in 0..MAX_QUESTIONS {
        let asked = DescriptionRequest { component, sha256: Some(info.digest), subject: subject.clone() };
        let found = describe(sandbox, asked, &settings).await?;
        let description = found.ok_or_else(|| undescribed(info))?;
        let Some(missing) = missing(&description, &settings) else {
            refuse(&description, &settings, None)?;
            if let Err(failure) = &description.wants {
                return Err(refused(failure));
            }
            return Ok(CompleteSettings { settings, description });
        };
        let example = missing.kind().map(|kind| format!(" [{kind}]")).unwrap_or_default();
        match prompter.ask(&format!("setting {}{example}: {}", missing.name, missing.text()))? {
            Some(answer) => settings.insert(missing.name.clone(), answer),
            None => return Err(unanswered(&description, &settings)),
        };
    }
    Err(CommandError::new(Exit::Misconfigured, "gave up after 16 questions: the component keeps asking for settings"))
}

/// A setting that is always needed, or that the component misses with these.
fn missing<'d>(
    description: &'d ComponentDescription,
    settings: &BTreeMap<String, String>,
) -> Option<&'d DescribedSetting> {
    let is_absent = |setting: &&DescribedSetting| !settings.keys().any(|name| setting.has(name));
    let needed = description.settings.iter().filter(is_absent).find(|setting| setting.is_needed());
    let named = description.wants.as_ref().err().and_then(|failure| failure.setting.as_deref());
    needed
        .or_else(|| description.settings.iter().filter(is_absent).find(|setting| Some(setting.name.as_str()) == named))
}

fn unanswered(description: &ComponentDescription, settings: &BTreeMap<String, String>) -> CommandError {
    let error = match (refuse(description, settings, None), &description.wants) {
        (Err(error), _) => error,
        (Ok(()), Err(failure)) => refused(failure),
        (Ok(()), Ok(_)) => CommandError::new(Exit::Misconfigured, "a setting is missing"),
    };
    error.hint("add --set NAME=VALUE; `deputy inspect` lists the settings")
}

/// What the component says is wrong with its settings.
fn refused(failure: &ComponentFailure) -> CommandError {
    CommandError::new(Exit::Misconfigured, format!("the component says: {}", failure.message))
}

fn undescribed(info: &ComponentInfo) -> CommandError {
    let error = format!("{} does not describe itself, so what it wants is not known", info.path.display());
    let hint = "write its instance by hand, as its author says; `deputy inspect` shows what it can do at all";
    CommandError::new(Exit::Misconfigured, error).hint(hint)
}
