//! Locks between processes.
//!
//! They are locks on open files (`flock`): the system lets go of them when the process ends, however it ends. Their
//! files are never removed, since who has locked a removed file excludes nobody.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use rustix::fs::{FlockOperation, OFlags, flock, fstat};
use rustix::io::{Errno, retry_on_intr};

use super::folder::{Folder, FolderEntry};
use super::{Inner, held, names};
use crate::{StoreError, StoreKey, StoreLock};

/// Holds the directory's guard: of this process by the mutex, of others by the file in it.
pub(super) struct DirectoryGuard<'a>(MutexGuard<'a, OwnedFd>);

/// Open for reading alone: what is open for writing keeps a file system from being made read-only, for as long as the
/// process lives.
/// The locks that are held through one store, by the names of their files.
#[derive(Default)]
pub(super) struct Held(Mutex<BTreeMap<String, LockFile>>);

/// An open file that is locked.
struct LockFile {
    file: OwnedFd,
    inode: u64,
}

/// Lets go of a lock when it is dropped.
struct HeldLock {
    path: String,
    held: Arc<Held>,
}

impl<'a> DirectoryGuard<'a> {
    /// Waits for it. Nobody holds it for longer than it takes to read one file and rename another.
    pub(super) fn take(file: MutexGuard<'a, OwnedFd>, folder: &Folder) -> Result<Self, StoreError> {
        match retry_on_intr(|| flock(&*file, FlockOperation::LockExclusive)) {
            Ok(()) => Ok(Self(file)),
            Err(error) => Err(folder.error("lock", ".guard", error)),
        }
    }
}

impl Drop for DirectoryGuard<'_> {
    fn drop(&mut self) {
        unlock(&*self.0);
    }
}

impl Inner {
    pub(super) fn lock(&self, name: &StoreKey) -> Result<StoreLock, StoreError> {
        let path = names::lock(name);
        let file = self.folder.open_lock(&path, OFlags::RDONLY)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(StoreError::Locked { name: name.clone(), pid: self.holder(&path) }),
            Err(error) => return Err(self.folder.error("lock", &path, error)),
        }
        let held = self.hold(&path, file)?;
        let fencing = self.next()?;
        if let Err(error) = self.sign(&path) {
            tracing::warn!(%error, lock = %name, "lock held by an unknown process: its file is not readable");
        }
        Ok(StoreLock::new(fencing, Box::new(held)))
    }

    fn hold(&self, path: &str, file: OwnedFd) -> Result<HeldLock, StoreError> {
        let inode = fstat(&file).map_err(|error| self.folder.error("look at", path, error))?.st_ino;
        held(&self.locks.0).insert(path.to_owned(), LockFile { file, inode });
        Ok(HeldLock { path: path.to_owned(), held: Arc::clone(&self.locks) })
    }

    /// Makes sure, with the guard held, that the locks of this store still exclude others. Whoever has locked a removed file
    /// excludes nobody: one that is missing is made and locked anew, and one that another process made is lost for good.
    pub(super) fn verify_locks(&self) -> Result<(), StoreError> {
        for (path, lock) in held(&self.locks.0).iter_mut() {
            match self.folder.inode(path) {
                Some(inode) if inode == lock.inode => continue,
                Some(_) => return Err(self.lock_lost(path)),
                None => {}
            }
            tracing::error!(file = path, "the file of a lock was removed: it is made anew; nobody else may touch it");
            let file = self.folder.open_lock(path, OFlags::RDONLY | OFlags::EXCL)?;
            flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| self.lock_lost(path))?;
            lock.inode = fstat(&file).map_err(|error| self.folder.error("look at", path, error))?.st_ino;
            lock.file = file;
        }
        Ok(())
    }

    fn lock_lost(&self, path: &str) -> StoreError {
        StoreError::LockLost { path: self.folder.path().join(path) }
    }

    /// Says in the file who holds the lock.
    fn sign(&self, path: &str) -> Result<(), StoreError> {
        let mut file = File::from(self.folder.open_lock(path, OFlags::WRONLY | OFlags::TRUNC)?);
        let written = writeln!(file, "{}", std::process::id());
        written.map_err(|error| StoreError::of_io("write to", &self.folder.path().join(path), error))
    }

    /// Who says in the file that they hold the lock.
    fn holder(&self, path: &str) -> Option<u32> {
        match self.folder.read(path, 32) {
            Ok(FolderEntry::Bytes(bytes)) => std::str::from_utf8(&bytes).ok()?.trim_end().parse().ok(),
            _ => None,
        }
    }
}

#[async_trait]
impl crate::LockGuard for HeldLock {}

impl Drop for HeldLock {
    fn drop(&mut self) {
        if let Some(lock) = held(&self.held.0).remove(&self.path) {
            // Said and not left to closing: a child that is being started may still have the file.
            unlock(&lock.file);
        }
    }
}

fn unlock(file: impl std::os::fd::AsFd) {
    if let Err(error) = flock(file, FlockOperation::Unlock) {
        tracing::warn!(%error, "releasing a lock failed");
    }
}
