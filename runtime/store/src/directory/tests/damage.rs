#![expect(clippy::disallowed_methods, reason = "a test arranges and inspects its own files")]

use super::*;
use std::os::unix::fs::symlink;

/// A store with a value to damage and one beside it.
async fn two(state: &StateDir) -> DirectoryStore {
    let store = state.store().await;
    store.write("lease/a", "hunter2").await;
    store.write("lease/b", "other").await;
    store
}

#[tokio::test]
async fn damage_of_any_byte_costs_that_key_alone() {
    let state = StateDir::new();
    let store = two(&state).await;
    let file = state.file("lease/a");
    let whole = std::fs::read(&file).unwrap();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 0x01;
        overwrite(&file, &changed);
        assert!(store.damage("lease/a").await.is_some(), "{at}");
        assert_eq!(store.text("lease/b").await.unwrap(), "other");
    }
    overwrite(&file, &whole);
    assert_eq!(store.text("lease/a").await.unwrap(), "hunter2");
}

#[tokio::test]
async fn damage_by_truncation_costs_that_key_alone() {
    let state = StateDir::new();
    let store = two(&state).await;
    let file = state.file("lease/a");
    let whole = std::fs::read(&file).unwrap();
    for length in 0..whole.len() {
        overwrite(&file, &whole[..length]);
        assert!(store.damage("lease/a").await.is_some(), "{length}");
        assert_eq!(store.text("lease/b").await.unwrap(), "other");
    }
}

#[tokio::test]
async fn damage_by_swapped_files_is_found_in_both() {
    let state = StateDir::new();
    let store = two(&state).await;
    let [a, b, aside] = [state.file("lease/a"), state.file("lease/b"), state.path().join("aside")];
    std::fs::rename(&a, &aside).unwrap();
    std::fs::rename(&b, &a).unwrap();
    std::fs::rename(&aside, &b).unwrap();
    assert_eq!(store.damage("lease/a").await, Some(Corruption::Unsealed));
    assert_eq!(store.damage("lease/b").await, Some(Corruption::Unsealed));
    std::fs::copy(state.path().join(".store"), &a).unwrap();
    assert_eq!(store.damage("lease/a").await, Some(Corruption::Unsealed));
}

#[tokio::test]
async fn damage_by_a_link_or_directory_is_found_and_not_followed() {
    let state = StateDir::new();
    let store = two(&state).await;
    let file = state.file("lease/a");
    let whole = state.path().join("elsewhere");
    std::fs::rename(&file, &whole).unwrap();
    symlink(&whole, &file).unwrap();
    assert_eq!(store.damage("lease/a").await, Some(Corruption::Kind));
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    assert_eq!(store.damage("lease/a").await, Some(Corruption::Kind));
    store.quarantine(&parsed("lease/a")).await.unwrap();
    File::options().append(true).open(state.file("lease/b")).unwrap().set_len(1 << 30).unwrap();
    assert_eq!(store.damage("lease/b").await, Some(Corruption::Long));
}

#[tokio::test]
async fn damaged_value_is_not_replaced_before_its_quarantine() {
    let state = StateDir::new();
    let store = two(&state).await;
    let mut changes = store.watch(KeyPrefix::All).await.unwrap();
    let key = parsed("lease/a");
    let version = store.get(&key).await.unwrap().unwrap().version;
    overwrite(&state.file("lease/a"), b"garbage");
    for expected in [ExpectedVersion::Absent, ExpectedVersion::Version(version)] {
        let error = store.put_shared(&key, &value("new"), expected).await.unwrap_err();
        assert!(matches!(error, StoreError::Damaged { why: Corruption::Foreign, .. }), "{error}");
    }
    assert!(matches!(store.delete_shared(&key, version).await, Err(StoreError::Damaged { .. })));
    assert_eq!(store.list(&KeyPrefix::All).await.unwrap(), ["lease/a", "lease/b"].map(parsed));
    store.quarantine(&key).await.unwrap();
    assert_eq!(changes.next().await.unwrap(), Change { key: key.clone(), event: ChangeKind::Deleted });
    assert_eq!(std::fs::read(state.path().join("lease.a.sealed.damaged-1")).unwrap(), b"garbage");
    assert!(store.get(&key).await.unwrap().is_none());
    assert_eq!(store.list(&KeyPrefix::All).await.unwrap(), [parsed("lease/b")]);
    let new = store.put_shared(&key, &value("new"), ExpectedVersion::Absent).await.unwrap();
    assert!(new > version);
}

#[tokio::test]
async fn quarantine_ignores_whole_and_absent_values() {
    let state = StateDir::new();
    let store = two(&state).await;
    for key in ["lease/a", "lease/none"] {
        store.quarantine(&parsed(key)).await.unwrap();
    }
    assert_eq!(store.text("lease/a").await.unwrap(), "hunter2");
    assert!(!state.names().iter().any(|name| name.contains("damaged")));
}

#[tokio::test]
async fn quarantine_keeps_few_files() {
    let state = StateDir::new();
    let store = two(&state).await;
    for number in 1..=6 {
        overwrite(&state.file("lease/a"), format!("garbage {number}").as_bytes());
        store.quarantine(&parsed("lease/a")).await.unwrap();
    }
    let kept = [1, 2, 3].map(|n| std::fs::read(state.path().join(format!("lease.a.sealed.damaged-{n}"))).unwrap());
    assert_eq!(kept, [b"garbage 1", b"garbage 2", b"garbage 6"]);
    assert_eq!(state.names().iter().filter(|name| name.contains("damaged")).count(), 3);
}

#[tokio::test]
async fn rollback_shows_to_a_caller_with_the_newer_version() {
    let state = StateDir::new();
    let store = two(&state).await;
    let old = std::fs::read(state.file("lease/a")).unwrap();
    let version = store.write("lease/a", "newer").await;
    overwrite(&state.file("lease/a"), &old);
    let error =
        store.put_shared(&parsed("lease/a"), &value("newest"), ExpectedVersion::Version(version)).await.unwrap_err();
    assert!(matches!(&error, StoreError::Conflict { found: Some(found), .. } if found.version < version), "{error}");
    // To everybody else it looks well: the module `seal` says so.
    assert_eq!(store.text("lease/a").await.unwrap(), "hunter2");
}
