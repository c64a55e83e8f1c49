//! What is made invalid at the service, and when.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use deputy_test_harness::{RunningCoordinator, TestEnvironment, exit};
use deputy_test_servers::guest;

use crate::script::{ScriptedServer, failure, lease, payload};

/// Long enough for a call that should not be made.
const A_WHILE: Duration = Duration::from_millis(700);

fn hour(call: &crate::script::ScriptedCall) -> String {
    lease(call, Duration::from_secs(3600))
}

/// The payloads that were revoked.
fn revoked(script: &ScriptedServer, instance: &str) -> Vec<String> {
    script.calls(instance, "revoke").into_iter().map(|call| call.payload).collect()
}

/// What an operator gets of an instance.
fn given(home: &TestEnvironment, instance: &str) -> String {
    home.deputy(&["get", instance, "--out", "secrets/given"]).ends_with(exit::OK);
    fs::read_to_string(home.path("secrets/given")).unwrap()
}

#[test]
fn revocation_of_a_replaced_lease_follows_its_grace() {
    let script = ScriptedServer::granting();
    let lines = script.lines("lab", "revoke = { replaced = \"10s\" }");
    let home = script.home().instance("lab", "benign-lifecycle", &lines);
    let running = RunningCoordinator::start(&home);
    running.wait_until("a lease", || running.revision("lab") == 1);
    let run = home.deputy(&["renew", "lab"]).ends_with(exit::OK);
    let status = home.printed_command("status");
    assert_eq!(run.stdout, format!("lab: obtaining a new lease; `{status}` shows when it is there\n"));
    running.wait_until("another one", || running.revision("lab") == 2);
    let replaced = script.calls("lab", "obtain")[1].at;
    assert_eq!((running.instance_status("lab").to_revoke, revoked(&script, "lab").len()), (1, 0));
    running.wait_until("its revocation", || running.instance_status("lab").to_revoke == 0);
    let revocations = script.calls("lab", "revoke");
    assert!(revocations[0].at - replaced >= Duration::from_secs(10));
    assert_eq!(revoked(&script, "lab"), [payload("lab", "obtain", 1)], "the new one is good");
}

#[test]
fn revocation_by_the_operator_obtains_a_new_lease() {
    let script = ScriptedServer::granting();
    let home = script.home().instance("lab", "benign-lifecycle", &script.lines("lab", ""));
    let home = home.instance("sts", "benign-obtain", &script.lines("sts", ""));
    let running = RunningCoordinator::start(&home);
    running.wait_until("leases", || running.revision("lab") == 1 && running.revision("sts") == 1);
    let run = home.deputy(&["revoke", "lab"]).ends_with(exit::OK);
    let status = home.printed_command("status");
    assert_eq!(run.stdout, format!("lab: revoking its leases; `{status}` shows when that is done\n"));
    running.wait_until("another one", || running.revision("lab") == 2 && running.instance_status("lab").to_revoke == 0);
    assert_eq!(revoked(&script, "lab"), [payload("lab", "obtain", 1)]);
    assert_eq!(given(&home, "lab"), payload("lab", "obtain", 2));
    assert!(running.log().contains("lease withdrawn"), "{}", running.log());

    let run = home.deputy(&["revoke", "sts"]).ends_with(exit::MISCONFIGURED);
    assert!(
        run.stderr.contains("exports no revocation") && run.stderr.contains("`deputy renew sts`"),
        "{}",
        run.stderr
    );
    assert_eq!(running.revision("sts"), 1);
}

#[test]
fn revocation_of_a_removed_instance_forgets_it() {
    let script = ScriptedServer::granting();
    let home =
        script.home().instance("gone", "benign-lifecycle", &script.lines("gone", "revoke = { removed = \"0s\" }"));
    let home = home.instance("left", "benign-lifecycle", &script.lines("left", "revoke = { removed = false }"));
    let home = home.instance("kept", "benign-lifecycle", &script.lines("kept", ""));
    let running = RunningCoordinator::start(&home);
    running.wait_until("leases", || ["gone", "left", "kept"].iter().all(|name| running.revision(name) == 1));
    for name in ["gone", "left"] {
        home.edit(&format!("[instances.{name}]\n"), &format!("[instances.{name}]\nenabled = false\n"));
    }
    let run = home.deputy(&["reload"]).ends_with(exit::OK);
    assert_eq!(run.stdout, "removed    gone, left\nunchanged  1\n");
    let listed = || running.all_status().instances.len();
    running.wait_until("the end of one", || listed() == 2);
    assert_eq!(running.instance_status("left").state, "leaving");
    assert_eq!(revoked(&script, "gone"), [payload("gone", "obtain", 1)]);
    assert_eq!(revoked(&script, "left"), [""; 0], "it expires by itself");
    assert_eq!(script.functions("kept"), ["obtain"]);
    let sealed = |name: &str| home.path(&format!("state/lease.{name}.sealed")).exists();
    assert_eq!((sealed("gone"), sealed("left"), sealed("kept")), (false, true, true), "left is kept for a while");
    home.deputy(&["renew", "gone"]).ends_with(exit::MISCONFIGURED);
}

#[test]
fn revocation_at_stop_is_configured_per_instance() {
    let script = ScriptedServer::granting();
    let home = script.home().instance("lab", "benign-lifecycle", &script.lines("lab", "revoke = { shutdown = true }"));
    let home = home.instance("kept", "benign-lifecycle", &script.lines("kept", ""));
    let running = RunningCoordinator::start(&home);
    running.wait_until("leases", || running.revision("lab") == 1 && running.revision("kept") == 1);
    assert_eq!(running.stop(), Some(exit::OK));
    assert_eq!(revoked(&script, "lab"), [payload("lab", "obtain", 1)]);
    assert_eq!(revoked(&script, "kept"), [""; 0]);

    let running = RunningCoordinator::start(&home);
    assert_eq!(running.revision("kept"), 1, "it is served at once");
    running.wait_until("another one", || running.revision("lab") == 2);
    assert_eq!(script.functions("kept"), ["obtain"]);
}

#[test]
fn revocation_that_fails_is_retried_and_reported() {
    let script = ScriptedServer::new(|call| match (call.function.as_str(), call.number) {
        ("revoke", 1) => failure("unavailable"),
        ("revoke", 2) => failure("denied"),
        ("revoke", _) => String::new(),
        _ => hour(call),
    });
    let lines = script.lines("lab", "retry = { floor = \"2s\", slow = \"2s\" }");
    let home = script.home().instance("lab", "benign-lifecycle", &lines);
    let running = RunningCoordinator::start(&home);
    running.wait_until("a lease", || running.revision("lab") == 1);
    home.deputy(&["revoke", "lab"]).ends_with(exit::OK);
    running.wait_until("the first try", || script.count("lab", "revoke") == 1);
    running.wait_until("another lease", || running.revision("lab") == 2);
    let lab = running.instance_status("lab");
    assert_eq!((lab.ready, lab.to_revoke), (true, 1), "{lab:?}");
    running.wait_until("the end", || running.instance_status("lab").to_revoke == 0);
    assert_eq!(script.count("lab", "revoke"), 3);
    assert_eq!(revoked(&script, "lab"), vec![payload("lab", "obtain", 1); 3]);
    let log = running.log();
    assert_eq!(log.matches("revocation failed").count(), 2, "{log}");
    assert!(log.contains("the service is unavailable") && log.contains("the service is denied"), "{log}");
    assert_eq!(script.count("lab", "obtain"), 2);
}

#[test]
fn revocation_waits_for_a_missing_component() {
    let script = ScriptedServer::granting();
    let mut home = script.home();
    let component = home.path("lab.wasm");
    fs::copy(guest("benign-lifecycle").unwrap(), &component).unwrap();
    let lines = script.lines("lab", "revoke = { replaced = \"0s\" }\nretry = { floor = \"50ms\", slow = \"50ms\" }");
    home.append(&format!("[instances.lab]\ncomponent = \"lab.wasm\"\n{lines}"));
    let running = RunningCoordinator::start(&home);
    running.wait_until("a lease", || running.revision("lab") == 1);
    running.kill();
    fs::rename(&component, home.path("elsewhere.wasm")).unwrap();
    let running = RunningCoordinator::start(&home);
    running.wait_until("what was held", || running.revision("lab") == 1);
    assert_eq!(given(&home, "lab"), payload("lab", "obtain", 1), "it is as good as before");
    home.deputy(&["revoke", "lab"]).ends_with(exit::OK);
    running.wait_until("its end", || running.instance_status("lab").lease.is_none());
    running.wait_until("a try", || running.log().contains("revocation failed"));
    assert_eq!(running.instance_status("lab").to_revoke, 1);
    fs::rename(home.path("elsewhere.wasm"), &component).unwrap();
    home.deputy(&["reload"]).ends_with(exit::OK);
    running
        .wait_until("another lease", || running.revision("lab") == 2 && running.instance_status("lab").to_revoke == 0);
    assert_eq!(revoked(&script, "lab"), [payload("lab", "obtain", 1)]);
}

#[test]
fn revocation_that_hangs_is_aborted_at_stop() {
    let script = ScriptedServer::new(|call| {
        if call.number > 1 {
            thread::sleep(Duration::from_secs(3600));
        }
        hour(call)
    });
    let mut home = script.home();
    home.append("[coordinator]\nshutdown = \"500ms\"");
    let home = home.instance("slow", "benign-lifecycle", &script.lines("slow", ""));
    let running = RunningCoordinator::start(&home);
    running.wait_until("a lease", || running.revision("slow") == 1);
    home.deputy(&["renew", "slow"]).ends_with(exit::OK);
    running.wait_until("the call", || script.count("slow", "obtain") == 2);
    let begun = Instant::now();
    assert_eq!(running.stop(), Some(exit::OK));
    assert!((A_WHILE / 2..Duration::from_secs(5)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    let log = fs::read_to_string(home.path("run.log")).unwrap();
    assert!(log.contains("call cancelled by shutdown"), "{log}");
    let running = RunningCoordinator::start(&home);
    assert_eq!((running.revision("slow"), script.count("slow", "obtain")), (1, 2), "what it held is good");
}

#[test]
fn revoke_during_an_obtain_revokes_its_tokens() {
    let script = ScriptedServer::new(|call| match (call.function.as_str(), call.number) {
        ("obtain", 1) => {
            thread::sleep(Duration::from_secs(3));
            hour(call)
        }
        ("revoke", _) => String::new(),
        _ => hour(call),
    });
    let home = script.home().instance("lab", "benign-lifecycle", &script.lines("lab", ""));
    let running = RunningCoordinator::start(&home);
    running.wait_until("the call", || script.count("lab", "obtain") == 1);
    home.run_unchecked(&["revoke", "lab"]).ends_with(exit::OK);
    running.wait_until("another lease", || running.revision("lab") == 1);
    assert_eq!(given(&home, "lab"), payload("lab", "obtain", 2), "it does not wait for the first call");
    running.wait_until("the revocation", || script.count("lab", "revoke") == 1);
    assert_eq!(revoked(&script, "lab"), [payload("lab", "obtain", 1)]);
    running.wait_until("its end", || running.instance_status("lab").to_revoke == 0);
    assert_eq!(given(&home, "lab"), payload("lab", "obtain", 2));
}

#[test]
fn remove_during_an_obtain_revokes_what_it_brings() {
    let script = ScriptedServer::new(|call| match call.function.as_str() {
        "obtain" => {
            thread::sleep(Duration::from_secs(3));
            hour(call)
        }
        _ => String::new(),
    });
    let home = script.home().instance("lab", "benign-lifecycle", &script.lines("lab", ""));
    let home = home.instance("kept", "benign-lifecycle", &script.lines("kept", ""));
    let running = RunningCoordinator::start(&home);
    running.wait_until("the call", || script.count("lab", "obtain") == 1);
    home.edit("[instances.lab]\n", "[instances.lab]\nenabled = false\n");
    home.deputy(&["reload"]).ends_with(exit::OK);
    running.wait_until("the revocation", || script.count("lab", "revoke") == 1);
    assert_eq!(revoked(&script, "lab"), [payload("lab", "obtain", 1)]);
}
