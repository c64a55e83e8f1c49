//! Watches that miss nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use deputy_store::{Change, ChangeKind, Changes, KeyPrefix, Store, StoreKey, Version, WriteRight};
use deputy_test_servers::Etcd;

use super::{key, open_etcd, write};

/// Follows changes until they lead to these versions.
async fn follow(changes: &mut Changes, seen: &mut BTreeMap<StoreKey, Version>, wanted: &BTreeMap<StoreKey, Version>) {
    let following = async {
        while seen != wanted {
            match changes.next().await.unwrap() {
                Change { key, event: ChangeKind::Put(version) } => {
                    seen.insert(key, version);
                }
                Change { key, event: ChangeKind::Deleted } => {
                    seen.remove(&key);
                }
            }
        }
    };
    let followed = tokio::time::timeout(Duration::from_secs(60), following).await;
    assert!(followed.is_ok(), "{seen:?}, not {wanted:?}");
}

async fn versions(store: &dyn Store) -> BTreeMap<StoreKey, Version> {
    let mut versions = BTreeMap::new();
    for key in store.list(&KeyPrefix::All).await.unwrap() {
        versions.insert(key.clone(), store.get(&key).await.unwrap().unwrap().version);
    }
    versions
}

#[tokio::test]
async fn etcd_watch_misses_nothing_through_a_restart() {
    let mut etcd = Etcd::start(&[]).unwrap();
    let watched = open_etcd(&etcd.endpoints(), "d/").await.unwrap();
    let writer = open_etcd(&etcd.endpoints(), "d/").await.unwrap();
    write(&writer, "lease/a", "one").await;
    write(&writer, "lease/gone", "one").await;
    let mut changes = watched.watch(KeyPrefix::All).await.unwrap();
    let mut seen = versions(&writer).await;
    write(&writer, "lease/a", "two").await;
    follow(&mut changes, &mut seen, &versions(&writer).await).await;
    for round in 0..2 {
        etcd.kill(0);
        etcd.start_all().unwrap();
        // Before the watch is back.
        write(&writer, "lease/a", &format!("three {round}")).await;
        let version = write(&writer, "lease/gone", "two").await;
        writer.delete(&key("lease/gone"), version, WriteRight::shared(writer.write_id().unwrap())).await.unwrap();
        follow(&mut changes, &mut seen, &versions(&writer).await).await;
    }
}

#[tokio::test]
async fn etcd_watch_lists_again_what_was_compacted() {
    let mut etcd = Etcd::start(&[]).unwrap();
    let store = open_etcd(&etcd.endpoints(), "d/").await.unwrap();
    write(&store, "lease/same", "one").await;
    let version = write(&store, "lease/back", "one").await;
    let folder = tempfile::tempdir().unwrap();
    let snapshot = folder.path().join("snapshot");
    etcd.save(&snapshot).unwrap();
    store.delete(&key("lease/back"), version, WriteRight::shared(store.write_id().unwrap())).await.unwrap();
    write(&store, "lease/gone", "one").await;
    let mut changes = store.watch(KeyPrefix::All).await.unwrap();
    let mut seen = versions(&store).await;
    // Every revision that the watch could continue from is marked as compacted.
    etcd.restore(&snapshot, &["--bump-revision=1000000", "--mark-compacted"]).unwrap();
    let now = versions(&store).await;
    assert_eq!(now.keys().map(ToString::to_string).collect::<Vec<_>>(), ["lease/back", "lease/same"]);
    follow(&mut changes, &mut seen, &now).await;
    let later = write(&store, "lease/same", "two").await;
    assert!(later.as_u64() > 1_000_000);
    follow(&mut changes, &mut seen, &versions(&store).await).await;
    drop(store);
    assert_eq!(changes.next().await, None, "it ends with its store");
}

#[tokio::test]
async fn etcd_watch_of_a_restored_cluster_reports_what_differs() {
    let mut etcd = Etcd::start_three(&[]).unwrap();
    let store = open_etcd(&etcd.endpoints(), "d/").await.unwrap();
    write(&store, "lease/a", "saved").await;
    let folder = tempfile::tempdir().unwrap();
    let snapshot = folder.path().join("snapshot");
    etcd.save(&snapshot).unwrap();
    let mut changes = store.watch(KeyPrefix::All).await.unwrap();
    let mut seen = versions(&store).await;
    for number in 0..20 {
        write(&store, "lease/a", &format!("lost {number}")).await;
    }
    write(&store, "lease/lost", "lost").await;
    follow(&mut changes, &mut seen, &versions(&store).await).await;
    etcd.restore(&snapshot, &[]).unwrap();
    // Revisions went back: what the watch waits for would come only after twenty other writes.
    follow(&mut changes, &mut seen, &versions(&store).await).await;
    assert_eq!(super::text(&store, "lease/a").await.unwrap(), "saved");
    write(&store, "lease/b", "new").await;
    follow(&mut changes, &mut seen, &versions(&store).await).await;
}
