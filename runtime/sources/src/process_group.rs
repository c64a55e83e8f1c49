//! A program with all processes that it starts.

use std::io;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::process::Child;

/// The process group of a program that leads one of its own, killed on drop: `kill_on_drop` alone would leave its
/// children. Drop it before the program is reaped: until then no other group can have its number.
#[derive(Debug)]
pub struct ProcessGroup(Option<Pid>);

impl ProcessGroup {
    /// The group of a program that was started with `process_group(0)` and not yet waited for.
    pub fn of(child: &Child) -> Self {
        Self(pid(child))
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(group) = self.0
            && let Err(error) = kill_process_group(group, Signal::KILL)
            && error != rustix::io::Errno::SRCH
        {
            tracing::warn!(%error, "killing the process group of a command failed");
        }
    }
}

/// A descriptor that is readable when a program has exited, before it is reaped.
///
/// # Errors
/// If the program was reaped, or the system has no descriptor left.
#[expect(deprecated, reason = "it is unsound for what can become another descriptor, and its successor is `unsafe`")]
pub fn exit_descriptor(child: &Child) -> io::Result<AsyncFd<OwnedFd>> {
    let pid = pid(child).ok_or_else(|| io::Error::other("the process was already reaped"))?;
    AsyncFd::with_interest(pidfd_open(pid, PidfdFlags::NONBLOCK)?, Interest::READABLE)
}

fn pid(child: &Child) -> Option<Pid> {
    child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw)
}
