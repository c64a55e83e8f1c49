//! What a component says about itself, as `deputy inspect` shows it.

use deputy_core::{ComponentDescription, DescribedProperty, DescribedSetting, GrantRequest, OperatorFacts};
use schemars::JsonSchema;
use serde::Serialize;

use super::section;
use crate::capability::Capability;
use crate::print::{HEADING, sanitize, styled};
use crate::table::Table;

#[derive(Serialize, JsonSchema)]
pub(super) struct DescriptionJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    about: Vec<PropertyJson<'a>>,
    settings: Vec<SettingJson<'a>>,
    /// What it wants with the settings of --set; `null` if it cannot say.
    wants: Option<Vec<WantJson<'a>>>,
    /// Why it cannot say.
    #[serde(skip_serializing_if = "Option::is_none")]
    wants_error: Option<&'a str>,
}

#[derive(Serialize, JsonSchema)]
struct PropertyJson<'a> {
    name: &'a str,
    value: &'a str,
}

#[derive(Serialize, JsonSchema)]
struct SettingJson<'a> {
    name: &'a str,
    properties: Vec<PropertyJson<'a>>,
}

#[derive(Serialize, JsonSchema)]
struct WantJson<'a> {
    kind: &'a str,
    properties: Vec<PropertyJson<'a>>,
}

impl<'a> From<&'a Result<ComponentDescription, String>> for DescriptionJson<'a> {
    fn from(described: &'a Result<ComponentDescription, String>) -> Self {
        let description = match described {
            Ok(description) => description,
            Err(error) => {
                return Self {
                    error: Some(error),
                    about: Vec::new(),
                    settings: Vec::new(),
                    wants: None,
                    wants_error: None,
                };
            }
        };
        let setting = |setting: &'a DescribedSetting| SettingJson {
            name: &setting.name,
            properties: properties(&setting.properties),
        };
        let wants = description.wants.as_ref().ok().map(|wants| {
            wants.iter().map(|want| WantJson { kind: &want.kind, properties: properties(&want.properties) }).collect()
        });
        Self {
            error: None,
            about: properties(&description.about),
            settings: description.settings.iter().map(setting).collect(),
            wants,
            wants_error: description.wants.as_ref().err().map(|failure| failure.message.as_str()),
        }
    }
}

fn properties(properties: &[DescribedProperty]) -> Vec<PropertyJson<'_>> {
    properties.iter().map(|property| PropertyJson { name: &property.name, value: &property.value }).collect()
}

/// The sections of a description: settings, and what it wants.
pub(super) fn text(described: Option<&Result<ComponentDescription, String>>, has_settings: bool) -> String {
    match described {
        None => String::new(),
        Some(Err(error)) => section("Its description of itself failed", vec![error.clone()]),
        Some(Ok(description)) => settings(description) + &wants(description, has_settings),
    }
}

fn settings(description: &ComponentDescription) -> String {
    let mut table = Table::default();
    for setting in &description.settings {
        let notes = [
            setting.needed().map(|when| if when == "yes" { "needed".to_owned() } else { format!("needed {when}") }),
            setting.default().map(|default| format!("default: {default}")),
            setting.kind().map(|kind| format!("type: {kind}")),
        ];
        table.row([setting.name.as_str(), setting.text()]);
        table.row(["", &notes.into_iter().flatten().collect::<Vec<_>>().join("; ")]);
    }
    if description.settings.is_empty() {
        return section("Settings", vec!["none".to_owned()]);
    }
    format!("\n{}\n{}", styled(HEADING, "Settings"), table.render(2))
}

fn wants(description: &ComponentDescription, has_settings: bool) -> String {
    let title =
        if has_settings { "Wants, with these settings" } else { "Wants, without settings (add --set NAME=VALUE)" };
    let wants = match &description.wants {
        Ok(wants) => wants,
        Err(failure) => return section(title, vec![format!("unknown: {}", failure.message)]),
    };
    let request = match GrantRequest::read(wants, OperatorFacts::default()) {
        Ok(request) => request,
        Err(error) => return section(title, vec![error.to_string()]),
    };
    let mut lines = Vec::new();
    for capability in Capability::ALL.into_iter().filter(|capability| *capability != Capability::Names) {
        let granted = capability.granted_with_limits(&request.grant).into_iter();
        lines.extend(granted.map(|grant| format!("{}: {}", capability.words(), sanitize(&grant))));
    }
    lines.extend(request.targets.iter().map(|target| format!("{}: {target}", Capability::Kerberos.words())));
    lines.extend(request.unknown.iter().map(|kind| format!("{kind}, which this version of deputy does not know")));
    section(title, lines)
}
