#![expect(clippy::disallowed_methods, reason = "a test arranges and inspects its own files")]

use super::child::OtherProcess;
use super::*;

fn leader() -> StoreKey {
    parsed("leader/all")
}

#[tokio::test]
async fn lock_excludes_another_process_and_names_its_holder() {
    let state = StateDir::new();
    let store = state.store().await;
    let mut other = OtherProcess::start("hold", &state.path());
    let fencing: u64 = other.next_line().unwrap().parse().unwrap();
    let error = store.lock(&leader()).await.unwrap_err();
    assert!(matches!(error, StoreError::Locked { pid: Some(pid), .. } if pid == other.id()), "{error}");
    assert!(error.to_string().contains(&format!("held by process {}", other.id())), "{error}");
    // Another lock is another matter, and so is the value.
    let another = store.lock(&parsed("leader/s3-prod")).await.unwrap();
    assert!(another.fencing() > fencing);
    store.write("leader/all", "value").await;
    other.kill();
    assert!(store.lock(&leader()).await.unwrap().fencing() > another.fencing());
}

#[tokio::test]
async fn lock_fencing_number_grows_across_killed_holders() {
    let state = StateDir::new();
    let store = state.store().await;
    let mut last = 0;
    for _ in 0..5 {
        let mut other = OtherProcess::start("hold", &state.path());
        let theirs: u64 = other.next_line().unwrap().parse().unwrap();
        other.kill();
        let ours = store.lock(&leader()).await.unwrap().fencing();
        assert!(last < theirs && theirs < ours, "{last} {theirs} {ours}");
        last = ours;
    }
}

#[tokio::test]
async fn lock_is_released_on_drop_and_not_before() {
    let state = StateDir::new();
    let store = state.store().await;
    let lock = store.lock(&leader()).await.unwrap();
    let error = store.lock(&leader()).await.unwrap_err();
    assert!(matches!(error, StoreError::Locked { pid: Some(pid), .. } if pid == std::process::id()), "{error}");
    assert!(state.store().await.lock(&leader()).await.is_err());
    assert!(is_pending(lock.lost()).await);
    // Not with the store that it came from.
    drop(store);
    let store = state.store().await;
    assert!(store.lock(&leader()).await.is_err());
    let fencing = lock.fencing();
    drop(lock);
    assert!(store.lock(&leader()).await.unwrap().fencing() > fencing);
}

#[tokio::test]
async fn lock_is_held_by_a_holder_without_a_process_id() {
    let state = StateDir::new();
    let store = state.store().await;
    let _lock = store.lock(&leader()).await.unwrap();
    for text in [b"".as_slice(), b"no-pid", b"\xff", &[b'1'; 99]] {
        overwrite(&state.path().join(".lock.leader.all"), text);
        let error = store.lock(&leader()).await.unwrap_err();
        assert!(error.to_string().contains("held by another process"), "{error}");
    }
}

#[tokio::test]
async fn lock_file_replaced_by_another_process_ends_all_writes() {
    let state = StateDir::new();
    let store = state.store().await;
    let _lock = store.lock(&leader()).await.unwrap();
    let version = store.write("leader/all", "ours").await;
    std::fs::remove_file(state.path().join(".lock.leader.all")).unwrap();
    let mut other = OtherProcess::start("hold", &state.path());
    other.next_line().unwrap();
    let refused = async || {
        let error = store
            .put_shared(&parsed("leader/all"), &value("mine"), ExpectedVersion::Version(version))
            .await
            .unwrap_err();
        assert!(matches!(error, StoreError::LockFileReplaced { .. }), "{error}");
        assert!(error.to_string().contains(".lock.leader.all"), "{error}");
        let error = store.delete_shared(&parsed("leader/all"), version).await.unwrap_err();
        assert!(matches!(error, StoreError::LockFileReplaced { .. }), "{error}");
    };
    refused().await;
    other.kill();
    refused().await;
    assert_eq!(store.text("leader/all").await.as_deref(), Some("ours"), "reading goes on");
}

#[tokio::test]
async fn lock_file_that_was_removed_is_locked_again() {
    let state = StateDir::new();
    let store = state.store().await;
    let lock = store.lock(&leader()).await.unwrap();
    std::fs::remove_file(state.path().join(".lock.leader.all")).unwrap();
    store.write("leader/all", "value").await;
    assert!(matches!(state.store().await.lock(&leader()).await, Err(StoreError::Locked { .. })));
    drop(lock);
    assert!(state.store().await.lock(&leader()).await.is_ok());
}
