//! Logs and audit logs that nothing reads or that are full: they delay and refuse only what has to be recorded.

use std::fs::{self, File};
use std::io::Read;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use deputy_coordinator::status::CoordinatorStatus;
use deputy_test_harness::{PATIENCE, TestEnvironment, asked_as, send_signal};
use deputy_test_servers::{free_ports, get};
use rustix::fs::{CWD, FileType, mknodat};
use serde_json::Value;

use crate::script::ScriptedServer;

/// A coordinator with a port for its health, whose streams a test reads or not.
struct Serving {
    child: Child,
    port: u16,
}

impl Serving {
    fn start(home: &TestEnvironment, port: u16, options: &[&str], stdout: Stdio, stderr: Stdio) -> Self {
        let mut command = home.command();
        let command = command.arg("run").args(options).stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        Self { child: command.spawn().unwrap(), port }
    }

    fn status_of(&self, path: &str) -> Option<u16> {
        Some(get(self.port, path)?.status)
    }

    #[track_caller]
    fn until(&self, what: &str, so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !so() {
            assert!(begun.elapsed() < PATIENCE, "{what}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it with SIGTERM, which it obeys whatever is unread.
    fn stop(mut self) -> Option<i32> {
        send_signal(self.child.id(), "TERM");
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(begun.elapsed() < PATIENCE, "it does not stop");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

/// A home with one instance and a port for its health.
fn home(script: &ScriptedServer, first: &str) -> (TestEnvironment, u16) {
    let [port] = free_ports().unwrap();
    let mut home = script.home().instance("a", "benign-obtain", &script.lines("a", ""));
    home.append(&format!("[coordinator]\nhealth = \"127.0.0.1:{port}\""));
    home.prepend(first);
    (home, port)
}

#[test]
fn log_that_is_not_read_stops_nothing_and_says_what_is_missing() {
    let script = ScriptedServer::granting();
    let (home, port) = home(&script, "");
    let mut serving = Serving::start(&home, port, &[], Stdio::null(), Stdio::piped());
    serving.until("it is ready", || serving.status_of("/readyz") == Some(200));
    // Each of these is a line of some 200 bytes; a pipe holds 64 KiB, and the queue 4,096 lines.
    for _ in 0..6000 {
        asked_as::<Value>(&home.socket(), "/v1/instances/a/lease");
    }
    assert_eq!(serving.status_of("/livez"), Some(200));
    assert!(asked_as::<CoordinatorStatus>(&home.socket(), "/v1/status").unwrap().ready);
    let mut stderr = serving.child.stderr.take().unwrap();
    let reading = thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).unwrap();
        text
    });
    assert_eq!(serving.stop(), Some(0));
    let text = reading.join().unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let dropped: u64 = lines.iter().filter_map(|line| line["fields"]["dropped"].as_u64()).sum();
    let written =
        lines.iter().filter(|line| line["fields"]["message"] == "payload sent over the control socket").count();
    // On a busy machine the lease is renewed meanwhile, and lines about that can be among the dropped.
    let all = written as u64 + dropped;
    assert!((6000..6020).contains(&all), "{written} written, {dropped} dropped");
    assert!(dropped > 0);
}

#[test]
fn log_that_is_not_read_does_not_keep_the_process_from_ending() {
    let script = ScriptedServer::granting();
    let (home, port) = home(&script, "");
    let serving = Serving::start(&home, port, &[], Stdio::null(), Stdio::piped());
    serving.until("it is ready", || serving.status_of("/readyz") == Some(200));
    for _ in 0..1000 {
        asked_as::<Value>(&home.socket(), "/v1/instances/a/lease");
    }
    assert_eq!(serving.stop(), Some(0));
}

#[test]
fn audit_that_is_not_read_refuses_and_keeps_all_else_alive() {
    let script = ScriptedServer::granting();
    let (home, port) = home(&script, "");
    let pipe = home.path("audit.pipe");
    mknodat(CWD, &pipe, FileType::Fifo, 0o600.into(), 0).unwrap();
    let serving = Serving::start(&home, port, &["--audit", "audit.pipe"], Stdio::null(), Stdio::null());
    serving.until("it says why", || {
        get(port, "/readyz").is_some_and(|answer| {
            answer.status == 503 && answer.body.contains("audit log not ready: nothing reads the audit log")
        })
    });
    assert_eq!(serving.status_of("/livez"), Some(200));
    assert!(get(port, "/metrics").unwrap().body.contains("deputy_audit_failing 1\n"));
    let mut reader = File::open(&pipe).unwrap();
    let (events, lines) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(read @ 1..) = reader.read(&mut bytes) {
            drop(events.send(String::from_utf8_lossy(&bytes[..read]).into_owned()));
        }
    });
    serving.until("it is ready", || serving.status_of("/readyz") == Some(200));
    let seen: String = std::iter::from_fn(|| lines.recv_timeout(Duration::from_secs(1)).ok()).collect();
    assert!(seen.contains("\"function\":\"obtain\""), "{seen}");
    assert_eq!(serving.stop(), Some(0));
}

#[test]
fn audit_to_an_unread_stdout_stops_nothing_else() {
    let script = ScriptedServer::new(|call| crate::script::lease(call, Duration::from_secs(1)));
    let (home, port) = home(&script, "[upstreams.default]\ncalls-per-minute = 6000\nburst = 100\n");
    let serving = Serving::start(&home, port, &["--audit", "-"], Stdio::piped(), Stdio::null());
    // Each call leaves some 700 bytes.
    rustix::pipe::fcntl_setpipe_size(serving.child.stdout.as_ref().unwrap(), 4096).unwrap();
    let begun = Instant::now();
    while !get(port, "/metrics").is_some_and(|answer| answer.body.contains("deputy_audit_failing 1\n")) {
        assert!(begun.elapsed() < PATIENCE, "the pipe is not full");
        drop(home.run_unchecked(&["renew", "a"]));
    }
    for _ in 0..20 {
        let asked_at = Instant::now();
        assert_eq!(serving.status_of("/livez"), Some(200));
        assert!(asked_at.elapsed() < Duration::from_secs(4), "{:?}", asked_at.elapsed());
    }
    assert_eq!(serving.stop(), Some(0));
}

#[test]
fn audit_file_is_reopened_on_sighup_and_on_reload() {
    let script = ScriptedServer::granting();
    let (home, port) = home(&script, "audit = \"audit.jsonl\"\n");
    let serving = Serving::start(&home, port, &[], Stdio::null(), Stdio::null());
    serving.until("it is ready", || serving.status_of("/readyz") == Some(200));
    let obtains = |name: &str| {
        let text = fs::read_to_string(home.path(name)).unwrap_or_default();
        text.lines().filter(|line| line.contains("\"function\":\"obtain\"")).count()
    };
    assert_eq!(obtains("audit.jsonl"), 1);
    for (number, reopen) in ["HUP", "reload"].into_iter().enumerate() {
        let rotated = format!("audit.jsonl.{number}");
        fs::rename(home.path("audit.jsonl"), home.path(&rotated)).unwrap();
        match reopen {
            "HUP" => send_signal(serving.child.id(), reopen),
            _ => drop(home.run_unchecked(&["reload"]).ends_with(0)),
        }
        serving.until("it is opened again", || home.path("audit.jsonl").exists());
        home.run_unchecked(&["renew", "a"]).ends_with(0);
        serving.until("the next call is there", || obtains("audit.jsonl") == 1);
        assert_eq!(obtains(&rotated), 1);
    }
    // A broken configuration is no reason to write on into what was rotated away.
    fs::rename(home.path("audit.jsonl"), home.path("audit.jsonl.3")).unwrap();
    home.edit("[coordinator]", "[coordinator");
    send_signal(serving.child.id(), "HUP");
    serving.until("it is opened again", || home.path("audit.jsonl").exists());
    assert_eq!(serving.stop(), Some(0));
}
