//! The two directories: the operator's, in which the link is, and ours below it, in which the units are.
//!
//! Both are opened without following a link, judged by what was opened, and all that is done later is done relative to
//! that: whoever swaps a part of the path changes nothing but what he sees himself.

use std::fs::DirBuilder;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use deputy_core::{ReceiverName, Timestamp};
use rustix::fs::{
    AtFlags, CWD, Dir, FlockOperation, Mode, OFlags, Stat, fchmod, flock, fstat, fsync, mkdirat, openat, readlinkat,
    statat,
};
use rustix::io::Errno;

use super::judge::{self, Trusted};
use super::{FileAccess, PublishError, UnitName};

/// Shows that a directory is ours; it is locked by who publishes there.
const MARK: &str = ".deputy";

pub(super) const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Where one receiver's units go, held open and locked.
pub(super) struct PublishDir {
    /// The operator's.
    pub(super) directory: OwnedFd,
    /// Ours.
    pub(super) container: OwnedFd,
    /// The container's path, for messages.
    pub(super) path: PathBuf,
    /// Where the link is, for messages.
    pub(super) link: PathBuf,
    name: ReceiverName,
    seen: (Stat, Stat),
    _lock: Locked,
}

/// The mark, locked by this process.
struct Locked(OwnedFd);

impl Drop for Locked {
    fn drop(&mut self) {
        // Said and not left to closing: a child that is being started may still have the file.
        if let Err(error) = flock(&self.0, FlockOperation::Unlock) {
            tracing::warn!(%error, "unlocking the receiver's directory failed");
        }
    }
}

impl PublishDir {
    pub(super) fn open(path: &Path, name: &ReceiverName, access: &FileAccess) -> Result<Self, PublishError> {
        // Without the slash at the end, with which a link would be followed.
        let path: PathBuf = path.components().collect();
        let directory = open_directory(&path, access)?;
        let hidden = hidden(name);
        let container_path = path.join(&hidden);
        let failed = |error| PublishError::of_system("make", &container_path, error);
        // Everybody may pass and nobody look: each unit says itself who may read it.
        match mkdirat(&directory, &hidden, Mode::from_raw_mode(0o711)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(failed(error)),
        }
        let container = match openat(&directory, &hidden, DIRECTORY, Mode::empty()) {
            Ok(container) => container,
            Err(Errno::NOTDIR | Errno::LOOP) => return Err(PublishError::Foreign(container_path)),
            Err(error) => return Err(PublishError::of_system("open", &container_path, error)),
        };
        judge::directory(&container, &container_path, Trusted::Self_)?;
        let lock = mark(&container, &container_path)?;
        fchmod(&container, Mode::from_raw_mode(0o711)).map_err(failed)?;
        fsync(&directory).map_err(|error| PublishError::of_system("sync", &path, error))?;
        let look = |directory: &OwnedFd| fstat(directory).map_err(failed);
        let seen = (look(&directory)?, look(&container)?);
        let link = path.join(name.as_str());
        Ok(Self { directory, container, path: container_path, link, name: name.clone(), seen, _lock: lock })
    }

    /// Whether the path still leads here, so that what is published now is seen by who opens it. If it does, the
    /// directories are judged once more.
    pub(super) fn is_current(&self, path: &Path) -> bool {
        let is_same = |now: &Stat, then: &Stat| {
            let key = |stat: &Stat| (stat.st_dev, stat.st_ino, stat.st_mode, stat.st_uid);
            key(now) == key(then)
        };
        let path: PathBuf = path.components().collect();
        statat(CWD, &path, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|now| is_same(&now, &self.seen.0))
            && statat(&self.directory, hidden(&self.name), AtFlags::SYMLINK_NOFOLLOW)
                .is_ok_and(|now| is_same(&now, &self.seen.1))
    }

    /// Which unit the link leads to. Fails if there is something else in its place.
    pub(super) fn current(&self) -> Result<Option<UnitName>, PublishError> {
        let name = self.name.as_str();
        let failed = |error| PublishError::of_system("read", &self.link, error);
        let target = match readlinkat(&self.directory, name, Vec::new()) {
            Ok(target) => target,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::INVAL) => return Err(PublishError::Taken(self.link.clone())),
            Err(error) => return Err(failed(error)),
        };
        let owner = statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?.st_uid;
        let inside = target.to_str().ok().and_then(|target| target.strip_prefix(&hidden(&self.name)));
        let unit = inside.and_then(|rest| rest.strip_prefix('/')).and_then(|unit| unit.parse().ok());
        match unit {
            Some(unit) if owner == rustix::process::geteuid().as_raw() => Ok(Some(unit)),
            _ => Err(PublishError::Taken(self.link.clone())),
        }
    }

    /// When the link was made.
    pub(super) fn since(&self) -> Option<Timestamp> {
        let link = statat(&self.directory, self.name.as_str(), AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let millis = u64::try_from(link.st_mtime).ok()?.checked_mul(1000)?;
        Some(Timestamp::from_millis(millis.saturating_add(link.st_mtime_nsec / 1_000_000)))
    }

    /// What the link to a unit says: relative, so that it holds wherever the directory is mounted.
    pub(super) fn target(&self, unit: UnitName) -> String {
        format!("{}/{unit}", hidden(&self.name))
    }

    /// The link's own name.
    pub(super) fn link_name(&self) -> &str {
        self.name.as_str()
    }

    /// The names in the container.
    pub(super) fn names(&self) -> Result<Vec<String>, PublishError> {
        names(&self.container).map_err(|error| PublishError::of_system("list", &self.path, error))
    }

    /// An error about something in the container.
    pub(super) fn error(&self, doing: &'static str, name: &str, error: Errno) -> PublishError {
        PublishError::of_system(doing, &self.path.join(name), error)
    }

    /// Waits until the link is on the disk.
    pub(super) fn sync_link(&self) -> Result<(), PublishError> {
        fsync(&self.directory).map_err(|error| PublishError::of_system("sync the directory of", &self.link, error))
    }

    /// Waits until the names of the units are on the disk.
    pub(super) fn sync_units(&self) -> Result<(), PublishError> {
        fsync(&self.container).map_err(|error| PublishError::of_system("sync", &self.path, error))
    }
}

/// The names in a directory, as far as they are text.
pub(super) fn names(directory: &OwnedFd) -> Result<Vec<String>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        if let Ok(name) = entry?.file_name().to_str()
            && !matches!(name, "." | "..")
        {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

fn hidden(name: &ReceiverName) -> String {
    format!(".{name}")
}

/// Whether units can be published in a directory, as far as that can be said before one is. Nothing is made.
pub(super) fn check(path: &Path) -> Result<(), PublishError> {
    let path: PathBuf = path.components().collect();
    match openat(CWD, &path, DIRECTORY, Mode::empty()) {
        Ok(directory) => judge::directory(&directory, &path, Trusted::Root)?,
        Err(Errno::NOENT) => {}
        Err(Errno::NOTDIR | Errno::LOOP) => return Err(PublishError::Kind(path)),
        Err(error) => return Err(PublishError::of_system("open", &path, error)),
    }
    judge::way(&path)
}

/// The operator's directory; it is made if it is not there.
fn open_directory(path: &Path, access: &FileAccess) -> Result<OwnedFd, PublishError> {
    let failed = |error| PublishError::of_io("open", path, error);
    judge::way(path)?;
    match std::fs::symlink_metadata(path) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_directories(path, access).map_err(|error| PublishError::of_io("make", path, error))?;
        }
        Err(error) => return Err(failed(error)),
    }
    let directory = openat(CWD, path, DIRECTORY, Mode::empty()).map_err(|error| match error {
        Errno::NOTDIR | Errno::LOOP => PublishError::Kind(path.to_owned()),
        other => failed(other.into()),
    })?;
    judge::directory(&directory, path, Trusted::Root)?;
    Ok(directory)
}

/// Makes a directory, and those above it. If others are to read what is published, the umask of this process does not
/// keep them from passing through.
fn make_directories(path: &Path, access: &FileAccess) -> io::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|above| std::fs::symlink_metadata(above).is_err()).collect();
    DirBuilder::new().recursive(true).mode(0o755).create(path)?;
    if !access.is_shared() {
        return Ok(());
    }
    for made in missing.into_iter().filter(|made| !made.as_os_str().is_empty()) {
        let made = openat(CWD, made, DIRECTORY, Mode::empty())?;
        // One that another process made meanwhile is its own affair.
        if fstat(&made)?.st_uid == rustix::process::geteuid().as_raw() {
            fchmod(&made, Mode::from_raw_mode(0o755))?;
        }
    }
    Ok(())
}

/// Finds the mark that makes a directory ours, or leaves it in one that is empty; and locks it.
fn mark(container: &OwnedFd, path: &Path) -> Result<Locked, PublishError> {
    let failed = |error| PublishError::of_system("lock", &path.join(MARK), error);
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let lock = match openat(container, MARK, flags, Mode::empty()) {
        Err(Errno::NOENT) => {
            let there = names(container).map_err(failed)?;
            // One that another process of ours made at this moment has the mark alone.
            if there.iter().any(|name| name != MARK) {
                return Err(PublishError::Foreign(path.to_owned()));
            }
            openat(container, MARK, flags | OFlags::CREATE, Mode::RUSR | Mode::WUSR).map_err(failed)?
        }
        opened => opened.map_err(failed)?,
    };
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Locked(lock)),
        Err(Errno::WOULDBLOCK) => Err(PublishError::Busy(path.to_owned())),
        Err(error) => Err(failed(error)),
    }
}
