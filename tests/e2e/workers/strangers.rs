//! Who knows the port and has no certificate, or an old protocol, or somebody else's identity.

use std::fs;
use std::process::Command;

use deputy_test_servers::boto;

use super::site::Site;
use super::watcher::Watcher;

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
fn old_tls_garbage_and_oversized_frames_end_their_own_connection_and_no_other() {
    let site = Site::usual("");
    let coordinator = site.coordinator();
    let worker = site.worker("worker");
    worker.until_published("app", "creds", 1);
    let watcher = Watcher::of(site.link("worker", "app"));
    let said = boto(STRANGER, &[("AT", site.address())]).unwrap();
    assert_eq!(said.lines().count(), 7, "{said}");
    for line in said.lines() {
        assert!(line.contains(" refused ") || line.contains(" ended after "), "{said}");
    }
    assert!(said.contains("tls-1.2 refused"), "{said}");
    coordinator.until("the log says so", || coordinator.log().contains("a connection for workers was ended"));
    assert!(!coordinator.log().contains("panicked"), "{}", coordinator.log());
    site.give("creds", 2);
    worker.until_published("app", "creds", 2);
    assert_eq!((watcher.saw().numbers["creds"].as_slice(), site.workers().len()), (&[1, 2][..], 1));
    assert!(!worker.log().contains("there is no coordinator"), "{}", worker.log());
}

#[test]
fn an_identity_that_was_copied_is_noticed_and_lets_neither_in() {
    let site = Site::usual("certificate-life = \"10s\"\nauthority-life = \"100s\"");
    let coordinator = site.coordinator();
    let worker = site.worker("worker");
    worker.until_published("app", "creds", 1);
    let watcher = Watcher::of(site.link("worker", "app"));
    let id = worker.id();
    worker.kill();
    site.configure("thief", "");
    let (own, copy) = (site.home.path("worker-state"), site.home.path("thief-state"));
    assert!(Command::new("cp").arg("-a").arg(&own).arg(&copy).status().unwrap().success());
    drop(fs::remove_file(copy.join("worker.sock")));

    // Both are the same worker, until one of them renews the certificate: then the other one's counter goes back.
    let (worker, thief) = (site.again("worker"), site.again("thief"));
    coordinator.until("it is locked", || site.only_worker()["standing"] == "locked");
    worker.until_link("out");
    thief.until_link("out");
    site.give("creds", 2);
    coordinator.until("there is another lease", || coordinator.revision("creds") == 2);
    let refused = site.audited("renew", "refused");
    assert!(!refused.is_empty() && refused.iter().all(|event| event.to_string().contains(&id)), "{refused:?}");
    for one in [&worker, &thief] {
        let told = one.told();
        assert!(told.contains("join again"), "{told}");
        assert_eq!(one.number("app", "creds"), 1);
    }
    assert_eq!(watcher.saw().numbers["creds"], [1]);
}
