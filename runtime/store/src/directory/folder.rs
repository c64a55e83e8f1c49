//! The directory itself: who may look into it, and files that are there whole or not at all.
//!
//! It is opened once, and all files are reached through what was opened: what happens to the path afterwards changes
//! nothing. No link is followed.

use std::fs::{DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand::SecureRandom;
use rustix::fs::{AtFlags, CWD, Dir, FlockOperation, Mode, OFlags, flock, openat, renameat, statat, unlinkat};
use rustix::io::{Errno, retry_on_intr};

use crate::{Corruption, StoreError};

const STAGED: &str = ".staged-";
const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);

/// A directory of files that is nobody else's.
pub struct Folder {
    directory: OwnedFd,
    path: PathBuf,
}

/// What there is under a name.
pub enum FolderEntry {
    /// Nothing.
    Absent,
    /// A file with these bytes.
    Bytes(Vec<u8>),
    /// Something that can't be one of those that were written.
    Damaged(Corruption),
}

/// A whole file without its name, which is removed unless it is published.
pub(super) struct StagedFile<'a> {
    folder: &'a Folder,
    name: String,
    file: File,
    is_published: bool,
}

/// Whether a file was staged.
pub(super) fn is_staged(name: &str) -> bool {
    name.starts_with(STAGED)
}

impl Folder {
    /// Opens a directory; makes it if it is not there. Fails if anyone else can look into it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        // Without the slash at the end, with which a link would be followed.
        let path: PathBuf = path.components().collect();
        let failed = |error| StoreError::of_io("open the state directory", &path, error);
        match std::fs::symlink_metadata(&path) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(&path)?,
            Err(error) => return Err(failed(error)),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = openat(CWD, &path, flags, Mode::empty()).map_err(|error| match error {
            Errno::NOTDIR | Errno::LOOP => StoreError::Kind { path: path.clone() },
            other => failed(other.into()),
        })?;
        let directory = File::from(directory);
        let metadata = directory.metadata().map_err(failed)?;
        let user = rustix::process::geteuid().as_raw();
        if metadata.uid() != user {
            return Err(StoreError::Owner { path, owner: metadata.uid(), user });
        }
        let mode = metadata.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(StoreError::Exposed { path, mode });
        }
        let folder = Self { directory: directory.into(), path };
        folder.finish_rekey()?;
        Ok(folder)
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn error(&self, doing: &'static str, name: &str, error: Errno) -> StoreError {
        StoreError::of_system(doing, &self.path.join(name), error)
    }

    /// The names in it, those that begin with a dot too.
    pub fn names(&self) -> Result<Vec<String>, StoreError> {
        let failed = |error| StoreError::of_system("list the state directory", &self.path, error);
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.directory).map_err(failed)? {
            // A name that is no text is none of ours.
            if let Ok(name) = entry.map_err(failed)?.file_name().to_str() {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// A file's bytes, if there are not more than that. A name is one without slashes, here and below.
    pub fn read(&self, name: &str, most: usize) -> Result<FolderEntry, StoreError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = match openat(&self.directory, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(FolderEntry::Absent),
            Err(Errno::LOOP | Errno::NXIO | Errno::NODEV) => return Ok(FolderEntry::Damaged(Corruption::Kind)),
            Err(error) => return Err(self.error("read", name, error)),
        };
        let failed = |error| StoreError::of_io("read", &self.path.join(name), error);
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Ok(FolderEntry::Damaged(Corruption::Kind));
        }
        let size = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
        if size > most {
            return Ok(FolderEntry::Damaged(Corruption::Long));
        }
        match fill(file, size) {
            Ok(bytes) => Ok(FolderEntry::Bytes(bytes)),
            Err(error) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => {
                Ok(FolderEntry::Damaged(Corruption::Unreadable))
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Writes a file, which is there whole and for good when this returns, or is what it was before.
    pub fn write(&self, name: &str, bytes: &[u8], random: &dyn SecureRandom) -> Result<(), StoreError> {
        self.stage(bytes, random)?.publish(name)?;
        self.sync()
    }

    /// Writes a file whole, without its name yet.
    pub(super) fn stage(&self, bytes: &[u8], random: &dyn SecureRandom) -> Result<StagedFile<'_>, StoreError> {
        let mut number = [0; 16];
        random.fill(&mut number).map_err(|_| StoreError::Random)?;
        let name = format!("{STAGED}{:032x}", u128::from_be_bytes(number));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let failed = |error| StoreError::of_io("write to", &self.path, error);
        let file = openat(&self.directory, &name, flags, PRIVATE).map_err(|error| failed(error.into()))?;
        let mut staged = StagedFile { folder: self, name, file: file.into(), is_published: false };
        let written = staged.file.write_all(bytes).and_then(|()| staged.file.sync_all());
        written.map_err(failed)?;
        Ok(staged)
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        renameat(&self.directory, from, &self.directory, to).map_err(|error| self.error("write", to, error))
    }

    /// Removes a file.
    pub fn remove(&self, name: &str) -> Result<(), StoreError> {
        unlinkat(&self.directory, name, AtFlags::empty()).map_err(|error| self.error("remove", name, error))
    }

    /// Removes what crashed writers left, when no other process could be writing it just now; how many there were.
    pub fn clean(&self) -> Result<usize, StoreError> {
        let mut count = 0;
        for name in self.names()?.iter().filter(|name| is_staged(name)) {
            self.remove(name)?;
            count += 1;
        }
        Ok(count)
    }

    /// Waits until the names are on the disk.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        rustix::fs::fsync(&self.directory).map_err(|error| StoreError::of_system("sync", &self.path, error))
    }

    /// A file to lock or to say in it who did; to write to one, its file system must be writable.
    pub(super) fn open_lock(&self, name: &str, access: OFlags) -> Result<OwnedFd, StoreError> {
        let flags = access | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        openat(&self.directory, name, flags, PRIVATE).map_err(|error| self.error("open", name, error))
    }

    /// Keeps hold of the file that has the name now, so that no other one gets its number.
    pub(super) fn pin(&self, name: &str) -> Result<File, StoreError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(&self.directory, name, flags, Mode::empty());
        file.map(File::from).map_err(|error| self.error("open", name, error))
    }

    /// The number of the file that has the name now.
    pub(super) fn inode(&self, name: &str) -> Option<u64> {
        statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW).ok().map(|file| file.st_ino)
    }

    /// Takes it for this process, if no other one uses it. From here to [`Folder::share`] none begins to.
    pub(super) fn claim(&self) -> bool {
        flock(&self.directory, FlockOperation::NonBlockingLockExclusive).is_ok()
    }

    /// Shows others that this process uses it.
    pub(super) fn share(&self) -> Result<(), StoreError> {
        retry_on_intr(|| flock(&self.directory, FlockOperation::LockShared))
            .map_err(|error| StoreError::of_system("lock", &self.path, error))
    }
}

impl StagedFile<'_> {
    /// Gives it its name, in place of who had it. The caller syncs the directory.
    pub(super) fn publish(mut self, name: &str) -> Result<(), StoreError> {
        self.folder.rename(&self.name, name)?;
        self.is_published = true;
        Ok(())
    }
}

impl Drop for StagedFile<'_> {
    fn drop(&mut self) {
        if !self.is_published
            && let Err(error) = self.folder.remove(&self.name)
        {
            tracing::warn!(%error, "removing a temporary file failed; the next start retries");
        }
    }
}

/// Makes the directory and what is missing above it, for this user alone.
fn create(path: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::of_io("make the state directory", path, error);
    let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !above.try_exists().map_err(failed)? {
        create(above)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        // Another process was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made.map_err(failed)?,
    }
    // Each of them: what is promised to survive a power cut lies in all.
    File::open(above).and_then(|above| above.sync_all()).map_err(failed)
}

/// A file's bytes, of which there are so many, unless somebody cuts it off meanwhile: then those that are left.
fn fill(mut file: File, size: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; size];
    let mut filled = 0;
    while let Some(free) = bytes.get_mut(filled..).filter(|free| !free.is_empty()) {
        match file.read(free) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
