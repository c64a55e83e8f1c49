//! etcd starts as one member and as three, survives its leader, also one that is parted from it, and is restored from a
//! snapshot.
#![expect(clippy::disallowed_methods, reason = "plain blocking test code, which waits for servers on this machine")]

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

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

#[test]
fn etcd_parted_from_its_leader_elects_another() {
    let etcd = Etcd::start_three_to_part(&[]).unwrap();
    let leader = etcd.leader().unwrap();
    for member in [leader, (leader + 1) % 3] {
        etcd.part(member);
        let others = [(member + 1) % 3, (member + 2) % 3];
        wait_until("the others have a leader", || others.iter().any(|other| etcd.leads(*other)));
        wait_until("it leads no more", || !etcd.leads(member));
        assert!(etcd.ctl_at(member, &["put", "key", "alone", "--command-timeout=2s"]).is_err(), "it writes alone");
        // What is sent on to a leader that is about to go times out.
        let number = member.to_string();
        assert!((0..3).any(|_| etcd.ctl_at(others[0], &["put", "key", &number]).is_ok()));
        etcd.heal();
        wait_until("it has what was written", || {
            etcd.ctl_at(member, &["get", "key"]).is_ok_and(|told| told == format!("key\n{number}\n"))
        });
    }
}

fn wait_until(what: &str, so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}: not in time");
        thread::sleep(Duration::from_millis(50));
    }
}
