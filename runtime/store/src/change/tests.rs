use super::*;
use crate::Namespace;

fn put(name: &str, version: u64) -> Change {
    Change { key: key(name), event: ChangeKind::Put(Version::new(version)) }
}

fn key(name: &str) -> StoreKey {
    name.parse().unwrap()
}

#[tokio::test]
async fn watch_reports_the_last_change_of_each_key_in_order() {
    let watchers = Watchers::default();
    let mut leases = watchers.watch(KeyPrefix::Namespace(Namespace::new("lease")));
    let mut all = watchers.watch(KeyPrefix::All);
    for change in [put("lease/a", 1), put("worker/a", 2), put("lease/b", 3), put("lease/a", 4)] {
        watchers.announce(&change);
    }
    assert_eq!(leases.next().await, Some(put("lease/a", 4)));
    assert_eq!(leases.next().await, Some(put("lease/b", 3)));
    watchers.announce(&Change { key: key("lease/a"), event: ChangeKind::Deleted });
    assert_eq!(leases.next().await, Some(Change { key: key("lease/a"), event: ChangeKind::Deleted }));
    drop(watchers);
    assert_eq!(leases.next().await, None);
    let rest: Vec<Change> = [all.next().await, all.next().await, all.next().await].into_iter().flatten().collect();
    assert_eq!(
        rest,
        [Change { key: key("lease/a"), event: ChangeKind::Deleted }, put("worker/a", 2), put("lease/b", 3)]
    );
    assert_eq!(all.next().await, None);
}

#[tokio::test]
async fn watch_wakes_a_waiting_watcher() {
    let watchers = Watchers::default();
    let mut changes = watchers.watch(KeyPrefix::All);
    let (next, ()) = tokio::join!(changes.next(), async { watchers.announce(&put("lease/a", 1)) });
    assert_eq!(next, Some(put("lease/a", 1)));
}

#[test]
fn watch_forgets_a_dropped_watcher() {
    let watchers = Watchers::default();
    drop(watchers.watch(KeyPrefix::All));
    watchers.announce(&put("lease/a", 1));
    assert!(watchers.0.lock_unpoisoned().is_empty());
}
