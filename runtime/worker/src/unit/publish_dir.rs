//! The two directories: the operator's, in which the link is, and ours below it, in which the units are.
//!
//! Both are opened without following a link and judged by what was opened, and all later operations are relative to that:
//! a swapped path does not lead them astray.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use cap_std::fs::{Dir, DirBuilder, DirBuilderExt as _, MetadataExt as _};
use deputy_core::{ReceiverName, Timestamp};
use deputy_files::{FileError, Identity, ambient, judge, sys};

use super::{FileAccess, PublishError, UnitName};

/// Marks a directory as ours; it is locked by the process that publishes there.
const MARKER: &str = ".deputy";

/// The mode of our directory: others may pass through it, but not list it. Each unit has its own mode.
const CONTAINER_MODE: u32 = 0o711;

/// Where one receiver's units go, held open and locked.
pub(super) struct PublishDir {
    /// The operator's.
    pub(super) directory: Dir,
    /// Ours.
    pub(super) container: Dir,
    /// The container's path, for messages.
    pub(super) path: PathBuf,
    /// The link's path, for messages.
    pub(super) link: PathBuf,
    name: ReceiverName,
    directory_identity: Identity,
    container_identity: Identity,
    _lock: MarkerLock,
}

/// The marker, locked by this process.
struct MarkerLock(File);

impl Drop for MarkerLock {
    fn drop(&mut self) {
        sys::unlock(&self.0);
    }
}

impl PublishDir {
    pub(super) fn open(path: &Path, name: &ReceiverName, access: &FileAccess) -> Result<Self, PublishError> {
        let path = ambient::without_slash(path);
        let directory = open_directory(&path, access)?;
        let hidden = hidden(name);
        let container_path = path.join(&hidden);
        let container = open_container(&directory, &hidden, &container_path)?;
        let lock = lock_marker(&container, &container_path)?;
        sys::set_mode(&container, CONTAINER_MODE).map_err(|error| FileError::new("create", &container_path, error))?;
        sys::sync_dir(&directory).map_err(|error| FileError::new("sync", &path, error))?;
        Ok(Self {
            directory_identity: identity(&directory, &path)?,
            container_identity: identity(&container, &container_path)?,
            link: path.join(name.as_str()),
            directory,
            container,
            path: container_path,
            name: name.clone(),
            _lock: lock,
        })
    }

    /// Whether the path still leads here, with the same owner and mode, so that what is published now is seen by a
    /// workload that opens it.
    pub(super) fn is_current(&self, path: &Path) -> bool {
        let container = self.directory.symlink_metadata(hidden(&self.name));
        ambient::identity(path).is_ok_and(|found| found == self.directory_identity)
            && container.is_ok_and(|found| Identity::of(&found) == self.container_identity)
    }

    /// The unit that the link leads to. Fails if something else has the link's name.
    pub(super) fn current(&self) -> Result<Option<UnitName>, PublishError> {
        let name = self.name.as_str();
        let target = match self.directory.read_link_contents(name) {
            Ok(target) => target,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            // Not a link.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                return Err(PublishError::Taken(self.link.clone()));
            }
            Err(error) => return Err(FileError::new("read", &self.link, error).into()),
        };
        let metadata = self.directory.symlink_metadata(name);
        let owner = metadata.map_err(|error| FileError::new("read", &self.link, error))?.uid();
        let unit = target
            .to_str()
            .and_then(|target| target.strip_prefix(&hidden(&self.name)))
            .and_then(|rest| rest.strip_prefix('/'))
            .and_then(|unit| unit.parse().ok());
        match unit {
            Some(unit) if owner == rustix::process::geteuid().as_raw() => Ok(Some(unit)),
            _ => Err(PublishError::Taken(self.link.clone())),
        }
    }

    /// When the link was created.
    pub(super) fn since(&self) -> Option<Timestamp> {
        let link = self.directory.symlink_metadata(self.name.as_str()).ok()?;
        let millis = u64::try_from(link.mtime()).ok()?.checked_mul(1000)?;
        Some(Timestamp::from_millis(millis.saturating_add(u64::try_from(link.mtime_nsec()).ok()? / 1_000_000)))
    }

    /// The link's target: relative, so that it holds wherever the directory is mounted.
    pub(super) fn target(&self, unit: UnitName) -> String {
        format!("{}/{unit}", hidden(&self.name))
    }

    pub(super) fn link_name(&self) -> &str {
        self.name.as_str()
    }

    /// The names in the container.
    pub(super) fn names(&self) -> Result<Vec<String>, PublishError> {
        deputy_files::names(&self.container).map_err(|error| FileError::new("list", &self.path, error).into())
    }

    /// An error about something in the container.
    pub(super) fn error(&self, doing: &'static str, name: &str, error: io::Error) -> PublishError {
        FileError::new(doing, &self.path.join(name), error).into()
    }

    /// Waits until the link is on the disk.
    pub(super) fn sync_link(&self) -> Result<(), PublishError> {
        sys::sync_dir(&self.directory)
            .map_err(|error| FileError::new("sync the directory of", &self.link, error).into())
    }

    /// Waits until the names of the units are on the disk.
    pub(super) fn sync_units(&self) -> Result<(), PublishError> {
        sys::sync_dir(&self.container).map_err(|error| FileError::new("sync", &self.path, error).into())
    }
}

fn hidden(name: &ReceiverName) -> String {
    format!(".{name}")
}

fn identity(dir: &Dir, path: &Path) -> Result<Identity, FileError> {
    let metadata = dir.dir_metadata().map_err(|error| FileError::new("inspect", path, error))?;
    Ok(Identity::of(&metadata))
}

/// Whether units can be published in a directory, as far as that shows before one is. Nothing is created.
pub(super) fn check(path: &Path) -> Result<(), PublishError> {
    let path = ambient::without_slash(path);
    let failed = |error| FileError::new("open", &path, error);
    if ambient::exists(&path).map_err(failed)? {
        judge::operators_directory(&ambient::open_dir(&path)?, &path)?;
    }
    Ok(judge::directories_above(&path)?)
}

/// The operator's directory; it is created if it is missing.
fn open_directory(path: &Path, access: &FileAccess) -> Result<Dir, PublishError> {
    judge::directories_above(path)?;
    if !ambient::exists(path).map_err(|error| FileError::new("open", path, error))? {
        // If others are to read what is published, the umask must not keep them from passing through.
        ambient::create_shared_dir(path, access.is_shared())?;
    }
    let directory = ambient::open_dir(path)?;
    judge::operators_directory(&directory, path)?;
    Ok(directory)
}

/// Our directory in the operator's; it is created if it is missing.
fn open_container(directory: &Dir, name: &str, path: &Path) -> Result<Dir, PublishError> {
    let mut builder = DirBuilder::new();
    builder.mode(CONTAINER_MODE);
    match directory.create_dir_with(name, &builder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(FileError::new("create", path, error).into());
        }
        _ => {}
    }
    let container = match sys::open_dir(directory, name) {
        Ok(container) => container,
        Err(error) if sys::is_no_directory(&error) => return Err(PublishError::Foreign(path.to_owned())),
        Err(error) => return Err(FileError::new("open", path, error).into()),
    };
    judge::own_directory(&container, path)?;
    Ok(container)
}

/// Finds the marker of a directory that is ours, or creates it in an empty one; and locks it.
fn lock_marker(container: &Dir, path: &Path) -> Result<MarkerLock, PublishError> {
    let failed = |error| FileError::new("lock", &path.join(MARKER), error);
    let names = deputy_files::names(container).map_err(failed)?;
    let is_marked = names.iter().any(|name| name == MARKER);
    if !is_marked && !names.is_empty() {
        return Err(PublishError::Foreign(path.to_owned()));
    }
    let marker = sys::open_lock_file(container, MARKER).map_err(failed)?;
    if sys::try_lock(&marker).map_err(failed)? {
        Ok(MarkerLock(marker))
    } else {
        Err(PublishError::Busy(path.to_owned()))
    }
}
