#![expect(clippy::disallowed_methods, reason = "a test arranges its own store")]

use std::path::Path;
use std::sync::Arc;

use deputy_core::{Digest, InstanceName, SecretBytes, StateGrant, StateIdentity};
use deputy_store::{DirectoryStore, MasterKey};

use super::*;
use crate::state_keeper::StateKeeper;
use crate::testing::test_lock;

const GRANT: StateGrant = StateGrant { inherit: None };

async fn store(folder: &Path) -> Arc<DirectoryStore> {
    let master = MasterKey::parse(&std::array::from_fn::<u8, 32, _>(|at| at as u8)).unwrap();
    let random = Arc::new(aws_lc_rs::rand::SystemRandom::new());
    Arc::new(DirectoryStore::open(&folder.join("state"), master, random).await.unwrap())
}

fn name() -> InstanceName {
    "login".parse().unwrap()
}

fn identity() -> StateIdentity {
    StateIdentity::new(Digest::new([1; 32]))
}

async fn keeper(store: &Arc<DirectoryStore>) -> Arc<StateKeeper> {
    let keeper = StateKeeper::new(Arc::clone(store) as Arc<dyn Store>);
    keeper.lead(test_lock(&**store).await);
    Arc::new(keeper)
}

async fn save(store: &Arc<DirectoryStore>, value: &str) {
    let keeper = keeper(store).await;
    let turn = keeper.turn(&name()).await;
    turn.save(&GRANT, identity(), &SecretBytes::new(value.into())).await.unwrap();
}

async fn load(store: &Arc<DirectoryStore>) -> Option<String> {
    let keeper = keeper(store).await;
    let loaded = keeper.turn(&name()).await.load(&GRANT, identity()).await.unwrap();
    loaded.map(|value| String::from_utf8(value.expose().to_vec()).unwrap())
}

#[tokio::test]
async fn backup_has_the_state_with_its_owner() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let old = store(folder.path()).await;
    save(&old, "the refresh token").await;
    let values = backed_up(&*old).await.unwrap();
    assert_eq!(values.iter().map(|(key, _)| key.to_string()).collect::<Vec<_>>(), ["state/login"]);
    let new = store(elsewhere.path()).await;
    let restored = restore(&*new, &*test_lock(&*new).await, &values, Restoring::Missing).await.unwrap();
    assert_eq!((restored.written, restored.kept), (1, 0));
    assert_eq!(load(&new).await.as_deref(), Some("the refresh token"));
    let keeper = keeper(&new).await;
    keeper.restore().await.unwrap();
    assert_eq!(keeper.owner(&name()), Some(identity()));
}

#[tokio::test]
async fn restore_replaces_no_state_that_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    save(&store, "used up").await;
    let values = backed_up(&*store).await.unwrap();
    save(&store, "newer").await;
    for restoring in [Restoring::Missing, Restoring::All] {
        let restored = restore(&*store, &*test_lock(&*store).await, &values, restoring).await.unwrap();
        assert_eq!((restored.written, restored.kept), (0, 1), "{restoring:?}");
        assert_eq!(load(&store).await.as_deref(), Some("newer"));
    }
}

#[tokio::test]
async fn restore_replaces_state_that_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    save(&store, "kept").await;
    let values = backed_up(&*store).await.unwrap();
    std::fs::write(folder.path().join("state/state.login.sealed"), b"not what was sealed").unwrap();
    let restored = restore(&*store, &*test_lock(&*store).await, &values, Restoring::Missing).await.unwrap();
    assert_eq!((restored.written, restored.kept), (1, 0));
    assert_eq!(load(&store).await.as_deref(), Some("kept"));
}

#[tokio::test]
async fn restore_refuses_what_no_backup_has() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    let lease = StoreKey::of_instance(&Namespace::new("lease"), &name());
    let values = [(lease.clone(), SecretBytes::new(b"x".to_vec()))];
    let refused = restore(&*store, &*test_lock(&*store).await, &values, Restoring::All).await.unwrap_err();
    assert!(matches!(refused, BackupError::Foreign(key) if key == lease));
}
