//! A lease is revoked at the service that issued it, or nowhere.

use std::fs;

use deputy_test_harness::{RunningCoordinator, TestEnvironment, exit};

use crate::script::{ScriptedServer, payload};

const LINES: &str = "revoke = { replaced = \"1s\" }";

/// Everything that a service was sent of a lease: the payloads of its renewals and revocations.
fn received(script: &ScriptedServer) -> Vec<String> {
    let calls = ["renew", "revoke"].into_iter().flat_map(|function| script.calls("lab", function));
    calls.map(|call| call.payload).collect()
}

fn home(old: &ScriptedServer) -> TestEnvironment {
    old.home().instance("lab", "benign-lifecycle", &old.lines("lab", LINES))
}

/// Lets the instance ask another service, with another grant.
fn move_to(home: &TestEnvironment, old: &ScriptedServer, new: &ScriptedServer) {
    home.edit(&old.lines("lab", LINES), &new.lines("lab", LINES));
}

#[test]
fn revocation_after_a_reload_goes_to_the_old_service() {
    let (old, new) = (ScriptedServer::granting(), ScriptedServer::granting());
    let home = home(&old);
    let running = RunningCoordinator::start(&home);
    running.wait_until("a lease", || running.revision("lab") == 1);
    move_to(&home, &old, &new);
    home.deputy(&["reload"]).ends_with(exit::OK);
    running.wait_until("another lease", || running.revision("lab") == 2);
    running.wait_until("its revocation", || running.instance_status("lab").to_revoke == 0);
    assert_eq!(received(&old), [payload("lab", "obtain", 1)]);
    assert_eq!(received(&new), [""; 0], "it never sees the other service's token");
    assert!(running.instance_status("lab").not_revoked.is_none());
}

#[test]
fn revocation_after_a_restart_with_other_settings_is_left_out() {
    let (old, new) = (ScriptedServer::granting(), ScriptedServer::granting());
    let home = home(&old);
    let running = RunningCoordinator::start(&home);
    running.wait_until("a lease", || running.revision("lab") == 1);
    running.kill();
    move_to(&home, &old, &new);
    let running = RunningCoordinator::start(&home);
    running.wait_until("another lease", || running.revision("lab") == 2);
    let not_revoked = || running.instance_status("lab").not_revoked;
    running.wait_until("the report", || not_revoked().is_some_and(|leases| leases.count == 1));
    let leases = not_revoked().unwrap();
    assert_eq!((leases.revision, leases.reason.as_str()), (1, "reconfigured"));
    assert!(running.log().contains("lease not revoked and valid until it expires"));
    let shown = home.deputy(&["status", "lab"]).ends_with(exit::OK).stdout;
    assert!(shown.contains("not revoked") && shown.contains("no longer loaded"), "{shown}");
    assert_eq!(running.stop(), Some(exit::OK));
    assert_eq!((received(&old), received(&new)), (Vec::<String>::new(), Vec::<String>::new()));
    assert!(fs::exists(home.path("state/lease.lab.sealed")).unwrap());
}
