#![expect(clippy::disallowed_methods, reason = "a test arranges and inspects its own files")]

use std::fs;

use super::*;
use crate::KeyFit;

#[tokio::test]
async fn reader_reads_values_and_changes_nothing() {
    let state = StateDir::new();
    assert!(DirectoryReader::open(&state.path(), master(1)).await.unwrap().is_none());
    assert!(!state.path().exists(), "it is not created");
    let key = parsed("state/login");
    let store = state.store().await;
    store.put_shared(&key, &SecretBytes::new(b"value".to_vec()), ExpectedVersion::Absent).await.unwrap();
    let _lock = store.lock(&parsed("lock/coordinator")).await.unwrap();
    fs::write(state.path().join(".staged-00"), b"unfinished").unwrap();
    let names = state.names();

    let reader = DirectoryReader::open(&state.path(), master(1)).await.unwrap().unwrap();
    assert_eq!(reader.get(&key).await.unwrap().unwrap().expose(), b"value", "another process has the lock");
    assert!(reader.get(&parsed("state/other")).await.unwrap().is_none());
    let other_key = DirectoryReader::open(&state.path(), master(2)).await.unwrap().unwrap();
    assert!(matches!(other_key.get(&key).await, Err(StoreError::KeyMismatch { .. })));
    assert_eq!(reader.check_key().await.unwrap(), KeyFit::Fits);
    assert!(matches!(other_key.check_key().await, Err(StoreError::KeyMismatch { .. })));
    fs::rename(state.path().join(".store"), state.path().join(".moved")).unwrap();
    assert_eq!(reader.check_key().await.unwrap(), KeyFit::Fits, "a value opens");
    assert!(matches!(other_key.check_key().await, Err(StoreError::KeyMismatch { .. })));
    fs::rename(state.path().join(".moved"), state.path().join(".store")).unwrap();
    fs::write(state.file("state/login"), b"damaged").unwrap();
    assert!(matches!(reader.get(&key).await, Err(StoreError::Damaged { .. })));
    assert_eq!(state.names(), names);
}
