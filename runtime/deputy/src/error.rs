//! Why a command ended without doing what it was asked for, and how that is told.

use std::error::Error;
use std::io;

use deputy_config::{Colour, ConfigErrors, Finding};
use deputy_local::ControlError;
use deputy_sandbox::{CacheError, CompileError, LoadError, SandboxError};
use serde::Serialize;

use crate::exit::Exit;
use crate::print::{ERROR, HINT, Printer, indented, sanitize};

/// A failed command: the error with its chain, what may help, and the code to end with.
#[derive(Debug)]
pub(crate) struct CommandError {
    exit: Exit,
    report: Report,
    hints: Vec<String>,
}

#[derive(Debug)]
enum Report {
    Chain(Box<dyn Error + Send + Sync>),
    Findings(ConfigErrors),
    Refused(Box<ControlError>),
}

/// An error and what was being done.
#[derive(Debug, thiserror::Error)]
#[error("{doing}")]
struct Doing {
    doing: &'static str,
    source: Box<dyn Error + Send + Sync>,
}

/// A failed command, for a program to read.
#[derive(Debug, Serialize)]
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
}

impl CommandError {
    pub(crate) fn new(exit: Exit, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { exit, report: Report::Chain(error.into()), hints: Vec::new() }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// What the coordinator refused, with what it found, as it has rendered that for a person.
    pub(crate) fn refused(exit: Exit, error: ControlError) -> Self {
        Self { exit, report: Report::Refused(Box::new(error)), hints: Vec::new() }
    }

    /// Says what was being done.
    pub(crate) fn context(self, doing: &'static str) -> Self {
        match self.report {
            Report::Chain(source) => Self { report: Report::Chain(Box::new(Doing { doing, source })), ..self },
            Report::Findings(_) | Report::Refused(_) => self,
        }
    }

    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// Tells a person: once, with the chain below, and the hints apart.
    pub(crate) fn print(&self, printer: Printer) {
        match &self.report {
            Report::Chain(error) => {
                let (message, causes) = chain(error.as_ref());
                printer.labelled(ERROR, "error", &message);
                for cause in causes {
                    printer.stderr(&format!("  because {}\n", sanitize(&cause)));
                }
            }
            Report::Refused(error) => {
                printer.stderr(&indented(&error.details, ""));
                printer.labelled(ERROR, "error", &error.message);
            }
            Report::Findings(ConfigErrors::Invalid(findings)) => {
                printer.stderr(&findings.render(Colour::Always));
                let (count, path) = (findings.len(), findings.path().display());
                let errors = if count == 1 { "1 error".to_owned() } else { format!("{count} errors") };
                printer.stderr("\n");
                printer.labelled(ERROR, "error", &format!("{errors} in {path}: nothing was started"));
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

    /// Tells a program.
    pub(crate) fn json(&self) -> ErrorJson {
        let (message, causes) = match &self.report {
            Report::Chain(error) => chain(error.as_ref()),
            Report::Findings(error) => (error.to_string(), Vec::new()),
            Report::Refused(error) => (error.message.clone(), error.details.lines().map(str::to_owned).collect()),
        };
        let findings = match &self.report {
            Report::Chain(_) | Report::Refused(_) => Vec::new(),
            Report::Findings(errors) => errors.findings(),
        };
        let hints = self.hints.clone();
        ErrorJson { kind: self.exit.word(), exit_code: self.exit.code(), message, causes, findings, hints }
    }
}

/// An error's own text, and those of its causes. A cause that only repeats the one above is left out.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> (String, Vec<String>) {
    let mut texts = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if texts.last() != Some(&text) {
            texts.push(text);
        }
        next = cause.source();
    }
    let message = texts.remove(0);
    (message, texts)
}

impl From<ConfigErrors> for CommandError {
    fn from(error: ConfigErrors) -> Self {
        let missing =
            matches!(&error, ConfigErrors::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound);
        let this = Self { exit: Exit::Misconfigured, report: Report::Findings(error), hints: Vec::new() };
        if missing { this.hint("name the file with --config FILE or in DEPUTY_CONFIG") } else { this }
    }
}

impl From<SandboxError> for CommandError {
    fn from(error: SandboxError) -> Self {
        let exit = match &error {
            SandboxError::Cache(error) => of_cache(error),
            SandboxError::Engine(_) => Exit::Internal,
            SandboxError::Threads(_) => Exit::Failed,
        };
        Self::new(exit, error)
    }
}

impl From<LoadError> for CommandError {
    fn from(error: LoadError) -> Self {
        let exit = match &error {
            LoadError::Cache { source, .. } => of_cache(source),
            _ => Exit::Misconfigured,
        };
        Self::new(exit, error)
    }
}

fn of_cache(error: &CacheError) -> Exit {
    match error {
        CacheError::Compile(error) | CacheError::Refused(error) => of_compiler(error),
        CacheError::File(error) if error.is_lasting() => Exit::Misconfigured,
        CacheError::File(_) => Exit::Failed,
        CacheError::Load(_) => Exit::Internal,
    }
}

fn of_compiler(error: &CompileError) -> Exit {
    match error {
        CompileError::Killed { .. } | CompileError::Load { .. } | CompileError::Slow(_) => Exit::OverLimit,
        CompileError::Invalid(_) => Exit::Misconfigured,
        CompileError::Failed(_) | CompileError::Start { .. } | CompileError::Unwritten(_) => Exit::Failed,
    }
}
