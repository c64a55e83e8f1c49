//! The files of the cache: compiled code, each with [what authenticates it](super::tagged_code) under its name.
//!
//! | file | contents |
//! |---|---|
//! | `<component>-<engine>-<key>.cwasm` | compiled code and its tags; the name holds the component's digest |
//! | `….cwasm.damaged` | one that failed authentication, the last of its name |
//! | `.compiling-<random>` | a file being written, locked by its writer |

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use cap_std::fs::{DirEntry, File};
use deputy_files::{FileError, FileOpen, PrivateDir, StagedFile, sys};

use super::key::CacheKey;
use super::memory_file::Code;
use super::{CacheError, tagged_code};

/// How long a file is kept that is not loaded.
const MAX_AGE: Duration = Duration::from_secs(30 * 86_400);

/// How many bytes are kept that this process does not use.
const MAX_UNUSED: u64 = 1 << 30;

/// How old an unlocked file has to be to count as unfinished.
const UNFINISHED: Duration = Duration::from_secs(60);

/// Why a file is quarantined that was changed, truncated, or not written by this installation.
const UNAUTHENTIC: &str = "it failed authentication";

const WRITING: &str = ".compiling-";
const DAMAGED: &str = ".damaged";

/// A directory of compiled code, closed to other users.
pub(super) struct CodeDir {
    dir: PrivateDir,
    key: CacheKey,
    key_id: String,
}

impl CodeDir {
    /// Opens `components` below the state directory, creates it if it is missing, and removes files that a process left
    /// unfinished.
    pub(super) fn open(state: &Path, key: CacheKey, now: SystemTime) -> Result<Self, CacheError> {
        let state = PrivateDir::open(state)?;
        let dir = PrivateDir::open(&state.path().join("components"))?;
        let code = Self { dir, key_id: key.id().map_err(|_| CacheError::Key)?, key };
        code.remove_unfinished(now)?;
        Ok(code)
    }

    /// The name of a component's file. `engine` is a hash of the engine's version and options.
    pub(super) fn name(&self, component: impl std::fmt::Display, engine: u64) -> String {
        format!("{component}-{engine:016x}-{}.cwasm", self.key_id)
    }

    /// Copies a file into memory, and returns it if the copy is authentic. A file that is not is quarantined.
    pub(super) fn read(&self, name: &str) -> Result<Option<Code>, CacheError> {
        let code = match self.dir.open_file(name)? {
            FileOpen::Absent => return Ok(None),
            FileOpen::Irregular => None,
            FileOpen::Regular(file, metadata) => {
                let code = tagged_code::read(&file, metadata.len(), &self.key, name)
                    .map_err(|error| self.dir.error("read", name, error))?;
                if code.is_some() {
                    touch(&file);
                }
                code
            }
        };
        if code.is_none() {
            self.quarantine(name, UNAUTHENTIC);
        }
        Ok(code)
    }

    /// Writes a file, which appears whole or not at all.
    pub(super) fn write(&self, name: &str, code: &Code) -> Result<(), CacheError> {
        self.try_write(name, code).map_err(|error| self.dir.error("write", name, error).into())
    }

    fn try_write(&self, name: &str, code: &Code) -> io::Result<()> {
        let mut staged = StagedFile::create(self.dir.dir(), WRITING)?;
        // Another process that starts now leaves a locked file alone.
        sys::try_lock(staged.file())?;
        tagged_code::write(staged.file(), &self.key, name, code)?;
        staged.file().sync_all()?;
        staged.publish(name)?;
        sys::sync_dir(self.dir.dir())
    }

    /// Moves a damaged file out of the way for the operator to inspect, the last one of each name.
    pub(super) fn quarantine(&self, name: &str, why: &str) {
        let file = self.dir.path().join(name);
        let quarantined = format!("{name}{DAMAGED}");
        match self.dir.rename(name, &quarantined) {
            Ok(()) => tracing::error!(
                file = %file.display(), why, moved_to = quarantined,
                "compiled code quarantined; compiling the component again"
            ),
            Err(error) => tracing::error!(
                file = %file.display(), why, %error,
                "compiled code is unusable and cannot be quarantined; compiling the component again"
            ),
        }
    }

    /// Removes what a killed process had not finished: its files are no longer locked. A young file may be one that its
    /// writer is about to lock.
    fn remove_unfinished(&self, now: SystemTime) -> Result<(), FileError> {
        for entry in self.entries()?.filter(|entry| entry.name.starts_with(WRITING)) {
            let age = now.duration_since(entry.modified).unwrap_or_default();
            if age >= UNFINISHED
                && let FileOpen::Regular(file, _) = self.dir.open_file(&entry.name)?
                && sys::try_lock(&file).unwrap_or(false)
                && let Err(error) = self.dir.remove(&entry.name)
            {
                tracing::warn!(%error, "removing an unfinished file of the compile cache failed");
            }
        }
        Ok(())
    }

    /// Removes files that are not in use: those last loaded long ago, and the oldest beyond the limit on bytes. Returns the
    /// number of removed files.
    pub(super) fn prune(&self, used: &BTreeSet<String>, now: SystemTime) -> usize {
        let mut unused: Vec<CachedFile> = match self.entries() {
            Ok(entries) => entries.filter(|entry| is_code(&entry.name) && !used.contains(&entry.name)).collect(),
            Err(error) => {
                tracing::warn!(%error, "pruning the compile cache failed");
                return 0;
            }
        };
        unused.sort_by_key(|entry| std::cmp::Reverse(entry.modified));
        let mut kept = 0_u64;
        let mut removed = 0;
        for entry in unused {
            let is_old = now.duration_since(entry.modified).is_ok_and(|age| age > MAX_AGE);
            kept = kept.saturating_add(entry.bytes);
            if !is_old && kept <= MAX_UNUSED {
                continue;
            }
            match self.dir.remove(&entry.name) {
                Ok(()) => removed += 1,
                Err(error) => tracing::warn!(%error, "removing old compiled code failed"),
            }
        }
        removed
    }

    fn entries(&self) -> Result<impl Iterator<Item = CachedFile>, FileError> {
        let entries = self.dir.dir().entries().map_err(|error| FileError::new("list", self.dir.path(), error))?;
        Ok(entries.filter_map(|entry| CachedFile::of(&entry.ok()?)))
    }
}

/// A file of the cache.
struct CachedFile {
    name: String,
    bytes: u64,
    /// When it was loaded last: see [`touch`].
    modified: SystemTime,
}

impl CachedFile {
    fn of(entry: &DirEntry) -> Option<Self> {
        let metadata = entry.metadata().ok()?;
        let modified = metadata.modified().ok()?.into_std();
        Some(Self { name: entry.file_name().into_string().ok()?, bytes: metadata.len(), modified })
    }
}

/// Whether a file is compiled code of any version of this program, quarantined or not.
fn is_code(name: &str) -> bool {
    name.strip_suffix(DAMAGED).unwrap_or(name).ends_with(".cwasm")
}

/// Records that a file was loaded now. A failure only makes pruning less exact.
fn touch(file: &File) {
    if let Err(error) = sys::touch(file) {
        tracing::debug!(%error, "recording the use of compiled code failed");
    }
}

#[cfg(test)]
mod tests;
