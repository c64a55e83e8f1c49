//! A secret leaves only when that is recorded, and every call has its event, however the process ends.

use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use deputy_test_harness::{PATIENCE, RunningCoordinator, TestEnvironment, exit, send_signal};
use serde_json::{Value, json};

use crate::script::ScriptedServer;

const TOKEN: &str = "canary-token-that-the-host-adds";

/// A service that takes requests and never answers.
fn hanging() -> ScriptedServer {
    ScriptedServer::new(|_| {
        thread::sleep(Duration::from_secs(600));
        String::new()
    })
}

/// The instance `api`, to whose requests the host adds a secret.
fn home(script: &ScriptedServer, lines: &str) -> TestEnvironment {
    let rules = script.lines("api", lines);
    let added = "headers = { authorization = { secret = \"token\", prefix = \"Bearer \" } }\n\
                 [instances.api.secrets.token]\nfile = \"secrets/token\"";
    let mut home = script.home().secret("token", TOKEN).instance("api", "benign-obtain", &format!("{rules}{added}\n"));
    home.prepend("audit = \"audit.jsonl\"\n");
    home
}

/// `deputy obtain`, once the request with the secret is at the service.
fn obtaining(home: &TestEnvironment, script: &ScriptedServer) -> Child {
    let mut command = home.command();
    let child =
        command.args(["obtain", "api"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let begun = Instant::now();
    while script.count("api", "obtain") == 0 {
        assert!(begun.elapsed() < PATIENCE, "no request");
        thread::sleep(Duration::from_millis(20));
    }
    child.unwrap()
}

/// Events of one kind, as outcomes.
fn outcomes(events: &[Value], kind: &str) -> Vec<String> {
    let of = events.iter().filter(|event| event["event"] == kind);
    of.map(|event| event["outcome"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn audit_of_a_killed_obtain_has_the_secret_used() {
    let script = hanging();
    let home = home(&script, "");
    let mut child = obtaining(&home, &script);
    child.kill().unwrap();
    child.wait().unwrap();
    let events = home.whole_audit("audit.jsonl");
    let http: Vec<_> = events.iter().filter(|event| event["event"] == "http").collect();
    assert_eq!(http.len(), 1, "{events:?}");
    assert_eq!((&http[0]["outcome"], &http[0]["injected"]), (&json!("begun"), &json!(["token"])));
}

#[test]
fn audit_of_an_interrupted_obtain_has_both_outcomes() {
    for name in ["TERM", "INT"] {
        let script = hanging();
        let home = home(&script, "");
        let mut child = obtaining(&home, &script);
        send_signal(child.id(), name);
        let begun = Instant::now();
        assert_eq!(child.wait().unwrap().code(), Some(exit::FAILED), "{name}");
        assert!(begun.elapsed() < Duration::from_secs(15), "{name}: {:?}", begun.elapsed());
        let events = home.whole_audit("audit.jsonl");
        assert_eq!(outcomes(&events, "http"), ["begun", "cancelled"], "{name}: {events:?}");
        // The first calls asked whether tokens are required, and for their kinds.
        assert_eq!(outcomes(&events, "call"), ["done", "done", "cancelled"], "{name}: {events:?}");
    }
}

#[test]
fn run_that_is_stopped_records_the_call_that_it_cut_off() {
    let script = hanging();
    let mut home = home(&script, "");
    home.append("[coordinator]\nshutdown = \"0s\"");
    let running = RunningCoordinator::start(&home);
    running.wait_until("the call", || script.count("api", "obtain") == 1);
    assert_eq!(running.stop(), Some(exit::OK));
    let events = home.whole_audit("audit.jsonl");
    let obtains: Vec<_> = events.iter().filter(|event| event["function"] == "obtain").collect();
    assert_eq!(obtains.len(), 1, "{events:?}");
    assert_eq!(obtains[0]["outcome"], "cancelled");
    assert_eq!(outcomes(&events, "http"), ["begun", "cancelled"], "{events:?}");
}

/// The audit's disk is full from the start: `/dev/full` takes nothing.
#[test]
fn obtain_that_cannot_be_recorded_sends_nothing() {
    let script = ScriptedServer::granting();
    let home = home(&script, "");
    let run = home.deputy(&["obtain", "api", "--audit", "/dev/full"]).ends_with(exit::UNAVAILABLE);
    assert!(run.stderr.contains("audit log"), "{}", run.stderr);
    assert_eq!(script.count("api", "obtain"), 0);
}

/// A process that was stopped while a call waited is not a component that took too long.
#[test]
fn audit_of_a_stopped_call_names_no_limit() {
    let script = ScriptedServer::new(|call| match call.number {
        1 => {
            thread::sleep(Duration::from_secs(600));
            String::new()
        }
        _ => crate::script::lease(call, Duration::from_secs(3600)),
    });
    let home = home(&script, "retry = { floor = \"1s\" }\nlimits = { wall = \"4s\" }");
    let running = RunningCoordinator::start(&home);
    running.wait_until("the call", || script.count("api", "obtain") == 1);
    running.signal("STOP");
    thread::sleep(Duration::from_secs(7));
    running.signal("CONT");
    running.wait_until("the next call", || script.count("api", "obtain") == 2 && running.revision("api") == 1);
    let ends: Vec<_> = home.audit("audit.jsonl").into_iter().filter(|event| event["function"] == "obtain").collect();
    assert_eq!((&ends[0]["outcome"], &ends[0]["code"]), (&json!("failed"), &json!("process-stopped")), "{ends:?}");
    assert_eq!(running.stop(), Some(exit::OK));
}

/// A service that hangs is unavailable: nothing was refused, and no limit is to be set higher.
#[test]
fn server_that_hangs_makes_a_call_unavailable() {
    let script = hanging();
    let home = home(&script, "limits = { first-byte = \"1s\" }");
    let run = home.deputy(&["obtain", "api"]).ends_with(exit::UNAVAILABLE);
    assert!(!run.stderr.contains(".limits]") && !run.stderr.contains("refused"), "{}", run.stderr);
    let events = home.audit("audit.jsonl");
    let http: Vec<_> = events.iter().filter(|event| event["event"] == "http").collect();
    assert_eq!((&http[0]["outcome"], &http[0]["code"]), (&json!("failed"), &json!("first-byte-timeout")), "{events:?}");
}
