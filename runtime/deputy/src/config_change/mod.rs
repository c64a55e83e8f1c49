//! A change of the configuration that is shown, and written after a yes.

mod replace;

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;

use deputy_core::grant::Widening;
use similar::TextDiff;

use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::input::ask;
use crate::print::{ERROR, GOOD, WARNING, sanitize, styled};

/// A changed configuration that was not written yet.
pub(crate) struct ConfigChange {
    pub(crate) path: PathBuf,
    pub(crate) old: String,
    pub(crate) new: String,
    /// What only a person may agree to.
    pub(crate) cautions: Vec<Caution>,
}

/// Something that `--yes` does not answer for.
pub(crate) struct Caution {
    pub(crate) text: String,
    /// What to do where there is no terminal to ask on.
    pub(crate) fix: String,
}

/// How a change may be agreed to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Agreement {
    /// `--yes` was given.
    pub(crate) yes: bool,
    /// A program reads the output: nothing is asked.
    pub(crate) json: bool,
}

impl From<Widening> for Caution {
    fn from(widening: Widening) -> Self {
        Self { text: widening.to_string(), fix: "run it on a terminal, or edit the file".to_owned() }
    }
}

impl ConfigChange {
    pub(crate) fn is_empty(&self) -> bool {
        self.old == self.new
    }

    /// A unified diff; empty if nothing is to change.
    pub(crate) fn diff(&self) -> String {
        let path = self.path.display().to_string();
        let diff = TextDiff::from_lines(&self.old, &self.new);
        if self.is_empty() {
            String::new()
        } else {
            diff.unified_diff().context_radius(3).header(&path, &path).to_string()
        }
    }

    /// Shows the change, and whether to write it: the answer to a question, or --yes where that is enough.
    pub(crate) fn is_agreed(&self, context: &Context, agreement: Agreement) -> Result<bool, CommandError> {
        let Agreement { yes, json } = agreement;
        if !json {
            context.stdout(&self.diff().lines().map(styled_line).collect::<String>())?;
        }
        for caution in &self.cautions {
            context.printer.labelled(WARNING, "warning", &caution.text);
        }
        if yes && self.cautions.is_empty() {
            return Ok(true);
        }
        if json && !yes {
            return Ok(false);
        }
        if !io::stdin().is_terminal() || json {
            return Err(self.unanswered(yes));
        }
        let question = format!("write this to {}? [y/N] ", self.path.display());
        let answer = ask(context.printer, &question).map_err(|error| CommandError::new(Exit::Failed, error))?;
        Ok(matches!(answer.as_str(), "y" | "Y" | "yes"))
    }

    /// Writes it, if the file is still the old one.
    pub(crate) fn write(&self) -> Result<(), CommandError> {
        replace::replace(&self.path, &self.old, &self.new)
    }

    fn unanswered(&self, yes: bool) -> CommandError {
        if !yes {
            let error = CommandError::new(Exit::Failed, "nothing was written: there is no terminal to ask on");
            return error.hint("add --yes, or run it on a terminal");
        }
        let error = CommandError::new(Exit::Failed, "--yes does not answer for this change");
        let mut fixes: Vec<&str> = self.cautions.iter().map(|caution| caution.fix.as_str()).collect();
        fixes.dedup();
        fixes.into_iter().fold(error, CommandError::hint)
    }
}

/// A line of a diff, coloured as diffs are. The file's own lines act on no terminal.
fn styled_line(line: &str) -> String {
    let text = sanitize(line);
    let text = match line.as_bytes().first() {
        Some(b'+') => styled(GOOD, text),
        Some(b'-') => styled(ERROR, text),
        _ => text,
    };
    text + "\n"
}
