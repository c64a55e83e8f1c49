//! What can go wrong with a store, and what mends it.
//!
//! An error names the key or path it is about. It never holds a value or a key's bytes.

use std::io;
use std::path::{Path, PathBuf};

use deputy_core::ByteSize;
use rustix::io::Errno;

use crate::{StoreKey, Version};

/// A store does not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another wrote in between.
    #[error("{key} changed in the meantime ({}): read it again", holds(.found))]
    Conflict {
        /// The key.
        key: StoreKey,
        /// What it holds.
        found: Option<Version>,
    },
    /// One value can't be used. The others can.
    #[error("{key} is damaged: {why}")]
    Damaged {
        /// The key.
        key: StoreKey,
        /// What is wrong with it.
        why: Corruption,
    },
    /// The system does not allow it.
    #[error("cannot {doing} {}: give this process's user the rights to it", path.display())]
    Denied {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The state directory is open to others.
    #[error("the state directory {} is open to others (mode {mode:04o}): `chmod 700 {}`", path.display(), path.display())]
    Exposed {
        /// The directory.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A later Deputy wrote it.
    #[error(
        "the state directory {} has format {found}, which this version does not know: run the Deputy that wrote it, \
         or a newer one",
        path.display()
    )]
    Format {
        /// The directory.
        path: PathBuf,
        /// Its format.
        found: u8,
    },
    /// No room.
    #[error(
        "no room to {doing} {}: free some space on its file system or raise the quota; what was there is whole",
        path.display()
    )]
    Full {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process uses the directory.
    #[error("another process uses the state directory {}: stop it first", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The system failed.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The state was sealed with another key.
    #[error(
        "the key does not fit this state directory: nothing in {} opens with it; give the key that it was sealed with, \
         or, if that is lost, move the directory away to begin with an empty one",
        path.display()
    )]
    KeyMismatch {
        /// The directory.
        path: PathBuf,
    },
    /// No directory.
    #[error("the state directory {} is a link or no directory: give the path of the directory itself", path.display())]
    Kind {
        /// The path.
        path: PathBuf,
    },
    /// Another process has what this one had locked.
    #[error(
        "the lock file {} was removed and made anew by another process, which uses the state now: this one writes nothing \
         more; end one of the two and start it again",
        path.display()
    )]
    LockLost {
        /// The lock's file.
        path: PathBuf,
    },
    /// Somebody else has the lock.
    #[error("the lock {name} is held by {}: wait for it to end, or end it", holder(.pid))]
    Locked {
        /// The lock.
        name: StoreKey,
        /// Who, if they said so.
        pid: Option<u32>,
    },
    /// The state directory belongs to somebody else.
    #[error(
        "the state directory {} belongs to user {owner}, who could change it: `sudo chown {user} {}`",
        path.display(), path.display()
    )]
    Owner {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who runs this process.
        user: u32,
    },
    /// There is no chance to be had from the system.
    #[error("the system's random number generator failed")]
    Random,
    /// The file system takes nothing.
    #[error("cannot {doing} {}: its file system is read-only; mount it writable or move the state directory", path.display())]
    ReadOnly {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Too much.
    #[error("the value of {key} has {size} bytes, more than the store's limit of {}", limit.as_u64())]
    TooLarge {
        /// The key.
        key: StoreKey,
        /// How much.
        size: usize,
        /// How much it may be.
        limit: ByteSize,
    },
}

/// Why a value can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Corruption {
    /// The end or more is missing.
    #[error("its file is truncated")]
    Cut,
    /// The format is one of the future.
    #[error("its file has format {0}, which this version does not support")]
    Format(u8),
    /// It was not written by a store.
    #[error("its file is not one of a store")]
    Foreign,
    /// No file.
    #[error("its file is a link, a directory or a device")]
    Kind,
    /// Longer than any that was written.
    #[error("its file is larger than a value may be")]
    Long,
    /// The disk doesn't give it back.
    #[error("reading its file failed")]
    Unreadable,
    /// It doesn't open.
    #[error("its file was changed, is another key's, or was sealed with another master key")]
    Unsealed,
}

impl StoreError {
    /// An error of the system, by what an operator can do about it.
    pub(crate) fn of_system(doing: &'static str, path: &Path, error: Errno) -> Self {
        let (path, source) = (path.to_owned(), io::Error::from(error));
        match error {
            Errno::NOSPC | Errno::DQUOT | Errno::FBIG => Self::Full { doing, path, source },
            Errno::ROFS => Self::ReadOnly { doing, path, source },
            Errno::ACCESS | Errno::PERM => Self::Denied { doing, path, source },
            _ => Self::Io { doing, path, source },
        }
    }

    /// The same of the standard library's.
    pub(crate) fn of_io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(number) => Self::of_system(doing, path, Errno::from_raw_os_error(number)),
            None => Self::Io { doing, path: path.to_owned(), source },
        }
    }
}

fn holds(found: &Option<Version>) -> String {
    match found {
        Some(version) => format!("it has version {version}"),
        None => "there is none".to_owned(),
    }
}

fn holder(pid: &Option<u32>) -> String {
    match pid {
        Some(pid) => format!("process {pid}"),
        None => "another process".to_owned(),
    }
}
