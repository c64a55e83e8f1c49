//! Why a command failed, and how that is printed.

mod conversions;

use std::error::Error;

use deputy_config::{Colour, ConfigErrors, Finding};
use deputy_core::in_one_line;
use deputy_local::ControlError;
use schemars::JsonSchema;
use serde::Serialize;

use crate::exit::Exit;
use crate::failed_setting::FailedSetting;
use crate::print::{ERROR, HINT, Printer, indented, sanitize};

pub(crate) use conversions::etcd_hint;

#[derive(Debug)]
pub(crate) struct CommandError {
    exit: Exit,
    report: Report,
    hints: Vec<String>,
    at: Option<Box<FailedSetting>>,
}

#[derive(Debug)]
enum Report {
    Chain(Box<dyn Error + Send + Sync>),
    Findings(ConfigErrors),
    Refused(Box<ControlError>),
}

/// An error with the action that failed.
#[derive(Debug, thiserror::Error)]
#[error("{action}")]
struct FailedAction {
    action: &'static str,
    source: Box<dyn Error + Send + Sync>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ErrorJson {
    kind: &'static str,
    exit_code: u8,
    pub(crate) message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) causes: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    findings: Vec<Finding>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hints: Vec<String>,
    /// The setting that a component calls wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<FailedSetting>,
}

impl CommandError {
    pub(crate) fn new(exit: Exit, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { exit, report: Report::Chain(error.into()), hints: Vec::new(), at: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// A request that a coordinator or worker refused, with details that it rendered for people.
    pub(crate) fn refused(exit: Exit, error: ControlError) -> Self {
        Self { exit, report: Report::Refused(Box::new(error)), hints: Vec::new(), at: None }
    }

    /// Adds the setting that is wrong.
    pub(crate) fn at(mut self, at: Option<FailedSetting>) -> Self {
        self.at = at.map(Box::new);
        self
    }

    /// Adds the action that failed, such as `cannot read the backup`.
    pub(crate) fn context(self, action: &'static str) -> Self {
        match self.report {
            Report::Chain(source) => Self { report: Report::Chain(Box::new(FailedAction { action, source })), ..self },
            Report::Findings(_) | Report::Refused(_) => self,
        }
    }

    /// The setting that is wrong.
    pub(crate) fn place(&self) -> Option<&FailedSetting> {
        self.at.as_deref()
    }

    /// The error with its causes, without its place and hints.
    pub(crate) fn one_line(&self) -> String {
        match &self.report {
            Report::Chain(error) => in_one_line(error.as_ref()),
            Report::Findings(errors) => errors.to_string(),
            Report::Refused(error) => error.message.clone(),
        }
    }

    pub(crate) fn hints(&self) -> &[String] {
        &self.hints
    }

    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// For people: the error with its causes, then the hints.
    pub(crate) fn print(&self, printer: Printer) {
        match &self.report {
            Report::Chain(error) => {
                printer.labelled(ERROR, "error", &FailedSetting::locate(self.at.as_deref(), &error.to_string()));
                for cause in causes(error.as_ref()) {
                    printer.stderr(&format!("  because {}\n", sanitize(&cause)));
                }
            }
            Report::Refused(error) => {
                printer.stderr(&indented(&error.details, ""));
                printer.labelled(ERROR, "error", &error.message);
            }
            Report::Findings(ConfigErrors::Invalid(findings)) => {
                printer.stderr(&findings.render(Colour::Always));
                printer.stderr("\n");
                let errors = match findings.len() {
                    1 => "1 error".to_owned(),
                    count => format!("{count} errors"),
                };
                let text = format!("{errors} in {}: nothing was started", findings.path().display());
                printer.labelled(ERROR, "error", &text);
            }
            Report::Findings(error @ ConfigErrors::Unreadable { source, .. }) => {
                printer.labelled(ERROR, "error", &error.to_string());
                printer.stderr(&format!("  because {}\n", sanitize(&source.to_string())));
            }
        }
        for hint in &self.hints {
            printer.labelled(HINT, "hint", hint);
        }
    }

    /// For programs.
    pub(crate) fn json(&self) -> ErrorJson {
        let mut json = ErrorJson {
            kind: self.exit.word(),
            exit_code: self.exit.code(),
            message: String::new(),
            causes: Vec::new(),
            findings: Vec::new(),
            hints: self.hints.clone(),
            at: self.at.as_deref().cloned(),
        };
        match &self.report {
            Report::Chain(error) => {
                json.message = FailedSetting::locate(self.at.as_deref(), &error.to_string());
                json.causes = causes(error.as_ref());
            }
            Report::Findings(errors) => {
                json.message = errors.to_string();
                json.findings = errors.findings();
            }
            Report::Refused(error) => {
                json.message = error.message.clone();
                json.causes = error.details.lines().map(str::to_owned).collect();
            }
        }
        json
    }
}

/// The causes of an error. A cause that only repeats the one above is left out.
fn causes(error: &(dyn Error + 'static)) -> Vec<String> {
    let mut texts = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if texts.last() != Some(&text) {
            texts.push(text);
        }
        next = cause.source();
    }
    texts.split_off(1)
}
