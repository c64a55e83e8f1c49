//! `kill -9` of either side, at random moments, while leases rotate two hundred times.
#![expect(clippy::print_stderr, reason = "a test says what it saw: its seed, and how much of what there was")]

use std::thread;
use std::time::Duration;

use deputy_coordinator::{AppliedStatus, WorkerStatus};
use deputy_test_harness::RunningCoordinator;
use deputy_test_servers::guest;

use super::site::{GROUP, TestSite};
use super::unit::{CANARY, Payload};
use super::watcher::Watcher;
use crate::faults::kills::Chance;
use crate::script::ScriptedServer;

const INSTANCES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
const WORKERS: [&str; 2] = ["first", "second"];
const ROTATIONS: usize = 200;
/// There are more of them: they go on until all rotations are over.
const KILLS: usize = 15;

/// Each is replaced after a seventh of that, so there is time to come back before any ends.
const LIFE: Duration = Duration::from_secs(10);

#[test]
fn kills_of_either_side_tear_no_unit() {
    let script = ScriptedServer::new(|call| {
        let payload = Payload::new(&call.instance, u64::try_from(call.number).unwrap(), LIFE);
        format!("payload {}\nvalid-until {}\n", payload.text(), payload.until)
    });
    let mut site =
        TestSite::new("[upstreams.default]\ncalls-per-minute = 6000\nburst = 100").receiver("app", &INSTANCES);
    for name in INSTANCES {
        let policy = format!(
            "deliver-to = [\"{GROUP}\"]\nrenew = {{ ratio = 0.14, jitter = 0.1 }}\nretry = {{ floor = \"50ms\" }}\n"
        );
        let component = guest("benign-obtain").unwrap();
        site.home.append(&format!("[instances.{name}]\ncomponent = {component:?}\n{}", script.lines(name, &policy)));
    }
    let mut chance = Chance::from_environment();
    let mut coordinator = site.coordinator();
    let mut workers = WORKERS.map(|name| Some(site.worker(name)));
    for worker in workers.iter().flatten() {
        worker.wait_until("all are there", || INSTANCES.iter().all(|name| worker.published_number("app", name) > 0));
    }
    let watchers = WORKERS.map(|name| Watcher::of(site.link(name, "app")));

    let count = || INSTANCES.iter().map(|name| script.count(name, "obtain")).sum::<usize>();
    let mut kills = 0;
    while count() < ROTATIONS || kills < KILLS {
        kills += 1;
        assert!(kills < 20 * KILLS, "only {} rotations", count());
        thread::sleep(Duration::from_millis(chance.below(1200)));
        let away = Duration::from_millis(chance.below(400));
        match chance.below(3) {
            2 => {
                coordinator.kill();
                thread::sleep(away);
                coordinator = RunningCoordinator::start_unseen(&site.home);
            }
            one => {
                let worker = &mut workers[usize::try_from(one).unwrap()];
                worker.take().unwrap().kill();
                thread::sleep(away);
                *worker = Some(site.restart_worker(WORKERS[usize::try_from(one).unwrap()]));
            }
        }
    }
    // It may have been killed a moment ago.
    coordinator.wait_until("it answers", || site.try_workers().is_some());
    coordinator.wait_until("both are current", || {
        let workers = site.workers();
        let is_applied = |applied: &&AppliedStatus| applied.failure.is_none() && applied.revision.is_some();
        let is_well = |worker: &WorkerStatus| worker.connected && worker.applied.iter().filter(is_applied).count() == 8;
        workers.len() == WORKERS.len() && workers.iter().all(is_well)
    });
    for watcher in watchers {
        let seen = watcher.saw();
        eprintln!("{} of {} payloads in {} looks, {kills} kills", seen.rotations(), count(), seen.looks);
        // Of several that come at once the newest is enough.
        assert!(seen.rotations() > ROTATIONS / 4 && seen.looks > 500, "{seen:?}");
    }
    assert!(!coordinator.log().contains(CANARY));
}
