//! An engine that is a worker by itself: the example of `engines/object-store` lists a real bucket while a real
//! coordinator replaces its credentials.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use deputy_coordinator::{WorkerList, WorkerStatus};
use deputy_test_harness::{PATIENCE, RunningCoordinator, TestEnvironment, exit};
use deputy_test_servers::{engine, free_ports};

use crate::{s3, servers};

/// A coordinator whose instance `s3` is replaced long before it ends, and is delivered to the group `engines`.
fn home() -> TestEnvironment {
    let mut home = s3::home_with(
        "lifetime = \"20s\"\nrenew = { ratio = 0.1 }\nretry = { floor = \"100ms\" }\ndeliver-to = [\"engines\"]\n",
    );
    let [port] = free_ports().unwrap();
    home.append(&format!("[coordinator]\nlisten = \"127.0.0.1:{port}\"\n"));
    home
}

/// The example, as it runs beside an engine's own work.
struct Engine {
    child: Child,
}

impl Engine {
    fn start(home: &TestEnvironment, group: &str, instance: &str) -> Self {
        let args = ["token", "create", "--group", group, "--out", "secrets/join"];
        home.deputy(&args).ends_with(exit::OK);
        let log = |name: &str| File::create(home.path(name)).unwrap();
        let mut command = Command::new(engine("list").unwrap());
        command.args(["--join", "secrets/join", "--instance", instance, "--bucket", "bucket"]);
        command.args(["--endpoint", &servers::seaweed().endpoint()]);
        command.env_clear().current_dir(home.path("")).stdin(Stdio::null());
        let child = command.stdout(log("listed")).stderr(log("engine.log")).spawn().unwrap();
        Self { child }
    }

    /// Whether it has ended, and well.
    fn ended(&mut self) -> Option<bool> {
        self.child.try_wait().unwrap().map(|status| status.success())
    }

    /// Waits until it has ended, and gives what it said last.
    fn end(mut self, home: &TestEnvironment) -> String {
        let begun = Instant::now();
        while self.ended().is_none() {
            assert!(begun.elapsed() < PATIENCE, "it goes on");
            thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(self.ended(), Some(false));
        fs::read_to_string(home.path("engine.log")).unwrap()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The keys with which the bucket was listed, each once and in order.
fn keys(home: &TestEnvironment) -> Vec<String> {
    let listed = fs::read_to_string(home.path("listed")).unwrap();
    let mut keys: Vec<String> = Vec::new();
    for line in listed.lines() {
        let (count, key) = line.split_once(" objects with ").unwrap_or_else(|| panic!("{line}"));
        assert!(count.parse::<usize>().unwrap() >= 1, "{line}");
        if keys.last().is_none_or(|last| last != key) {
            keys.push(key.to_owned());
        }
    }
    keys
}

/// What the coordinator says of its only worker.
fn worker(home: &TestEnvironment) -> WorkerStatus {
    let list: WorkerList = home.deputy(&["workers", "--json"]).ends_with(exit::OK).parsed();
    list.workers[0].clone()
}

#[test]
fn engine_lists_a_bucket_through_rotations_until_removed() {
    s3::object(&s3::obtained(), "listed").unwrap();
    let home = home();
    let running = RunningCoordinator::start(&home);
    let mut engine = Engine::start(&home, "engines", "s3");
    running.wait_until("three leases were listed with", || {
        assert_eq!(engine.ended(), None, "{}", fs::read_to_string(home.path("engine.log")).unwrap());
        keys(&home).len() >= 3
    });
    let keys_by_now = keys(&home);
    assert!((1..keys_by_now.len()).all(|at| !keys_by_now[..at].contains(&keys_by_now[at])), "{keys_by_now:?}");
    running.wait_until("the coordinator hears what is in use", || worker(&home).applied[0].revision >= Some(3));
    let worker = worker(&home);
    assert_eq!((worker.group.as_str(), worker.connected), ("engines", true), "{worker:?}");
    assert_eq!(worker.version.as_deref(), Some("list-0.1"));

    home.deputy(&["workers", "remove", &worker.id]).ends_with(exit::OK);
    let said = engine.end(&home);
    assert!(said.contains("the lease of s3 expired at") && said.contains("was removed"), "{said}");
    assert_eq!(running.stop(), Some(exit::OK));
}

#[test]
fn engine_of_another_group_fails_at_once() {
    let home = home();
    let running = RunningCoordinator::start(&home);
    let said = Engine::start(&home, "others", "s3").end(&home);
    assert!(said.contains("s3 is not delivered to the group others"), "{said}");
    assert!(keys(&home).is_empty());
    assert_eq!(running.stop(), Some(exit::OK));
}
