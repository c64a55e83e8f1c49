//! A signal to the process whose number is in a file.
//!
//! The file is read each time. A user who can write to it chooses the process that this one, with its rights, sends a
//! signal to: so only the owner may write to it, and unless the owner is this user or root, the process has to belong to
//! the owner, too. The process is held by a descriptor before its owner is looked up, so that the signal goes to the
//! process that was checked.

use std::io;
use std::path::{Path, PathBuf};

use deputy_files::{Access, FileError, ambient, fill, shell_quoted};
use deputy_support::try_blocking;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, geteuid, pidfd_open, pidfd_send_signal};

use super::HookError;

/// The longest number, with a newline.
const MAX_LENGTH: usize = 11;

pub(super) async fn signal(path: PathBuf, signal: Signal) -> Result<(), HookError> {
    let what = path.display().to_string();
    try_blocking(move || send(&path, signal))
        .await
        .unwrap_or_else(|source| Err(HookError::Io { doing: "read", what, source }))
}

fn send(path: &Path, signal: Signal) -> Result<(), HookError> {
    let (number, owner) = read(path)?;
    let failed =
        |error: Errno| HookError::Io { doing: "signal", what: format!("process {number}"), source: error.into() };
    let gone = || HookError::Gone { pid: number, path: path.to_owned() };
    let pid = Pid::from_raw(number).ok_or_else(|| HookError::Form(path.to_owned()))?;
    let process = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(process) => process,
        // EINVAL: the number of a thread.
        Err(Errno::SRCH | Errno::INVAL) => return Err(gone()),
        Err(error) => return Err(failed(error)),
    };
    if owner != 0 && owner != geteuid().as_raw() {
        let runs_as = ambient::access(Path::new(&format!("/proc/{number}"))).map_err(|_| gone())?.owner;
        if runs_as != owner {
            return Err(HookError::Foreign { pid: number, path: path.to_owned() });
        }
    }
    match pidfd_send_signal(&process, signal) {
        Err(Errno::SRCH) => Err(gone()),
        sent => sent.map_err(failed),
    }
}

/// The number in the file, and the file's owner.
fn read(path: &Path) -> Result<(i32, u32), HookError> {
    let failed = |error: io::Error| FileError::new("read", path, error);
    let file = match ambient::open_file_nofollow(path) {
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
            return Err(FileError::Irregular { path: path.to_owned(), found: "a symbolic link" }.into());
        }
        opened => opened.map_err(failed)?,
    };
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(FileError::Irregular { path: path.to_owned(), found: "a directory or device" }.into());
    }
    let access = Access::of_std(&metadata);
    access.check_mode(path, 0o022, || format!("`chmod go-w {}`", shell_quoted(path)))?;
    // One byte more than the longest number, to notice that there is more.
    let mut buffer = [0; MAX_LENGTH + 1];
    let filled = fill(&file, &mut buffer).map_err(failed)?;
    let number = buffer.get(..filled).and_then(parse).ok_or_else(|| HookError::Form(path.to_owned()))?;
    Ok((number, access.owner))
}

/// A number greater than 1, in decimal digits without leading zeros, and perhaps a newline.
fn parse(text: &[u8]) -> Option<i32> {
    let digits = text.strip_suffix(b"\n").unwrap_or(text);
    if digits.starts_with(b"0") || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok().filter(|number| *number > 1)
}
