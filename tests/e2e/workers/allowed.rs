//! What a receiver may use and may not have: the coordinator's limits hold at the worker, whose operator has the last
//! word, and the operator sees what is refused in the words of a receiver.

use deputy_test_harness::exit;
use deputy_test_servers::guest;

use super::site::{GROUP, RunningWorker, TestSite};

/// A site with the receiver `app` of this component in the group, and these lines in its table.
fn site(component: &str, lines: &str) -> TestSite {
    let mut site = TestSite::new("").instance("odd", "hostile", &[GROUP]);
    let component = guest(component).unwrap();
    site.home.append(&format!(
        "[groups.{GROUP}.receivers.app]\ncomponent = {component:?}\ninstances = [\"odd\"]\n{lines}\n"
    ));
    site
}

/// Waits until the worker says that `app` failed for this reason.
fn until_failed(worker: &RunningWorker<'_>, why: &str) {
    let reason = || Some(worker.status()?.receivers.first()?.trouble.as_ref()?.message.clone());
    worker.wait_until(why, || reason().is_some_and(|reason| reason.contains(why)));
}

#[test]
fn limits_of_the_coordinator_end_a_receiver() {
    let site = site("cpu-loop-after-put", "limits = { cpu = \"300ms\" }");
    let coordinator = site.coordinator();
    let worker = site.worker("worker");
    until_failed(&worker, "over the limit `cpu`");
    coordinator.wait_until("the coordinator shows it", || {
        site.only_worker().applied[0].failure.as_ref().is_some_and(|why| why.contains("over the limit `cpu`"))
    });
    assert!(!site.link("worker", "app").exists(), "what it put before is not published");
    // Where the operator of the worker would set it, and what it is now.
    let log = worker.log();
    assert!(log.contains("[receivers.app.limits]") && log.contains("300ms"), "{log}");

    // Other limits are another binding, which is tried as any other is.
    site.home.edit("limits = { cpu = \"300ms\" }", "limits = { wall = \"400ms\" }");
    site.run_command(&["reload"]).ends_with(exit::OK);
    until_failed(&worker, "over the limit `wall`");
}

#[test]
fn limits_of_the_worker_override_the_coordinators() {
    let site = site("cpu-loop-after-put", "limits = { cpu = \"300ms\" }");
    let _coordinator = site.coordinator();
    site.configure("worker", "[receivers.app]\nlimits = { cpu = \"10s\", wall = \"500ms\" }");
    let worker = site.worker("worker");
    until_failed(&worker, "over the limit `wall`");
    assert!(!worker.log().contains("over the limit `cpu`"), "{}", worker.log());
}

#[test]
fn denial_of_a_receiver_says_it_cannot_be_granted() {
    let settings = "settings = { url = \"http://127.0.0.1:1\", name = \"inner.example\", address = \"127.0.0.1:1\" }";
    let site = site("secret-not-granted-to-receiver", settings);
    let _coordinator = site.coordinator();
    let worker = site.worker("worker");
    worker.wait_until("it has left its report", || site.link("worker", "app").join("report").exists());
    let log = worker.log();
    for code in ["host-not-granted", "name-not-granted", "socket-not-granted", "secret-not-granted"] {
        let line = log.lines().find(|line| line.contains(code)).unwrap_or_else(|| panic!("{code}: {log}"));
        assert!(line.contains("[receivers.app] has no grant; what it needs has to come from the provider"), "{line}");
    }
    assert!(log.contains("udp-not-allowed") && !log.contains("[instances.") && !log.contains("tcp]]"), "{log}");
    assert_eq!(worker.stop(), Some(exit::OK));
}
