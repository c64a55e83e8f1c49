//! `deputy get`, `renew` and `revoke`

use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;

use insta::assert_snapshot;
use serde_json::Value;

use crate::coordinator::{Coordinator, beside, state};
use crate::home::TestEnvironment;
use crate::service::{SESSION, failing, granting};

#[test]
fn get_hides_the_payload_by_default() {
    let home = TestEnvironment::with_s3(&granting(), "");
    let coordinator = Coordinator::start(&home);
    coordinator.until_ready();
    assert_snapshot!(home.masked_output(&coordinator.run(&["get", "s3"])), @"
    exit code 0
    ----- stdout
    instance     s3
    revision     1
    kind         aws-credential-process/1
    valid until  2100-01-01T00:00:00.000Z
    payload      165 bytes, not shown: --reveal prints them, --out FILE writes them to a file
    ");
    let run = coordinator.run(&["get", "s3", "--json"]);
    let seen: Value = serde_json::from_str(&run.stdout).unwrap();
    let length = seen["payload_bytes"].as_u64().unwrap();
    assert!(length > 100);
    assert_eq!(
        seen,
        serde_json::json!({
            "schema": 1,
            "instance": "s3",
            "revision": 1,
            "kind": "aws-credential-process/1",
            "valid_until": "2100-01-01T00:00:00.000Z",
            "payload_bytes": length,
            "out": null,
        })
    );
    let run = coordinator.run(&["get", "s3", "--reveal"]);
    let payload: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&payload["SessionToken"], run.stdout.len() as u64), (&SESSION.into(), length), "it, and nothing else");
    assert_eq!(coordinator.run(&["get", "s3", "--reveal", "--json"]).code, Some(2));
}

#[test]
fn get_prints_credentials_as_a_credential_process_does() {
    let home = TestEnvironment::with_s3(&granting(), "");
    let coordinator = Coordinator::start(&home);
    coordinator.until_ready();
    let run = coordinator.run(&["get", "s3", "--format", "aws-process"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let printed: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&printed["Version"], &printed["SessionToken"]), (&1.into(), &SESSION.into()));
    assert_eq!(printed["Expiration"], "2100-01-01T00:00:00Z");
    let run = coordinator.run(&["get", "s3", "--format", "env"]);
    let expected = format!("export AWS_ACCESS_KEY_ID='ASIAEXAMPLE'\nexport AWS_SECRET_ACCESS_KEY='secret-{SESSION}'\n");
    assert!(run.stdout.starts_with(&expected), "{}", run.stdout);
    assert_eq!(coordinator.run(&["get", "s3", "--format", "env", "--reveal"]).code, Some(2));
}

#[test]
fn get_writes_files_only_the_owner_can_read() {
    let home = TestEnvironment::with_s3(&granting(), "");
    home.write("credentials.json", "old");
    let coordinator = Coordinator::start(&home);
    let run = coordinator.run(&["get", "s3", "--wait", "30s", "--out", "credentials.json"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stdout.contains("bytes, in credentials.json"), "{}", run.stdout);
    assert_eq!(home.mode("credentials.json"), 0o600);
    assert!(home.read("credentials.json").contains(SESSION));

    std::fs::remove_file(home.path("credentials.json")).unwrap();
    symlink(home.path("elsewhere"), home.path("link")).unwrap();
    let run = coordinator.run(&["get", "s3", "--out", "link"]);
    assert_eq!((run.code, home.path("elsewhere").exists()), (Some(1), false), "{}", run.stderr);
}

#[test]
fn get_explains_a_timeout() {
    let home = TestEnvironment::with_s3(&failing(403, "", "AccessDenied"), "");
    let coordinator = Coordinator::start(&home);
    home.write("credentials.json", "old");
    coordinator.until("the answer", || coordinator.run(&["status"]).stdout.contains("denied"));
    let run = coordinator.run(&["get", "s3", "--wait", "100ms", "--out", "credentials.json"]);
    assert_snapshot!(home.masked_output(&run), @"
    exit code 3
    ----- stderr
    error: s3 is not ready: no lease yet; denied once: GetSessionToken: 403 AccessDenied: told by STS
    ");
    assert_eq!(home.read("credentials.json"), "old");
    let run = coordinator.run(&["get", "s3", "--wait", "61s"]);
    assert!(run.code == Some(2) && run.stderr.contains("at most 60s"), "{}", run.stderr);
}

#[test]
fn get_of_an_on_demand_instance_reports_the_call() {
    let home = TestEnvironment::with_s3(&granting(), "");
    let coordinator = Coordinator::start(&home);
    coordinator.until_ready();
    assert_snapshot!(home.masked_output(&coordinator.run(&["renew", "s3"])), @"
    exit code 0
    ----- stdout
    s3: obtaining a new lease; `deputy status` shows when it is there
    ");
    let run = coordinator.run(&["renew", "s3", "--json"]);
    assert_eq!(run.stdout, "{\"schema\":1,\"done\":\"renew\",\"instance\":\"s3\",\"by\":\"own\"}\n");
    assert_snapshot!(home.masked_output(&coordinator.run(&["revoke", "s3"])), @"
    exit code 2
    ----- stderr
    error: s3 cannot be revoked: its component exports no revocation; its lease expires by itself, and `deputy renew s3` replaces it now
    ");
}

#[test]
fn get_waits_for_a_coordinator_that_is_not_there_yet() {
    let home = TestEnvironment::with_s3(&granting(), "");
    let coordinator = Coordinator::start(&home);
    coordinator.until_ready();
    coordinator.kill();
    // No process listens at the socket that was left behind; later it is removed, as a clean stop does.
    for is_removed in [false, true] {
        let socket = state(&home).join("control.sock");
        if is_removed {
            std::fs::remove_file(&socket).unwrap();
        }
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| beside(&home, &["get", "s3", "--wait", "60s"]));
            std::thread::sleep(std::time::Duration::from_millis(500));
            assert!(!asked.is_finished());
            let again = Coordinator::start(&home);
            let run = asked.join().unwrap();
            assert_eq!(run.code, Some(0), "{}", run.stderr);
            again.kill();
        });
    }
    let run = beside(&home, &["get", "s3", "--wait", "300ms"]);
    assert!(run.code == Some(4) && run.stderr.contains("no coordinator is listening"), "{}", run.stderr);
}

#[test]
fn get_that_waits_keeps_no_place_of_others() {
    let home = TestEnvironment::with_s3(&failing(503, "", "Slow"), "");
    let coordinator = Coordinator::start(&home);
    let socket = state(&home).join("control.sock");
    let request = b"GET /v1/instances/s3/lease?wait=60s HTTP/1.1\r\nhost: deputy\r\n\r\n";
    let wait = || {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.write_all(request).unwrap();
        stream
    };
    // The server has 64 places for requests that are answered, and 256 for those that wait.
    // One that has not asked yet makes room for others, so they do not all come at once.
    let mut waiting = Vec::new();
    for _ in 0..16 {
        waiting.extend((0..16).map(|_| wait()));
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(coordinator.run(&["status"]).code, Some(0));
    coordinator.until("a reload waits as well", || coordinator.run(&["reload"]).code == Some(4));
    let mut answer = String::new();
    wait().read_to_string(&mut answer).unwrap();
    assert!(answer.contains("503") && answer.contains("\"kind\":\"busy\""), "{answer}");
    // Those that go give their places back at once.
    waiting.truncate(128);
    coordinator.until("there is room", || coordinator.run(&["reload"]).code == Some(0));
    drop(waiting);
    coordinator.until("there is a place", || {
        let mut stream = wait();
        stream.set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
        stream.read_to_string(&mut String::new()).is_err()
    });
}

#[test]
fn get_beside_a_workers_configuration_asks_the_worker() {
    let home = TestEnvironment::empty();
    home.write("worker.toml", "[worker]\nstate = \"worker-state\"\n");
    let run = home.run_with(&["get", "s3", "--wait", "0s"], &[("DEPUTY_STATE", "")]);
    assert_eq!(run.code, Some(4), "{}", run.stderr);
    assert!(run.stderr.contains("no worker is listening at") && !run.stderr.contains("deputy run"), "{}", run.stderr);
    home.write("deputy.toml", "");
    let run = home.run_with(&["get", "s3", "--wait", "0s"], &[("DEPUTY_STATE", "")]);
    assert!(run.stderr.contains("no coordinator is listening at"), "{}", run.stderr);
}
