//! One member: keys that do not fit, thousands of values, and a full database.

use std::sync::Arc;
use std::time::{Duration, Instant};

use deputy_core::{SecretBytes, Span};
use deputy_store::{
    Change, ChangeKind, EtcdStore, ExpectedVersion, KeyFit, KeyPrefix, KeyWriter, Namespace, Store, StoreError,
    WriteRight,
};
use deputy_test_servers::Etcd;

use super::{client, key, master, open_etcd, put, random, text, value, write};

#[tokio::test]
async fn etcd_state_with_another_key_is_not_touched() {
    let etcd = Etcd::start(&[]).unwrap();
    let store = open_etcd(&etcd.endpoints(), "deputy/").await.unwrap();
    write(&store, "lease/a", "sealed").await;
    let before = etcd.ctl(&["get", "", "--prefix", "-w", "json"]).unwrap();
    let open = |first| EtcdStore::open(client(&etcd.endpoints()), "deputy/".parse().unwrap(), master(first), random());
    let look =
        |first| EtcdStore::check_key(client(&etcd.endpoints()), "deputy/".parse().unwrap(), master(first), random());
    let error = open(1).await.unwrap_err();
    assert!(matches!(error, StoreError::EtcdKeyMismatch { .. }), "{error}");
    assert!(matches!(look(1).await, Err(StoreError::EtcdKeyMismatch { .. })));
    assert_eq!(look(0).await.unwrap(), KeyFit::Fits);
    // Without the record as well. Who only looks does not write it again.
    etcd.ctl(&["del", "deputy/record"]).unwrap();
    assert!(matches!(open(1).await, Err(StoreError::EtcdKeyMismatch { .. })));
    assert!(matches!(look(1).await, Err(StoreError::EtcdKeyMismatch { .. })));
    assert_eq!(look(0).await.unwrap(), KeyFit::Fits);
    assert_eq!(etcd.ctl(&["get", "deputy/record", "--keys-only"]).unwrap().trim(), "");
    let elsewhere = EtcdStore::check_key(client(&etcd.endpoints()), "other/".parse().unwrap(), master(1), random());
    assert_eq!(elsewhere.await.unwrap(), KeyFit::NoState);
    assert_eq!(etcd.ctl(&["get", "other/", "--prefix"]).unwrap(), "");
    let store = open(0).await.unwrap();
    assert_eq!(text(&store, "lease/a").await.unwrap(), "sealed");
    assert_eq!(etcd.ctl(&["get", "deputy/record", "--keys-only"]).unwrap().trim(), "deputy/record");
    assert!(before.contains("\"count\":2"), "{before}");
    // Another prefix is another state, with its own key.
    EtcdStore::open(client(&etcd.endpoints()), "other/".parse().unwrap(), master(1), random()).await.unwrap();
}

#[tokio::test]
async fn etcd_lock_outlives_its_holder_by_seconds() {
    let etcd = Etcd::start(&[]).unwrap();
    let store = open_etcd(&etcd.endpoints(), "deputy/").await.unwrap();
    let held = store.lock(&key("lock/coordinator")).await.unwrap();
    // It is kept alive for longer than a lease lasts, and waited for in vain.
    let error = store.lock(&key("lock/coordinator")).await.unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    let (before, fencing) = (Instant::now(), held.fencing());
    // As in a process that was killed: the lease is kept alive no more.
    drop(held);
    let next = store.lock(&key("lock/coordinator")).await.unwrap();
    assert!(next.fencing() > fencing && before.elapsed() < Duration::from_secs(15));
    // One that ends as it should is free at once.
    next.release().await;
    let before = Instant::now();
    let last = store.lock(&key("lock/coordinator")).await.unwrap();
    assert!(before.elapsed() < Duration::from_secs(4));
    // Deleting the key takes the lock: the holder notices, and writes nothing meanwhile.
    etcd.ctl(&["del", "deputy/lock/lock/coordinator"]).unwrap();
    let by = WriteRight::holder(&last, store.write_id().unwrap());
    let value = SecretBytes::new(b"x".to_vec());
    let error = store.put(&key("lease/a"), &value, ExpectedVersion::Absent, by).await.unwrap_err();
    assert!(error.is_lock_lost(), "{error}");
}

#[tokio::test]
async fn etcd_value_with_a_lifetime_ends_unless_it_is_written_again() {
    let etcd = Etcd::start(&[]).unwrap();
    let store = open_etcd(&etcd.endpoints(), "deputy/").await.unwrap();
    let writer = KeyWriter::shared(Arc::new(open_etcd(&etcd.endpoints(), "deputy/").await.unwrap()));
    let mut changes = store.watch(KeyPrefix::Namespace(Namespace::new("interest"))).await.unwrap();
    let lifetime = Span::secs(2);
    for name in ["interest/once", "interest/often"] {
        writer.put_for(lifetime, &key(name), &value("used")).await.unwrap();
    }
    assert_eq!(leases(&etcd), 1, "values of one moment share a lease");
    for name in ["interest/once", "interest/often"] {
        let change = changes.next().await.unwrap();
        assert!(change.key == key(name) && matches!(change.event, ChangeKind::Put(_)), "{change:?}");
    }
    // etcd ends leases late rather than early: the other one is written until this one is gone.
    let begin = Instant::now();
    while text(&store, "interest/once").await.is_some() {
        assert!(begin.elapsed() < Duration::from_secs(60), "it never ends");
        writer.put_for(lifetime, &key("interest/often"), &value("used again")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert!(begin.elapsed() >= lifetime.duration(), "it ended after {:?}", begin.elapsed());
    assert_eq!(text(&store, "interest/often").await.unwrap(), "used again");
    // A watcher hears of the end, and what ends by itself leaves nothing behind.
    loop {
        let change = changes.next().await.unwrap();
        if change == (Change { key: key("interest/often"), event: ChangeKind::Deleted }) {
            break;
        }
    }
    assert!(text(&store, "interest/once").await.is_none());
    // A lease that a person has ended is not used again.
    writer.put_for(lifetime, &key("interest/other"), &value("used")).await.unwrap();
    for lease in lease_names(&etcd) {
        etcd.ctl(&["lease", "revoke", &lease]).unwrap();
    }
    writer.read(&key("interest/other")).await.unwrap();
    let mut attempts = 0;
    while writer.put_for(lifetime, &key("interest/other"), &value("used")).await.is_err() {
        attempts += 1;
        assert!(attempts < 3, "the lease that ended is used for ever");
    }
}

fn lease_names(etcd: &Etcd) -> Vec<String> {
    let listed = etcd.ctl(&["lease", "list"]).unwrap();
    listed.lines().skip(1).map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

fn leases(etcd: &Etcd) -> usize {
    lease_names(etcd).len()
}

#[tokio::test]
async fn etcd_lists_a_hundred_thousand_keys_in_pages() {
    const KEYS: usize = 100_000;
    let etcd = Etcd::start(&["--unsafe-no-fsync"]).unwrap();
    let store = open_etcd(&etcd.endpoints(), "deputy/").await.unwrap();
    write(&store, "workers/a", "another namespace").await;
    // Listing opens no value, so any will do; a hundred go into each transaction.
    fill(&etcd, KEYS).await;
    let begin = Instant::now();
    let listed = store.list(&KeyPrefix::Namespace(Namespace::new("worker"))).await.unwrap();
    assert_eq!(
        (listed.len(), listed.first(), listed.last()),
        (KEYS, Some(&key("worker/0")), Some(&key("worker/99999")))
    );
    assert!(listed.is_sorted());
    println!("listed {KEYS} keys in {} ms", begin.elapsed().as_millis());
}

async fn fill(etcd: &Etcd, keys: usize) {
    use deputy_etcd::Repeat;
    use deputy_etcd::message::{RequestOp, TxnRequest};
    let client = client(&etcd.endpoints());
    let numbers: Vec<usize> = (0..keys).collect();
    let transactions = numbers.chunks(100).map(|numbers| {
        let put = |number: &usize| RequestOp::put(format!("deputy/value/worker/{number}").as_bytes(), b"x".to_vec(), 0);
        TxnRequest { compare: Vec::new(), success: numbers.iter().map(put).collect(), failure: Vec::new() }
    });
    let client = &client;
    let sent = transactions.map(|transaction| async move { client.txn(&transaction, Repeat::Always).await.unwrap() });
    let mut sent: Vec<_> = sent.collect();
    while !sent.is_empty() {
        let rest = sent.split_off(sent.len().min(16));
        futures::future::join_all(sent).await;
        sent = rest;
    }
}

#[tokio::test]
async fn etcd_that_is_full_says_how_to_free_it() {
    let etcd = Etcd::start(&["--quota-backend-bytes=2000000"]).unwrap();
    let store = open_etcd(&etcd.endpoints(), "deputy/").await.unwrap();
    write(&store, "lease/a", "before").await;
    let large = "x".repeat(500_000);
    let mut number = 0;
    let error = loop {
        number += 1;
        assert!(number < 20, "it is never full");
        match put(&store, &format!("lease/l{number}"), &large, ExpectedVersion::Absent).await {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::EtcdFull) && error.to_string().contains("etcdctl alarm disarm"), "{error}");
    assert_eq!(text(&store, "lease/a").await.unwrap(), "before", "reading goes on");
    // As the error says.
    etcd.ctl(&["del", "deputy/value/lease/l", "--prefix"]).unwrap();
    let status = etcd.ctl(&["endpoint", "status", "-w", "json"]).unwrap();
    let revision: String =
        status.split("\"revision\":").nth(1).unwrap().chars().take_while(char::is_ascii_digit).collect();
    etcd.ctl(&["compact", &revision]).unwrap();
    etcd.ctl(&["defrag"]).unwrap();
    etcd.ctl(&["alarm", "disarm"]).unwrap();
    write(&store, "lease/a", "after").await;
}
