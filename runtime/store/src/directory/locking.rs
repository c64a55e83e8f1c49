//! Locks between processes.
//!
//! They are locks on open files (`flock`): the system releases them when the process ends, however it ends. Their files
//! are never removed, since a lock on a removed file excludes no other process.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use deputy_files::{FileError, FileRead, PrivateDir, sys};
use deputy_support::LockUnpoisoned as _;

use super::{GUARD, StoreDir, names};
use crate::{StoreError, StoreKey, StoreLock, WriteId};

/// Holds the directory's guard: against threads by the mutex, against processes by the file in it.
pub(super) struct DirectoryGuard<'a>(MutexGuard<'a, File>);

/// The locks that are held through one store, by the names of their files.
#[derive(Default)]
pub(super) struct HeldLocks(Mutex<BTreeMap<String, LockFile>>);

/// An open file that is locked.
struct LockFile {
    file: File,
    inode: u64,
    /// The holder.
    id: WriteId,
}

/// The lock that a write needs.
pub(super) struct Fence {
    name: StoreKey,
    id: WriteId,
}

/// Releases a lock on drop.
struct HeldLock {
    file_name: String,
    id: WriteId,
    held: Arc<HeldLocks>,
}

impl Fence {
    pub(super) fn of(lock: &StoreLock) -> Self {
        Self { name: lock.name().clone(), id: lock.id() }
    }
}

impl<'a> DirectoryGuard<'a> {
    /// Waits for it. It is held for no longer than it takes to read one file and rename another.
    pub(super) fn take(file: MutexGuard<'a, File>, dir: &PrivateDir) -> Result<Self, StoreError> {
        match sys::lock(&*file) {
            Ok(()) => Ok(Self(file)),
            Err(error) => Err(dir.error("lock", GUARD, error).into()),
        }
    }
}

impl Drop for DirectoryGuard<'_> {
    fn drop(&mut self) {
        sys::unlock(&*self.0);
    }
}

impl StoreDir {
    pub(super) fn lock(&self, name: &StoreKey) -> Result<StoreLock, StoreError> {
        let file_name = names::lock(name);
        let file = sys::open_lock_file(self.dir.dir(), &file_name)
            .map_err(|error| self.dir.error("open", &file_name, error))?;
        if !sys::try_lock(&file).map_err(|error| self.dir.error("lock", &file_name, error))? {
            return Err(StoreError::Locked { name: name.clone(), pid: self.holder(&file_name) });
        }
        let id = WriteId::random(&self.random)?;
        let held = self.hold(&file_name, file, id)?;
        let fencing = self.next_version()?;
        if let Err(error) = self.write_pid(&file_name) {
            tracing::warn!(%error, lock = %name, "writing the process ID to a lock file failed; the lock is held");
        }
        Ok(StoreLock::new(name.clone(), fencing, id, Box::new(held)))
    }

    fn hold(&self, file_name: &str, file: File, id: WriteId) -> Result<HeldLock, StoreError> {
        let inode = self.inode_of(file_name, &file)?;
        self.locks.0.lock_unpoisoned().insert(file_name.to_owned(), LockFile { file, inode, id });
        Ok(HeldLock { file_name: file_name.to_owned(), id, held: Arc::clone(&self.locks) })
    }

    /// Checks that the locks of this store still exclude others, and that the lock that a write needs is one of them. The
    /// caller holds the guard. A lock on a removed file excludes no other process: a missing file is created and locked
    /// again, and a lock whose file another process created is lost for good.
    pub(super) fn verify_locks(&self, fence: Option<&Fence>) -> Result<(), StoreError> {
        let mut locks = self.locks.0.lock_unpoisoned();
        if let Some(Fence { name, id }) = fence
            && locks.get(&names::lock(name)).is_none_or(|held| held.id != *id)
        {
            return Err(StoreError::LockLost { name: name.clone() });
        }
        for (file_name, held) in locks.iter_mut() {
            match self.dir.inode(file_name) {
                Some(inode) if inode == held.inode => continue,
                Some(_) => return Err(self.lock_lost(file_name)),
                None => {}
            }
            tracing::error!(file = file_name, "lock file removed; creating it again (only deputy may touch it)");
            let file = sys::create_lock_file(self.dir.dir(), file_name)
                .map_err(|error| self.dir.error("open", file_name, error))?;
            if !sys::try_lock(&file).is_ok_and(|is_locked| is_locked) {
                return Err(self.lock_lost(file_name));
            }
            held.inode = self.inode_of(file_name, &file)?;
            held.file = file;
        }
        Ok(())
    }

    fn inode_of(&self, file_name: &str, file: &File) -> Result<u64, FileError> {
        let metadata = file.metadata().map_err(|error| self.dir.error("inspect", file_name, error))?;
        Ok(metadata.ino())
    }

    fn lock_lost(&self, file_name: &str) -> StoreError {
        StoreError::LockFileReplaced { path: self.dir.path().join(file_name) }
    }

    /// Writes the holder's process ID into the lock's file, for people. The locked handle stays open for reading alone.
    fn write_pid(&self, file_name: &str) -> io::Result<()> {
        sys::overwrite(self.dir.dir(), file_name, format!("{}\n", std::process::id()).as_bytes())
    }

    /// The process ID in a lock's file, if there is one.
    fn holder(&self, file_name: &str) -> Option<u32> {
        match self.dir.read(file_name, 32) {
            Ok(FileRead::Bytes(bytes)) => std::str::from_utf8(&bytes).ok()?.trim_end().parse().ok(),
            _ => None,
        }
    }
}

impl HeldLock {
    fn unlock(&self) {
        let mut locks = self.held.0.lock_unpoisoned();
        // After a release, the file may be locked by another holder in this process.
        if locks.get(&self.file_name).is_some_and(|held| held.id == self.id)
            && let Some(held) = locks.remove(&self.file_name)
        {
            sys::unlock(&held.file);
        }
    }
}

#[async_trait]
impl crate::LockGuard for HeldLock {
    async fn release(&self) {
        self.unlock();
    }
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        self.unlock();
    }
}
