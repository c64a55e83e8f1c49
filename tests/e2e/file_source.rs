//! Tokens that another program maintains, alone and beside a component.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deputy_coordinator::status::InstanceStatus;
use deputy_test_harness::{RunningCoordinator, TestEnvironment, exit};

use crate::script::{ScriptedServer, failure, lease, payload};

/// Puts a text into a file below `secrets`, whole at once, as programs do that maintain tokens.
fn put(home: &TestEnvironment, name: &str, text: &str) {
    let beside = home.path("secrets/.new");
    fs::write(&beside, text).unwrap();
    fs::set_permissions(&beside, Permissions::from_mode(0o600)).unwrap();
    fs::rename(beside, home.path("secrets").join(name)).unwrap();
}

fn given(home: &TestEnvironment, instance: &str) -> String {
    home.deputy(&["get", instance, "--wait", "30s", "--out", "secrets/given"]).ends_with(exit::OK);
    fs::read_to_string(home.path("secrets/given")).unwrap()
}

fn origin(instance: &InstanceStatus) -> &str {
    instance.lease.as_ref().map_or("", |lease| lease.origin.as_str())
}

#[test]
fn file_source_is_published_and_replaced() {
    let script = ScriptedServer::granting();
    let mut home = script.home();
    home.append("[instances.pod]\nservice = \"kubernetes\"\nkind = \"aws-credential-process/1\"\nfile = { path = \"secrets/token\", lifetime = \"1h\" }");
    put(&home, "token", "canary-of-a-payload: the first");
    let running = RunningCoordinator::start(&home);
    running.wait_until("a lease", || running.revision("pod") == 1);
    let pod = running.instance_status("pod");
    assert_eq!((pod.state.as_str(), pod.service.as_deref(), origin(&pod)), ("holding", Some("kubernetes"), "file"));
    let valid_for = pod.lease.as_ref().and_then(|lease| lease.valid_for_ms).unwrap();
    assert!((3_590_000..=3_600_000).contains(&valid_for), "{pod:?}");
    assert_eq!(given(&home, "pod"), "canary-of-a-payload: the first");
    put(&home, "token", "canary-of-a-payload: the second");
    running.wait_until("the second", || running.revision("pod") == 2);
    assert_eq!(given(&home, "pod"), "canary-of-a-payload: the second");
    let run = home.deputy(&["renew", "pod"]).ends_with(exit::MISCONFIGURED);
    assert!(run.stderr.contains("its tokens come from a file"), "{}", run.stderr);

    fs::remove_file(home.path("secrets/token")).unwrap();
    running.wait_until("the warning", || running.log().contains("payload file unusable"));
    let pod = running.instance_status("pod");
    assert_eq!((pod.ready, pod.lease.unwrap().revision), (true, 2), "the held lease stays valid");
}

#[test]
fn file_source_writable_by_others_is_refused() {
    let script = ScriptedServer::granting();
    let mut home = script.home();
    home.append("[instances.pod]\nservice = \"kubernetes\"\nkind = \"aws-credential-process/1\"\nfile = { path = \"secrets/token\", lifetime = \"1h\" }");
    put(&home, "token", "canary-of-a-payload");
    fs::set_permissions(home.path("secrets/token"), Permissions::from_mode(0o622)).unwrap();
    let running = RunningCoordinator::start(&home);
    running.wait_until("the reason", || running.instance_status("pod").reason.contains("chmod 600"));
    let pod = running.instance_status("pod");
    assert_eq!((pod.state.as_str(), pod.ready, &pod.lease), ("no-file", false, &None), "{pod:?}");
    let run = home.deputy(&["get", "pod", "--wait", "0s"]).ends_with(exit::UNAVAILABLE);
    assert!(run.stderr.contains("chmod 600"), "{}", run.stderr);
    fs::set_permissions(home.path("secrets/token"), Permissions::from_mode(0o600)).unwrap();
    running.wait_until("a lease", || running.revision("pod") == 1);
    running.wait_until("it is saved and given out", || running.instance_status("pod").reason == "held");
}

#[test]
fn file_source_preferred_wins_until_it_is_removed() {
    let script = ScriptedServer::new(|call| lease(call, Duration::from_secs(3600)));
    let lines = script.lines(
        "both",
        "prefer = \"file\"\nfile = { path = \"secrets/token\", lifetime = \"12s\" }\nrenew = { ratio = 0.5 }\nretry = { floor = \"50ms\" }",
    );
    let home = script.home().instance("both", "benign-obtain", &lines);
    put(&home, "token", "canary-of-a-payload: from the file");
    let running = RunningCoordinator::start(&home);
    running.wait_until("a lease", || running.revision("both") > 0);
    assert_eq!((origin(&running.instance_status("both")), script.count("both", "obtain")), ("file", 0));
    assert_eq!(given(&home, "both"), "canary-of-a-payload: from the file");
    // It is not written again: it grows old, and the component is called before it ends.
    running.wait_until("another one", || origin(&running.instance_status("both")) == "component");
    assert_eq!(given(&home, "both"), payload("both", "obtain", 1));
    assert!(!running.log().contains("lease expired before it was replaced"), "{}", running.log());
    put(&home, "token", "canary-of-a-payload: from the file again");
    running.wait_until("the file", || origin(&running.instance_status("both")) == "file");
    assert_eq!(given(&home, "both"), "canary-of-a-payload: from the file again");
    assert_eq!(script.count("both", "obtain"), 1);
}

#[test]
fn file_source_replaces_a_failing_component() {
    let works = Arc::new(AtomicBool::new(false));
    let does_it = Arc::clone(&works);
    let script = ScriptedServer::new(move |call| {
        if does_it.load(Ordering::Relaxed) { lease(call, Duration::from_secs(3600)) } else { failure("unavailable") }
    });
    let lines = script.lines(
        "both",
        "file = { path = \"secrets/token\", lifetime = \"1h\" }\nretry = { floor = \"400ms\", most = \"400ms\" }",
    );
    let home = script.home().instance("both", "benign-obtain", &lines);
    put(&home, "token", "canary-of-a-payload: from the file");
    let running = RunningCoordinator::start(&home);
    running.wait_until("a lease", || running.instance_status("both").ready);
    let both = running.instance_status("both");
    assert_eq!((origin(&both), both.lease.as_ref().unwrap().revision), ("file", 1), "{both:?}");
    assert_eq!(given(&home, "both"), "canary-of-a-payload: from the file");
    works.store(true, Ordering::Relaxed);
    running.wait_until("the component", || origin(&running.instance_status("both")) == "component");
    assert_eq!(given(&home, "both"), payload("both", "obtain", script.count("both", "obtain")));
    assert_eq!(running.instance_status("both").failures, 0);
}
