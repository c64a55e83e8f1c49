//! The line of the setting that a component calls wrong.

use deputy_config::{SettingLines, SettingsOwner};
use deputy_sandbox::CallError;
use schemars::JsonSchema;
use serde::Serialize;

/// A setting with its line in the configuration, for a program to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct FailedSetting {
    /// In the component's words.
    pub(crate) setting: String,
    pub(crate) file: String,
    /// From 1; that of the component's table if the setting is missing.
    pub(crate) line: usize,
}

/// The settings of one component in its configuration; none if they come from the command line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OwnSettings<'c>(Option<(&'c SettingLines, &'c SettingsOwner)>);

impl<'c> OwnSettings<'c> {
    pub(crate) fn new(lines: &'c SettingLines, owner: &'c SettingsOwner) -> Self {
        Self(Some((lines, owner)))
    }

    pub(crate) fn of_command_line() -> Self {
        Self(None)
    }

    /// The setting that a failed call names, if it names one.
    pub(crate) fn of_call(self, error: &CallError) -> Option<FailedSetting> {
        match error {
            CallError::Failure(failure) => self.find(failure.setting.as_deref()?),
            _ => None,
        }
    }

    pub(crate) fn find(self, setting: &str) -> Option<FailedSetting> {
        let (lines, owner) = self.0?;
        let place = lines.find(owner, setting)?;
        Some(FailedSetting { setting: setting.to_owned(), file: place.file.display().to_string(), line: place.line })
    }
}

impl FailedSetting {
    /// `deputy.toml:17: TEXT`; the text alone without a line.
    pub(crate) fn locate(at: Option<&Self>, text: &str) -> String {
        match at {
            Some(at) => format!("{}:{}: {text}", at.file, at.line),
            None => text.to_owned(),
        }
    }
}
