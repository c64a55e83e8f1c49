#![expect(clippy::disallowed_methods, reason = "a test arranges and inspects its own files")]

use super::*;
use futures::future::join_all;

#[tokio::test]
async fn put_survives_a_restart() {
    let state = StateDir::new();
    let store = state.store().await;
    let first = store.put_shared(&parsed("lease/a"), &value("one"), ExpectedVersion::Absent).await.unwrap();
    let second = store.put_shared(&parsed("lease/b"), &value(""), ExpectedVersion::Absent).await.unwrap();
    let third = store.put_shared(&parsed("lease/a"), &value("two"), ExpectedVersion::Version(first)).await.unwrap();
    assert!(first < second && second < third);
    for store in [store, state.store().await] {
        let entry = store.get(&parsed("lease/a")).await.unwrap().unwrap();
        assert_eq!((entry.value.expose(), entry.version), (b"two".as_slice(), third));
        assert_eq!(store.text("lease/b").await.unwrap(), "");
        assert!(store.get(&parsed("lease/c")).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn store_is_used_through_its_trait_alone() {
    let state = StateDir::new();
    let store: Arc<dyn Store> = Arc::new(state.store().await);
    let by = WriteRight::shared(store.write_id().unwrap());
    let version = store.put(&parsed("lease/a"), &value("one"), ExpectedVersion::Absent, by).await.unwrap();
    assert_eq!(store.get(&parsed("lease/a")).await.unwrap().unwrap().write, by.id);
    store.delete(&parsed("lease/a"), version, by).await.unwrap();
    assert!(store.get(&parsed("lease/a")).await.unwrap().is_none());
}

#[tokio::test]
async fn put_with_another_expected_version_replaces_nothing() {
    let state = StateDir::new();
    let store = state.store().await;
    let key = parsed("lease/a");
    let stale = store.put_shared(&key, &value("one"), ExpectedVersion::Absent).await.unwrap();
    let version = store.put_shared(&key, &value("two"), ExpectedVersion::Version(stale)).await.unwrap();
    for expected in
        [ExpectedVersion::Absent, ExpectedVersion::Version(stale), ExpectedVersion::Version(Version::new(999))]
    {
        let error = store.put_shared(&key, &value("three"), expected).await.unwrap_err();
        assert!(
            matches!(&error, StoreError::Conflict { found: Some(found), .. } if found.version == version),
            "{error}"
        );
        assert!(error.to_string().contains("read it again"), "{error}");
    }
    let error = store.delete_shared(&key, stale).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict { .. }), "{error}");
    assert_eq!(store.text("lease/a").await.unwrap(), "two");
    let other = parsed("lease/b");
    for error in [
        store.put_shared(&other, &value("three"), ExpectedVersion::Version(version)).await.unwrap_err(),
        store.delete_shared(&other, version).await.unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::Conflict { found: None, .. }), "{error}");
    }
    assert_eq!(state.names().iter().filter(|name| deputy_files::is_staged(name)).count(), 0);
}

#[tokio::test]
async fn version_is_not_reused_after_a_delete() {
    let state = StateDir::new();
    let store = state.store().await;
    let key = parsed("lease/a");
    let first = store.put_shared(&key, &value("one"), ExpectedVersion::Absent).await.unwrap();
    store.delete_shared(&key, first).await.unwrap();
    drop(store);
    let store = state.store().await;
    let second = store.put_shared(&key, &value("two"), ExpectedVersion::Absent).await.unwrap();
    assert!(second > first);
    assert!(store.put_shared(&key, &value("three"), ExpectedVersion::Version(first)).await.is_err());
}

#[tokio::test]
async fn list_returns_the_keys_of_a_namespace_and_no_other_file() {
    let state = StateDir::new();
    let store = state.store().await;
    for key in ["worker/a", "lease/b", "lease/a"] {
        store.write(key, "value").await;
    }
    let _lock = store.lock(&parsed("leader/all")).await.unwrap();
    for name in ["key", "lease.c", "lease.d.sealed.damaged-1", ".staged-00", "README.sealed"] {
        overwrite(&state.path().join(name), b"x");
    }
    std::fs::create_dir(state.path().join("components")).unwrap();
    assert_eq!(store.list(&KeyPrefix::All).await.unwrap(), ["lease/a", "lease/b", "worker/a"].map(parsed));
    assert_eq!(
        store.list(&KeyPrefix::Namespace(Namespace::new("lease"))).await.unwrap(),
        ["lease/a", "lease/b"].map(parsed)
    );
}

#[tokio::test]
async fn put_of_one_version_succeeds_for_one_of_many_writers() {
    let state = StateDir::new();
    let store = state.store().await;
    let version = store.write("lease/a", "start").await;
    let key = parsed("lease/a");
    let texts: Vec<String> = (0..32).map(|number| number.to_string()).collect();
    let values: Vec<SecretBytes> = texts.iter().map(|text| value(text)).collect();
    let puts = values.iter().map(|value| store.put_shared(&key, value, ExpectedVersion::Version(version)));
    let won: Vec<usize> =
        join_all(puts).await.iter().enumerate().filter(|(_, put)| put.is_ok()).map(|(index, _)| index).collect();
    assert_eq!(won.len(), 1);
    assert_eq!(store.text("lease/a").await.unwrap(), texts[won[0]]);
}

#[tokio::test]
async fn operations_on_a_key_take_effect_in_order() {
    let state = StateDir::new();
    let store = state.store().await;
    let key = parsed("lease/a");
    let (one, two) = (value("one"), value("two"));
    let put = store.put_shared(&key, &one, ExpectedVersion::Absent);
    let get = store.get(&key);
    let (put, got, again) = tokio::join!(put, get, store.put_shared(&key, &two, ExpectedVersion::Absent));
    assert_eq!(got.unwrap().unwrap().version, put.unwrap());
    assert!(again.is_err());
}

#[tokio::test]
async fn put_whose_future_is_dropped_is_announced() {
    let state = StateDir::new();
    let store = state.store().await;
    let mut changes = store.watch(KeyPrefix::All).await.unwrap();
    let one = value("one");
    for number in 0..1000 {
        let key = parsed(&format!("lease/{number}"));
        // A disk that is quick may be done before anybody could stop to wait.
        let was_waited_for = is_pending(store.put_shared(&key, &one, ExpectedVersion::Absent)).await;
        let change = changes.next().await.unwrap();
        let entry = store.get(&key).await.unwrap().unwrap();
        assert_eq!(change, Change { key, event: ChangeKind::Put(entry.version) });
        if was_waited_for {
            return;
        }
    }
    panic!("none was ever waited for");
}

#[tokio::test]
async fn watch_reports_puts_and_deletes() {
    let state = StateDir::new();
    let store = state.store().await;
    let mut changes = store.watch(KeyPrefix::Namespace(Namespace::new("lease"))).await.unwrap();
    store.write("worker/a", "one").await;
    let version = store.write("lease/a", "one").await;
    let key = parsed("lease/a");
    assert_eq!(changes.next().await.unwrap(), Change { key: key.clone(), event: ChangeKind::Put(version) });
    store.delete_shared(&key, version).await.unwrap();
    assert_eq!(changes.next().await.unwrap(), Change { key, event: ChangeKind::Deleted });
    drop(store);
    assert_eq!(changes.next().await, None);
}

#[tokio::test]
async fn put_beyond_the_size_limit_is_refused() {
    let state = StateDir::new();
    let store = state.store().await;
    let most = SecretBytes::new(vec![7; MAX_VALUE.as_usize()]);
    store.put_shared(&parsed("lease/a"), &most, ExpectedVersion::Absent).await.unwrap();
    assert_eq!(store.get(&parsed("lease/a")).await.unwrap().unwrap().value.expose(), most.expose());
    let more = SecretBytes::new(vec![7; MAX_VALUE.as_usize() + 1]);
    let error = store.put_shared(&parsed("lease/b"), &more, ExpectedVersion::Absent).await.unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn secrets_are_in_no_file_name_error_or_debug_output() {
    const CANARY: &str = "canary-Zx8qLw3nRt5v";
    let state = StateDir::new();
    let store = state.store().await;
    let version = store.write("lease/a", CANARY).await;
    let entry = store.get(&parsed("lease/a")).await.unwrap();
    let error = store.put_shared(&parsed("lease/a"), &value(CANARY), ExpectedVersion::Absent).await.unwrap_err();
    let mut seen = format!("{store:?} {entry:?} {version:?} {error} {error:?}").into_bytes();
    let _lock = store.lock(&parsed("leader/all")).await.unwrap();
    overwrite(&state.file("lease/b"), b"garbage");
    let error = store.get(&parsed("lease/b")).await.unwrap_err();
    store.quarantine(&parsed("lease/b")).await.unwrap();
    seen.extend_from_slice(format!("{error} {error:?}").as_bytes());
    let files = std::fs::read_dir(state.path()).unwrap();
    let mut count = 0;
    for file in files {
        let path = file.unwrap().path();
        seen.extend_from_slice(path.to_str().unwrap().as_bytes());
        seen.extend_from_slice(&std::fs::read(&path).unwrap());
        count += 1;
    }
    assert!(count >= 5, "{count}");
    let has = |needle: &[u8]| seen.windows(needle.len()).any(|window| window == needle);
    assert!(!has(CANARY.as_bytes()) && !has(b"Y2FuYXJ5") && !has(b"63616e617279"));
    assert!(!has(&[1; 8]), "the master key");
}
