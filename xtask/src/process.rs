//! Other programs: run one, keep or show what it says.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::failure::{Doing, Failure, Result};

/// How many of a failed program's last lines are shown.
const LAST_LINES: usize = 60;

/// A program about to run.
pub(crate) struct Run {
    command: Command,
    shown: String,
}

impl Run {
    /// A program by name or path.
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let program = program.as_ref();
        let name = Path::new(program).file_name().unwrap_or(program);
        Self { command: Command::new(program), shown: name.to_string_lossy().into_owned() }
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.shown.push(' ');
        self.shown.push_str(&arg.as_ref().to_string_lossy());
        self.command.arg(arg);
        self
    }

    pub(crate) fn args<A: AsRef<OsStr>>(self, args: impl IntoIterator<Item = A>) -> Self {
        args.into_iter().fold(self, Self::arg)
    }

    /// Sets a variable of its environment.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets the folder it runs in.
    pub(crate) fn dir(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Runs it silently and gives its stdout. What it said is shown only when it fails.
    pub(crate) fn quiet(self) -> Result<String> {
        self.silently().map(|(stdout, _)| stdout)
    }

    /// Runs it silently and gives its stderr. What it said is shown only when it fails.
    pub(crate) fn quiet_stderr(self) -> Result<String> {
        self.silently().map(|(_, stderr)| stderr)
    }

    fn silently(mut self) -> Result<(String, String)> {
        let output = self.command.stdin(Stdio::null()).output().doing(|| format!("starting `{}`", self.shown))?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            return Ok((stdout, stderr));
        }
        let said = format!("{stdout}{stderr}");
        let lines: Vec<&str> = said.lines().collect();
        for line in lines.iter().skip(lines.len().saturating_sub(LAST_LINES)) {
            eprintln!("              | {line}");
        }
        Err(Failure::new(format!("`{}` ended with {}", self.shown, output.status)))
    }

    /// Runs it silently and gives its stdout as JSON.
    pub(crate) fn json(self) -> Result<Value> {
        let shown = self.shown.clone();
        serde_json::from_str(&self.quiet()?).doing(|| format!("reading what `{shown}` printed"))
    }

    /// Says the command, as a person would type it.
    pub(crate) fn said(self) -> Self {
        eprintln!("            $ {}", self.shown);
        self
    }

    /// Whether it runs and ends well. It may be missing, and says nothing.
    pub(crate) fn succeeds(mut self) -> bool {
        self.command.stdin(Stdio::null()).output().is_ok_and(|output| output.status.success())
    }

    /// Runs it with all that it says shown.
    pub(crate) fn shown(mut self) -> Result<()> {
        let status = self.command.stdin(Stdio::null()).status().doing(|| format!("starting `{}`", self.shown))?;
        self.judge(status)
    }

    /// Runs it, hands each line of its stdout to `each`, and shows its stderr.
    pub(crate) fn lines(mut self, mut each: impl FnMut(&str)) -> Result<()> {
        let doing = || format!("running `{}`", self.shown);
        let mut child = self.command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().doing(doing)?;
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).split(b'\n') {
                each(&String::from_utf8_lossy(&line.doing(doing)?));
            }
        }
        let status = child.wait().doing(doing)?;
        self.judge(status)
    }

    fn judge(&self, status: std::process::ExitStatus) -> Result<()> {
        if status.success() {
            return Ok(());
        }
        Err(Failure::new(format!("`{}` ended with {status}", self.shown)))
    }
}
