//! A truncated configuration removes nothing for good.

use std::fs;

use deputy_test_harness::{RunningCoordinator, TestEnvironment, exit};

use crate::script::{ScriptedServer, payload};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn home(script: &ScriptedServer, lines: &str) -> TestEnvironment {
    let add = |home: TestEnvironment, name: &&str| home.instance(name, "benign-lifecycle", &script.lines(name, lines));
    NAMES.iter().fold(script.home(), add)
}

fn start(home: &TestEnvironment) -> RunningCoordinator<'_> {
    let running = RunningCoordinator::start(home);
    running.wait_until("leases", || NAMES.iter().all(|name| running.revision(name) == 1));
    running
}

fn config(home: &TestEnvironment) -> String {
    fs::read_to_string(home.path("deputy.toml")).unwrap()
}

fn write(home: &TestEnvironment, config: &str) {
    fs::write(home.path("deputy.toml"), config).unwrap();
}

/// The configuration as it is if writing it ended before this instance.
fn cut(config: &str, name: &str) -> String {
    config.split(&format!("[instances.{name}]\n")).next().unwrap().to_owned()
}

fn revocations(script: &ScriptedServer) -> usize {
    NAMES.iter().map(|name| script.count(name, "revoke")).sum()
}

#[test]
fn removal_of_most_instances_needs_the_operators_word() {
    let script = ScriptedServer::granting();
    let home = home(&script, "revoke = { removed = \"0s\" }");
    let running = start(&home);
    let whole = config(&home);
    for broken in [String::new(), cut(&whole, "c"), "[coordinator]\n".to_owned()] {
        write(&home, &broken);
        let run = home.deputy(&["reload", "--socket", home.socket().to_str().unwrap()]).ends_with(exit::MISCONFIGURED);
        assert!(run.stderr.contains("looks truncated") && run.stderr.contains("--remove"), "{}", run.stderr);
        let lines = running.log().matches("looks truncated").count();
        running.signal("HUP");
        running.wait_until("the log", || running.log().matches("looks truncated").count() > lines);
        assert!(NAMES.iter().all(|name| running.revision(name) == 1));
    }
    assert_eq!(revocations(&script), 0);
    write(&home, &cut(&whole, "c"));
    home.deputy(&["reload", "--remove"]).ends_with(exit::OK);
    running.wait_until("the revocations", || revocations(&script) == 2);
    assert_eq!((running.revision("a"), script.count("c", "revoke")), (1, 1));
}

#[test]
fn removal_of_an_instance_is_undone_within_its_grace() {
    let script = ScriptedServer::granting();
    let home = home(&script, "revoke = { removed = \"1h\" }");
    let running = start(&home);
    let whole = config(&home);
    write(&home, &cut(&whole, "d"));
    home.deputy(&["reload"]).ends_with(exit::OK);
    let left = running.instance_status("d");
    assert_eq!((left.state.as_str(), left.reason.contains("is kept for")), ("leaving", true));
    assert!(home.path("state/lease.d.sealed").exists());
    let run = home.deputy(&["get", "d", "--out", "secrets/given", "--wait", "0s"]);
    assert_ne!(run.code, Some(exit::OK), "it is not given out");
    write(&home, &whole);
    home.deputy(&["reload"]).ends_with(exit::OK);
    running.wait_until("its lease", || running.instance_status("d").ready);
    home.deputy(&["get", "d", "--out", "secrets/given"]).ends_with(exit::OK);
    assert_eq!(fs::read_to_string(home.path("secrets/given")).unwrap(), payload("d", "obtain", 1));
    assert_eq!((script.functions("d"), revocations(&script)), (vec!["obtain".to_owned()], 0));
}

#[test]
fn removal_of_an_instance_revokes_when_the_grace_is_over() {
    let script = ScriptedServer::granting();
    let home = home(&script, "revoke = { removed = \"1s\" }");
    let running = start(&home);
    write(&home, &cut(&config(&home), "d"));
    home.deputy(&["reload"]).ends_with(exit::OK);
    running.wait_until("the revocation", || script.count("d", "revoke") == 1);
    running.wait_until("its end", || !home.path("state/lease.d.sealed").exists());
    assert_eq!(revocations(&script), 1);
}

#[test]
fn removal_by_a_start_keeps_every_lease() {
    let script = ScriptedServer::granting();
    let home = home(&script, "");
    assert_eq!(start(&home).stop(), Some(exit::OK));
    let whole = config(&home);
    write(&home, "");
    let run = home.deputy(&["check"]);
    assert!(run.stderr.contains("the configuration has no instance"), "{}", run.stderr);
    let mut running = RunningCoordinator::start_unseen(&home);
    assert_eq!(running.end(), Some(exit::MISCONFIGURED));
    let complaint = running.last_error();
    assert!(complaint.contains("it lacks 4 of 4 instances") && complaint.contains("--remove"), "{complaint}");

    // One that is missing is no reason not to start.
    write(&home, &cut(&whole, "d"));
    let running = RunningCoordinator::start(&home);
    assert_eq!(running.all_status().orphans[0].name, "d");
    write(&home, &whole);
    home.deputy(&["reload"]).ends_with(exit::OK);
    running.wait_until("its lease", || running.instance_status("d").ready);
    assert!(NAMES.iter().all(|name| running.revision(name) == 1 && script.functions(name) == ["obtain"]));
}
