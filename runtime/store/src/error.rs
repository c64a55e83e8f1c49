//! What can go wrong with a store, and how to fix it.
//!
//! An error names the key or path it is about. It never holds a value or a key's bytes.

use std::path::PathBuf;

use deputy_core::ByteSize;
use deputy_etcd::EtcdError;
use deputy_files::{FileError, Unusable};

use crate::{FoundVersion, StoreKey};

/// An operation of a store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another writer was faster.
    #[error("{key} changed in the meantime ({}): read it again", describe(.found))]
    Conflict { key: StoreKey, found: Option<FoundVersion> },
    /// One value cannot be used. The others can.
    #[error("{key} is damaged: {why}")]
    Damaged { key: StoreKey, why: Corruption },
    #[error(transparent)]
    Etcd(EtcdError),
    #[error(
        "the state in etcd under {prefix} has format {found}, and this version supports format {supported} alone: run the \
         Deputy that wrote it, or use another prefix to start with an empty state"
    )]
    EtcdFormat { prefix: String, found: u8, supported: u8 },
    #[error(
        "etcd's database is full, and etcd takes no writes: compact and defragment it (or give it more room), then run \
         `etcdctl alarm disarm`"
    )]
    EtcdFull,
    #[error(
        "the key does not fit the state in etcd: nothing under {prefix} opens with it; `key` in [coordinator] has to be \
         that of the coordinator that wrote it; another `prefix` begins another state"
    )]
    EtcdKeyMismatch { prefix: String },
    #[error(transparent)]
    File(#[from] FileError),
    #[error(
        "the state directory {} has format {found}, and this version supports format {supported} alone: run the Deputy \
         that wrote it, or move the directory away to start with an empty one",
        path.display()
    )]
    Format { path: PathBuf, found: u8, supported: u8 },
    #[error("another process uses the state directory {}: stop it first", path.display())]
    InUse { path: PathBuf },
    #[error(
        "the key does not fit this state directory: nothing in {} opens with it; configure the key that it was sealed \
         with (one that Deputy created is the file `key` in it), or, if that key is lost, move the directory away to start with \
         an empty one",
        path.display()
    )]
    KeyMismatch { path: PathBuf },
    #[error(
        "the lock file {} was removed and created again by another process, which uses the state now: this process \
         writes nothing more; stop one of the two and restart it",
        path.display()
    )]
    LockFileReplaced { path: PathBuf },
    #[error("the lock {name} is no longer held by this process, which writes nothing more: restart it")]
    LockLost { name: StoreKey },
    #[error("the lock {name} is held by {}: wait until it ends, or stop it", holder(.pid))]
    Locked { name: StoreKey, pid: Option<u32> },
    #[error("the system's random number generator failed")]
    Random,
    #[error("the value of {key} has {size} bytes, more than the store's limit of {}", limit.as_u64())]
    TooLarge { key: StoreKey, size: usize, limit: ByteSize },
}

/// What etcd, or what it was given, has to be changed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EtcdRefusal {
    /// It knows no users, and was given one.
    AuthenticationOff,
    /// The user, the password, or what the user may do.
    Denied,
    /// It ended the handshake of TLS.
    Handshake,
    /// It knows users, and was given none.
    UserMissing,
}

/// Why a value cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Corruption {
    #[error("its file is truncated")]
    Cut,
    #[error("its file has format {0}, which this version does not support")]
    Format(u8),
    #[error("its file was not written by a store")]
    Foreign,
    #[error("its file is a link, a directory or a device")]
    Kind,
    #[error("its file is larger than a value may be")]
    Long,
    #[error("reading its file failed")]
    Unreadable,
    #[error("its file was changed, is another key's, or was sealed with another master key")]
    Unsealed,
}

impl From<Unusable> for Corruption {
    fn from(why: Unusable) -> Self {
        match why {
            Unusable::Irregular => Self::Kind,
            Unusable::TooLong => Self::Long,
            Unusable::Unreadable => Self::Unreadable,
        }
    }
}

impl StoreError {
    /// Whether the same may succeed a little later.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Etcd(error) if error.is_temporary())
    }

    /// Whether the same fails until an operator changes the configuration, the key or etcd's users.
    pub fn is_misconfigured(&self) -> bool {
        match self {
            Self::EtcdFormat { .. } | Self::EtcdKeyMismatch { .. } | Self::Format { .. } | Self::KeyMismatch { .. } => {
                true
            }
            Self::Etcd(EtcdError::Unusable(_)) => true,
            Self::Etcd(_) => {
                matches!(self.refusal(), Some(EtcdRefusal::AuthenticationOff | EtcdRefusal::UserMissing))
            }
            Self::File(error) => error.is_lasting() || matches!(error, FileError::Denied { .. }),
            _ => false,
        }
    }

    /// What etcd refused, if an operator can mend it.
    pub fn refusal(&self) -> Option<EtcdRefusal> {
        match self {
            Self::Etcd(EtcdError::Handshake { .. }) => Some(EtcdRefusal::Handshake),
            Self::Etcd(EtcdError::Refused(status)) if status.is_authentication_off() => {
                Some(EtcdRefusal::AuthenticationOff)
            }
            Self::Etcd(EtcdError::Refused(status)) if status.is_user_missing() => Some(EtcdRefusal::UserMissing),
            Self::Etcd(EtcdError::Refused(status)) if status.is_denied() => Some(EtcdRefusal::Denied),
            _ => None,
        }
    }

    /// Whether the writer's lock is in other hands.
    pub fn is_lock_lost(&self) -> bool {
        matches!(self, Self::LockFileReplaced { .. } | Self::LockLost { .. })
    }
}

fn describe(found: &Option<FoundVersion>) -> String {
    match found {
        Some(found) => format!("it has version {}", found.version),
        None => "it has no value".to_owned(),
    }
}

fn holder(pid: &Option<u32>) -> String {
    match pid {
        Some(pid) => format!("process {pid}"),
        None => "another process".to_owned(),
    }
}
