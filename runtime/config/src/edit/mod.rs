//! Changing a configuration file as its operator would: comments, order and layout stay.

mod apply;
mod new_instance;

use std::fmt;

use deputy_core::FixPlace;
use toml_edit::DocumentMut;

pub use new_instance::NewInstance;

/// The text of a configuration file, to be changed.
#[derive(Debug, Clone)]
pub struct ConfigDocument(DocumentMut);

/// Why lines cannot be applied. It quotes no value, since a secret may have been written there by mistake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    #[error("the configuration is not valid TOML: `deputy check` shows where")]
    Document,
    #[error("the lines are not valid TOML")]
    Lines,
    #[error("the lines do not say where they go: they begin with a comment such as `# a new rule:`")]
    Nowhere,
    #[error("the lines have a placeholder that only you can fill in: {0}")]
    Placeholder(String),
    #[error("[[{table}]] has no rule number {number}: the configuration has changed since; repeat the call")]
    NoRule { table: String, number: usize },
    #[error("there is an instance `{0}`: name the new one with --name")]
    Exists(String),
    #[error("`{0}` is not written as a table or list of tables: change it by hand")]
    Layout(String),
}

impl ConfigDocument {
    pub fn parse(text: &str) -> Result<Self, EditError> {
        text.parse().map(Self).map_err(|_| EditError::Document)
    }

    /// Applies the lines of a fix ([`deputy_core::PolicyDenial::fix`]), at the place that they name.
    pub fn apply(&mut self, fix: &str) -> Result<(), EditError> {
        let place = FixPlace::of(fix).ok_or(EditError::Nowhere)?;
        let lines = fix.lines().filter(|line| !line.starts_with('#'));
        if let Some(line) = lines.clone().find(|line| has_placeholder(line)) {
            return Err(EditError::Placeholder(line.to_owned()));
        }
        let lines: String = lines.flat_map(|line| [line, "\n"]).collect();
        let lines: DocumentMut = lines.parse().map_err(|_| EditError::Lines)?;
        apply::apply(self.0.as_table_mut(), lines.as_table(), &place)
    }
}

/// Whether a line has `…` or `:PORT` where it needs a value of the operator's.
fn has_placeholder(line: &str) -> bool {
    let line = line.split_once(" #").map_or(line, |(before, _)| before);
    line.contains("\"…\"") || line.contains(":PORT\"")
}

impl fmt::Display for ConfigDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests;
