//! What cap-std has no function for, on rustix.
//!
//! cap-std opens directories with `O_PATH`. Such a handle can be neither synced, locked nor given a mode, and cap-std has
//! no function for locks, owners or mounts. Everything here works on handles and plain names below them; no function takes
//! a path of several components.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd;

use cap_std::fs::Dir;
use rustix::fs::{
    AtFlags, FlockOperation, FsWord, Gid, Mode, OFlags, StatVfsMountFlags, StatxAttributes, StatxFlags, Timespec,
    Timestamps, UTIME_NOW, UTIME_OMIT, Uid, flock, fstatfs, fstatvfs, futimens, openat, statx,
};
use rustix::io::{Errno, retry_on_intr};

pub(crate) const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens a directory by its name, without following a link, so that it can be synced, locked and given a mode.
pub fn open_dir(dir: &Dir, name: &str) -> io::Result<Dir> {
    Ok(Dir::from_std_file(openat(dir, name, DIRECTORY, Mode::empty())?.into()))
}

/// Whether [`open_dir`] failed because the name is a link or something else than a directory.
pub fn is_no_directory(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOTDIR | Errno::LOOP))
}

/// Waits until the names in a directory are on the disk.
pub fn sync_dir(dir: &Dir) -> io::Result<()> {
    Ok(rustix::fs::fsync(dir)?)
}

/// Opens a file to be locked, and creates it if it is missing. It is open for reading alone: a file that is open for
/// writing keeps its file system from being remounted read-only, for as long as the process lives. cap-std cannot create
/// a file without opening it for writing.
pub fn open_lock_file(dir: &Dir, name: &str) -> io::Result<File> {
    Ok(openat(dir, name, LOCK_FILE | OFlags::CREATE, Mode::RUSR | Mode::WUSR)?.into())
}

/// As [`open_lock_file`], and fails if the file exists.
pub fn create_lock_file(dir: &Dir, name: &str) -> io::Result<File> {
    Ok(openat(dir, name, LOCK_FILE | OFlags::CREATE | OFlags::EXCL, Mode::RUSR | Mode::WUSR)?.into())
}

/// Replaces the contents of a file in place, for the note in a lock file: a file that was renamed over it would not be
/// locked. No link is followed.
pub fn overwrite(dir: &Dir, name: &str, bytes: &[u8]) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    File::from(openat(dir, name, flags, Mode::empty())?).write_all(bytes)
}

const LOCK_FILE: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// Waits for the exclusive lock of an open file or directory. The system releases it when the process ends.
pub fn lock(file: impl AsFd) -> io::Result<()> {
    Ok(retry_on_intr(|| flock(&file, FlockOperation::LockExclusive))?)
}

/// Takes the exclusive lock unless another open file has it. Returns whether it was taken. A lock that is taken again
/// later needs [`unlock`].
pub fn try_lock(file: impl AsFd) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Waits for a shared lock, in place of the lock that this open file has.
pub fn lock_shared(file: impl AsFd) -> io::Result<()> {
    Ok(retry_on_intr(|| flock(&file, FlockOperation::LockShared))?)
}

/// Releases a lock. Closing the file would not do: a child that is being started may still have it.
pub fn unlock(file: impl AsFd) {
    if let Err(error) = flock(file, FlockOperation::Unlock) {
        tracing::warn!(%error, "releasing a file lock failed");
    }
}

/// Gives an open file or directory to a user or group. A change of owner clears bits of the mode, so call
/// [`set_mode`] afterwards.
pub fn set_owner(file: impl AsFd, owner: Option<Uid>, group: Option<Gid>) -> io::Result<()> {
    Ok(rustix::fs::fchown(file, owner, group)?)
}

/// Sets the mode of an open file or directory, whatever the umask.
pub fn set_mode(file: impl AsFd, mode: u32) -> io::Result<()> {
    Ok(rustix::fs::fchmod(file, Mode::from_raw_mode(mode))?)
}

/// Sets the modification time of an open file to now.
pub fn touch(file: impl AsFd) -> io::Result<()> {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let unchanged = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    Ok(futimens(file, &Timestamps { last_access: unchanged, last_modification: now })?)
}

/// Whether a file system is mounted at this directory. `false` if the system cannot say.
pub fn is_mount_point(dir: impl AsFd) -> bool {
    let found = statx(dir, "", AtFlags::EMPTY_PATH, StatxFlags::empty());
    found.is_ok_and(|found| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Whether a file lies in a file system in memory that this process sees read-only, as secrets of Kubernetes and Docker
/// Swarm do.
pub fn is_read_only_memory(file: impl AsFd) -> bool {
    const TMPFS: FsWord = 0x0102_1994;
    fstatfs(&file).is_ok_and(|found| found.f_type == TMPFS)
        && fstatvfs(&file).is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::RDONLY))
}
