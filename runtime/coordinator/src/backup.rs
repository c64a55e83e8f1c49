//! Backups of what cannot be recreated: the certificate authority, the workers' enrolment, and the state that instances
//! keep.
//!
//! Leases are left out: new ones are obtained, and an old one may have been revoked since. So are join tokens: one that was
//! used since would be valid again. An instance's state replaces none that is there: it is older, and what is good once may
//! have been used since.

use deputy_core::SecretBytes;
use deputy_store::{KeyPrefix, Namespace, Store, StoreError, StoreKey, StoreLock, replace};

use crate::state_keeper::STATE;
use crate::workers::{AUTHORITY, WORKER};

/// The namespaces in a backup.
const NAMESPACES: [Namespace; 4] = [AUTHORITY, WORKER, Namespace::new("configuration"), STATE];

/// The namespaces of a worker, which may run in the coordinator's process on the coordinator's directory.
pub(crate) const LOCAL_NAMESPACES: [&str; 4] = ["applied", "delivery", "identity", "index"];

/// Which records a restore writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restoring {
    /// Missing and damaged ones.
    Missing,
    /// All but the state of instances that have some.
    All,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RestoreSummary {
    pub written: usize,
    /// Intact records that stayed.
    pub kept: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Restoring it would invalidate the certificates of all workers.
    #[error("the state has another certificate authority than the backup, and workers that enrolled since trust it")]
    OtherAuthority,
    #[error("the backup contains {0}, which does not belong in a backup of this version")]
    Foreign(StoreKey),
}

/// Reads the records for a backup.
///
/// # Errors
/// If a record cannot be read: a backup without it would be incomplete.
pub async fn backed_up(store: &dyn Store) -> Result<Vec<(StoreKey, SecretBytes)>, BackupError> {
    let mut values = Vec::new();
    for kind in NAMESPACES {
        for key in store.list(&KeyPrefix::Namespace(kind)).await? {
            if let Some(entry) = store.get(&key).await? {
                values.push((key, entry.value));
            }
        }
    }
    Ok(values)
}

/// Writes the records of a backup, under the coordinator's lock.
///
/// # Errors
/// If the backup has another authority (then nothing is written), or the store fails.
pub async fn restore(
    store: &dyn Store,
    lock: &StoreLock,
    values: &[(StoreKey, SecretBytes)],
    restoring: Restoring,
) -> Result<RestoreSummary, BackupError> {
    for (key, value) in values {
        if !NAMESPACES.contains(key.namespace()) {
            return Err(BackupError::Foreign(key.clone()));
        }
        if *key.namespace() == AUTHORITY
            && restoring == Restoring::Missing
            && intact(store, key).await?.is_some_and(|saved| saved.expose() != value.expose())
        {
            return Err(BackupError::OtherAuthority);
        }
    }
    let mut summary = RestoreSummary::default();
    for (key, value) in values {
        let keeps_intact = restoring == Restoring::Missing || *key.namespace() == STATE;
        if keeps_intact && intact(store, key).await?.is_some() {
            summary.kept += 1;
            continue;
        }
        store.quarantine(key).await?;
        replace(store, key, value, lock).await?;
        summary.written += 1;
    }
    Ok(summary)
}

/// The record, unless it is missing or damaged.
async fn intact(store: &dyn Store, key: &StoreKey) -> Result<Option<SecretBytes>, StoreError> {
    match store.get(key).await {
        Err(StoreError::Damaged { .. }) => Ok(None),
        entry => Ok(entry?.map(|entry| entry.value)),
    }
}

#[cfg(test)]
mod tests;
