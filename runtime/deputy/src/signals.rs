//! Signals of the operating system, as the commands wait for them.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::CommandError;
use crate::exit::Exit;

/// SIGINT and SIGTERM.
pub(crate) struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

/// Those of a process that runs until it is stopped: SIGHUP as well.
pub(crate) struct DaemonSignals {
    pub(crate) stop: StopSignals,
    hangup: Signal,
}

impl StopSignals {
    pub(crate) fn new() -> Result<Self, CommandError> {
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    pub(crate) async fn recv(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// What a future returns. If a signal comes first, the future is dropped.
    pub(crate) async fn unless_stopped<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            output = future => Some(output),
            () = self.recv() => None,
        }
    }
}

impl DaemonSignals {
    pub(crate) fn new() -> Result<Self, CommandError> {
        Ok(Self { stop: StopSignals::new()?, hangup: listen(SignalKind::hangup())? })
    }

    /// The next signal. One for a reload stays pending until the process is ready for it.
    pub(crate) async fn recv(&mut self, is_ready_to_reload: bool) -> DaemonSignal {
        tokio::select! {
            () = self.stop.recv() => DaemonSignal::Stop,
            _ = self.hangup.recv(), if is_ready_to_reload => DaemonSignal::Reload,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DaemonSignal {
    Reload,
    Stop,
}

/// Has a write beyond the limit on file sizes (`ulimit -f`, `LimitFSIZE=`) fail as on a full disk, instead of ending the
/// process. Programs that this one starts get the usual behaviour back.
pub(crate) fn survive_file_size_limit() -> Result<(), CommandError> {
    // Tokio's handler stays after this.
    listen(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw())).map(drop)
}

fn listen(kind: SignalKind) -> Result<Signal, CommandError> {
    signal(kind).map_err(|error: io::Error| CommandError::new(Exit::Failed, error).context("cannot wait for signals"))
}
