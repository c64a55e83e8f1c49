//! What holds for every store.

use std::sync::Arc;

use deputy_core::{SecretBytes, Span};
use deputy_store::{
    Change, ChangeKind, Corruption, ExpectedVersion, KeyPrefix, KeyWriter, Namespace, Store, StoreError, WriteRight,
    replace,
};
use deputy_test_servers::Etcd;

use super::{key, open_directory, open_etcd, put, text, value, write};

async fn all(store: Arc<dyn Store>) {
    values(&*store).await;
    versions(&*store).await;
    fenced(Arc::clone(&store)).await;
    lists(&*store).await;
    watches(&*store).await;
    lifetimes(&*store).await;
    sizes(&*store).await;
}

#[tokio::test]
async fn store_of_a_directory_conforms() {
    let folder = tempfile::tempdir().unwrap();
    all(Arc::new(open_directory(&folder).await)).await;
}

#[tokio::test]
async fn store_in_etcd_conforms() {
    let etcd = Etcd::start(&[]).unwrap();
    all(Arc::new(open_etcd(&etcd.endpoints(), "deputy/").await.unwrap())).await;
    let names = etcd.ctl(&["get", "", "--prefix", "--keys-only"]).unwrap();
    assert!(names.lines().filter(|line| !line.is_empty()).all(|line| line.starts_with("deputy/")), "{names}");
    let all = etcd.ctl(&["get", "", "--prefix"]).unwrap();
    assert!(all.contains("deputyS") && !all.contains("canary-Zx8q"), "etcd sees sealed bytes alone");
}

async fn values(store: &dyn Store) {
    assert!(store.get(&key("lease/a")).await.unwrap().is_none());
    let by = WriteRight::shared(store.write_id().unwrap());
    let first = store.put(&key("lease/a"), &value("canary-Zx8q"), ExpectedVersion::Absent, by).await.unwrap();
    let found = store.get(&key("lease/a")).await.unwrap().unwrap();
    assert_eq!((found.value.expose(), found.version), (b"canary-Zx8q".as_slice(), first));
    let second = put(store, "lease/a", "", ExpectedVersion::Version(first)).await.unwrap();
    assert!(second > first);
    assert_eq!(text(store, "lease/a").await.unwrap(), "");
    store.quarantine(&key("lease/a")).await.unwrap();
    assert!(text(store, "lease/a").await.is_some(), "a whole value stays");
    store.delete(&key("lease/a"), second, by).await.unwrap();
    assert!(store.get(&key("lease/a")).await.unwrap().is_none());
}

async fn versions(store: &dyn Store) {
    let stale = write(store, "lease/b", "one").await;
    let version = write(store, "lease/b", "two").await;
    let written = store.get(&key("lease/b")).await.unwrap().unwrap().write;
    for expected in [ExpectedVersion::Absent, ExpectedVersion::Version(stale)] {
        let error = put(store, "lease/b", "three", expected).await.unwrap_err();
        let StoreError::Conflict { found: Some(found), .. } = error else { panic!("{error}") };
        assert_eq!((found.version, found.write), (version, written));
    }
    let by = WriteRight::shared(store.write_id().unwrap());
    assert!(matches!(store.delete(&key("lease/b"), stale, by).await, Err(StoreError::Conflict { .. })));
    let error = put(store, "lease/none", "x", ExpectedVersion::Version(version)).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict { found: None, .. }), "{error}");
    store.delete(&key("lease/b"), version, by).await.unwrap();
    assert!(write(store, "lease/b", "four").await > version, "a version is not given twice");
}

async fn fenced(store: Arc<dyn Store>) {
    let name = key("lock/leader");
    let lock = Arc::new(store.lock(&name).await.unwrap());
    let deposed = KeyWriter::of_holder(Arc::clone(&store), Arc::clone(&lock));
    deposed.put(&key("lease/c"), &value("the first leader's")).await.unwrap();
    lock.release().await;
    let error = deposed.put(&key("lease/c"), &value("late")).await.unwrap_err();
    assert!(error.is_lock_lost(), "{error}");
    let successor = Arc::new(store.lock(&name).await.unwrap());
    assert!(successor.fencing() > lock.fencing());
    // The successor has not touched this key.
    assert!(deposed.put(&key("lease/c"), &value("late")).await.unwrap_err().is_lock_lost());
    assert!(deposed.delete(&key("lease/c")).await.unwrap_err().is_lock_lost());
    assert!(replace(&*store, &key("lease/d"), &value("late"), &lock).await.unwrap_err().is_lock_lost());
    assert_eq!(text(&*store, "lease/c").await.unwrap(), "the first leader's");
    replace(&*store, &key("lease/c"), &value("the successor's"), &successor).await.unwrap();
    assert_eq!(text(&*store, "lease/c").await.unwrap(), "the successor's");
    // Another lock is another matter, and a shared key needs none.
    let other = store.lock(&key("lock/other")).await.unwrap();
    replace(&*store, &key("lease/d"), &value("other"), &other).await.unwrap();
    write(&*store, "token/a", "shared").await;
    successor.release().await;
}

async fn lists(store: &dyn Store) {
    for name in ["worker/b", "worker/a", "workers/z", "worker/c"] {
        write(store, name, "value").await;
    }
    let workers = KeyPrefix::Namespace(Namespace::new("worker"));
    assert_eq!(store.list(&workers).await.unwrap(), ["worker/a", "worker/b", "worker/c"].map(key));
    let everything = store.list(&KeyPrefix::All).await.unwrap();
    assert!(everything.is_sorted() && everything.contains(&key("workers/z")) && everything.contains(&key("lease/b")));
}

async fn watches(store: &dyn Store) {
    let mut changes = store.watch(KeyPrefix::Namespace(Namespace::new("lease"))).await.unwrap();
    write(store, "worker/d", "another namespace").await;
    let version = write(store, "lease/e", "one").await;
    assert_eq!(changes.next().await.unwrap(), Change { key: key("lease/e"), event: ChangeKind::Put(version) });
    store.delete(&key("lease/e"), version, WriteRight::shared(store.write_id().unwrap())).await.unwrap();
    assert_eq!(changes.next().await.unwrap(), Change { key: key("lease/e"), event: ChangeKind::Deleted });
}

/// A value with a lifetime is there for that time at least, and is as any other in all else.
async fn lifetimes(store: &dyn Store) {
    let lifetime = Span::secs(60);
    let id = store.write_id().unwrap();
    let mut changes = store.watch(KeyPrefix::Namespace(Namespace::new("interest"))).await.unwrap();
    let first = store.put_for(lifetime, &key("interest/a"), &value("one"), ExpectedVersion::Absent, id).await.unwrap();
    assert_eq!(changes.next().await.unwrap(), Change { key: key("interest/a"), event: ChangeKind::Put(first) });
    let found = store.get(&key("interest/a")).await.unwrap().unwrap();
    assert_eq!((found.value.expose(), found.version, found.write), (b"one".as_slice(), first, id));
    let id = store.write_id().unwrap();
    let error = store.put_for(lifetime, &key("interest/a"), &value("x"), ExpectedVersion::Absent, id).await;
    assert!(matches!(error, Err(StoreError::Conflict { found: Some(_), .. })), "{error:?}");
    let expected = ExpectedVersion::Version(first);
    let second = store.put_for(lifetime, &key("interest/a"), &value("two"), expected, id).await.unwrap();
    assert!(second > first);
    store.delete(&key("interest/a"), second, WriteRight::shared(id)).await.unwrap();
    assert!(text(store, "interest/a").await.is_none());
}

async fn sizes(store: &dyn Store) {
    let most = store.max_value().as_usize();
    let largest = SecretBytes::new(vec![7; most]);
    let by = WriteRight::shared(store.write_id().unwrap());
    store.put(&key("lease/large"), &largest, ExpectedVersion::Absent, by).await.unwrap();
    assert_eq!(store.get(&key("lease/large")).await.unwrap().unwrap().value.len(), most);
    let more = SecretBytes::new(vec![7; most + 1]);
    let error = store.put(&key("lease/larger"), &more, ExpectedVersion::Absent, by).await.unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn store_in_etcd_sets_damaged_values_aside() {
    let etcd = Etcd::start(&[]).unwrap();
    let store = open_etcd(&etcd.endpoints(), "deputy/").await.unwrap();
    write(&store, "lease/a", "whole").await;
    write(&store, "lease/b", "whole").await;
    for number in 1..=4 {
        etcd.ctl(&["put", "deputy/value/lease/a", &format!("garbage {number}")]).unwrap();
        let error = store.get(&key("lease/a")).await.unwrap_err();
        assert!(matches!(error, StoreError::Damaged { why: Corruption::Foreign, .. }), "{error}");
        let error = put(&store, "lease/a", "x", ExpectedVersion::Absent).await.unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        store.quarantine(&key("lease/a")).await.unwrap();
        assert!(store.get(&key("lease/a")).await.unwrap().is_none());
    }
    let kept = etcd.ctl(&["get", "deputy/damaged/", "--prefix", "--print-value-only"]).unwrap();
    assert_eq!(kept, "garbage 1\ngarbage 2\ngarbage 4\n");
    assert_eq!(text(&store, "lease/b").await.unwrap(), "whole", "it costs that key alone");
}
