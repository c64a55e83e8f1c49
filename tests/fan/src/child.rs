//! Processes of the bench: one line goes in, one line of JSON comes out.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Result;

/// One of them, ended when dropped.
pub(crate) struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Process {
    pub(crate) fn start(part: &str) -> Result<Self> {
        let mut child =
            Command::new(env::current_exe()?).arg(part).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take().ok_or("no standard input")?;
        let output = BufReader::new(child.stdout.take().ok_or("no standard output")?);
        Ok(Self { child, input, output })
    }

    /// Tells it what to do.
    pub(crate) fn tell(&mut self, order: &str) -> Result {
        writeln!(self.input, "{order}")?;
        Ok(self.input.flush()?)
    }

    pub(crate) fn answer<T: DeserializeOwned>(&mut self) -> Result<T> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err("a process of the bench ended".into());
        }
        Ok(serde_json::from_str(&line)?)
    }

    /// Both.
    pub(crate) fn ask<T: DeserializeOwned>(&mut self, order: &str) -> Result<T> {
        self.tell(order)?;
        self.answer()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The other side of it.
pub(crate) fn reply(answer: &impl Serialize) -> Result {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{}", serde_json::to_string(answer)?)?;
    Ok(output.flush()?)
}
