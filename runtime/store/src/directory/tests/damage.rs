use super::*;
use std::os::unix::fs::symlink;

/// A store with a value to damage and one beside it.
async fn two(lab: &Lab) -> DirectoryStore {
    let store = lab.store().await;
    store.write("lease/a", "hunter2").await;
    store.write("lease/b", "other").await;
    store
}

#[tokio::test]
async fn every_byte_that_is_changed_costs_that_key_alone() {
    let lab = Lab::new();
    let store = two(&lab).await;
    let file = lab.file("lease/a");
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
async fn every_byte_that_is_missing_costs_that_key_alone() {
    let lab = Lab::new();
    let store = two(&lab).await;
    let file = lab.file("lease/a");
    let whole = std::fs::read(&file).unwrap();
    for length in 0..whole.len() {
        overwrite(&file, &whole[..length]);
        assert!(store.damage("lease/a").await.is_some(), "{length}");
        assert_eq!(store.text("lease/b").await.unwrap(), "other");
    }
}

#[tokio::test]
async fn files_that_change_places_are_damaged_both() {
    let lab = Lab::new();
    let store = two(&lab).await;
    let [a, b, aside] = [lab.file("lease/a"), lab.file("lease/b"), lab.path().join("aside")];
    std::fs::rename(&a, &aside).unwrap();
    std::fs::rename(&b, &a).unwrap();
    std::fs::rename(&aside, &b).unwrap();
    assert_eq!(store.damage("lease/a").await, Some(Corruption::Unsealed));
    assert_eq!(store.damage("lease/b").await, Some(Corruption::Unsealed));
    std::fs::copy(lab.path().join(".store"), &a).unwrap();
    assert_eq!(store.damage("lease/a").await, Some(Corruption::Unsealed));
}

#[tokio::test]
async fn what_is_no_file_is_damage_and_no_link_is_followed() {
    let lab = Lab::new();
    let store = two(&lab).await;
    let file = lab.file("lease/a");
    let whole = lab.path().join("elsewhere");
    std::fs::rename(&file, &whole).unwrap();
    symlink(&whole, &file).unwrap();
    assert_eq!(store.damage("lease/a").await, Some(Corruption::Kind));
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    assert_eq!(store.damage("lease/a").await, Some(Corruption::Kind));
    store.quarantine(&parsed("lease/a")).await.unwrap();
    std::fs::File::options().append(true).open(lab.file("lease/b")).unwrap().set_len(1 << 30).unwrap();
    assert_eq!(store.damage("lease/b").await, Some(Corruption::Long));
}

#[tokio::test]
async fn a_damaged_value_is_not_replaced_until_it_was_set_aside() {
    let lab = Lab::new();
    let store = two(&lab).await;
    let mut changes = store.watch(KeyPrefix::All).await.unwrap();
    let key = parsed("lease/a");
    let version = store.get(&key).await.unwrap().unwrap().version;
    overwrite(&lab.file("lease/a"), b"garbage");
    for expected in [ExpectedVersion::Absent, ExpectedVersion::Version(version)] {
        let error = store.put(&key, &value("new"), expected).await.unwrap_err();
        assert!(matches!(error, StoreError::Damaged { why: Corruption::Foreign, .. }), "{error}");
    }
    assert!(matches!(store.delete(&key, version).await, Err(StoreError::Damaged { .. })));
    assert_eq!(store.list(&KeyPrefix::All).await.unwrap(), ["lease/a", "lease/b"].map(parsed));
    store.quarantine(&key).await.unwrap();
    assert_eq!(changes.next().await.unwrap(), Change { key: key.clone(), event: ChangeKind::Deleted });
    assert_eq!(std::fs::read(lab.path().join("lease.a.sealed.damaged-1")).unwrap(), b"garbage");
    assert!(store.get(&key).await.unwrap().is_none());
    assert_eq!(store.list(&KeyPrefix::All).await.unwrap(), [parsed("lease/b")]);
    let new = store.put(&key, &value("new"), ExpectedVersion::Absent).await.unwrap();
    assert!(new > version);
}

#[tokio::test]
async fn what_is_whole_or_absent_is_not_set_aside() {
    let lab = Lab::new();
    let store = two(&lab).await;
    for key in ["lease/a", "lease/none"] {
        store.quarantine(&parsed(key)).await.unwrap();
    }
    assert_eq!(store.text("lease/a").await.unwrap(), "hunter2");
    assert!(!lab.names().iter().any(|name| name.contains("damaged")));
}

#[tokio::test]
async fn few_damaged_files_are_kept() {
    let lab = Lab::new();
    let store = two(&lab).await;
    for number in 1..=6 {
        overwrite(&lab.file("lease/a"), format!("garbage {number}").as_bytes());
        store.quarantine(&parsed("lease/a")).await.unwrap();
    }
    let kept = [1, 2, 3].map(|n| std::fs::read(lab.path().join(format!("lease.a.sealed.damaged-{n}"))).unwrap());
    assert_eq!(kept, [b"garbage 1", b"garbage 2", b"garbage 6"]);
    assert_eq!(lab.names().iter().filter(|name| name.contains("damaged")).count(), 3);
}

#[tokio::test]
async fn an_older_file_in_place_of_a_newer_one_shows_to_who_knows_the_newer_version() {
    let lab = Lab::new();
    let store = two(&lab).await;
    let old = std::fs::read(lab.file("lease/a")).unwrap();
    let version = store.write("lease/a", "newer").await;
    overwrite(&lab.file("lease/a"), &old);
    let error = store.put(&parsed("lease/a"), &value("newest"), ExpectedVersion::Version(version)).await.unwrap_err();
    assert!(matches!(&error, StoreError::Conflict { found: Some(found), .. } if *found < version), "{error}");
    // To everybody else it looks well: the module of the seal says so.
    assert_eq!(store.text("lease/a").await.unwrap(), "hunter2");
}
