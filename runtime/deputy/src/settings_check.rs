//! Comparing settings with those that a component describes, before it is called.

use std::collections::BTreeMap;

use deputy_audit::AuditSubject;
use deputy_config::nearest;
use deputy_core::{ComponentDescription, ComponentRef, Digest, SettingFault};
use deputy_sandbox::{CallError, Sandbox};

use crate::error::CommandError;
use crate::exit::Exit;
use crate::failed_setting::{FailedSetting, OwnSettings};

#[derive(Debug, thiserror::Error)]
#[error("the component's description of itself failed")]
struct DescriptionFailed(#[source] CallError);

/// The component that is asked.
#[derive(Clone)]
pub(crate) struct DescriptionRequest<'c> {
    pub(crate) component: &'c ComponentRef,
    pub(crate) sha256: Option<Digest>,
    /// For which instance or receiver.
    pub(crate) subject: AuditSubject,
}

/// What a component says about itself with these settings; `None` if it does not describe itself.
pub(crate) async fn describe(
    sandbox: &Sandbox,
    asked: DescriptionRequest<'_>,
    settings: &BTreeMap<String, String>,
) -> Result<Option<ComponentDescription>, CommandError> {
    let DescriptionRequest { component, sha256, subject } = asked;
    let Some(call) = sandbox.describe(component, sha256, settings, subject).await? else { return Ok(None) };
    let described = call.result.map_err(|error| CommandError::new(Exit::Misconfigured, DescriptionFailed(error)))?;
    Ok(Some(described))
}

/// Refuses settings whose names a component does not know, and missing ones that it needs.
pub(crate) async fn check(
    sandbox: &Sandbox,
    asked: DescriptionRequest<'_>,
    settings: &BTreeMap<String, String>,
    lines: OwnSettings<'_>,
) -> Result<(), CommandError> {
    match describe(sandbox, asked, settings).await? {
        Some(description) => refuse(&description, settings, Some(lines)),
        None => Ok(()),
    }
}

/// The same for settings that are known already; with the lines of the file that they are from.
pub(crate) fn refuse(
    description: &ComponentDescription,
    settings: &BTreeMap<String, String>,
    lines: Option<OwnSettings<'_>>,
) -> Result<(), CommandError> {
    let faults = description.faults(settings.keys().map(String::as_str));
    let Some(first) = faults.first() else { return Ok(()) };
    // The place of the first one is that of the error. The others are no causes of it: they follow in the same list.
    let mut error = text(first, description);
    for other in faults.iter().skip(1) {
        let text = FailedSetting::locate(place(other, lines).as_ref(), &text(other, description));
        error.push_str(&format!("; also: {text}"));
    }
    Err(CommandError::new(Exit::Misconfigured, error).at(place(first, lines)))
}

fn place(fault: &SettingFault, lines: Option<OwnSettings<'_>>) -> Option<FailedSetting> {
    lines.and_then(|lines| lines.find(fault.setting()))
}

/// An unknown setting with the one that was meant, or all of them.
fn text(fault: &SettingFault, description: &ComponentDescription) -> String {
    let SettingFault::Unknown { name } = fault else { return fault.to_string() };
    let known = description.settings.iter().map(|setting| setting.name.as_str());
    match nearest(name, known.clone()) {
        Some(meant) => format!("{fault}; did you mean `{meant}`?"),
        None => format!("{fault}; it has {}", known.collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_core::DescribedSetting;

    #[test]
    fn setting_that_is_wrong_is_no_cause_of_another_one() {
        let region = DescribedSetting { name: "region".to_owned(), properties: Vec::new() };
        let description = ComponentDescription { about: Vec::new(), settings: vec![region], wants: Ok(Vec::new()) };
        let settings = ["foo", "regoin"].map(|name| (name.to_owned(), "x".to_owned())).into_iter().collect();
        let error = refuse(&description, &settings, None).unwrap_err().json();
        assert!(error.causes.is_empty(), "{error:?}");
        for text in ["no setting `foo`; it has region; also: ", "no setting `regoin`; did you mean `region`?"] {
            assert!(error.message.contains(text), "{}", error.message);
        }
    }
}
