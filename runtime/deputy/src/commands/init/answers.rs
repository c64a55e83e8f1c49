//! What is asked on a terminal, where an argument is missing.

use std::io::{self, IsTerminal as _};

use crate::error::CommandError;
use crate::exit::Exit;
use crate::input::ask;
use crate::print::Printer;

pub(super) struct Answers {
    printer: Printer,
    is_asking: bool,
}

impl Answers {
    pub(super) fn new(printer: Printer, no_input: bool) -> Self {
        let is_asking = !no_input && io::stdin().is_terminal() && io::stderr().is_terminal();
        Self { printer, is_asking }
    }

    /// An answer that may be left out.
    pub(super) fn optional(&mut self, question: &str) -> Result<Option<String>, CommandError> {
        if !self.is_asking {
            return Ok(None);
        }
        Ok(Some(self.ask(question)?).filter(|answer| !answer.is_empty()))
    }

    /// The argument, the answer, or the default.
    pub(super) fn required(
        &mut self,
        argument: Option<String>,
        question: &str,
        flag: &str,
        default: Option<&str>,
    ) -> Result<String, CommandError> {
        if let Some(argument) = argument {
            return Ok(argument);
        }
        let shown = default.map_or(question.to_owned(), |default| format!("{question} [{default}]"));
        match self.optional(&shown)?.or_else(|| default.map(str::to_owned)) {
            Some(answer) => Ok(answer),
            None => Err(CommandError::new(Exit::Misconfigured, format!("the {question} is missing: add {flag}"))),
        }
    }

    fn ask(&self, question: &str) -> Result<String, CommandError> {
        ask(self.printer, &format!("{question}: "))
            .map_err(|error| CommandError::new(Exit::Failed, error).context("cannot read the answer"))
    }
}
