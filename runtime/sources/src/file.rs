//! A value in a file.
//!
//! Symbolic links are followed, because Kubernetes mounts secrets through them; what is checked is the file that was
//! opened, so that nothing can be put in its place between the check and the reading.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use deputy_core::SecretBytes;
use rustix::fs::{FsWord, Mode, OFlags, StatVfsMountFlags, fstatfs, fstatvfs};
use zeroize::Zeroizing;

use crate::{FileFingerprint, SourceError, SourceLocation, ValueShape};

/// Reads a file beside the runtime's threads: a disk may be slow, a network's file system may hang.
#[expect(
    clippy::disallowed_methods,
    reason = "it can't be cancelled and reads no more than the form allows; where a file system hangs, the call's own time ends first"
)]
pub(crate) async fn read(
    path: PathBuf,
    form: ValueShape,
    user: u32,
) -> Result<(SecretBytes, FileFingerprint), SourceError> {
    let place = SourceLocation::File(path.clone());
    let lost = |error| SourceError::Read { place, source: io::Error::other(error) };
    tokio::task::spawn_blocking(move || read_now(&path, form, user)).await.map_err(lost)?
}

fn read_now(path: &Path, form: ValueShape, user: u32) -> Result<(SecretBytes, FileFingerprint), SourceError> {
    let place = || SourceLocation::File(path.to_owned());
    let failed = |source| SourceError::Read { place: place(), source };
    // Without `NONBLOCK` opening a fifo waits for its writer; without `NOCTTY` a terminal may become ours.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(|error| failed(error.into()))?);
    let before = file.metadata().map_err(failed)?;
    if !before.is_file() {
        return Err(SourceError::Kind { path: path.to_owned(), kind: kind(&before) });
    }
    guarded(path, before.mode() & 0o7777, before.uid(), user, Medium::of(&file))?;
    let size = usize::try_from(before.len()).unwrap_or(usize::MAX);
    if size > form.most() {
        return Err(form.size(place()));
    }
    // One more byte than there should be, to see the end.
    let mut buffer = Zeroizing::new(vec![0; size + 1]);
    let mut filled = 0;
    while let Some(free) = buffer.get_mut(filled..).filter(|free| !free.is_empty()) {
        match file.read(free) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
    let after = file.metadata().map_err(failed)?;
    let fingerprint = FileFingerprint::of(&before);
    if filled != size || !fingerprint.same_contents(&FileFingerprint::of(&after)) {
        return Err(SourceError::Changing(path.to_owned()));
    }
    Ok((form.finish(buffer.get(..filled).unwrap_or_default(), place())?, fingerprint))
}

/// On what a file lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Medium {
    /// A file system in memory that this process sees read-only: a volume that something else fills, such as a projected
    /// token or a secret of Kubernetes, or a secret of Docker Swarm. Only the container that it was mounted for has it.
    Volume,
    Other,
}

impl Medium {
    fn of(file: &File) -> Self {
        let is_memory = fstatfs(file).is_ok_and(|found| found.f_type == TMPFS);
        let is_read_only = fstatvfs(file).is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::RDONLY));
        if is_memory && is_read_only { Self::Volume } else { Self::Other }
    }
}

/// As `statfs` calls a file system in memory.
const TMPFS: FsWord = 0x0102_1994;

/// Refuses a file that somebody else can read or write.
///
/// The rule is PostgreSQL's for keys: nobody but the owner, if that is us; of root's files the group may read, because
/// that is how systemd (as the mask of an access list) and Kubernetes (as `fsGroup`) give them to a service. Of root's
/// files in a volume everybody may read: that is what Kubernetes gives who sets neither `fsGroup` nor `defaultMode`, nobody
/// in the container can change it, and nobody outside has it.
fn guarded(path: &Path, mode: u32, owner: u32, user: u32, medium: Medium) -> Result<(), SourceError> {
    let quoted = quoted(path);
    if owner != user && owner != 0 {
        return Err(SourceError::Owner {
            path: path.to_owned(),
            owner,
            mend: format!("`sudo chown {user} {quoted} && sudo chmod 600 {quoted}`"),
        });
    }
    let (forbidden, mend) = match (owner, medium) {
        (0, Medium::Volume) => (0o033, "set `defaultMode: 0440` for its volume".to_owned()),
        (_, Medium::Volume) => (0o077, "set `fsGroup` for the pod, or `defaultMode: 0400` for its volume".to_owned()),
        (_, Medium::Other) if owner == user => (0o077, format!("`chmod 600 {quoted}`")),
        (_, Medium::Other) => {
            (0o037, format!("`sudo chmod 640 {quoted}`, or `sudo chown {user} {quoted} && sudo chmod 600 {quoted}`"))
        }
    };
    if mode & forbidden != 0 {
        return Err(SourceError::Exposed { path: path.to_owned(), mode, mend });
    }
    Ok(())
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%,:=".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

fn kind(file: &Metadata) -> &'static str {
    let kind = file.file_type();
    if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a fifo"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
