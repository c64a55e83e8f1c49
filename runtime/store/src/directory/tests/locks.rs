use super::child::Other;
use super::*;

fn leader() -> StoreKey {
    parsed("leader/all")
}

#[tokio::test]
async fn a_lock_excludes_another_process_and_says_who_holds_it() {
    let lab = Lab::new();
    let store = lab.store().await;
    let mut other = Other::start("hold", &lab.path());
    let fencing: u64 = other.says().unwrap().parse().unwrap();
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
async fn the_fencing_number_grows_over_holders_that_are_killed() {
    let lab = Lab::new();
    let store = lab.store().await;
    let mut last = 0;
    for _ in 0..5 {
        let mut other = Other::start("hold", &lab.path());
        let theirs: u64 = other.says().unwrap().parse().unwrap();
        other.kill();
        let ours = store.lock(&leader()).await.unwrap().fencing();
        assert!(last < theirs && theirs < ours, "{last} {theirs} {ours}");
        last = ours;
    }
}

#[tokio::test]
async fn a_lock_ends_when_it_is_dropped_and_never_before() {
    let lab = Lab::new();
    let store = lab.store().await;
    let lock = store.lock(&leader()).await.unwrap();
    let error = store.lock(&leader()).await.unwrap_err();
    assert!(matches!(error, StoreError::Locked { pid: Some(pid), .. } if pid == std::process::id()), "{error}");
    assert!(lab.store().await.lock(&leader()).await.is_err());
    assert!(waits(lock.lost()).await);
    // Not with the store that it came from.
    drop(store);
    let store = lab.store().await;
    assert!(store.lock(&leader()).await.is_err());
    let fencing = lock.fencing();
    drop(lock);
    assert!(store.lock(&leader()).await.unwrap().fencing() > fencing);
}

#[tokio::test]
async fn a_holder_that_did_not_say_who_it_is_holds_the_lock_all_the_same() {
    let lab = Lab::new();
    let store = lab.store().await;
    let _lock = store.lock(&leader()).await.unwrap();
    for text in [b"".as_slice(), b"nobody", b"\xff", &[b'1'; 99]] {
        overwrite(&lab.path().join(".lock.leader.all"), text);
        let error = store.lock(&leader()).await.unwrap_err();
        assert!(error.to_string().contains("held by another process"), "{error}");
    }
}

#[tokio::test]
async fn lock_whose_file_another_process_replaced_ends_all_writes() {
    let lab = Lab::new();
    let store = lab.store().await;
    let _lock = store.lock(&leader()).await.unwrap();
    let version = store.write("leader/all", "ours").await;
    std::fs::remove_file(lab.path().join(".lock.leader.all")).unwrap();
    let mut other = Other::start("hold", &lab.path());
    other.says().unwrap();
    let refused = async || {
        let error =
            store.put(&parsed("leader/all"), &value("mine"), ExpectedVersion::Version(version)).await.unwrap_err();
        assert!(matches!(error, StoreError::LockLost { .. }), "{error}");
        assert!(error.to_string().contains(".lock.leader.all"), "{error}");
        let error = store.delete(&parsed("leader/all"), version).await.unwrap_err();
        assert!(matches!(error, StoreError::LockLost { .. }), "{error}");
    };
    refused().await;
    other.kill();
    refused().await;
    assert_eq!(store.text("leader/all").await.as_deref(), Some("ours"), "reading goes on");
}

#[tokio::test]
async fn lock_whose_file_was_removed_is_taken_again() {
    let lab = Lab::new();
    let store = lab.store().await;
    let lock = store.lock(&leader()).await.unwrap();
    std::fs::remove_file(lab.path().join(".lock.leader.all")).unwrap();
    store.write("leader/all", "value").await;
    assert!(matches!(lab.store().await.lock(&leader()).await, Err(StoreError::Locked { .. })));
    drop(lock);
    assert!(lab.store().await.lock(&leader()).await.is_ok());
}
