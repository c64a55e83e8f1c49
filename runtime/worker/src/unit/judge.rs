//! Whether somebody else could put something else in the place of what is published.
//!
//! Who may write to a directory can exchange what is in it, and so can who may write to one on the way to it. Three things
//! make such a directory harmless: it is sticky; only we or root may write to it; or it is a volume, which only those have
//! that it was mounted for. The last is what Kubernetes gives: an `emptyDir` has the mode 0777, or 2777 with `fsGroup`.

use std::fs::Metadata;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Stat, StatxAttributes, StatxFlags, fstat, statx};

use super::PublishError;

/// Who may own a directory beside the user of this process.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Trusted {
    /// Nobody: it is one that we made.
    Self_,
    /// Root: it is the operator's.
    Root,
}

/// What is known of a directory.
struct Directory<'p> {
    path: &'p Path,
    owner: u32,
    group: u32,
    mode: u32,
    is_volume: bool,
}

/// Refuses a directory in which others can replace what is there.
pub(super) fn directory(directory: &OwnedFd, path: &Path, trusted: Trusted) -> Result<(), PublishError> {
    let stat = fstat(directory).map_err(|error| PublishError::of_system("look at", path, error))?;
    let found = Directory { path, ..Directory::of(&stat, is_volume(directory)) };
    found.owned(trusted)?;
    // In a sticky one, such as /tmp, nobody can remove or rename what is another's.
    let is_harmless = trusted == Trusted::Root && (found.is_sticky() || found.is_volume);
    if found.mode & 0o022 != 0 && !is_harmless { Err(found.exposed()) } else { Ok(()) }
}

/// Refuses a place if others can replace a directory on the way to it. What does not exist yet is made by us.
pub(super) fn way(path: &Path) -> Result<(), PublishError> {
    let above: Vec<PathBuf> = path.ancestors().skip(1).map(Path::to_owned).collect();
    let real = above.iter().find_map(|above| above.canonicalize().ok());
    let real: Vec<PathBuf> = real.iter().flat_map(|real| real.ancestors()).map(Path::to_owned).collect();
    above.iter().chain(&real).try_for_each(|above| ancestor(above))
}

fn ancestor(path: &Path) -> Result<(), PublishError> {
    // What can't be looked at can't be passed either: opening the directory itself says so.
    let Ok(metadata) = std::fs::metadata(path) else { return Ok(()) };
    let found = Directory { path, ..Directory::from(&metadata) };
    if !is_of_outside(found.owner) {
        found.owned(Trusted::Root)?;
    }
    // A user's own group, as many systems make one for each user, has nobody else in it.
    let is_own_group = found.group == rustix::process::getegid().as_raw();
    let exposed = if is_own_group { 0o002 } else { 0o022 };
    if found.mode & exposed == 0 || found.is_sticky() {
        return Ok(());
    }
    let is_volume = std::fs::File::open(path).is_ok_and(|directory| is_volume(&directory));
    if is_volume { Ok(()) } else { Err(found.exposed()) }
}

impl Directory<'_> {
    fn of(stat: &Stat, is_volume: bool) -> Self {
        Self { path: Path::new(""), owner: stat.st_uid, group: stat.st_gid, mode: stat.st_mode & 0o7777, is_volume }
    }

    fn is_sticky(&self) -> bool {
        self.mode & 0o1000 != 0
    }

    fn owned(&self, trusted: Trusted) -> Result<(), PublishError> {
        let user = rustix::process::geteuid().as_raw();
        if self.owner == user || (trusted == Trusted::Root && self.owner == 0) {
            return Ok(());
        }
        Err(PublishError::Owner { path: self.path.to_owned(), owner: self.owner, user })
    }

    fn exposed(&self) -> PublishError {
        PublishError::Exposed { path: self.path.to_owned(), mode: self.mode }
    }
}

impl From<&Metadata> for Directory<'_> {
    fn from(metadata: &Metadata) -> Self {
        let mode = metadata.mode() & 0o7777;
        Self { path: Path::new(""), owner: metadata.uid(), group: metadata.gid(), mode, is_volume: false }
    }
}

/// Whether something is mounted there. A system that can't say so has no volumes.
fn is_volume(directory: impl std::os::fd::AsFd) -> bool {
    let found = statx(directory, "", AtFlags::EMPTY_PATH, StatxFlags::empty());
    found.is_ok_and(|found| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// In a user namespace all who are not in it have one number; root of the machine is one of them.
fn is_of_outside(user: u32) -> bool {
    const OVERFLOW: u32 = 65_534;
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let has_all = map.split_whitespace().eq(["0", "0", "4294967295"]);
    user == OVERFLOW && !map.is_empty() && !has_all
}
