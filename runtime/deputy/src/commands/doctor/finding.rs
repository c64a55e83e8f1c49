//! One result of `deputy doctor`.

use schemars::JsonSchema;
use serde::Serialize;

use crate::error::CommandError;
use crate::print::{ERROR, FAINT, GOOD, HINT, WARNING, sanitize, styled};

/// How many instances a line names.
const NAMED: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Health {
    Ok,
    /// Nothing to judge, such as a coordinator that does not run.
    Note,
    /// It works, and may not for long or not for all.
    Warning,
    Failed,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct FindingJson {
    /// What was looked at: `clock`, `dns`, `reach`, `modes`, …
    check: &'static str,
    /// Of what: a host, a path.
    #[serde(skip_serializing_if = "String::is_empty")]
    subject: String,
    pub(crate) health: Health,
    text: String,
    /// The instances that it concerns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    instances: Vec<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl FindingJson {
    pub(crate) fn new(
        check: &'static str,
        subject: impl Into<String>,
        health: Health,
        text: impl Into<String>,
    ) -> Self {
        Self { check, subject: subject.into(), health, text: text.into(), instances: Vec::new(), fix: None }
    }

    /// An error with its causes, and its hints as what fixes it.
    pub(crate) fn of_error(check: &'static str, health: Health, error: CommandError) -> Self {
        let finding = Self::new(check, "", health, error.one_line());
        match error.hints() {
            [] => finding,
            hints => finding.fix(hints.join("\n")),
        }
    }

    pub(crate) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    pub(crate) fn of_instances(mut self, names: &[String]) -> Self {
        self.instances = names.to_vec();
        self
    }

    pub(crate) fn text(&self) -> String {
        let (style, word) = match self.health {
            Health::Ok => (GOOD, "ok"),
            Health::Note => (FAINT, "note"),
            Health::Warning => (WARNING, "warning"),
            Health::Failed => (ERROR, "failed"),
        };
        let subject = if self.subject.is_empty() { String::new() } else { format!("{}: ", sanitize(&self.subject)) };
        // Padded before it is styled: escape codes have a length and no width.
        let word = styled(style, format!("{word:<8}"));
        let instances = concerned(&self.instances);
        let mut text = format!("{word} {:<9} {subject}{}{instances}\n", self.check, sanitize(&self.text));
        if let Some(fix) = &self.fix {
            for (number, line) in fix.lines().enumerate() {
                let label = if number == 0 { styled(HINT, "fix:").to_string() } else { "    ".to_owned() };
                text.push_str(&format!("           {label} {}\n", sanitize(line)));
            }
        }
        text
    }
}

/// ` (for a, b and 7 more)`
fn concerned(names: &[String]) -> String {
    match names {
        [] => String::new(),
        names if names.len() > NAMED => {
            let (named, rest) = names.split_at(NAMED);
            format!(" (for {} and {} more)", named.join(", "), rest.len())
        }
        names => format!(" (for {})", names.join(", ")),
    }
}
