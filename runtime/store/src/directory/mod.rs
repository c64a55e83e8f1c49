//! A store in one directory of this machine.
//!
//! Each key is a file of its own, `lease.s3-prod.sealed`. A writing is staged in a file beside it, which takes the time,
//! and then committed: with the directory's guard held, the old file is opened and its version compared, and the new one
//! is renamed over it. The guard is a lock on a file, so all this holds between processes as well; a watcher, though,
//! hears only of what its own process wrote. The directory has to lie on a file system of this machine.
//!
//! | file | what |
//! |---|---|
//! | `<kind>.<name>.sealed` | a value |
//! | `<kind>.<name>.sealed.damaged-<n>` | one that was set aside |
//! | `.store` | up to which number versions are given out; it also shows whether the master key is the right one |
//! | `.guard`, `.lock.<kind>.<name>` | locks; they stay, and what is in them is for people |
//! | `.rekey-<file>`, `.rekeyed` | another master key, being given: see `rekey.rs` |
//! | `.staged-<digits>` | a writing that was not committed; the next start removes it |

mod folder;
mod locking;
mod names;
mod record;
mod rekey;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use deputy_core::SecretBytes;
use rustix::fs::OFlags;

pub use self::folder::{Folder, FolderEntry};
use self::locking::DirectoryGuard;
use self::record::VersionRange;
pub use self::rekey::rekey;
use crate::change::Watchers;
use crate::seal::{self, OVERHEAD, Plaintext, SealLabel};
use crate::{
    Change, ChangeKind, Changes, Corruption, ExpectedVersion, KeyPrefix, MAX_VALUE, MasterKey, Random, Store,
    StoreError, StoreKey, StoreLock, StoredValue, Version,
};

/// Keys that share a turn: enough that two rarely do.
const TURNS: u64 = 64;

/// How many damaged files are kept of one key: the first ones, and the last.
const KEPT: u8 = 3;

/// A store in a directory.
pub struct DirectoryStore {
    inner: Arc<Inner>,
    /// One of them is held during each operation on a key, so that those take effect in the order of their callers.
    turns: Vec<Arc<tokio::sync::Mutex<()>>>,
}

struct Inner {
    folder: Folder,
    master: MasterKey,
    random: Random,
    guard: Mutex<OwnedFd>,
    locks: Arc<locking::Held>,
    sequence: Mutex<VersionRange>,
    watchers: Watchers,
}

/// Whether a directory holds anything sealed; it is made if it is not there.
pub(crate) async fn has_state(path: &Path) -> Result<bool, StoreError> {
    let owned = path.to_owned();
    blocking(path, move || {
        let folder = Folder::open(&owned)?;
        Ok(folder.names()?.iter().any(|name| name == record::FILE || names::key(name).is_some()))
    })
    .await
}

impl DirectoryStore {
    /// Opens the store in a directory, which is made if it is not there. Fails if anyone else can look into it, and with
    /// [`StoreError::KeyMismatch`], before anything is touched, if the key is not the one that it was sealed with.
    pub async fn open(path: &Path, master: MasterKey, random: Random) -> Result<Self, StoreError> {
        let owned = path.to_owned();
        let inner = blocking(path, move || Inner::open(&owned, master, random)).await?;
        let turns = (0..TURNS).map(|_| Arc::default()).collect();
        Ok(Self { inner: Arc::new(inner), turns })
    }

    /// Does work on a key's files when it is the key's turn. The turn goes with the work, not with the caller, who may
    /// have gone.
    async fn in_turn<T: Send + 'static>(
        &self,
        key: &StoreKey,
        work: impl FnOnce(&Inner, &StoreKey) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let index = usize::try_from(hasher.finish() % TURNS).unwrap_or(0);
        let turn = match self.turns.get(index) {
            Some(turn) => Some(Arc::clone(turn).lock_owned().await),
            None => None,
        };
        let (inner, key) = (Arc::clone(&self.inner), key.clone());
        blocking(self.inner.folder.path(), move || {
            let result = work(&inner, &key);
            drop(turn);
            result
        })
        .await
    }
}

/// Does work on files beside the runtime's threads.
#[expect(
    clippy::disallowed_methods,
    reason = "it can't be cancelled; it is a handful of operations on small files, and a store that was promised to be \
              written has to be"
)]
async fn blocking<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|lost| Err(StoreError::of_io("finish the work on", path, io::Error::other(lost))))
}

impl Inner {
    fn open(path: &Path, master: MasterKey, random: Random) -> Result<Self, StoreError> {
        let folder = Folder::open(path)?;
        let guard = Mutex::new(folder.open_lock(".guard", OFlags::RDONLY)?);
        // Before anything is staged: whoever finds itself alone removes what is.
        let is_alone = folder.claim();
        if !is_alone {
            folder.share()?;
        }
        let inner = Self {
            folder,
            master,
            random,
            guard,
            locks: Arc::default(),
            sequence: Mutex::default(),
            watchers: Watchers::default(),
        };
        {
            let _guard = inner.guard()?;
            // Nothing is touched with a key that doesn't fit.
            inner.begin()?;
        }
        if is_alone {
            inner.folder.drop_rekey()?;
            inner.clean()?;
            inner.folder.share()?;
        }
        Ok(inner)
    }

    /// Removes what crashed writers left, and says so.
    fn clean(&self) -> Result<(), StoreError> {
        let count = self.folder.clean()?;
        if count > 0 {
            tracing::info!(count, "removed temporary files of interrupted writes; the previous values stay");
        }
        Ok(())
    }

    /// Nobody else commits until the guard is dropped.
    fn guard(&self) -> Result<DirectoryGuard<'_>, StoreError> {
        DirectoryGuard::take(held(&self.guard), &self.folder)
    }

    fn list(&self, prefix: &KeyPrefix) -> Result<Vec<StoreKey>, StoreError> {
        let mut keys: Vec<StoreKey> = self.folder.names()?.iter().filter_map(|name| names::key(name)).collect();
        keys.retain(|key| prefix.contains(key));
        keys.sort();
        Ok(keys)
    }

    fn get(&self, key: &StoreKey) -> Result<Option<StoredValue>, StoreError> {
        match self.look(key)? {
            None => Ok(None),
            Some(Ok(entry)) => Ok(Some(entry)),
            Some(Err(why)) => Err(StoreError::Damaged { key: key.clone(), why }),
        }
    }

    /// The value, whole or damaged, if there is one.
    fn look(&self, key: &StoreKey) -> Result<Option<Result<StoredValue, Corruption>>, StoreError> {
        Ok(match self.folder.read(&names::file(key), MAX_VALUE.as_usize() + OVERHEAD)? {
            FolderEntry::Absent => None,
            FolderEntry::Damaged(why) => Some(Err(why)),
            FolderEntry::Bytes(bytes) => {
                let opened = seal::open(bytes, &SealLabel::of_key(key), &self.master);
                Some(opened.map(|(version, value)| StoredValue { value, version }))
            }
        })
    }

    /// Refuses if the key holds something else than expected. To be asked with the guard held.
    fn compare(&self, key: &StoreKey, expected: ExpectedVersion) -> Result<(), StoreError> {
        let found = self.get(key)?.map(|entry| entry.version);
        if found == expected.version() { Ok(()) } else { Err(StoreError::Conflict { key: key.clone(), found }) }
    }

    fn put(&self, key: &StoreKey, draft: Plaintext, expected: ExpectedVersion) -> Result<Version, StoreError> {
        let version = Version::new(self.next()?);
        let sealed = draft.seal(&SealLabel::of_key(key), version, &self.master, &*self.random);
        let staged = self.folder.stage(&sealed.map_err(|_| StoreError::Random)?, &*self.random)?;
        {
            let _guard = self.guard()?;
            self.verify_locks()?;
            self.compare(key, expected)?;
            staged.publish(&names::file(key))?;
        }
        // Seen from now on, whether or not the disk takes it.
        let synced = self.folder.sync();
        self.watchers.announce(&Change { key: key.clone(), event: ChangeKind::Put(version) });
        synced.map(|()| version)
    }

    fn delete(&self, key: &StoreKey, expected: Version) -> Result<(), StoreError> {
        {
            let _guard = self.guard()?;
            self.verify_locks()?;
            self.compare(key, ExpectedVersion::Version(expected))?;
            self.folder.remove(&names::file(key))?;
        }
        self.gone(key)
    }

    fn quarantine(&self, key: &StoreKey) -> Result<(), StoreError> {
        {
            let _guard = self.guard()?;
            let Some(Err(why)) = self.look(key)? else { return Ok(()) };
            // Asked for each name: a listing of ten thousand others would cost as much for each of them.
            let aside = |number| names::damaged(key, number);
            let is_free = |name: &String| self.folder.inode(name).is_none();
            let free = (1..KEPT).map(aside).find(is_free).unwrap_or_else(|| aside(KEPT));
            self.folder.rename(&names::file(key), &free)?;
            tracing::warn!(%key, %why, file = free, "damaged record quarantined");
        }
        self.gone(key)
    }

    fn gone(&self, key: &StoreKey) -> Result<(), StoreError> {
        let synced = self.folder.sync();
        self.watchers.announce(&Change { key: key.clone(), event: ChangeKind::Deleted });
        synced
    }
}

#[async_trait]
impl Store for DirectoryStore {
    async fn list(&self, prefix: &KeyPrefix) -> Result<Vec<StoreKey>, StoreError> {
        let (inner, prefix) = (Arc::clone(&self.inner), prefix.clone());
        blocking(self.inner.folder.path(), move || inner.list(&prefix)).await
    }

    async fn get(&self, key: &StoreKey) -> Result<Option<StoredValue>, StoreError> {
        self.in_turn(key, Inner::get).await
    }

    async fn put(&self, key: &StoreKey, value: &SecretBytes, expected: ExpectedVersion) -> Result<Version, StoreError> {
        if value.len() > MAX_VALUE.as_usize() {
            return Err(StoreError::TooLarge { key: key.clone(), size: value.len(), limit: MAX_VALUE });
        }
        let draft = Plaintext::new(value.expose());
        self.in_turn(key, move |inner, key| inner.put(key, draft, expected)).await
    }

    async fn delete(&self, key: &StoreKey, expected: Version) -> Result<(), StoreError> {
        self.in_turn(key, move |inner, key| inner.delete(key, expected)).await
    }

    async fn quarantine(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.in_turn(key, Inner::quarantine).await
    }

    async fn watch(&self, prefix: KeyPrefix) -> Result<Changes, StoreError> {
        Ok(self.inner.watchers.watch(prefix))
    }

    async fn lock(&self, name: &StoreKey) -> Result<StoreLock, StoreError> {
        self.in_turn(name, Inner::lock).await
    }
}

impl std::fmt::Debug for DirectoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Directory").field("path", &self.inner.folder.path()).finish_non_exhaustive()
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
