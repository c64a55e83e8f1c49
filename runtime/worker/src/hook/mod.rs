//! Notifies the workload of a new unit: by a signal or a command, both from the operator's configuration. A component has no
//! influence on them, and nothing that it wrote is passed on.
//!
//! A hook that fails changes nothing of what is published, and is retried. The last unit whose hook succeeded is recorded
//! beside the unit, so that a start runs the hook only if it has not succeeded yet.

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

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hook {
    /// A command and its time limit.
    Command(HookCommand, Span),
    /// A signal to the process of a pid file.
    Signal(PathBuf, HookSignal),
}

/// What the workload is notified of.
#[derive(Debug, Clone, Copy)]
pub struct HookContext<'a> {
    pub receiver: &'a ReceiverName,
    /// The link to the unit. It does not exist if nothing is published any more.
    pub link: &'a Path,
    /// The instances whose leases are in the unit.
    pub instances: &'a BTreeSet<InstanceName>,
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
    #[error("{program} ended with {status}: {output}")]
    Status { program: String, status: ExitStatus, output: String },
    #[error("{program} was killed after {limit}: {output}")]
    Time { program: String, limit: Span, output: String },
}

impl Hook {
    /// Returns when the signal is sent or the command has ended.
    pub async fn run(&self, context: HookContext<'_>) -> Result<(), HookError> {
        match self {
            Self::Command(command, limit) => command::run(command, *limit, context).await,
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
