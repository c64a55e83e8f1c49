//! What is asked on a terminal, where an argument is missing.

use std::io::{self, IsTerminal as _};

use crate::error::CommandError;
use crate::exit::Exit;
use crate::input::ask;
use crate::print::{Printer, sanitize};

pub(crate) struct Prompter {
    printer: Printer,
    is_asking: bool,
}

impl Prompter {
    pub(crate) fn new(printer: Printer, no_input: bool) -> Self {
        let is_asking = !no_input && io::stdin().is_terminal() && io::stderr().is_terminal();
        Self { printer, is_asking }
    }

    /// An answer; none if there is no terminal, or if it is empty.
    pub(crate) fn ask(&self, question: &str) -> Result<Option<String>, CommandError> {
        if !self.is_asking {
            return Ok(None);
        }
        let answer = ask(self.printer, &format!("{}: ", sanitize(question)));
        let answer =
            answer.map_err(|error| CommandError::new(Exit::Failed, error).context("cannot read the answer"))?;
        Ok(Some(answer).filter(|answer| !answer.is_empty()))
    }
}
