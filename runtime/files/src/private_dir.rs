//! A directory that is closed to other users, and the files in it.

use std::io;
use std::path::{Path, PathBuf};

use cap_std::fs::{Dir, MetadataExt as _};

use crate::{Access, FileError, FileOpen, FileRead, StagedFile, ambient, open_regular, read_regular, sys};

/// How the name of a file begins that is being written.
const STAGED: &str = ".staged-";

/// A directory that belongs to the user of this process and is closed to everyone else, held open. Names are plain: the
/// functions are for files directly in it.
#[derive(Debug)]
pub struct PrivateDir {
    dir: Dir,
    path: PathBuf,
}

impl PrivateDir {
    /// Opens a directory, and creates it if it is missing. Fails if another user owns it or may look into it.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let path = ambient::without_slash(path);
        if !exists(&path)? {
            ambient::create_private_dir(&path)?;
        }
        Self::open_present(path)
    }

    /// The same of a directory that is there; `None` if it is missing.
    pub fn open_existing(path: &Path) -> Result<Option<Self>, FileError> {
        let path = ambient::without_slash(path);
        if exists(&path)? { Self::open_present(path).map(Some) } else { Ok(None) }
    }

    fn open_present(path: PathBuf) -> Result<Self, FileError> {
        let dir = ambient::open_dir(&path)?;
        let access = Access::of(&dir).map_err(|error| FileError::new("inspect", &path, error))?;
        access.check_private_dir(&path)?;
        Ok(Self { dir, path })
    }

    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// An error about a file in it.
    pub fn error(&self, doing: &'static str, name: &str, error: impl Into<io::Error>) -> FileError {
        FileError::new(doing, &self.path.join(name), error)
    }

    /// The names in it, hidden ones included. A name that is not UTF-8 was not given by this program and is left out.
    pub fn names(&self) -> Result<Vec<String>, FileError> {
        names(&self.dir).map_err(|error| FileError::new("list", &self.path, error))
    }

    /// Reads a file, if it holds at most `limit` bytes.
    pub fn read(&self, name: &str, limit: usize) -> Result<FileRead, FileError> {
        read_regular(&self.dir, name, limit).map_err(|error| self.error("read", name, error))
    }

    /// Opens a regular file for reading. No link is followed.
    pub fn open_file(&self, name: &str) -> Result<FileOpen, FileError> {
        open_regular(&self.dir, name).map_err(|error| self.error("open", name, error))
    }

    /// Writes a file that is there, whole and on the disk, when this returns; if it fails, what was there before is whole.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), FileError> {
        self.publish(self.stage(bytes)?, name)?;
        self.sync()
    }

    /// Writes these bytes to the disk, under a temporary name.
    pub fn stage(&self, bytes: &[u8]) -> Result<StagedFile, FileError> {
        StagedFile::write(&self.dir, STAGED, bytes).map_err(|error| FileError::new("write to", &self.path, error))
    }

    /// Renames a staged file, in place of what has the name. The caller syncs the directory.
    pub fn publish(&self, staged: StagedFile, name: &str) -> Result<(), FileError> {
        staged.publish(name).map_err(|error| self.error("write", name, error))
    }

    pub fn rename(&self, from: &str, to: &str) -> Result<(), FileError> {
        self.dir.rename(from, &self.dir, to).map_err(|error| self.error("write", to, error))
    }

    pub fn remove(&self, name: &str) -> Result<(), FileError> {
        self.dir.remove_file(name).map_err(|error| self.error("remove", name, error))
    }

    /// Removes what crashed writers left, and returns how many files. Only for a caller that knows that no other process
    /// writes here.
    pub fn remove_staged(&self) -> Result<usize, FileError> {
        let names = self.names()?;
        let staged = names.iter().filter(|name| is_staged(name));
        staged.clone().try_for_each(|name| self.remove(name))?;
        Ok(staged.count())
    }

    /// Waits until the names are on the disk.
    pub fn sync(&self) -> Result<(), FileError> {
        sys::sync_dir(&self.dir).map_err(|error| FileError::new("sync", &self.path, error))
    }

    /// The inode of what has the name now.
    pub fn inode(&self, name: &str) -> Option<u64> {
        self.dir.symlink_metadata(name).ok().map(|metadata| metadata.ino())
    }
}

fn exists(path: &Path) -> Result<bool, FileError> {
    ambient::exists(path).map_err(|error| FileError::new("open", path, error))
}

/// Whether a name is that of a file that was being written.
pub fn is_staged(name: &str) -> bool {
    name.starts_with(STAGED)
}

/// The names in a directory that are UTF-8.
pub fn names(dir: &Dir) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in dir.entries()? {
        names.extend(entry?.file_name().into_string().ok());
    }
    Ok(names)
}
