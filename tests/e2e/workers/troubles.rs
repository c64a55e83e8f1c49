//! Receivers that loop, trap or fail: they delay no other, what they published stays, and the coordinator shows it.

use std::fs;

use deputy_coordinator::AppliedStatus;
use deputy_test_harness::exit;
use deputy_test_servers::guest;

use super::site::{GROUP, TestSite, twice};
use super::unit::{CANARY, Unit};
use super::watcher::Watcher;

/// What a worker reported of an instance.
fn reported(site: &TestSite, worker: &str, instance: &str) -> AppliedStatus {
    let applied = site.worker_status(worker).applied;
    applied.into_iter().find(|applied| applied.instance == instance).unwrap()
}

#[test]
fn receiver_that_loops_delays_no_other() {
    let site = TestSite::standard("").instance("odd", "hostile", &[GROUP]);
    let coordinator = site.coordinator();
    site.configure(
        "worker",
        &format!(
            "[receivers.stuck]\ncomponent = {:?}\ninstances = [\"odd\"]\nlimits = {{ cpu = \"5s\", wall = \"20s\" }}\n",
            guest("cpu-loop-after-put").unwrap()
        ),
    );
    let (worker, other) = (site.worker("worker"), site.worker("other"));
    let id = worker.id();
    worker.wait_until_published("app", "creds", 1);
    let watcher = Watcher::of(site.link("worker", "app"));
    let is_stuck = || {
        let receivers = worker.status().unwrap().receivers;
        receivers.iter().any(|receiver| receiver.name == "stuck" && receiver.state == "applying")
    };
    worker.wait_until("it is stuck", is_stuck);
    site.publish_numbered("creds", 2);
    worker.wait_until_published("app", "creds", 2);
    coordinator.wait_until("the coordinator hears of it", || reported(&site, &id, "creds").current);
    let odd = reported(&site, &id, "odd");
    assert_eq!((odd.current, odd.newest), (false, Some(1)), "{odd:?}");
    coordinator.wait_until("why it failed", || reported(&site, &id, "odd").failure.is_some());
    let failure = reported(&site, &id, "odd").failure.unwrap();
    assert!(failure.contains("receiver stuck: ") && failure.contains("cpu"), "{failure}");
    assert!(!site.link("worker", "stuck").exists(), "the file that it put before is not published");
    other.wait_until_published("app", "creds", 2);
    let id = other.id();
    coordinator.wait_until("the other worker is well", || reported(&site, &id, "odd").current);
    assert_eq!(watcher.saw().numbers["creds"], [1, 2]);
}

#[test]
fn receiver_trap_keeps_the_unit_and_is_reported() {
    let mut site = TestSite::new("").instance("odd", "hostile", &[GROUP]);
    let component = site.home.path("receiver.wasm");
    fs::copy(guest("benign-receiver").unwrap(), &component).unwrap();
    site.home.append(&format!("[groups.{GROUP}.receivers.app]\ncomponent = {component:?}\ninstances = [\"odd\"]"));
    let coordinator = site.coordinator();
    let worker = site.worker("worker");
    let id = worker.id();
    coordinator.wait_until("it is applied", || reported(&site, &id, "odd").current);
    let unit = || Unit::read(&site.link("worker", "app")).unwrap().unwrap();
    let kept = || {
        let names = fs::read_dir(site.home.path("worker-state/components")).unwrap();
        names.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "wasm")).count()
    };
    let before = unit();
    assert!(before.0["odd"].starts_with(CANARY) && before.0.len() == 2, "{before:?}");

    // The operator takes another version of it.
    fs::copy(guest("trap-after-put").unwrap(), &component).unwrap();
    site.run_command(&["reload"]).ends_with(exit::OK);
    coordinator.wait_until("the coordinator shows it", || reported(&site, &id, "odd").failure.is_some());
    let failure = reported(&site, &id, "odd").failure.unwrap();
    assert!(failure.starts_with("receiver app: ") && !failure.contains("is never shown"), "{failure}");
    assert!(site.run_command(&["workers"]).ends_with(exit::OK).stdout.contains("failed: receiver app: "));
    site.publish_numbered("odd", 2);
    worker.wait_until("the newer one has failed, too", || {
        let odd = reported(&site, &id, "odd");
        odd.newest == Some(2) && odd.revision == Some(2) && odd.failure.is_some()
    });
    assert_eq!(unit(), before);

    fs::copy(guest("benign-receiver").unwrap(), &component).unwrap();
    site.run_command(&["reload"]).ends_with(exit::OK);
    coordinator.wait_until("it is applied", || reported(&site, &id, "odd").current);
    assert_ne!(unit(), before);
    worker.wait_until("the component that nothing is bound to is removed", || kept() == 1);
}

#[test]
fn receiver_component_damage_withdraws_nothing() {
    let mut site = TestSite::new("").instance("creds", "any", &[GROUP]);
    let component = site.home.path("receiver.wasm");
    let whole = fs::read(guest("files").unwrap()).unwrap();
    fs::write(&component, &whole).unwrap();
    site.home.append(&format!(
        "[groups.{GROUP}.receivers.app]\ncomponent = {component:?}\ninstances = [\"creds\"]\n\
         [groups.{GROUP}.receivers.app.settings]\n{}\n",
        twice("creds")
    ));
    let coordinator = site.coordinator();
    let worker = site.worker("worker");
    worker.wait_until_published("app", "creds", 1);
    let watcher = Watcher::of(site.link("worker", "app"));
    assert_eq!(coordinator.stop(), Some(exit::OK));
    worker.wait_for_link("connecting");
    fs::write(&component, &whole[..whole.len() / 2]).unwrap();

    let _coordinator = site.coordinator();
    worker.wait_for_link("connected");
    site.publish_numbered("creds", 2);
    worker.wait_until_published("app", "creds", 2);
    worker.kill();
    let worker = site.restart_worker("worker");
    worker.wait_for_link("connected");
    site.publish_numbered("creds", 3);
    worker.wait_until_published("app", "creds", 3);
    assert!(!worker.log().contains("withdrawn from this worker"), "{}", worker.log());

    fs::write(&component, &whole).unwrap();
    site.run_command(&["reload"]).ends_with(exit::OK);
    let late = site.worker("late");
    late.wait_until_published("app", "creds", 3);
    site.publish_numbered("creds", 4);
    worker.wait_until_published("app", "creds", 4);
    late.wait_until_published("app", "creds", 4);
    assert_eq!(watcher.saw().numbers["creds"], [1, 2, 3, 4]);
}

#[test]
fn receiver_failure_is_retried_with_the_next_payload() {
    let mut site = TestSite::new("").instance("creds", "any", &[GROUP]);
    let component = guest("files").unwrap();
    site.home.append(&format!(
        "[groups.{GROUP}.receivers.app]\ncomponent = {component:?}\ninstances = [\"creds\"]\n\
         settings = {{ \"template.key\" = \"{{{{ creds.key }}}}\" }}"
    ));
    let give = |number: u64| site.publish_text("creds", &format!("{{\"key\": \"{CANARY} {number}\"}}"));
    give(1);
    let coordinator = site.coordinator();
    let worker = site.worker("worker");
    let id = worker.id();
    let is_there = |number: u64| {
        let unit = Unit::read(&site.link("worker", "app")).unwrap();
        unit.is_some_and(|unit| unit.0["key"] == format!("{CANARY} {number}"))
    };
    worker.wait_until("the first", || is_there(1));
    site.publish_text("creds", &format!("{CANARY} is no JSON"));
    coordinator.wait_until("the coordinator shows it", || reported(&site, &id, "creds").failure.is_some());
    let failure = reported(&site, &id, "creds").failure.unwrap();
    assert!(failure.starts_with("receiver app: ") && failure.contains("template.key"), "{failure}");
    assert!(is_there(1));
    give(3);
    worker.wait_until("the third", || is_there(3));
    coordinator.wait_until("the coordinator shows that", || reported(&site, &id, "creds").current);
}
