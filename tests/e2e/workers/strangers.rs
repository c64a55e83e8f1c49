//! Peers at the port without a certificate, with an old protocol, or with another worker's identity.

use std::process::Command;

use deputy_link::EnrolmentStatus;
use deputy_test_harness::exit;
use deputy_test_servers::boto;

use super::site::{RunningWorker, TestSite};
use super::watcher::Watcher;

/// Certificates are renewed after ten seconds, and an older one is valid for ten more.
const SHORT: &str = "certificate-life = \"20s\"\nauthority-life = \"200s\"";

/// Comes with what Python has, tries what must not work, and says in a line each how it ended.
const STRANGER: &str = "
import os, socket, ssl
host, port = os.environ['AT'].rsplit(':', 1)

def dial(version, protocols):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = version
    if protocols:
        context.set_alpn_protocols(protocols)
    stream = socket.create_connection((host, int(port)), 20)
    return context.wrap_socket(stream, server_hostname='coordinator')

def attempt(name, sent, version=ssl.TLSVersion.TLSv1_3, protocols=['deputy/1']):
    try:
        stream = dial(version, protocols)
        stream.settimeout(20)
        stream.sendall(sent)
        heard = 0
        while piece := stream.recv(65536):
            heard += len(piece)
        print(name, 'ended after', heard)
    except socket.timeout:
        print(name, 'is kept')
    except OSError as error:
        print(name, 'refused', type(error).__name__)

attempt('tls-1.2', b'', ssl.TLSVersion.TLSv1_2)
attempt('no-protocol', b'\\0\\0\\0\\1', protocols=[])
attempt('garbage', b'\\0\\0\\0\\x20' + b'\\xff' * 32)
attempt('oversized', b'\\xff' * 64)
attempt('large', b'\\0\\1\\0\\0' + b'x' * 65536)
attempt('http', b'GET / HTTP/1.1\\r\\nhost: x\\r\\n\\r\\n')
stream = socket.create_connection((host, int(port)), 20)
stream.sendall(b'no TLS at all' * 100)
stream.settimeout(20)
try:
    while stream.recv(65536): pass
    print('plain ended after', 0)
except socket.timeout:
    print('plain is kept')
except OSError as error:
    print('plain refused', type(error).__name__)
";

#[test]
fn garbage_ends_only_its_own_connection() {
    let site = TestSite::standard("");
    let coordinator = site.coordinator();
    let worker = site.worker("worker");
    worker.wait_until_published("app", "creds", 1);
    let watcher = Watcher::of(site.link("worker", "app"));
    let said = boto(STRANGER, &[("AT", site.address())]).unwrap();
    assert_eq!(said.lines().count(), 7, "{said}");
    for line in said.lines() {
        assert!(line.contains(" refused ") || line.contains(" ended after "), "{said}");
    }
    assert!(said.contains("tls-1.2 refused"), "{said}");
    coordinator.wait_until("the log says so", || coordinator.log().contains("worker connection closed"));
    assert!(!coordinator.log().contains("panicked"), "{}", coordinator.log());
    site.publish_numbered("creds", 2);
    worker.wait_until_published("app", "creds", 2);
    assert_eq!((watcher.saw().numbers["creds"].as_slice(), site.workers().len()), (&[1, 2][..], 1));
    assert!(!worker.log().contains("connection to the coordinator lost"), "{}", worker.log());
}

/// A worker that renewed its certificate once since its state was copied.
fn copied(site: &TestSite) -> RunningWorker<'_> {
    let worker = site.worker("worker");
    worker.wait_until_published("app", "creds", 1);
    worker.kill();
    let (own, copy) = (site.home.path("worker-state"), site.home.path("thief-state"));
    assert!(Command::new("cp").arg("-a").arg(own).arg(copy).status().unwrap().success());
    let worker = site.restart_worker("worker");
    // It has written down the newer one: if it had not, it would ask for the same again.
    worker.wait_until("it renews its certificate", || worker.log().contains("worker certificate renewed"));
    worker
}

#[test]
fn copied_identity_is_locked_at_its_renewal() {
    let site = TestSite::standard(SHORT);
    let coordinator = site.coordinator();
    let worker = copied(&site);
    let id = worker.id();
    worker.kill();
    let thief = site.restart_worker("thief");
    coordinator.wait_until("it is locked", || site.only_worker().standing == EnrolmentStatus::Locked);
    thief.wait_for_link("out");
    let refused = site.audited("renew", "refused");
    assert!(refused.len() == 1 && refused[0].to_string().contains(&id), "{refused:?}");
    let worker = site.restart_worker("worker");
    worker.wait_for_link("out");
    for one in [&worker, &thief] {
        let told = one.published_files();
        assert!(told.contains("join again"), "{told}");
    }
    assert!(site.run_command(&["workers"]).ends_with(exit::OK).stdout.contains("locked"));
    assert_eq!(worker.published_number("app", "creds"), 1);
}

#[test]
fn copied_identity_after_a_renewal_locks_both() {
    let site = TestSite::standard(SHORT);
    let coordinator = site.coordinator();
    copied(&site).kill();
    let worker = site.restart_worker("worker");
    worker.wait_for_link("connected");
    let thief = site.restart_worker("thief");
    thief.wait_for_link("out");
    // Nothing tells which of the two is the copy.
    worker.wait_for_link("out");
    coordinator.wait_until("it is locked", || site.only_worker().standing == EnrolmentStatus::Locked);
    // It may come again before it has read the refusal.
    assert!(!site.audited("connect", "refused").is_empty());
    // What was kept is in the copy, and is published whether its holder is let in or not.
    thief.wait_until_published("app", "creds", 1);
    let watchers = [&worker, &thief].map(|one| Watcher::of(site.link(&one.name, "app")));
    let other = site.worker("other");
    site.publish_numbered("creds", 2);
    other.wait_until_published("app", "creds", 2);
    for watcher in watchers {
        assert_eq!(watcher.saw().numbers["creds"], [1]);
    }
}
