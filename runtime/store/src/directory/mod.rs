//! A store in one directory of this machine.
//!
//! Each key is a file of its own, `lease.s3-prod.sealed`. A put is staged in a file beside it, which takes the time, and
//! then committed: under the directory's guard, the writer's lock is checked, the old file is opened and its version
//! compared, and the new one is renamed over it. The guard is a lock on a file, so all this holds between processes as well; a watcher, though, hears
//! only of what its own process wrote. The directory has to lie on a local file system.
//!
//! | file | contents |
//! |---|---|
//! | `<namespace>.<name>.sealed` | a value |
//! | `<namespace>.<name>.sealed.damaged-<n>` | a quarantined value |
//! | `.store` | the version record: up to which number versions are given out; it also shows whether the master key fits |
//! | `.guard`, `.lock.<namespace>.<name>` | locks; they are never removed, and their contents are for people |
//! | `.rekey-<file>`, `.rekeyed` | a change of the master key: see `rekey.rs` |
//! | `.staged-<digits>` | a write that was not committed; the next start removes it |

mod locking;
mod names;
mod reader;
mod record;
mod rekey;
mod value_file;

use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use deputy_core::{ByteSize, SecretBytes};
use deputy_files::{FileError, FileRead, PrivateDir, sys};
use deputy_support::{LockUnpoisoned as _, try_blocking};

use self::locking::{DirectoryGuard, Fence, HeldLocks};
pub use self::reader::DirectoryReader;
use self::record::VersionRange;
pub use self::rekey::rekey;
use crate::change::Watchers;
use crate::seal::{Plaintext, WriteStamp};
use crate::store::check_size;
use crate::{
    Change, ChangeKind, Changes, Corruption, ExpectedVersion, FoundVersion, KeyPrefix, MAX_VALUE, MasterKey, Random,
    Store, StoreError, StoreKey, StoreLock, StoredValue, Version, WriteId, WriteRight,
};

const GUARD: &str = ".guard";

/// Keys are spread over this many locks: enough that two rarely share one.
const KEY_LOCKS: u64 = 64;

/// How many damaged files are kept of one key: the first ones, and the last.
const MAX_QUARANTINED: u8 = 3;

/// A store in a directory.
pub struct DirectoryStore {
    inner: Arc<StoreDir>,
    /// One of them is held during each operation on a key, so that operations take effect in the order of their callers.
    key_locks: Vec<Arc<tokio::sync::Mutex<()>>>,
}

struct StoreDir {
    dir: PrivateDir,
    master: MasterKey,
    random: Random,
    guard: Mutex<File>,
    locks: Arc<HeldLocks>,
    versions: Mutex<VersionRange>,
    watchers: Watchers,
}

/// A write, with what it needs on the thread that does it.
struct DirectoryWrite {
    expected: ExpectedVersion,
    id: WriteId,
    fence: Option<Fence>,
}

/// Opens a state directory, and creates it if it is missing. Finishes a change of the master key.
fn open_dir(path: &Path) -> Result<PrivateDir, StoreError> {
    let dir = PrivateDir::open(path)?;
    rekey::finish(&dir)?;
    Ok(dir)
}

/// Whether a directory holds anything sealed; it is created if it is missing.
pub(crate) async fn has_state(path: &Path) -> Result<bool, StoreError> {
    let owned = path.to_owned();
    blocking(path, move || {
        let dir = open_dir(&owned)?;
        Ok(dir.names()?.iter().any(|name| name == record::FILE || names::key(name).is_some()))
    })
    .await
}

impl DirectoryStore {
    /// Opens the store in a directory, which is created if it is missing. Fails if another user can look into it, and
    /// with [`StoreError::KeyMismatch`], before anything is touched, if it was sealed with another key.
    pub async fn open(path: &Path, master: MasterKey, random: Random) -> Result<Self, StoreError> {
        let owned = path.to_owned();
        let inner = blocking(path, move || StoreDir::open(&owned, master, random)).await?;
        let key_locks = (0..KEY_LOCKS).map(|_| Arc::default()).collect();
        Ok(Self { inner: Arc::new(inner), key_locks })
    }

    /// Works on a key's files while its lock is held. The lock belongs to the work, not to the caller, whose future may
    /// be dropped.
    async fn with_key<T: Send + 'static>(
        &self,
        key: &StoreKey,
        work: impl FnOnce(&StoreDir, &StoreKey) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let index = usize::try_from(hasher.finish() % KEY_LOCKS).unwrap_or(0);
        let lock = match self.key_locks.get(index) {
            Some(lock) => Some(Arc::clone(lock).lock_owned().await),
            None => None,
        };
        let inner = Arc::clone(&self.inner);
        let key = key.clone();
        blocking(self.inner.dir.path(), move || {
            let _lock = lock;
            work(&inner, &key)
        })
        .await
    }
}

/// A handful of operations on small files. A put that was promised is finished.
async fn blocking<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    try_blocking(work).await.map_err(|panicked| FileError::new("finish the work on", path, panicked))?
}

impl StoreDir {
    fn open(path: &Path, master: MasterKey, random: Random) -> Result<Self, StoreError> {
        let dir = open_dir(path)?;
        let guard = sys::open_lock_file(dir.dir(), GUARD).map_err(|error| dir.error("open", GUARD, error))?;
        // Before anything is staged: the only process here removes staged files.
        let is_alone = claim(&dir);
        if !is_alone {
            share(&dir)?;
        }
        let inner = Self {
            dir,
            master,
            random,
            guard: Mutex::new(guard),
            locks: Arc::default(),
            versions: Mutex::default(),
            watchers: Watchers::default(),
        };
        {
            let _guard = inner.guard()?;
            // Nothing is touched with a key that doesn't fit.
            inner.begin()?;
        }
        if is_alone {
            rekey::discard(&inner.dir)?;
            let count = inner.dir.remove_staged()?;
            if count > 0 {
                tracing::info!(count, "removed temporary files of interrupted writes; the previous values stay");
            }
            share(&inner.dir)?;
        }
        Ok(inner)
    }

    /// While the guard is held, no other process and no other thread commits.
    fn guard(&self) -> Result<DirectoryGuard<'_>, StoreError> {
        DirectoryGuard::take(self.guard.lock_unpoisoned(), &self.dir)
    }

    fn list(&self, prefix: &KeyPrefix) -> Result<Vec<StoreKey>, StoreError> {
        let mut keys: Vec<StoreKey> = self.dir.names()?.iter().filter_map(|name| names::key(name)).collect();
        keys.retain(|key| prefix.contains(key));
        keys.sort();
        Ok(keys)
    }

    fn get(&self, key: &StoreKey) -> Result<Option<StoredValue>, StoreError> {
        match self.read(key)? {
            None => Ok(None),
            Some(Ok(value)) => Ok(Some(value)),
            Some(Err(why)) => Err(StoreError::Damaged { key: key.clone(), why }),
        }
    }

    /// The value, whole or damaged, if there is one.
    fn read(&self, key: &StoreKey) -> Result<Option<Result<StoredValue, Corruption>>, StoreError> {
        Ok(match self.dir.read(&names::file(key), value_file::max_size())? {
            FileRead::Absent => None,
            FileRead::Unusable(why) => Some(Err(why.into())),
            FileRead::Bytes(bytes) => Some(value_file::open(bytes, key, &self.master)),
        })
    }

    /// Fails if the key holds something else than expected. The caller holds the guard.
    fn compare(&self, key: &StoreKey, expected: ExpectedVersion) -> Result<(), StoreError> {
        let found = self.get(key)?.map(|value| FoundVersion { version: value.version, write: value.write });
        match found.map(|found| found.version) == expected.version() {
            true => Ok(()),
            false => Err(StoreError::Conflict { key: key.clone(), found }),
        }
    }

    fn put(&self, key: &StoreKey, plaintext: Plaintext, write: DirectoryWrite) -> Result<Version, StoreError> {
        let DirectoryWrite { expected, id, fence } = write;
        let version = Version::new(self.next_version()?);
        let stamp = WriteStamp { write: id, replaced: expected.version() };
        let sealed = value_file::seal(plaintext, key, version, stamp, &self.master, &self.random)?;
        let staged = self.dir.stage(&sealed)?;
        {
            let _guard = self.guard()?;
            self.verify_locks(fence.as_ref())?;
            self.compare(key, expected)?;
            self.dir.publish(staged, &names::file(key))?;
        }
        // Readers see it from now on, whether or not the sync succeeds.
        let synced = self.dir.sync();
        self.watchers.announce(&Change { key: key.clone(), event: ChangeKind::Put(version) });
        synced?;
        Ok(version)
    }

    fn delete(&self, key: &StoreKey, expected: Version, fence: Option<&Fence>) -> Result<(), StoreError> {
        {
            let _guard = self.guard()?;
            self.verify_locks(fence)?;
            self.compare(key, ExpectedVersion::Version(expected))?;
            self.dir.remove(&names::file(key))?;
        }
        self.announce_deleted(key)
    }

    fn quarantine(&self, key: &StoreKey) -> Result<(), StoreError> {
        {
            let _guard = self.guard()?;
            let Some(Err(why)) = self.read(key)? else { return Ok(()) };
            // Each name is looked up: a listing of ten thousand others would cost as much for each key.
            let free = (1..MAX_QUARANTINED)
                .map(|number| names::damaged(key, number))
                .find(|name| self.dir.inode(name).is_none())
                .unwrap_or_else(|| names::damaged(key, MAX_QUARANTINED));
            self.dir.rename(&names::file(key), &free)?;
            tracing::warn!(%key, %why, file = free, "damaged record quarantined");
        }
        self.announce_deleted(key)
    }

    fn announce_deleted(&self, key: &StoreKey) -> Result<(), StoreError> {
        let synced = self.dir.sync();
        self.watchers.announce(&Change { key: key.clone(), event: ChangeKind::Deleted });
        Ok(synced?)
    }
}

impl Drop for StoreDir {
    /// Releases the lock of [`claim`] or [`share`].
    fn drop(&mut self) {
        sys::unlock(self.dir.dir());
    }
}

/// Claims the directory for this process, if no other one uses it. Until [`share`], none begins to.
fn claim(dir: &PrivateDir) -> bool {
    sys::try_lock(dir.dir()).unwrap_or(false)
}

/// Shows other processes that this one uses the directory.
fn share(dir: &PrivateDir) -> Result<(), FileError> {
    sys::lock_shared(dir.dir()).map_err(|error| FileError::new("lock", dir.path(), error))
}

#[async_trait]
impl Store for DirectoryStore {
    async fn list(&self, prefix: &KeyPrefix) -> Result<Vec<StoreKey>, StoreError> {
        let inner = Arc::clone(&self.inner);
        let prefix = prefix.clone();
        blocking(self.inner.dir.path(), move || inner.list(&prefix)).await
    }

    async fn get(&self, key: &StoreKey) -> Result<Option<StoredValue>, StoreError> {
        self.with_key(key, StoreDir::get).await
    }

    async fn put(
        &self,
        key: &StoreKey,
        value: &SecretBytes,
        expected: ExpectedVersion,
        by: WriteRight<'_>,
    ) -> Result<Version, StoreError> {
        check_size(key, value, MAX_VALUE)?;
        let plaintext = Plaintext::new(value.expose());
        let write = DirectoryWrite { expected, id: by.id, fence: by.lock.map(Fence::of) };
        self.with_key(key, move |inner, key| inner.put(key, plaintext, write)).await
    }

    async fn delete(&self, key: &StoreKey, expected: Version, by: WriteRight<'_>) -> Result<(), StoreError> {
        let fence = by.lock.map(Fence::of);
        self.with_key(key, move |inner, key| inner.delete(key, expected, fence.as_ref())).await
    }

    async fn quarantine(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.with_key(key, StoreDir::quarantine).await
    }

    async fn watch(&self, prefix: KeyPrefix) -> Result<Changes, StoreError> {
        Ok(self.inner.watchers.watch(prefix))
    }

    async fn lock(&self, name: &StoreKey) -> Result<StoreLock, StoreError> {
        self.with_key(name, StoreDir::lock).await
    }

    fn write_id(&self) -> Result<WriteId, StoreError> {
        WriteId::random(&self.inner.random)
    }

    fn max_value(&self) -> ByteSize {
        MAX_VALUE
    }
}

impl std::fmt::Debug for DirectoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DirectoryStore").field("path", &self.inner.dir.path()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
