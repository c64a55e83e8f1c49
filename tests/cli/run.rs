//! `deputy run`: what it needs, what it leaves alone, and what it logs.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;

use insta::assert_snapshot;
use serde_json::Value;

use crate::coordinator::{Coordinator, beside, state};
use crate::home::TestEnvironment;
use crate::service::granting;

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn run_refuses_a_locked_state_and_names_its_holder() {
    let home = TestEnvironment::with_s3(&granting(), "");
    let coordinator = Coordinator::start(&home);
    let run = beside(&home, &["run"]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains(&format!("is held by process {}", coordinator.pid())), "{}", run.stderr);
    coordinator.until_ready();
    assert_eq!(coordinator.run(&["status"]).code, Some(0), "the first one's socket is still its own");
}

#[test]
fn run_starts_nothing_with_an_invalid_file() {
    let home = TestEnvironment::with("[instances.s3]\ncomponent = \"s3-sts.wasm\"\nlifetme = \"1h\"\n");
    let run = beside(&home, &["run"]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("deputy.toml:3:1") && run.stderr.contains("nothing was started"), "{}", run.stderr);
    assert!(!state(&home).join("control.sock").exists());
}

#[test]
fn run_ends_for_good_where_a_setting_names_what_is_wrong() {
    let key = "[coordinator]\nkey = { file = \"state.key\" }\n";
    let health_tls = "[coordinator]\nhealth = \"127.0.0.1:1\"\nhealth-tls = { chain = \"none.pem\", key = { file = \"aws-key\" } }\n";
    for (lines, contents, text) in [
        (key, None, "cannot read the master key"),
        (key, Some("too short"), "the master key must be 32 bytes"),
        (health_tls, None, "see `health-tls` in [coordinator]"),
    ] {
        let home = TestEnvironment::with(lines);
        if let Some(contents) = contents {
            home.write("state.key", contents);
            home.restrict_mode("state.key");
        }
        let run = beside(&home, &["run"]);
        assert_eq!(run.code, Some(2), "{}", run.stderr);
        assert!(run.stderr.contains(text), "{}", run.stderr);
    }
}

#[test]
fn run_with_another_master_key_ends_for_good_as_doctor_says() {
    let home = TestEnvironment::with("[coordinator]\nkey = { file = \"state.key\" }\n");
    home.write("state.key", &"5a5b".repeat(16));
    home.restrict_mode("state.key");
    let doctor = beside(&home, &["doctor"]);
    assert!(doctor.stdout.contains("the master key can be used; there is no state yet"), "{}", doctor.stdout);
    assert!(!state(&home).exists(), "doctor makes no state");
    drop(Coordinator::start(&home));
    let doctor = beside(&home, &["doctor"]);
    assert!(doctor.stdout.contains("the master key opens the state"), "{}", doctor.stdout);

    home.write("state.key", &"5c5d".repeat(16));
    let doctor = beside(&home, &["doctor"]);
    let text = "the key does not fit this state directory";
    assert_eq!(doctor.code, Some(1), "{}", doctor.stdout);
    assert!(doctor.stdout.contains(text), "{}", doctor.stdout);
    let run = beside(&home, &["run"]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert!(run.stderr.contains(text), "{}", run.stderr);
    // What is no key is found without opening the state.
    home.write("state.key", "too short");
    let doctor = beside(&home, &["doctor"]);
    assert!(doctor.stdout.contains("failed   key       cannot read the master key"), "{}", doctor.stdout);
}

#[test]
fn socket_mode_is_owner_only_or_configured_group() {
    for (lines, expected) in [("", 0o600), ("control-mode = \"0660\"\n", 0o660)] {
        let home =
            TestEnvironment::with_s3(&granting(), &format!("[coordinator]\ncontrol = \"commands.sock\"\n{lines}"));
        let coordinator = Coordinator::start(&home);
        let socket = home.path("commands.sock");
        assert!(fs::symlink_metadata(&socket).unwrap().file_type().is_socket());
        assert_eq!((mode(&socket), mode(&state(&home))), (expected, 0o700));
        assert_eq!(coordinator.run(&["reload"]).stdout, "unchanged  1\n");
        assert!(!state(&home).join("control.sock").exists());
    }
}

#[test]
fn socket_left_behind_is_replaced_but_no_other_file() {
    let home = TestEnvironment::with_s3(&granting(), "[coordinator]\ncontrol = \"commands.sock\"\n");
    let socket = home.path("commands.sock");
    let coordinator = Coordinator::start(&home);
    coordinator.kill();
    assert!(socket.exists(), "it was not removed");
    drop(Coordinator::start(&home));

    let refused = |why: &str| {
        let run = beside(&home, &["run"]);
        assert_eq!(run.code, Some(1));
        assert!(run.stderr.contains(why) && run.stderr.contains("names the socket"), "{}", run.stderr);
    };
    fs::remove_file(&socket).unwrap();
    let other = UnixListener::bind(&socket).unwrap();
    refused("another process is listening there");
    drop(other);
    fs::remove_file(&socket).unwrap();
    fs::write(&socket, "a file").unwrap();
    refused("the path exists and is not a socket");
    assert_eq!(home.read("commands.sock"), "a file");
    fs::remove_file(&socket).unwrap();
    fs::create_dir(&socket).unwrap();
    refused("the path exists and is not a socket");
}

#[test]
fn run_names_a_port_that_is_in_use() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let home = TestEnvironment::with_s3(&granting(), &format!("[coordinator]\nhealth = \"{address}\"\n"));
    assert_snapshot!(home.masked_output(&beside(&home, &["run", "--log", "off"])), @"
    exit code 1
    ----- stderr
    error: cannot listen for health checks and metrics at 127.0.0.1:[PORT]
      because Address already in use (os error 98)
    hint: `health` in [coordinator] names the address: does another process use it?
    ");
}

#[test]
fn log_without_a_terminal_is_json_lines() {
    let home = TestEnvironment::with_s3(&granting(), "");
    let coordinator = Coordinator::start_with(&home, &["--log", "trace"]);
    coordinator.until("a lease", || coordinator.log().contains("lease published"));
    let log = coordinator.log();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert!(lines.len() >= 4, "{log}");
    for line in &lines {
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        assert!(text("target").starts_with("deputy") && !text("level").is_empty() && text("timestamp").ends_with('Z'));
        assert!(line["fields"]["message"].is_string(), "{line}");
    }
    let published = lines.iter().find(|line| line["fields"]["message"] == "lease published").unwrap();
    assert_eq!((&published["fields"]["instance"], &published["fields"]["revision"]), (&"s3".into(), &"1".into()));
}

#[test]
fn audit_can_be_the_only_output_of_run() {
    let home = TestEnvironment::with_s3(&granting(), "");
    let coordinator = Coordinator::start_with(&home, &["--audit", "trail.jsonl"]);
    coordinator.until("a lease", || coordinator.log().contains("lease published"));
    let trail = home.read("trail.jsonl");
    let functions: Vec<Value> =
        trail.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["function"].clone()).collect();
    assert!(functions.contains(&"obtain".into()), "{trail}");
    assert_eq!(home.mode("trail.jsonl"), 0o600);
}
