//! A value in a file.
//!
//! Symbolic links are followed, because Kubernetes mounts secrets through them; what is checked is the file that was
//! opened, so that nothing can be put in its place between the check and the reading. The bytes are read into a buffer of
//! the file's size that is wiped, which no function of std or cap-std does.

use std::fs::Metadata;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use deputy_core::SecretBytes;
use deputy_files::{Access, FileError, Owners, ambient, fill, shell_quoted, sys};
use deputy_support::try_blocking;
use zeroize::Zeroizing;

use crate::{FileFingerprint, SourceError, SourceLocation, ValueShape};

/// Reads a file on a blocking thread: a disk may be slow. Where a network file system hangs, the call's own time ends first.
pub(crate) async fn read(
    path: PathBuf,
    shape: ValueShape,
    user: u32,
) -> Result<(SecretBytes, FileFingerprint), SourceError> {
    let location = SourceLocation::File(path.clone());
    try_blocking(move || read_now(&path, shape, user)).await.map_err(|source| SourceError::Read { location, source })?
}

pub(crate) fn read_now(
    path: &Path,
    shape: ValueShape,
    user: u32,
) -> Result<(SecretBytes, FileFingerprint), SourceError> {
    let failed = |source| SourceError::Read { location: SourceLocation::File(path.to_owned()), source };
    let file = ambient::open_file(path).map_err(failed)?;
    let before = file.metadata().map_err(failed)?;
    if !before.is_file() {
        return Err(FileError::Irregular { path: path.to_owned(), found: kind(&before) }.into());
    }
    check(path, Access::of_std(&before), user, Medium::of(&file))?;
    let size = usize::try_from(before.len()).unwrap_or(usize::MAX);
    if size > shape.read_limit() {
        return Err(shape.too_long(SourceLocation::File(path.to_owned())));
    }
    // One more byte than expected, to notice the end.
    let mut buffer = Zeroizing::new(vec![0; size + 1]);
    let filled = fill(&file, &mut buffer).map_err(failed)?;
    let after = file.metadata().map_err(failed)?;
    let fingerprint = FileFingerprint::of(&before);
    if filled != size || !fingerprint.same_contents(&FileFingerprint::of(&after)) {
        return Err(SourceError::Changing(path.to_owned()));
    }
    let value = buffer.get(..filled).unwrap_or_default();
    Ok((shape.finish(value, SourceLocation::File(path.to_owned()))?, fingerprint))
}

/// Where a file is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Medium {
    /// A file system in memory that this process sees read-only: a volume that the platform fills, such as a projected
    /// token or a secret of Kubernetes, or a secret of Docker Swarm. Only the container that it was mounted for has it.
    Volume,
    Other,
}

impl Medium {
    fn of(file: &std::fs::File) -> Self {
        if sys::is_read_only_memory(file) { Self::Volume } else { Self::Other }
    }
}

/// Refuses a file that another user can read or write.
///
/// The rule is PostgreSQL's for keys: a file of this user is for its owner alone; a file of root may be readable for its
/// group, because that is how systemd (as the mask of an access list) and Kubernetes (as `fsGroup`) give it to a service. A
/// file of root in a volume may be readable for everyone: Kubernetes gives that mode if neither `fsGroup` nor
/// `defaultMode` is set, no user in the container can change it, and nothing outside has it.
fn check(path: &Path, access: Access, user: u32, medium: Medium) -> Result<(), FileError> {
    let quoted = shell_quoted(path);
    access.check_owner(path, Owners::UserOrRoot(user), || {
        format!("`sudo chown {user} {quoted} && sudo chmod 600 {quoted}`")
    })?;
    let (forbidden, fix) = match (access.owner, medium) {
        (0, Medium::Volume) => (0o033, "set `defaultMode: 0440` for its volume".to_owned()),
        (_, Medium::Volume) => (0o077, "set `fsGroup` for the pod, or `defaultMode: 0400` for its volume".to_owned()),
        // Root looks at what is for a service.
        (0, Medium::Other) if user == 0 && access.mode & 0o037 == 0 => (
            0o077,
            format!("`chmod 600 {quoted}`, or run this as the user of the service that it is for: `sudo -u USER`"),
        ),
        (owner, Medium::Other) if owner == user => (0o077, format!("`chmod 600 {quoted}`")),
        (_, Medium::Other) => {
            (0o037, format!("`sudo chmod 640 {quoted}`, or `sudo chown {user} {quoted} && sudo chmod 600 {quoted}`"))
        }
    };
    access.check_mode(path, forbidden, || fix)
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
mod tests;
