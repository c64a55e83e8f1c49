//! etcd starts as one member and as three, survives its leader, and is restored from a snapshot.

use std::sync::Arc;

use deputy_test_servers::{Etcd, EtcdCertificates};

#[test]
fn etcd_with_tls_wants_a_certificate() {
    let certificates = Arc::new(EtcdCertificates::new().unwrap());
    let etcd = Etcd::start_with_tls(certificates, &[]).unwrap();
    assert!(etcd.endpoints()[0].starts_with("https://127.0.0.1:"));
    etcd.ctl(&["put", "key", "value"]).unwrap();
    assert_eq!(etcd.ctl(&["get", "key"]).unwrap(), "key\nvalue\n");
}

#[test]
fn etcd_of_three_survives_its_leader_and_is_restored() {
    let mut etcd = Etcd::start_three(&[]).unwrap();
    etcd.ctl(&["put", "key", "saved"]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let snapshot = folder.path().join("snapshot");
    etcd.save(&snapshot).unwrap();
    let leader = etcd.leader().unwrap();
    etcd.kill(leader);
    // What was sent on to the leader that is gone times out after some seconds.
    assert!((0..5).any(|_| etcd.ctl(&["put", "key", "later"]).is_ok()));
    etcd.start_all().unwrap();
    assert_eq!(etcd.ctl(&["get", "key"]).unwrap(), "key\nlater\n");
    etcd.restore(&snapshot, &[]).unwrap();
    assert_eq!(etcd.ctl(&["get", "key"]).unwrap(), "key\nsaved\n");
}
