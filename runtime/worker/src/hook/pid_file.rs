//! A signal to the process whose number is in a file.
//!
//! The file is read when it is needed. Whoever can write to it chooses whom a process with our rights sends a signal to:
//! so others may not be able to, and unless the file is ours or root's, the process has to belong to the file's owner.
//! The process is held by a descriptor before it is looked at, so that the signal goes to the one that was looked at.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, geteuid, pidfd_open, pidfd_send_signal};

use super::HookError;

/// The longest number, with a newline, and one more to see that there is no more.
const MOST: u64 = 12;

#[expect(clippy::disallowed_methods, reason = "it can't be cancelled; it reads a few bytes and ends at once")]
pub(super) async fn signal(path: PathBuf, signal: Signal) -> Result<(), HookError> {
    let what = path.display().to_string();
    let sent = tokio::task::spawn_blocking(move || send(&path, signal)).await;
    sent.unwrap_or_else(|lost| Err(HookError::Io { doing: "read", what, source: io::Error::other(lost) }))
}

fn send(path: &Path, signal: Signal) -> Result<(), HookError> {
    let (number, owner) = read(path)?;
    let failed = |error: io::Error| HookError::Io { doing: "signal", what: format!("process {number}"), source: error };
    let gone = || HookError::Gone { pid: number, path: path.to_owned() };
    let pid = Pid::from_raw(number).ok_or_else(|| HookError::Form(path.to_owned()))?;
    let process = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(process) => process,
        // The number of a thread.
        Err(Errno::SRCH | Errno::INVAL) => return Err(gone()),
        Err(error) => return Err(failed(error.into())),
    };
    if owner != 0 && owner != geteuid().as_raw() {
        let runs_as = std::fs::metadata(format!("/proc/{number}")).map_err(|_| gone())?.uid();
        if runs_as != owner {
            return Err(HookError::Foreign { pid: number, path: path.to_owned() });
        }
    }
    match pidfd_send_signal(&process, signal) {
        Err(Errno::SRCH) => Err(gone()),
        sent => sent.map_err(|error| failed(error.into())),
    }
}

/// The number in the file, and the file's owner.
fn read(path: &Path) -> Result<(i32, u32), HookError> {
    let failed = |source| HookError::Io { doing: "read", what: path.display().to_string(), source };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match openat(CWD, path, flags, Mode::empty()) {
        Err(Errno::LOOP) => return Err(HookError::Open(path.to_owned())),
        opened => File::from(opened.map_err(|error| failed(error.into()))?),
    };
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() || metadata.mode() & 0o022 != 0 {
        return Err(HookError::Open(path.to_owned()));
    }
    let mut text = String::new();
    #[expect(clippy::disallowed_methods, reason = "it has an end")]
    file.take(MOST).read_to_string(&mut text).map_err(|_| HookError::Form(path.to_owned()))?;
    let digits = text.strip_suffix('\n').unwrap_or(&text);
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    let number = digits.parse::<i32>().ok().filter(|number| is_plain && *number > 1);
    Ok((number.ok_or_else(|| HookError::Form(path.to_owned()))?, metadata.uid()))
}
