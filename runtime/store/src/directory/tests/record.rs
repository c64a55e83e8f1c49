#![expect(clippy::disallowed_methods, reason = "a test arranges and inspects its own files")]

use super::*;

async fn open_with(state: &StateDir, byte: u8) -> Result<DirectoryStore, StoreError> {
    DirectoryStore::open(&state.path(), master(byte), random()).await
}

fn record(state: &StateDir) -> PathBuf {
    state.path().join(super::super::record::FILE)
}

/// All files with their bytes.
fn contents(state: &StateDir) -> Vec<(PathBuf, Vec<u8>)> {
    let files = std::fs::read_dir(state.path()).unwrap().map(|file| file.unwrap().path());
    let mut contents: Vec<_> = files.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
    contents.sort();
    contents
}

#[tokio::test]
async fn wrong_master_key_is_told_from_damage_and_touches_nothing() {
    let state = StateDir::new();
    let store = state.store().await;
    // Also where nothing was put yet.
    for round in 0..2 {
        overwrite(&state.path().join(".staged-00"), b"half");
        let before = contents(&state);
        let error = open_with(&state, 2).await.unwrap_err();
        assert!(matches!(error, StoreError::KeyMismatch { .. }), "{error}");
        assert!(error.to_string().contains("the key does not fit this state directory"), "{error}");
        assert_eq!(contents(&state), before, "{round}");
        store.write("lease/a", "hunter2").await;
    }
    drop(store);
    assert_eq!(state.store().await.text("lease/a").await.unwrap(), "hunter2");
}

#[tokio::test]
async fn version_record_is_rebuilt_if_a_value_opens_with_the_key() {
    let state = StateDir::new();
    let store = state.store().await;
    let version = store.write("lease/a", "hunter2").await;
    store.write("lease/b", "other").await;
    drop(store);
    let whole = std::fs::read(record(&state)).unwrap();
    let mut last = version;
    for damaged in [&[][..], &whole[..20], b"garbage", &[&whole[..], &[0]].concat()] {
        overwrite(&record(&state), damaged);
        overwrite(&state.file("lease/b"), b"garbage");
        assert!(matches!(open_with(&state, 2).await, Err(StoreError::KeyMismatch { .. })));
        let store = state.store().await;
        assert_eq!(store.text("lease/a").await.unwrap(), "hunter2");
        let next = store.write("lease/a", "hunter2").await;
        assert!(next > last, "{next} {last}");
        last = next;
    }
    std::fs::remove_file(record(&state)).unwrap();
    assert!(matches!(open_with(&state, 2).await, Err(StoreError::KeyMismatch { .. })));
    assert!(state.store().await.write("lease/a", "hunter2").await > last);
}

#[tokio::test]
async fn version_record_damaged_without_values_is_no_new_store() {
    let state = StateDir::new();
    drop(state.store().await);
    overwrite(&record(&state), b"garbage");
    assert!(matches!(open(&state.path()).await, Err(StoreError::KeyMismatch { .. })));
}

#[tokio::test]
async fn version_record_of_another_format_is_refused() {
    for other in [1, 3] {
        let state = StateDir::new();
        drop(state.store().await);
        let mut bytes = std::fs::read(record(&state)).unwrap();
        bytes[7] = other;
        overwrite(&record(&state), &bytes);
        let error = open(&state.path()).await.unwrap_err();
        assert!(matches!(error, StoreError::Format { found, .. } if found == other), "{error}");
        assert!(error.to_string().contains("run the Deputy that wrote it"), "{error}");
    }
}

#[tokio::test]
async fn version_record_lost_while_open_repeats_no_version() {
    let state = StateDir::new();
    let store = state.store().await;
    let version = store.write("lease/a", "one").await;
    store.delete_shared(&parsed("lease/a"), version).await.unwrap();
    std::fs::remove_file(record(&state)).unwrap();
    assert!(store.write("lease/a", "two").await > version);
}

#[tokio::test]
async fn versions_grow_across_blocks_restarts_and_stores() {
    let state = StateDir::new();
    let (one, two) = (state.store().await, state.store().await);
    let mut last = Version::new(0);
    for round in 0..2200 {
        // Locks take numbers without writing anything, which makes them cheap here.
        let lock = one.lock(&parsed("leader/all")).await.unwrap();
        assert!(Version::new(lock.fencing()) > last);
        last = Version::new(lock.fencing());
        if round % 500 == 0 {
            drop(lock);
            let lock = two.lock(&parsed("leader/all")).await.unwrap();
            assert!(Version::new(lock.fencing()) > last);
            last = Version::new(lock.fencing());
            drop(lock);
            let version = state.store().await.write("lease/a", "value").await;
            assert!(version > last);
            last = version;
        }
    }
}
