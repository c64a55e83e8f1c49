//! Files that appear whole or not at all: written under a temporary name, synced, renamed.

use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Write};

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt as _};
use cap_std::fs::{Dir, File, OpenOptions, OpenOptionsExt as _};

use crate::sys;

/// Another process may have the same temporary name, or have left it behind.
const ATTEMPTS: u32 = 16;

/// A file under a temporary name, for this user alone. It is removed on drop unless it was published.
#[derive(Debug)]
pub struct StagedFile {
    dir: Dir,
    name: String,
    file: File,
    is_published: bool,
}

impl StagedFile {
    /// Creates an empty file, whose name begins with `prefix`, so that a later start recognises what a crash left.
    pub fn create(dir: &Dir, prefix: &str) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).follow(FollowSymlinks::No).mode(0o600);
        for attempt in 0..ATTEMPTS {
            // The name has to be unlikely, not secret: `create_new` decides.
            let name = format!("{prefix}{:016x}", RandomState::new().hash_one(attempt));
            match dir.open_with(&name, &options) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                opened => return Ok(Self { dir: dir.try_clone()?, name, file: opened?, is_published: false }),
            }
        }
        Err(io::Error::new(io::ErrorKind::AlreadyExists, "no temporary name is free"))
    }

    /// Creates a file with these bytes, which are on the disk when this returns.
    pub fn write(dir: &Dir, prefix: &str, bytes: &[u8]) -> io::Result<Self> {
        let mut staged = Self::create(dir, prefix)?;
        staged.file.write_all(bytes)?;
        staged.file.sync_all()?;
        Ok(staged)
    }

    /// The open file, for locks and pieces.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Renames the file, in place of what has the name. The caller has synced the file and syncs the directory.
    pub fn publish(mut self, name: &str) -> io::Result<()> {
        self.dir.rename(&self.name, &self.dir, name)?;
        self.is_published = true;
        Ok(())
    }

    /// Gives the file its name and syncs the directory; fails with [`io::ErrorKind::AlreadyExists`] if the name is taken.
    pub fn publish_new(self, name: &str) -> io::Result<()> {
        self.dir.hard_link(&self.name, &self.dir, name)?;
        let dir = self.dir.try_clone()?;
        drop(self);
        sys::sync_dir(&dir)
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if !self.is_published
            && let Err(error) = self.dir.remove_file(&self.name)
        {
            tracing::warn!(%error, file = self.name, "removing a temporary file failed; the next start retries");
        }
    }
}

/// Writes a file that is there, whole and on the disk, when this returns; if it fails, what was there before is whole.
pub fn write_file(dir: &Dir, prefix: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    StagedFile::write(dir, prefix, bytes)?.publish(name)?;
    sys::sync_dir(dir)
}
