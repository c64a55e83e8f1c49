//! State behind one small trait: the coordinator's leases and enrolments, and the worker's cache.
//!
//! [`Store`] has values under [`StoreKey`]s, each with a [`Version`] that a writer has to name, so that two writers never
//! overwrite each other unseen. [`DirectoryStore`] keeps them in files of one directory, sealed with the operator's
//! [`MasterKey`]; [`EtcdStore`] keeps them in etcd, which sees sealed values alone.
//!
//! Damage costs one key and is reported; a wrong master key is distinguished from damage before anything is touched. This
//! crate never interprets a value, keeps one in memory longer than the call that needs it, or assumes that it is the only
//! process in its directory.

mod archive;
mod change;
mod directory;
mod error;
mod etcd;
pub mod framing;
mod key;
mod key_fit;
mod key_writer;
mod lock;
mod master;
mod seal;
mod store;
mod write;

use std::sync::Arc;

pub use archive::{Archive, ArchiveError, MAX_ARCHIVE};
pub use change::{Change, ChangeKind, Changes};
pub use directory::{DirectoryReader, DirectoryStore, rekey};
pub use error::{Corruption, EtcdRefusal, StoreError};
pub use etcd::{EtcdRequests, EtcdStore, KeepAliveResult, LockKeeper};
pub use key::{KeyPrefix, Namespace, StoreKey, StoreKeyError};
pub use key_fit::KeyFit;
pub use key_writer::KeyWriter;
pub use lock::{LockGuard, StoreLock};
pub use master::{MasterKey, MasterKeyError};
pub use store::{ExpectedVersion, FoundVersion, MAX_VALUE, Store, StoredValue, Version, replace};
pub use write::{WriteId, WriteRight};

/// The source of salts and keys.
pub type Random = Arc<dyn aws_lc_rs::rand::SecureRandom + Send + Sync>;
