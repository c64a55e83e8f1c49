//! The files of the cache: compiled code, each followed by a tag that authenticates it under its name.
//!
//! | file | what |
//! |---|---|
//! | `<component>-<engine>-<key>.cwasm` | compiled code and its tag; the name holds the component's digest |
//! | `….cwasm.damaged` | one that failed authentication, the last of its name |
//! | `.compiling-<random>` | a file being written, locked by its writer |

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, DirEntry, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, Mode, OFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, flock, futimens};

use super::key::{CacheKey, TAG};
use super::memory_file::{Code, Draft};
use super::{CacheError, io_error};

/// The largest compiled code.
pub(crate) const MAX_CODE: u64 = 1 << 30;

/// How long a file is kept that nothing loads.
const MAX_AGE: Duration = Duration::from_secs(30 * 86_400);

/// How much is kept of what this process does not use.
const MAX_UNUSED: u64 = 1 << 30;

/// How old an unlocked file has to be to count as unfinished.
const UNFINISHED: Duration = Duration::from_secs(60);

/// Why a file is set aside that was changed, cut, or not written by this installation.
const UNAUTHENTIC: &str = "it failed authentication";

const WRITING: &str = ".compiling-";
const DAMAGED: &str = ".damaged";

/// A folder of compiled code, closed to other users.
pub(super) struct Folder {
    path: PathBuf,
    key: CacheKey,
    key_id: String,
}

impl Folder {
    /// Opens `components` below the state directory, creates it if it is missing, and removes files that a process left
    /// unfinished.
    pub(super) fn open(state: &Path, key: CacheKey, now: SystemTime) -> Result<Self, CacheError> {
        let path = state.join("components");
        DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(|source| io_error(&path, source))?;
        for folder in [state, &path] {
            private(folder)?;
        }
        let folder = Self { key_id: key.id(), path, key };
        folder.remove_unfinished(now);
        Ok(folder)
    }

    /// The name of a component's file. `engine` stands for the engine's version and options.
    pub(super) fn name(&self, component: impl std::fmt::Display, engine: u64) -> String {
        format!("{component}-{engine:016x}-{}.cwasm", self.key_id)
    }

    /// Copies a file into memory, and returns it if the copy is authentic. A file that is not is set aside.
    pub(super) fn read(&self, name: &str) -> Result<Option<Code>, CacheError> {
        let path = self.path.join(name);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(rustix::io::Errno::LOOP) => {
                self.set_aside(name, UNAUTHENTIC);
                return Ok(None);
            }
            Err(error) => return Err(io_error(&path, error.into())),
        };
        let code = self.authenticate(name, &file).map_err(|source| io_error(&path, source))?;
        match &code {
            Some(_) => touch(&file),
            None => self.set_aside(name, UNAUTHENTIC),
        }
        Ok(code)
    }

    /// The code of a file whose tag is right.
    fn authenticate(&self, name: &str, file: &File) -> io::Result<Option<Code>> {
        let metadata = file.metadata()?;
        let Some(length) = metadata.len().checked_sub(TAG as u64).filter(|length| *length <= MAX_CODE) else {
            return Ok(None);
        };
        if !metadata.is_file() {
            return Ok(None);
        }
        let (mut draft, mut tagger) = (Draft::new()?, self.key.tagger(name));
        let (mut rest, mut buffer) = (length, vec![0; 64 << 10]);
        while rest > 0 {
            let most = usize::try_from(rest).unwrap_or(usize::MAX).min(buffer.len());
            let piece = buffer.get_mut(..most).unwrap_or_default();
            match read_exact(file, piece)? {
                true => {
                    tagger.update(piece);
                    draft.write_all(piece)?;
                    rest -= piece.len() as u64;
                }
                false => return Ok(None),
            }
        }
        let mut tag = [0; TAG];
        let authentic = read_exact(file, &mut tag)? && tagger.matches(&tag);
        if authentic { draft.seal().map(Some) } else { Ok(None) }
    }

    /// Writes a file, which appears whole or not at all.
    pub(super) fn write(&self, name: &str, code: &Code) -> Result<(), CacheError> {
        let path = self.path.join(name);
        self.try_write(&path, name, code).map_err(|source| io_error(&path, source))
    }

    fn try_write(&self, path: &Path, name: &str, code: &Code) -> io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(WRITING).tempfile_in(&self.path)?;
        flock(file.as_file(), FlockOperation::NonBlockingLockExclusive)?;
        let mut tagger = self.key.tagger(name);
        code.read(|piece| {
            tagger.update(piece);
            file.write_all(piece)
        })?;
        file.write_all(&tagger.finish())?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        File::open(&self.path)?.sync_all()
    }

    /// Keeps a damaged file for the operator to look at, the last one of each name, and out of the way.
    pub(super) fn set_aside(&self, name: &str, why: &str) {
        let path = self.path.join(name);
        let aside = self.path.join(format!("{name}{DAMAGED}"));
        let file = path.display();
        match fs::rename(&path, &aside) {
            Ok(()) => tracing::error!(
                %file, why, moved_to = %aside.display(),
                "compiled code was set aside: the component is compiled again"
            ),
            Err(error) => tracing::error!(
                %file, why, %error,
                "compiled code cannot be used or set aside: the component is compiled again"
            ),
        }
    }

    /// Removes what a process that was killed had not finished: what it wrote is no longer locked. A young file may be one
    /// that its writer is about to lock.
    fn remove_unfinished(&self, now: SystemTime) {
        for entry in self.entries().filter(|entry| entry.file_name().to_string_lossy().starts_with(WRITING)) {
            let path = entry.path();
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            if modified.is_ok_and(|modified| now.duration_since(modified).unwrap_or_default() < UNFINISHED) {
                continue;
            }
            let unlocked =
                File::open(&path).is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok());
            if unlocked && let Err(error) = fs::remove_file(&path) {
                tracing::warn!(file = %path.display(), %error, "an unfinished file of the cache cannot be removed");
            }
        }
    }

    /// Removes files that are not in use: those last loaded long ago, and the oldest where there are too many bytes.
    pub(super) fn prune(&self, used: &BTreeSet<String>, now: SystemTime) -> usize {
        let mut unused: Vec<(SystemTime, u64, PathBuf)> = self
            .entries()
            .filter(|entry| is_code(entry) && !used.contains(&*entry.file_name().to_string_lossy()))
            .filter_map(|entry| {
                let metadata = entry.metadata().ok()?;
                Some((metadata.modified().ok()?, metadata.len(), entry.path()))
            })
            .collect();
        unused.sort_by_key(|(loaded_at, ..)| std::cmp::Reverse(*loaded_at));
        let (mut kept, mut removed) = (0_u64, 0);
        for (loaded_at, bytes, path) in unused {
            let old = now.duration_since(loaded_at).is_ok_and(|age| age > MAX_AGE);
            kept = kept.saturating_add(bytes);
            if !old && kept <= MAX_UNUSED {
                continue;
            }
            match fs::remove_file(&path) {
                Ok(()) => removed += 1,
                Err(error) => tracing::warn!(file = %path.display(), %error, "old compiled code cannot be removed"),
            }
        }
        removed
    }

    fn entries(&self) -> impl Iterator<Item = DirEntry> {
        fs::read_dir(&self.path).into_iter().flatten().filter_map(Result::ok)
    }
}

/// Whether a file is compiled code, of whatever version of this program, or some that was set aside.
fn is_code(entry: &DirEntry) -> bool {
    let name = entry.file_name();
    let name = name.to_string_lossy();
    name.strip_suffix(DAMAGED).unwrap_or(&name).ends_with(".cwasm")
}

/// Fills a buffer; false if the file ends before it is full.
fn read_exact(mut file: &File, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

/// Notes that a file was loaded now. Only pruning looks at it, so that it need not succeed.
fn touch(file: &File) {
    let at = |nanoseconds| Timespec { tv_sec: 0, tv_nsec: nanoseconds };
    let times = Timestamps { last_access: at(UTIME_OMIT), last_modification: at(UTIME_NOW) };
    if let Err(error) = futimens(file, &times) {
        tracing::debug!(%error, "cannot note that compiled code was loaded");
    }
}

/// Refuses a folder that another user owns or can write to.
fn private(path: &Path) -> Result<(), CacheError> {
    let metadata = fs::symlink_metadata(path).map_err(|source| io_error(path, source))?;
    let own = metadata.uid() == rustix::process::geteuid().as_raw();
    let closed = metadata.permissions().mode() & 0o077 == 0;
    if own && closed && !metadata.is_symlink() {
        Ok(())
    } else {
        Err(CacheError::Exposed { path: path.to_owned(), mode: 0o700 })
    }
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
