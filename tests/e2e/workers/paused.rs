//! A paused worker delays no other, and catches up with them when it goes on.
#![expect(clippy::print_stderr, reason = "a test says what it saw: how long what took, and how often what happened")]

use std::thread;
use std::time::{Duration, Instant};

use deputy_test_harness::{PATIENCE, exit};
use deputy_test_servers::guest;

use super::site::{GROUP, LONG, RunningWorker, TestSite};
use super::unit::{CANARY, Payload};
use super::watcher::Watcher;
use crate::faults::kills::Chance;
use crate::script::ScriptedServer;

/// Long before a write to who does not read is given up, and long enough on a machine that is busy.
const SOON: Duration = Duration::from_secs(25);

/// What a coordinator says of who does not read: after thirty seconds.
const STALLED: &str = "peer does not read what is sent";

/// Payloads that sockets do not hold for long.
const LARGE: [&str; 4] = ["large-a", "large-b", "large-c", "large-d"];

/// How often those are replaced while they are not read: twenty megabytes, and the buffers of both sides have ten at most.
const FILLING: u64 = 5;

/// Every lease is good for an hour.
fn granting() -> ScriptedServer {
    ScriptedServer::new(|call| {
        let payload = Payload::new(&call.instance, u64::try_from(call.number).unwrap(), LONG);
        format!("payload {}\nvalid-until {}\n", payload.text(), payload.until)
    })
}

/// With `creds`, which is replaced when an operator wants that, and `often`, which is replaced once a second.
fn site(script: &ScriptedServer) -> TestSite {
    let upstream = "[upstreams.default]\ncalls-per-minute = 6000\nburst = 100";
    let mut site = TestSite::new(&format!("heartbeat = \"1s\"\n{upstream}")).receiver("app", &["creds"]);
    for (name, policy) in [("creds", ""), ("often", "lifetime = \"10s\"\nrenew = { ratio = 0.1, jitter = 0.0 }\n")] {
        let (component, policy) = (guest("benign-obtain").unwrap(), format!("deliver-to = [\"{GROUP}\"]\n{policy}"));
        site.home.append(&format!("[instances.{name}]\ncomponent = {component:?}\n{}", script.lines(name, &policy)));
    }
    site
}

/// Has `creds` replaced, and gives how long it took until all these have published it.
fn replaced(site: &TestSite, number: u64, workers: &[&RunningWorker<'_>]) -> Duration {
    let begun = Instant::now();
    site.run_command(&["renew", "creds"]).ends_with(exit::OK);
    for worker in workers {
        worker.wait_until_published("app", "creds", number);
    }
    begun.elapsed()
}

/// Whether a worker has applied the newest of all that it may have.
fn is_current(site: &TestSite, id: &str) -> bool {
    site.worker_status(id).applied.iter().all(|applied| applied.current)
}

#[test]
fn paused_worker_delays_no_other_and_catches_up() {
    let script = granting();
    let site = site(&script);
    let coordinator = site.coordinator();
    let (paused, first, second) = (site.worker("paused"), site.worker("first"), site.worker("second"));
    let others = [&first, &second];
    for worker in [&paused, &first, &second] {
        worker.wait_until_published("app", "creds", 1);
    }
    let id = paused.id();
    let watchers = [&paused, &first, &second].map(|worker| Watcher::of(site.link(&worker.name, "app")));

    paused.signal("STOP");
    let (begun, renewed) = (Instant::now(), script.count("often", "obtain"));
    let (mut number, mut slowest) = (1, Duration::ZERO);
    while site.worker_status(&id).connected {
        assert!(begun.elapsed() < PATIENCE, "it is still taken for connected");
        number += 1;
        slowest = slowest.max(replaced(&site, number, &others));
    }
    let silent = site.worker_status(&id).seen_ago_ms.unwrap();
    assert!(silent >= 3000, "three signs of life did not come, and it was heard of {silent} ms ago");
    let told = site.run_command(&["workers"]).ends_with(exit::OK).stdout;
    let line = told.lines().find(|line| line.starts_with(&id)).unwrap();
    assert!(line.contains(" away ") && line.contains("s ago ") && told.contains("2 of 3 connected"), "{told}");
    coordinator.wait_until("renewals go on", || script.count("often", "obtain") >= renewed + 3);
    for _ in 0..3 {
        number += 1;
        slowest = slowest.max(replaced(&site, number, &others));
    }
    let later = site.worker_status(&id).seen_ago_ms.unwrap();
    assert!(later > silent, "{later} ms after {silent}");
    assert!(number > 4 && slowest < SOON, "{number} leases, the slowest after {slowest:?}");

    let begun = Instant::now();
    paused.signal("CONT");
    paused.wait_until_published("app", "creds", number);
    let took = begun.elapsed();
    assert!(took < SOON, "{took:?}");
    coordinator.wait_until("it has reported that", || site.worker_status(&id).connected && is_current(&site, &id));
    replaced(&site, number + 1, &[&paused, &first, &second]);
    for watcher in watchers {
        let numbers = &watcher.saw().numbers["creds"];
        assert_eq!((numbers[0], *numbers.last().unwrap()), (1, number + 1), "{numbers:?}");
    }
    eprintln!("{number} leases beside a paused worker, the slowest after {slowest:?}; it had the last after {took:?}");
}

#[test]
fn paused_reader_is_disconnected() {
    let site = LARGE.iter().fold(TestSite::standard(""), |site, name| site.instance(name, "any", &[GROUP]));
    let coordinator = site.coordinator();
    let (paused, other) = (site.worker("paused"), site.worker("other"));
    let (id, other_id) = (paused.id(), other.id());
    paused.wait_until_published("app", "creds", 1);
    other.wait_until_published("app", "creds", 1);
    let watchers = [&paused, &other].map(|worker| Watcher::of(site.link(&worker.name, "app")));

    paused.signal("STOP");
    let (begun, mut number, mut slowest) = (Instant::now(), 1, Duration::ZERO);
    while !coordinator.log().contains(STALLED) {
        assert!(begun.elapsed() < 2 * PATIENCE, "it is still written to");
        number += 1;
        let given = Instant::now();
        if number <= 1 + FILLING {
            for name in LARGE {
                site.publish_text(name, &format!("{CANARY} {name} {number} {}", "x".repeat(1_000_000)));
            }
            let is_there = |name: &&str| coordinator.revision(name) == number;
            coordinator.wait_until("they are replaced", || LARGE.iter().all(is_there));
            coordinator.wait_until("the other has them", || is_current(&site, &other_id));
        }
        site.publish_numbered("creds", number);
        other.wait_until_published("app", "creds", number);
        slowest = slowest.max(given.elapsed());
    }
    assert!(number > 1 + FILLING && slowest < SOON, "{number} leases, the slowest after {slowest:?}");
    coordinator.wait_until("it is no longer there", || !site.worker_status(&id).connected);
    let silent = site.worker_status(&id).seen_ago_ms.unwrap();
    assert!(silent >= 25_000, "it was heard of {silent} ms ago");

    let begun = Instant::now();
    paused.signal("CONT");
    paused.wait_until_published("app", "creds", number);
    let took = begun.elapsed();
    assert!(took < SOON, "{took:?}");
    coordinator.wait_until("it has all of it", || site.worker_status(&id).connected && is_current(&site, &id));
    for watcher in watchers {
        let numbers = &watcher.saw().numbers["creds"];
        assert_eq!((numbers[0], *numbers.last().unwrap()), (1, number), "{numbers:?}");
    }
    eprintln!("{number} leases, the slowest after {slowest:?}; the paused one had the last after {took:?}");
}

#[test]
fn paused_worker_shows_whole_units() {
    const PAUSES: u64 = 30;
    let mut chance = Chance::from_environment();
    let script = granting();
    let site = site(&script);
    let coordinator = site.coordinator();
    let worker = site.worker("worker");
    worker.wait_until_published("app", "creds", 1);
    let watcher = Watcher::of(site.link("worker", "app"));
    let mut before = 0;
    for number in 2..PAUSES + 2 {
        site.run_command(&["renew", "creds"]).ends_with(exit::OK);
        thread::sleep(Duration::from_micros(chance.below(15_000)));
        worker.signal("STOP");
        let looks = watcher.looks();
        coordinator.wait_until("the watcher has looked", || watcher.looks() > looks + 1);
        before += u64::from(worker.published_number("app", "creds") < number);
        worker.signal("CONT");
        worker.wait_until_published("app", "creds", number);
    }
    assert_eq!(*watcher.saw().numbers["creds"].last().unwrap(), PAUSES + 1);
    eprintln!("{before} of {PAUSES} pauses came before the unit was there");
}
