//! Processes that come late, stop, and come back: what is published stays, and what is newer arrives.

use std::fs;

use deputy_coordinator::WorkerStatus;
use deputy_test_harness::exit;

use super::site::{GROUP, TestSite};
use super::watcher::Watcher;

#[test]
fn late_workers_get_what_is_there_and_all_get_what_comes() {
    let site = TestSite::standard("");
    let coordinator = site.coordinator();
    let first = site.worker("first");
    first.wait_until_published("app", "creds", 1);
    let watcher = Watcher::of(site.link("first", "app"));
    site.publish_numbered("creds", 2);
    first.wait_until_published("app", "creds", 2);
    let late = [site.worker("second"), site.worker("third")];
    for worker in &late {
        worker.wait_until_published("app", "creds", 2);
    }
    site.publish_numbered("creds", 3);
    for worker in late.iter().chain([&first]) {
        worker.wait_until_published("app", "creds", 3);
    }
    coordinator.wait_until("the coordinator knows it of all", || {
        let workers = site.workers();
        let is_current = |worker: &WorkerStatus| worker.connected && worker.group == GROUP && worker.applied[0].current;
        workers.len() == 3 && workers.iter().all(is_current)
    });
    let told = site.run_command(&["workers"]).ends_with(exit::OK).stdout;
    assert!(told.contains("3 of 3 connected") && told.matches("creds 3").count() == 3, "{told}");
    assert!(first.published_files().contains("\"ready\":true"));
    assert_eq!(watcher.saw().numbers["creds"], [1, 2, 3]);
    for worker in late {
        assert_eq!(worker.stop(), Some(exit::OK));
    }
    assert_eq!(site.link("second", "app").read_dir().unwrap().count(), 2, "what is published stays");
}

#[test]
fn restart_of_the_coordinator_withdraws_nothing() {
    // Of the second instance there has never been a lease.
    let site = TestSite::standard("").instance("never", "any", &[GROUP]);
    fs::remove_file(site.home.path("secrets/never.payload")).unwrap();
    let mut coordinator = site.coordinator();
    let worker = site.worker("worker");
    worker.wait_until_published("app", "creds", 1);
    let watcher = Watcher::of(site.link("worker", "app"));
    for stops in [false, true] {
        if stops {
            assert_eq!(coordinator.stop(), Some(exit::OK));
        } else {
            coordinator.kill();
        }
        worker.wait_for_link("connecting");
        coordinator = site.coordinator();
        worker.wait_for_link("connected");
        coordinator.wait_until("it hears of what is applied", || is_current(&site, 1));
    }
    assert!(!worker.log().contains("withdrawn from this worker"), "{}", worker.log());
    site.publish_numbered("creds", 2);
    worker.wait_until_published("app", "creds", 2);
    coordinator.wait_until("it hears of that", || is_current(&site, 2));
    assert_eq!(watcher.saw().numbers["creds"], [1, 2]);
}

fn is_current(site: &TestSite, revision: u64) -> bool {
    let worker = site.only_worker();
    let applied = worker.applied.iter().find(|applied| applied.instance == "creds");
    applied.is_some_and(|applied| applied.current && applied.revision == Some(revision))
}

#[test]
fn restart_of_a_worker_continues_where_it_was() {
    let site = TestSite::standard("");
    let coordinator = site.coordinator();
    let worker = site.worker("worker");
    worker.wait_until_published("app", "creds", 1);
    let watcher = Watcher::of(site.link("worker", "app"));
    let id = worker.id();
    worker.kill();
    site.publish_numbered("creds", 2);
    coordinator.wait_until("it is away", || !site.only_worker().connected);
    let worker = site.restart_worker("worker");
    worker.wait_until_published("app", "creds", 2);
    coordinator.wait_until("it has reported", || is_current(&site, 2));
    assert_eq!(worker.stop(), Some(exit::OK));
    coordinator.wait_until("it is away again", || !site.only_worker().connected);
    // Nothing is new: the unit that is there is the one that it would write.
    let worker = site.restart_worker("worker");
    coordinator.wait_until("it has reported again", || site.only_worker().connected && is_current(&site, 2));
    assert_eq!((worker.id(), watcher.saw().numbers["creds"].as_slice()), (id, &[1, 2][..]));
    assert_eq!(site.audited("join", "done").len(), 1);
}

#[test]
fn restart_without_a_coordinator_uses_the_cache() {
    let site = TestSite::standard("");
    let coordinator = site.coordinator();
    let worker = site.worker("worker");
    worker.wait_until_published("app", "creds", 1);
    coordinator.wait_until("it has reported", || is_current(&site, 1));
    // What is on a tmpfs goes with the machine's restart.
    assert_eq!(worker.stop(), Some(exit::OK));
    fs::remove_dir_all(site.home.path("secrets/worker")).unwrap();
    coordinator.kill();

    let worker = site.restart_worker("worker");
    worker.wait_until_published("app", "creds", 1);
    worker.wait_for_link("connecting");
    worker.wait_until("it has tried", || worker.status().unwrap().connection.error.is_some());
    let status = worker.status().unwrap();
    assert!(status.connection.error.as_ref().unwrap().contains(site.address()), "{status:?}");
    assert!(status.connection.last_contact.is_none(), "{status:?}");
    assert!(status.instances[0].valid_for_ms > Some(0), "{status:?}");
    assert!(worker.published_files().contains("\"state\":\"connecting\""));

    let watcher = Watcher::of(site.link("worker", "app"));
    let _coordinator = site.coordinator();
    site.publish_numbered("creds", 2);
    worker.wait_until_published("app", "creds", 2);
    assert_eq!(watcher.saw().numbers["creds"], [1, 2]);
}

#[test]
fn state_sealed_by_another_key_is_left_alone() {
    let site = TestSite::standard("");
    let coordinator = site.coordinator();
    let worker = site.worker("worker");
    worker.wait_until_published("app", "creds", 1);
    worker.kill();
    coordinator.kill();
    let (key, aside) = (site.home.path("worker-state/key"), site.home.path("worker-state/key.aside"));
    fs::rename(&key, &aside).unwrap();
    // With the mode of the right one.
    fs::copy(&aside, &key).unwrap();
    fs::write(&key, "H+USqF+c/e7nkhh0COg21IoxDzNqfZDm1hTui/mvQGs=\n").unwrap();
    let worker = site.restart_worker("worker");
    let log = worker.name.clone() + ".log";
    assert_eq!(worker.end(), Some(exit::MISCONFIGURED));
    let said = fs::read_to_string(site.home.path(&log)).unwrap();
    assert!(said.contains("error: cannot open the state directory") && said.contains("key"), "{said}");
    fs::rename(&aside, &key).unwrap();
    let worker = site.restart_worker("worker");
    worker.wait_until("it has read what it kept", || {
        worker.status().is_some_and(|status| status.instances[0].revision == 1)
    });
    assert_eq!(worker.published_number("app", "creds"), 1);
}

#[test]
fn state_directory_admits_one_worker() {
    let site = TestSite::standard("");
    let _coordinator = site.coordinator();
    let worker = site.worker("worker");
    worker.wait_until_published("app", "creds", 1);
    let (id, token) = (worker.id(), site.token(GROUP, &[]));
    for args in [&["--join".as_ref(), token.as_os_str()][..], &[]] {
        let mut command = site.command("worker");
        let output = command.args(args).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("held by process"), "{said}");
    }
    assert_eq!(site.only_worker().id, id);
    site.publish_numbered("creds", 2);
    worker.wait_until_published("app", "creds", 2);
    worker.kill();
    let worker = site.restart_worker("worker");
    worker.wait_for_link("connected");
    assert_eq!(worker.id(), id);
    // The token is good for who comes by it.
    site.worker_with("other", &["--join".as_ref(), token.as_os_str()]).wait_until_published("app", "creds", 2);
}
