//! A disk without room: what was published stays whole, the coordinator hears why there is nothing newer, and there is as
//! soon as there is room.

use std::path::PathBuf;

use super::site::{GROUP, TestSite};
use super::unit::Unit;
use super::watcher::Watcher;
use crate::faults::namespace::Namespace;

#[test]
fn worker_disk_full_keeps_the_previous_unit() {
    let site = TestSite::standard("");
    let coordinator = site.coordinator();
    let mut disk = Namespace::with_small_disk(&site.home.path("secrets/worker"), "256k");
    let token = site.token(GROUP, &[]);
    let mut command = site.command("worker");
    command.arg("--join").arg(token);
    let worker = site.worker_as("worker", disk.enter(&command));
    // The disk is where the worker is, and nowhere else.
    let outside = site.link("worker", "app");
    let inside = PathBuf::from(format!("/proc/{}/root{}", worker.pid(), outside.display()));
    let number = || {
        let unit = Unit::read(&inside).ok().flatten().map(|unit| unit.payloads().unwrap());
        unit.map_or(0, |payloads| payloads["creds"].number)
    };
    worker.wait_until("the first unit", || number() == 1);
    assert!(!outside.exists());
    let watcher = Watcher::of(inside.clone());

    disk.fill();
    site.publish_numbered("creds", 2);
    let failure = || site.only_worker().applied[0].failure.clone().unwrap_or_default();
    coordinator.wait_until("the coordinator hears of it", || failure().contains("receiver app"));
    assert!(failure().contains("No space left") || failure().contains("no room"), "{}", failure());
    worker.wait_until("it has tried again", || worker.status().unwrap().receivers[0].failures >= 2);
    // While it tries, it says so.
    worker.wait_until("it waits before it tries again", || {
        let told = worker.published_files();
        told.contains("\"ready\":false") && told.contains("\"state\":\"retrying\"")
    });
    assert_eq!(number(), 1);

    // Something newer has no more room.
    site.publish_numbered("creds", 3);
    coordinator.wait_until("it is delivered", || site.only_worker().applied[0].newest == Some(3));
    disk.empty();
    worker.wait_until("the newest unit", || number() == 3);
    coordinator.wait_until("the coordinator hears of that", || site.only_worker().applied[0].current);
    assert_eq!(watcher.saw().numbers["creds"], [1, 3]);
}

#[test]
fn worker_disk_full_never_goes_back_after_a_kill() {
    let site = TestSite::standard("");
    let coordinator = site.coordinator();
    let mut disk = Namespace::with_small_disk(&site.home.path("worker-state"), "64m");
    let token = site.token(GROUP, &[]);
    let mut command = site.command("worker");
    command.arg("--join").arg(token);
    let worker = site.worker_as("worker", disk.enter(&command));
    worker.wait_until_published("app", "creds", 1);
    coordinator.wait_until("it has reported", || site.only_worker().applied[0].current);
    let watcher = Watcher::of(site.link("worker", "app"));
    disk.fill();
    site.publish_numbered("creds", 2);
    worker.wait_until_published("app", "creds", 2);
    worker.wait_until("it can not keep that", || worker.log().contains("writing the lease cache failed"));
    worker.kill();
    disk.empty();
    let worker = site.worker_as("worker", disk.enter(&site.command("worker")));
    coordinator.wait_until("it is back", || {
        let worker = site.only_worker();
        worker.connected && worker.applied[0].current
    });
    site.publish_numbered("creds", 3);
    worker.wait_until_published("app", "creds", 3);
    assert_eq!(watcher.saw().numbers["creds"], [1, 2, 3]);
}
