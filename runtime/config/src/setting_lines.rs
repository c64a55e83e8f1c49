//! The lines of a configuration on which the settings of components are, for the failures that name a setting.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use deputy_core::{GroupName, InstanceName, ReceiverName};
use toml::de::DeTable;

use crate::diagnostic::DiagnosticSink;
use crate::position::Cursor;
use crate::value::{Key, Located, TableReader};

/// The component whose settings are meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SettingsOwner {
    /// `[groups.NAME.receivers.NAME]` of a coordinator.
    GroupReceiver(GroupName, ReceiverName),
    /// `[instances.NAME]` of a coordinator.
    Instance(InstanceName),
    /// `[receivers.NAME]` of a worker, or of a coordinator that publishes itself.
    WorkerReceiver(ReceiverName),
}

/// A line of a configuration. Displayed as `deputy.toml:17`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigLine {
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
}

/// Where the settings of all components of a file are.
#[derive(Debug, Clone, Default)]
pub struct SettingLines {
    file: PathBuf,
    owners: BTreeMap<SettingsOwner, OwnerLines>,
}

#[derive(Debug, Clone)]
struct OwnerLines {
    line: usize,
    settings: BTreeMap<String, usize>,
}

/// Reads a valid configuration once more, for its positions alone.
struct LineReader<'t> {
    text: &'t str,
    cursor: Cursor,
    /// Errors are reported where the values are read.
    ignored: DiagnosticSink,
    owners: BTreeMap<SettingsOwner, OwnerLines>,
}

impl SettingLines {
    /// The line of a setting; that of its component's table if the setting is not in the file.
    pub fn find(&self, owner: &SettingsOwner, setting: &str) -> Option<ConfigLine> {
        let owner = self.owners.get(owner)?;
        let line = owner.settings.get(setting).copied().unwrap_or(owner.line);
        Some(ConfigLine { file: self.file.clone(), line })
    }

    /// Of a coordinator's file.
    pub(crate) fn of_coordinator(file: &Path, text: &str, table: &DeTable<'_>) -> Self {
        let mut reader = LineReader::new(text);
        let mut fields = TableReader::new(table, 0..0);
        for (key, value) in reader.entries(fields.optional("instances")) {
            reader.add(key.name.parse().ok().map(SettingsOwner::Instance), &key, value);
        }
        for (group, value) in reader.entries(fields.optional("groups")) {
            let receivers = value.table(&mut reader.ignored, "").and_then(|mut group| group.optional("receivers"));
            for (key, value) in reader.entries(receivers) {
                let owner = group.name.parse().ok().zip(key.name.parse().ok());
                reader.add(owner.map(|(group, name)| SettingsOwner::GroupReceiver(group, name)), &key, value);
            }
        }
        for (key, value) in reader.entries(fields.optional("receivers")) {
            reader.add(key.name.parse().ok().map(SettingsOwner::WorkerReceiver), &key, value);
        }
        Self { file: file.to_owned(), owners: reader.owners }
    }

    /// Of a worker's file.
    pub(crate) fn of_worker(file: &Path, text: &str, table: &DeTable<'_>) -> Self {
        let mut reader = LineReader::new(text);
        for (key, value) in reader.entries(TableReader::new(table, 0..0).optional("receivers")) {
            reader.add(key.name.parse().ok().map(SettingsOwner::WorkerReceiver), &key, value);
        }
        Self { file: file.to_owned(), owners: reader.owners }
    }
}

impl<'t> LineReader<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, cursor: Cursor::default(), ignored: DiagnosticSink::default(), owners: BTreeMap::new() }
    }

    fn add(&mut self, owner: Option<SettingsOwner>, key: &Key<'_>, value: Located<'_>) {
        let Some(owner) = owner else { return };
        let line = self.line(key);
        let settings = value.table(&mut self.ignored, "").and_then(|mut fields| fields.optional("settings"));
        let settings = self.entries(settings).iter().map(|(key, _)| (key.name.to_owned(), self.line(key))).collect();
        self.owners.insert(owner, OwnerLines { line, settings });
    }

    fn entries<'v>(&mut self, value: Option<Located<'v>>) -> Vec<(Key<'v>, Located<'v>)> {
        value.map(|value| value.entries(&mut self.ignored, "")).unwrap_or_default()
    }

    fn line(&mut self, key: &Key<'_>) -> usize {
        self.cursor.line_and_column(self.text, key.at.start).0
    }
}

impl fmt::Display for ConfigLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}
