//! State behind one small trait: the coordinator's, and what a worker keeps.
//!
//! [`Store`] is all that they know of where leases, enrolments and locks are: values under [`Key`]s, each
//! with a [`Version`] that a writer has to name, so that two writers never overwrite each other unseen. [`Directory`]
//! keeps them in files of one directory, sealed with the operator's [`MasterKey`]; a replicated key-value store fits the
//! same trait, and would only ever see what was sealed.
//!
//! What is damaged costs one key and says so; a key that fits nothing is told apart from damage before anything is
//! touched. This crate never interprets a value, keeps one in memory longer than the call that asked for it, or assumes
//! that it is the only process in its directory.

mod archive;
mod change;
mod directory;
mod error;
pub mod framing;
mod key;
mod lock;
mod master;
mod seal;
mod store;

use std::sync::Arc;

pub use archive::{Archive, ArchiveError, MAX_ARCHIVE};
pub use change::{Change, ChangeKind, Changes};
pub use directory::{DirectoryStore, Folder, FolderEntry, rekey};
pub use error::{Corruption, StoreError};
pub use key::{KeyPrefix, Namespace, StoreKey, StoreKeyError};
pub use lock::{LockGuard, StoreLock};
pub use master::{MasterKey, MasterKeyError};
pub use store::{ExpectedVersion, MAX_VALUE, Store, StoredValue, Version, overwrite};

/// Where salts and names of temporary files come from.
pub type Random = Arc<dyn aws_lc_rs::rand::SecureRandom + Send + Sync>;
