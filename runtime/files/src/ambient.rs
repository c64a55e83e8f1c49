//! The edge: the only place where a path of an operator is opened by the authority of the whole process.

#![expect(clippy::disallowed_methods, reason = "this is where ambient paths are opened, so that nothing else does")]

use std::fs::{DirBuilder, File, Metadata};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use cap_std::fs::Dir;
use rustix::fs::{CWD, Gid, Mode, OFlags, openat};
use rustix::io::Errno;

use crate::{Access, FileError, Identity, StagedFile, sys};

/// A path without the slash at its end, with which the kernel would follow a link.
pub fn without_slash(path: &Path) -> PathBuf {
    path.components().collect()
}

/// The directory that a path is in.
pub fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Opens a directory. A link is not followed. The handle can be locked and synced, which cap-std's own cannot.
pub fn open_dir(path: &Path) -> Result<Dir, FileError> {
    let path = without_slash(path);
    match openat(CWD, &path, sys::DIRECTORY, Mode::empty()) {
        Ok(dir) => Ok(Dir::from_std_file(dir.into())),
        Err(Errno::NOTDIR | Errno::LOOP) => Err(FileError::NotADirectory(path)),
        Err(error) => Err(FileError::new("open", &path, error)),
    }
}

/// Opens the directory that a path is in, following links.
pub fn open_parent(path: &Path) -> io::Result<Dir> {
    File::open(parent(path)).map(Dir::from_std_file)
}

/// Opens a file for reading, following links, without waiting for the writer of a fifo.
pub fn open_file(path: &Path) -> io::Result<File> {
    Ok(openat(CWD, path, READ, Mode::empty())?.into())
}

/// Opens a file for reading, without following a link at its end.
pub fn open_file_nofollow(path: &Path) -> io::Result<File> {
    Ok(openat(CWD, path, READ | OFlags::NOFOLLOW, Mode::empty())?.into())
}

/// Without `NONBLOCK` opening a fifo waits for its writer; without `NOCTTY` a terminal may become this process's own.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// Whether a path names something, even a link that leads nowhere.
pub fn exists(path: &Path) -> io::Result<bool> {
    match std::fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Creates a directory and its missing parents, closed to other users, and waits until all of them are on the disk.
pub fn create_private_dir(path: &Path) -> Result<(), FileError> {
    let failed = |error| FileError::new("create", path, error);
    let parent = parent(path);
    if !parent.try_exists().map_err(failed)? {
        create_private_dir(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        // Another process was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        created => created.map_err(failed)?,
    }
    // Each of them: a file survives a power cut only if every directory above it does.
    File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed)
}

/// Creates a directory and its missing parents with mode 0755. If `despite_umask` is set, the umask does not keep others
/// from passing through them.
pub fn create_shared_dir(path: &Path, despite_umask: bool) -> Result<(), FileError> {
    let failed = |error: io::Error| FileError::new("create", path, error);
    let missing: Vec<&Path> = path.ancestors().take_while(|above| std::fs::symlink_metadata(above).is_err()).collect();
    DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(failed)?;
    if !despite_umask {
        return Ok(());
    }
    for created in missing.into_iter().filter(|created| !created.as_os_str().is_empty()) {
        let dir = openat(CWD, created, sys::DIRECTORY, Mode::empty()).map_err(|error| failed(error.into()))?;
        // One that another process created meanwhile keeps the mode that it was given.
        if Access::of(&dir).map_err(failed)?.owner == rustix::process::geteuid().as_raw() {
            sys::set_mode(&dir, 0o755).map_err(failed)?;
        }
    }
    Ok(())
}

/// The identity of what a path names. A link is not followed.
pub fn identity(path: &Path) -> io::Result<Identity> {
    std::fs::symlink_metadata(without_slash(path)).map(|metadata| Identity::of_std(&metadata))
}

/// Owner, group and mode of what a path names, following links.
pub fn access(path: &Path) -> io::Result<Access> {
    std::fs::metadata(path).map(|metadata| Access::of_std(&metadata))
}

/// Whether a file system is mounted at a directory, following links.
pub fn is_mount_point(path: &Path) -> bool {
    File::open(path).is_ok_and(|dir| sys::is_mount_point(&dir))
}

/// The directories above a path by its text, and those that its text leads to. What does not exist yet is left out of the
/// latter.
pub fn directories_above(path: &Path) -> Vec<PathBuf> {
    let by_text: Vec<PathBuf> = path.ancestors().skip(1).map(Path::to_owned).collect();
    let real = by_text.iter().find_map(|above| above.canonicalize().ok());
    let resolved = real.iter().flat_map(|real| real.ancestors()).map(Path::to_owned);
    by_text.iter().cloned().chain(resolved).collect()
}

/// What a path names, following links.
pub fn metadata(path: &Path) -> io::Result<Metadata> {
    std::fs::metadata(path)
}

/// Creates a file that must not exist, for this user alone, whole or not at all, on the disk when this returns.
pub fn create_file(path: &Path, prefix: &str, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().and_then(|name| name.to_str()).ok_or(io::ErrorKind::InvalidFilename)?;
    StagedFile::write(&open_parent(path)?, prefix, bytes)?.publish_new(name)
}

/// The same, readable by the group of its directory as well.
pub fn create_file_for_group(path: &Path, prefix: &str, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().and_then(|name| name.to_str()).ok_or(io::ErrorKind::InvalidFilename)?;
    let dir = open_parent(path)?;
    let group = Gid::from_raw(access(parent(path))?.group);
    let mut staged = StagedFile::write(&dir, prefix, bytes)?;
    sys::set_owner(&*staged.file(), None, Some(group))?;
    sys::set_mode(&*staged.file(), 0o640)?;
    staged.publish_new(name)
}

/// Whether this user namespace has all users of the machine. A system without namespaces has.
pub(crate) fn has_all_users() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.is_empty() || map.split_whitespace().eq(["0", "0", "4294967295"])
}
