//! What of the state has to survive its loss: who vouches for workers, and who they are.
//!
//! Leases are left out: they are obtained anew, and an older one may have been revoked since. So are join tokens: one that
//! was used since would be good again.

use deputy_core::SecretBytes;
use deputy_store::{ExpectedVersion, KeyPrefix, Namespace, Store, StoreError, StoreKey, overwrite};

use crate::workers::{AUTHORITY, WORKER};

/// What is in a backup.
const KINDS: [Namespace; 3] = [AUTHORITY, WORKER, Namespace::new("configuration")];

/// Which values a restore writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restoring {
    /// Those that are missing or damaged.
    Missing,
    /// All of the backup.
    All,
}

/// What became of a backup.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RestoreSummary {
    /// Values that were written.
    pub written: usize,
    /// Values that were there and whole, and stayed.
    pub kept: usize,
}

/// A backup can't be used.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A backup with another authority would take all workers' certificates from them.
    #[error("the state has another certificate authority than the backup: workers that joined since trust that one")]
    OtherAuthority,
    /// Something else is in it.
    #[error("the backup holds {0}, which no backup of this version does")]
    Foreign(StoreKey),
}

/// Reads what a backup has.
///
/// # Errors
/// If something can't be read, or is damaged: a backup without it would be none.
pub async fn backed_up(store: &dyn Store) -> Result<Vec<(StoreKey, SecretBytes)>, BackupError> {
    let mut values = Vec::new();
    for kind in KINDS {
        for key in store.list(&KeyPrefix::Namespace(kind)).await? {
            if let Some(entry) = store.get(&key).await? {
                values.push((key, entry.value));
            }
        }
    }
    Ok(values)
}

/// Writes what a backup has. Nobody else may use the store: the caller holds the coordinator's lock.
///
/// # Errors
/// If the backup has another authority, before anything is written; or if something can't be.
pub async fn restore(
    store: &dyn Store,
    values: &[(StoreKey, SecretBytes)],
    restoring: Restoring,
) -> Result<RestoreSummary, BackupError> {
    for (key, value) in values {
        if !KINDS.contains(key.namespace()) {
            return Err(BackupError::Foreign(key.clone()));
        }
        let is_other = |there: &SecretBytes| there.expose() != value.expose();
        if *key.namespace() == AUTHORITY
            && restoring == Restoring::Missing
            && whole(store, key).await?.is_some_and(|there| is_other(&there))
        {
            return Err(BackupError::OtherAuthority);
        }
    }
    let mut summary = RestoreSummary::default();
    for (key, value) in values {
        if restoring == Restoring::Missing && whole(store, key).await?.is_some() {
            summary.kept += 1;
            continue;
        }
        store.quarantine(key).await?;
        overwrite(store, key, value, ExpectedVersion::Absent).await?;
        summary.written += 1;
    }
    Ok(summary)
}

/// The value, if it is there and whole.
async fn whole(store: &dyn Store, key: &StoreKey) -> Result<Option<SecretBytes>, StoreError> {
    match store.get(key).await {
        Err(StoreError::Damaged { .. }) => Ok(None),
        entry => Ok(entry?.map(|entry| entry.value)),
    }
}
