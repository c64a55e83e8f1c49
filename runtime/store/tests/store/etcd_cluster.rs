//! Three members: a leader that dies or freezes, a lost quorum, and a cluster that was restored.

use std::sync::Arc;
use std::time::{Duration, Instant};

use deputy_store::{KeyWriter, Store, StoreError};
use deputy_test_servers::Etcd;

use super::{key, open_etcd, text, value, write};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_cluster_loses_members_and_no_write() {
    let mut etcd = Etcd::start_three(&[]).unwrap();
    let store: Arc<dyn Store> = Arc::new(open_etcd(&etcd.endpoints(), "d/").await.unwrap());
    let writer = KeyWriter::shared(Arc::clone(&store));
    writer.put(&key("lease/a"), &value("0")).await.unwrap();
    for round in 1..=3 {
        let leader = etcd.leader().unwrap();
        match round {
            1 => etcd.kill(leader),
            2 => etcd.signal(leader, "STOP").unwrap(),
            // The member in use, which need not be the leader.
            _ => etcd.kill(0),
        }
        let begin = Instant::now();
        let text = round.to_string();
        while let Err(error) = writer.put(&key("lease/a"), &value(&text)).await {
            assert!(begin.elapsed() < Duration::from_secs(60), "{error}");
        }
        println!("round {round}: written after {} ms", begin.elapsed().as_millis());
        if round == 2 {
            etcd.signal(leader, "CONT").unwrap();
        }
        etcd.start_all().unwrap();
        assert_eq!(super::text(&*store, "lease/a").await.unwrap(), text);
    }

    // Without a quorum nothing is written, and reads are not served from what one member has.
    etcd.kill(1);
    etcd.kill(2);
    let begin = Instant::now();
    let error = writer.put(&key("lease/a"), &value("lost")).await.unwrap_err();
    assert!(matches!(error, StoreError::Etcd(_)), "{error}");
    assert!(store.get(&key("lease/a")).await.is_err());
    assert!(begin.elapsed() < Duration::from_secs(40), "each ends in time");
    etcd.start_all().unwrap();
    // Whether the last one was written after all is known by its id.
    writer.put(&key("lease/a"), &value("back")).await.unwrap();
    assert_eq!(text(&*store, "lease/a").await.unwrap(), "back");
}

#[tokio::test]
async fn etcd_restored_from_a_snapshot_has_no_holder_of_later() {
    let mut etcd = Etcd::start_three(&[]).unwrap();
    let store: Arc<dyn Store> = Arc::new(open_etcd(&etcd.endpoints(), "d/").await.unwrap());
    write(&*store, "lease/a", "saved").await;
    let folder = tempfile::tempdir().unwrap();
    let snapshot = folder.path().join("snapshot");
    etcd.save(&snapshot).unwrap();
    let lock = Arc::new(store.lock(&key("lock/coordinator")).await.unwrap());
    let writer = KeyWriter::of_holder(Arc::clone(&store), Arc::clone(&lock));
    writer.read(&key("lease/a")).await.unwrap();
    writer.put(&key("lease/a"), &value("after the snapshot")).await.unwrap();
    etcd.restore(&snapshot, &[]).unwrap();
    // Another coordinator gets the same revision for its lock: the holder's id tells them apart.
    let successor = Arc::new(store.lock(&key("lock/coordinator")).await.unwrap());
    assert!(successor.fencing() <= lock.fencing());
    assert!(writer.put(&key("lease/a"), &value("late")).await.unwrap_err().is_lock_lost());
    tokio::time::timeout(Duration::from_secs(20), lock.lost()).await.expect("it notices");
    assert_eq!(text(&*store, "lease/a").await.unwrap(), "saved");
    let writer = KeyWriter::of_holder(Arc::clone(&store), successor);
    writer.put(&key("lease/a"), &value("the successor's")).await.unwrap();
}
