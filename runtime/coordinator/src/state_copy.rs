//! Moves the state from one store to another, while no coordinator runs on either.
//!
//! Everything is copied, or the copy is reported as incomplete; then it is read back and compared. The source stays as it is.

use deputy_core::ByteSize;
use deputy_store::{DirectoryReader, KeyPrefix, Store, StoreError, StoreKey, StoreLock, replace};

use crate::backup::LOCAL_NAMESPACES;
use crate::leader::LEADER_NAMESPACE;
use crate::replica::{INTEREST, REQUEST};

#[derive(Debug, thiserror::Error)]
pub enum StateCopyError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the source holds no state: `--state` or `prefix` names another one")]
    Empty,
    #[error(
        "the target has {0} values already, and a copy needs an empty one: choose another `prefix` in etcd, or move the state \
         directory away"
    )]
    NotEmpty(usize),
    #[error("{key} has {size} bytes, more than the target's limit of {}", limit.as_u64())]
    TooLarge { key: StoreKey, size: usize, limit: ByteSize },
    #[error("{0} is not the same in the target: the copy is not complete; empty the target and copy again")]
    Differs(StoreKey),
}

/// Copies all values, and returns how many there are. The caller holds the coordinator's lock of both stores.
///
/// # Errors
/// Before anything is written: if the source is empty, the target is not, or a value is damaged or too large for it.
pub async fn copy_state(from: &dyn Store, to: &dyn Store, to_lock: &StoreLock) -> Result<usize, StateCopyError> {
    let present = keys(to).await?.len();
    if present > 0 {
        return Err(StateCopyError::NotEmpty(present));
    }
    let keys = keys(from).await?;
    if keys.is_empty() {
        return Err(StateCopyError::Empty);
    }
    let limit = to.max_value();
    for key in &keys {
        let size = from.get(key).await?.map_or(0, |found| found.value.len());
        if size > limit.as_usize() {
            return Err(StateCopyError::TooLarge { key: key.clone(), size, limit });
        }
    }
    for key in &keys {
        if let Some(found) = from.get(key).await? {
            replace(to, key, &found.value, to_lock).await?;
        }
    }
    for key in &keys {
        let (before, after) = (from.get(key).await?, to.get(key).await?);
        let is_same = match (&before, &after) {
            (Some(before), Some(after)) => before.value.expose() == after.value.expose(),
            (None, None) => true,
            _ => false,
        };
        if !is_same {
            return Err(StateCopyError::Differs(key.clone()));
        }
    }
    Ok(keys.len())
}

/// All keys but those of a worker in the coordinator's own process, which stay with its machine, and what coordinators tell
/// each other.
async fn keys(store: &dyn Store) -> Result<Vec<StoreKey>, StoreError> {
    let mut keys = store.list(&KeyPrefix::All).await?;
    keys.retain(is_copied);
    Ok(keys)
}

fn is_copied(key: &StoreKey) -> bool {
    let namespace = key.namespace();
    let is_between_coordinators = namespace.as_str() == LEADER_NAMESPACE || [REQUEST, INTEREST].contains(namespace);
    !is_between_coordinators && !LOCAL_NAMESPACES.contains(&namespace.as_str())
}

/// Whether a coordinator is about to begin an empty state although a directory has one.
///
/// # Errors
/// If one of them cannot be listed.
pub async fn is_uncopied(directory: &DirectoryReader, store: &dyn Store) -> Result<bool, StoreError> {
    Ok(directory.list().await?.iter().any(is_copied) && keys(store).await?.is_empty())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use deputy_core::SecretBytes;
    use deputy_store::{DirectoryStore, MasterKey};

    use super::*;
    use crate::testing::test_lock;

    #[expect(clippy::disallowed_methods, reason = "a test's own random numbers")]
    async fn store(folder: &tempfile::TempDir, first: u8) -> DirectoryStore {
        let master = MasterKey::parse(&std::array::from_fn::<u8, 32, _>(|at| at as u8 ^ first)).unwrap();
        let random = Arc::new(aws_lc_rs::rand::SystemRandom::new());
        DirectoryStore::open(&folder.path().join("state"), master, random).await.unwrap()
    }

    #[tokio::test]
    async fn state_copy_has_everything_and_wants_an_empty_target() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let (from, to) = (store(&folders[0], 0).await, store(&folders[1], 1).await);
        let (from_lock, to_lock) = (test_lock(&from).await, test_lock(&to).await);
        assert!(matches!(copy_state(&from, &to, &to_lock).await, Err(StateCopyError::Empty)));
        for name in ["lease/a", "worker/b", "token/c", "authority/workers", "applied/local"] {
            let value = SecretBytes::new(name.as_bytes().to_vec());
            replace(&from, &name.parse().unwrap(), &value, &from_lock).await.unwrap();
        }
        let master = MasterKey::parse(&std::array::from_fn::<u8, 32, _>(|at| at as u8)).unwrap();
        let directory = DirectoryReader::open(&folders[0].path().join("state"), master).await.unwrap().unwrap();
        assert!(is_uncopied(&directory, &to).await.unwrap());
        assert_eq!(copy_state(&from, &to, &to_lock).await.unwrap(), 4);
        assert!(!is_uncopied(&directory, &to).await.unwrap());
        let copied = to.get(&"worker/b".parse().unwrap()).await.unwrap().unwrap();
        assert_eq!(copied.value.expose(), b"worker/b");
        assert!(to.get(&"applied/local".parse().unwrap()).await.unwrap().is_none(), "it stays with the machine");
        assert!(matches!(copy_state(&from, &to, &to_lock).await, Err(StateCopyError::NotEmpty(4))));
    }

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "damage")]
    async fn state_copy_of_a_damaged_value_writes_nothing() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let (from, to) = (store(&folders[0], 0).await, store(&folders[1], 1).await);
        let (from_lock, to_lock) = (test_lock(&from).await, test_lock(&to).await);
        let value = SecretBytes::new(b"value".to_vec());
        replace(&from, &"lease/a".parse().unwrap(), &value, &from_lock).await.unwrap();
        std::fs::write(folders[0].path().join("state/lease.z.sealed"), b"garbage").unwrap();
        assert!(matches!(
            copy_state(&from, &to, &to_lock).await,
            Err(StateCopyError::Store(StoreError::Damaged { .. }))
        ));
        assert_eq!(to.list(&KeyPrefix::All).await.unwrap(), []);
    }
}
