//! Telling the workload that something else is published: a signal to it, or a command. Both are the operator's words; a
//! component has no say in them, and nothing of what it wrote is handed on.
//!
//! A hook that fails changes nothing of what is published, and is tried again: see [`machine`](crate::machine). Of which
//! unit the workload was told is remembered beside the unit, so that a start runs the hook only if it has not succeeded.

mod command;
mod pid_file;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use deputy_core::{HookCommand, HookSignal, InstanceName, ReceiverName, Span};
use deputy_files::FileError;
use rustix::process::Signal;

/// How a workload is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hook {
    /// By a command that is run, and that has this long.
    Command(HookCommand, Span),
    /// By a signal to the process whose number is in a file.
    Signal(PathBuf, HookSignal),
}

/// What the workload is told about.
#[derive(Debug, Clone, Copy)]
pub struct HookContext<'o> {
    /// Whose unit.
    pub receiver: &'o ReceiverName,
    /// Where the link to it is. If nothing is published any more, nothing is there.
    pub link: &'o Path,
    /// Whose deliveries are in it.
    pub instances: &'o BTreeSet<InstanceName>,
}

/// The workload was not notified, or failed to handle the notification. The output of a program comes last, with its control
/// characters escaped.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    #[error(transparent)]
    File(#[from] FileError),
    /// A signal to it could do harm.
    #[error("process {pid} of {} belongs to another user than the file: is the file out of date?", path.display())]
    Foreign { pid: i32, path: PathBuf },
    #[error("{} must hold a process ID greater than 1, and nothing else", .0.display())]
    Form(PathBuf),
    #[error("process {pid} of {} does not exist: is the workload running?", path.display())]
    Gone { pid: i32, path: PathBuf },
    #[error("cannot {doing} {what}")]
    Io { doing: &'static str, what: String, source: io::Error },
    #[error("{program} ended with {status}: {said}")]
    Status { program: String, status: ExitStatus, said: String },
    #[error("{program} was killed after {limit}: {said}")]
    Time { program: String, limit: Span, said: String },
}

impl Hook {
    /// Tells the workload, and comes back when that is done.
    ///
    /// # Errors
    /// If it was not told, or could not do what it was told.
    pub async fn run(&self, occasion: HookContext<'_>) -> Result<(), HookError> {
        match self {
            Self::Command(command, limit) => command::run(command, *limit, occasion).await,
            Self::Signal(path, signal) => pid_file::signal(path.clone(), number(*signal)).await,
        }
    }
}

fn number(signal: HookSignal) -> Signal {
    match signal {
        HookSignal::Hup => Signal::HUP,
        HookSignal::Int => Signal::INT,
        HookSignal::Quit => Signal::QUIT,
        HookSignal::Term => Signal::TERM,
        HookSignal::Usr1 => Signal::USR1,
        HookSignal::Usr2 => Signal::USR2,
        HookSignal::Winch => Signal::WINCH,
    }
}
