#![expect(clippy::disallowed_methods, reason = "a test arranges and inspects its own files")]

use std::fs;
use std::path::Path;

use deputy_core::schedule::MOST_RETIRED;
use deputy_core::{ByteSize, Fact, Limits, SecretBytes, Timestamp};
use deputy_store::{DirectoryStore, MasterKey};

use super::*;
use crate::testing::{test_lease, test_lock};

#[expect(clippy::disallowed_methods, reason = "a test's own chance")]
async fn keeper(folder: &Path) -> LeaseStore {
    let master = MasterKey::parse(&std::array::from_fn::<u8, 32, _>(|at| at as u8)).unwrap();
    let random = Arc::new(aws_lc_rs::rand::SystemRandom::new());
    let store = DirectoryStore::open(&folder.join("state"), master, random).await.unwrap();
    let lock = test_lock(&store).await;
    LeaseStore::new(Arc::new(store), lock)
}

fn name() -> InstanceName {
    "s3-prod".parse().unwrap()
}

fn lease(revision: u64, size: ByteSize) -> Lease {
    Lease {
        handle: Arc::new(SecretBytes::new(b"handle".to_vec())),
        next_at: Some(Timestamp::from_millis(5)),
        facts: vec![Fact { name: "a".to_owned(), value: "b".to_owned() }],
        payload: Arc::new(SecretBytes::new(vec![b'x'; size.as_usize()])),
        obtained_at: Timestamp::from_millis(1),
        issued_at: Timestamp::from_millis(1),
        valid_until: Timestamp::from_millis(u64::MAX),
        ..test_lease(revision)
    }
}

/// One that holds a lease, with these that wait.
fn record(waiting: std::ops::Range<u64>, size: ByteSize) -> LeaseRecord {
    let revoke_at = Timestamp::from_millis(99);
    LeaseRecord {
        revision: Revision(waiting.end),
        lease: Some(lease(waiting.end, size)),
        retired: waiting.map(|revision| RetiredLease { lease: lease(revision, size), revoke_at }).collect(),
        ..LeaseRecord::default()
    }
}

fn files(folder: &Path, kind: &str) -> Vec<String> {
    let names = fs::read_dir(folder.join("state")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.retain(|name| name.starts_with(kind));
    names.sort();
    names
}

async fn restored(folder: &Path) -> Vec<LeaseRecord> {
    let restored = keeper(folder).await.restore().await.unwrap();
    assert!(restored.damaged.is_empty(), "{:?}", restored.damaged);
    restored.records.into_iter().map(|(_, record)| record).collect()
}

#[tokio::test]
async fn saving_has_room_for_the_largest_payloads_and_all_that_wait() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = keeper(folder.path()).await;
    let largest = Limits::MAX_PAYLOAD;
    assert!(keeper.fits(largest.as_usize()) && !keeper.fits(ByteSize::mib(3).as_usize()));
    let all = record(1..MOST_RETIRED as u64 + 1, ByteSize::kib(300));
    let largest = LeaseRecord { lease: Some(lease(MOST_RETIRED as u64 + 1, largest)), ..all };
    keeper.save(&name(), &largest).await.unwrap();
    assert_eq!(files(folder.path(), "retired.").len(), MOST_RETIRED);
    assert_eq!(format!("{:?}", restored(folder.path()).await), format!("{:?}", [&largest]));
    keeper.forget(&name()).await.unwrap();
    assert_eq!(files(folder.path(), "retired.").len() + files(folder.path(), "lease.").len(), 0);
}

#[tokio::test]
async fn saving_writes_pending_records_once_and_deletes_others() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = keeper(folder.path()).await;
    let mut record = record(1..4, ByteSize::bytes(9));
    keeper.save(&name(), &record).await.unwrap();
    let other: InstanceName = "s3-prod-1".parse().unwrap();
    keeper.save(&other, &record).await.unwrap();
    let before = fs::metadata(folder.path().join("state/retired.s3-prod-2.sealed")).unwrap().modified().unwrap();
    record.retired.remove(0);
    record.retired[0].revoke_at = Timestamp::from_millis(5);
    keeper.save(&name(), &record).await.unwrap();
    let after = fs::metadata(folder.path().join("state/retired.s3-prod-2.sealed")).unwrap().modified().unwrap();
    assert_eq!(before, after);
    let names = files(folder.path(), "retired.");
    assert_eq!(names.iter().filter(|name| !name.contains("s3-prod-1-")).count(), 2, "{names:?}");
    assert_eq!(names.len(), 5, "another instance keeps its own");
    let read = restored(folder.path()).await;
    assert_eq!(format!("{:?}", read[0]), format!("{record:?}"));
}

#[tokio::test]
async fn restoring_clears_what_a_crash_left_and_loses_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let first = keeper(folder.path()).await;
    first.save(&name(), &record(1..3, ByteSize::bytes(9))).await.unwrap();
    // A crash after the lease that waits was written, and before the record that names it.
    first.write_waiting(&retired_key(&name(), Revision(7)).unwrap(), &lease(7, ByteSize::bytes(9))).await.unwrap();
    // And one that an operator deleted.
    fs::remove_file(folder.path().join("state/retired.s3-prod-1.sealed")).unwrap();
    let second = keeper(folder.path()).await;
    let restored = second.restore().await.unwrap();
    assert_eq!(restored.records[0].1.retired.len(), 1);
    assert!(matches!(&restored.damaged[..], [LeaseStoreError::Missing(key)] if key.name() == "s3-prod-1"));
    second.clear(restored.leftovers).await;
    assert_eq!(files(folder.path(), "retired."), ["retired.s3-prod-2.sealed"]);
}

#[tokio::test]
async fn restoring_damaged_records_waits_for_none_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let first = keeper(folder.path()).await;
    let names: Vec<InstanceName> = (0..100).map(|number| format!("i{number}").parse().unwrap()).collect();
    for name in &names {
        first.save(name, &record(1..1, ByteSize::bytes(9))).await.unwrap();
        let file = folder.path().join(format!("state/lease.{name}.sealed"));
        let mut bytes = fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        #[expect(clippy::disallowed_methods, reason = "damage")]
        fs::write(&file, bytes).unwrap();
    }
    let second = keeper(folder.path()).await;
    let restored = second.restore().await.unwrap();
    assert_eq!((restored.records.len(), restored.damaged.len(), restored.leftovers.len()), (0, 100, 100));
    assert!(!files(folder.path(), "lease.").iter().any(|name| name.contains("damaged")), "that is for later");
    // What is obtained meanwhile is saved, whether the damaged one was set aside or not.
    second.save(&names[0], &record(1..1, ByteSize::bytes(9))).await.unwrap();
    second.clear(restored.leftovers).await;
    assert_eq!(files(folder.path(), "lease.").iter().filter(|name| name.contains("damaged")).count(), 100);
    assert_eq!(keeper(folder.path()).await.restore().await.unwrap().records.len(), 1);
}
