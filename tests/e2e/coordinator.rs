//! `deputy run` keeps real credentials alive: SeaweedFS's, capped to a few seconds.

use std::fs;

use deputy_test_harness::{RunningCoordinator, TestEnvironment, exit};
use serde_json::Value;

use crate::s3;

/// The instance `s3`, whose leases live three seconds.
fn home() -> TestEnvironment {
    s3::home_with("lifetime = \"3s\"\nretry = { floor = \"100ms\" }\n")
}

/// What is given out for an instance now, as an operator gets it.
fn given(home: &TestEnvironment) -> String {
    home.deputy(&["get", "s3", "--wait", "30s", "--out", "given.json"]).ends_with(exit::OK);
    fs::read_to_string(home.path("given.json")).unwrap()
}

#[test]
fn credentials_rotate_and_each_of_them_opens_the_store() {
    let home = home();
    let running = RunningCoordinator::start(&home);
    let (mut keys, mut seen) = (Vec::new(), 0);
    for _ in 0..3 {
        running.wait_until("the next lease", || running.revision("s3") > seen);
        let payload = given(&home);
        // At least the one that was given.
        seen = running.revision("s3");
        assert_eq!(s3::object(&payload, "rotated").unwrap(), "written with obtained credentials\n");
        let payload: Value = serde_json::from_str(&payload).unwrap();
        keys.push(payload["AccessKeyId"].as_str().unwrap().to_owned());
    }
    keys.dedup();
    assert_eq!(keys.len(), 3, "{keys:?}");
    // Now and then it is renewing.
    running.wait_until("it holds one", || {
        let instance = running.instance_status("s3");
        instance.state == "holding" && instance.ready && instance.service.as_deref() == Some("s3")
    });
    assert_eq!(running.stop(), Some(exit::OK));
}

#[test]
fn coordinator_serves_a_valid_lease_after_a_kill() {
    let home = s3::home_with("lifetime = \"10m\"\n");
    let running = RunningCoordinator::start(&home);
    running.wait_until("a lease", || running.revision("s3") == 1);
    let before = running.printed_instance("s3").lease.unwrap();
    let payload = given(&home);
    running.kill();
    let running = RunningCoordinator::start(&home);
    let after = running.printed_instance("s3").lease.unwrap();
    assert_eq!((before.revision, &before.valid_until), (after.revision, &after.valid_until));
    assert_eq!(given(&home), payload);
    let obtained = home.audit("audit.jsonl").iter().filter(|event| event["function"] == "obtain").count();
    assert_eq!(obtained, 1);
}
