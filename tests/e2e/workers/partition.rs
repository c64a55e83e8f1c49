//! A network that lets nothing through, and does again: both sides notice, and the workload does not.

use std::time::{Duration, Instant};

use super::site::{GROUP, TestSite};
use super::watcher::Watcher;
use crate::faults::namespace::Namespace;

#[test]
fn both_sides_notice_a_partition_and_go_on_when_it_is_over() {
    let site = TestSite::standard("heartbeat = \"1s\"");
    let mut network = Namespace::with_loopback();
    let coordinator = site.coordinator_as(network.enter(&site.home.command()));
    let token = site.token(GROUP, &[]);
    let mut command = site.command("worker");
    command.arg("--join").arg(token);
    let worker = site.worker_as("worker", network.enter(&command));
    worker.wait_until_published("app", "creds", 1);
    coordinator.wait_until("it has reported", || applied(&site) == 1);
    let watcher = Watcher::of(site.link("worker", "app"));

    for number in [2, 3] {
        network.partition();
        site.publish_numbered("creds", number);
        coordinator.wait_until("the coordinator notices", || !site.only_worker().connected);
        worker.wait_for_link("connecting");
        coordinator.wait_until("there is another lease", || coordinator.revision("creds") == number);
        assert_eq!(worker.published_number("app", "creds"), number - 1);
        let connection = worker.status().unwrap().connection;
        assert!(connection.error.is_some() && connection.last_contact_age_ms > Some(500), "{connection:?}");
        network.heal();
        worker.wait_until_published("app", "creds", number);
        coordinator.wait_until("it has reported that", || applied(&site) == number);
    }
    assert_eq!(watcher.saw().numbers["creds"], [1, 2, 3]);
}

/// With the usual heartbeat, which alone takes 90 s.
#[test]
fn worker_notices_within_seconds_that_its_coordinator_is_gone() {
    let site = TestSite::standard("");
    let mut network = Namespace::with_loopback();
    let _coordinator = site.coordinator_as(network.enter(&site.home.command()));
    let mut command = site.command("worker");
    command.arg("--join").arg(site.token(GROUP, &[]));
    let worker = site.worker_as("worker", network.enter(&command));
    worker.wait_until_published("app", "creds", 1);
    let begun = Instant::now();
    network.partition();
    worker.wait_for_link("connecting");
    assert!(begun.elapsed() < Duration::from_secs(50), "{:?}", begun.elapsed());
    network.heal();
    worker.wait_for_link("connected");
}

fn applied(site: &TestSite) -> u64 {
    site.only_worker().applied.first().and_then(|applied| applied.revision).unwrap_or(0)
}
