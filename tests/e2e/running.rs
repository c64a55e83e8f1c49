//! A coordinator that runs, as an operator starts it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use deputy_coordinator::status::{CoordinatorStatus, InstanceStatus};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::deputy::{TestEnvironment, exit};

/// How long anything may take on a machine with two busy cores.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// `deputy run` in a home. It is killed when this is dropped.
pub(crate) struct RunningCoordinator<'h> {
    home: &'h TestEnvironment,
    child: Child,
}

/// Whether a coordinator's status shows that all its components are loaded, or can't be.
pub(crate) fn is_loaded(status: &CoordinatorStatus) -> bool {
    !status.starting && !status.instances.iter().any(InstanceStatus::is_loading)
}

impl<'h> RunningCoordinator<'h> {
    /// Starts it, and waits until it answers and has loaded its components.
    pub(crate) fn start(home: &'h TestEnvironment) -> Self {
        let running = Self::start_unseen(home);
        running.wait_until("it has started", || running.try_all().is_some_and(|status| is_loaded(&status)));
        running
    }

    /// Starts it, and waits for nothing.
    pub(crate) fn start_unseen(home: &'h TestEnvironment) -> Self {
        Self::start_as(home, home.command())
    }

    /// The same with a command of the home that was changed, such as one in another environment.
    pub(crate) fn start_as(home: &'h TestEnvironment, command: Command) -> Self {
        Self::start_logging(home, command, "debug")
    }

    /// The same with a level of the log.
    pub(crate) fn start_logging(home: &'h TestEnvironment, mut command: Command, level: &str) -> Self {
        let log = File::options().create(true).append(true).open(home.path("run.log")).unwrap();
        let command = command.args(["run", "--log", level]).stderr(log);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        Self { home, child }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it without a warning.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it with SIGTERM, and gives its exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        self.signal("TERM");
        self.end()
    }

    /// Waits until it ends by itself, and gives its exit code.
    pub(crate) fn end(&mut self) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(begun.elapsed() < PATIENCE, "it does not stop:\n{}", self.last_lines());
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("/bin/kill").args([format!("-{name}"), self.pid().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Whether it answers yet.
    pub(crate) fn answers(&self) -> bool {
        self.try_all().is_some_and(|status| !status.starting)
    }

    /// Its status, as the command prints it.
    pub(crate) fn printed_status(&self) -> CoordinatorStatus {
        self.home.deputy(&["status", "--json"]).ends_with(exit::OK).parsed()
    }

    /// The status of one instance, as the command prints it.
    pub(crate) fn printed_instance(&self, name: &str) -> InstanceStatus {
        self.home.deputy(&["status", name, "--json"]).ends_with(exit::OK).parsed()
    }

    /// The status of one instance, asked in the fastest way: for tests that poll.
    pub(crate) fn instance_status(&self, name: &str) -> InstanceStatus {
        self.try_instance(name).unwrap_or_else(|| panic!("no status of {name}: {}", self.log()))
    }

    /// Its status, asked in that way.
    pub(crate) fn all_status(&self) -> CoordinatorStatus {
        self.try_all().unwrap_or_else(|| panic!("no answer: {}", self.log()))
    }

    /// [`Self::printed_status`] as JSON.
    #[allow(dead_code, reason = "other suites include this file, and compare JSON")]
    pub(crate) fn status(&self) -> Value {
        self.home.deputy(&["status", "--json"]).ends_with(exit::OK).json()
    }

    /// [`Self::printed_instance`] as JSON.
    #[allow(dead_code, reason = "other suites include this file, and compare JSON")]
    pub(crate) fn instance(&self, name: &str) -> Value {
        self.home.deputy(&["status", name, "--json"]).ends_with(exit::OK).json()
    }

    /// [`Self::instance_status`] as JSON.
    #[allow(dead_code, reason = "other suites include this file, and compare JSON")]
    pub(crate) fn instance_now(&self, name: &str) -> Value {
        let answer = asked(&self.home.socket(), &format!("/v1/instances/{name}"));
        answer.unwrap_or_else(|| panic!("no answer of {name}: {}", self.log()))
    }

    /// [`Self::all_status`] as JSON.
    #[allow(dead_code, reason = "other suites include this file, and compare JSON")]
    pub(crate) fn all(&self) -> Value {
        asked(&self.home.socket(), "/v1/status").unwrap_or_else(|| panic!("no answer: {}", self.log()))
    }

    /// The revision of the lease that an instance gives out, 0 if there is none.
    pub(crate) fn revision(&self, name: &str) -> u64 {
        // The first one is shown while it is being saved.
        let saved = self.try_instance(name).filter(|now| now.state != "saving");
        saved.and_then(|now| now.lease).map_or(0, |lease| lease.revision)
    }

    fn try_all(&self) -> Option<CoordinatorStatus> {
        asked_as(&self.home.socket(), "/v1/status")
    }

    fn try_instance(&self, name: &str) -> Option<InstanceStatus> {
        asked_as(&self.home.socket(), &format!("/v1/instances/{name}"))
    }

    /// Waits until something is so.
    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, mut so: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !so() {
            assert!(begun.elapsed() < PATIENCE, "{what}: not after {} s\n{}", PATIENCE.as_secs(), self.last_lines());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn last_lines(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// What it told people when it could not go on: the last of its log that is not for programs.
    pub(crate) fn last_error(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().rev().take_while(|line| !line.starts_with('{')).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        let mut text = String::new();
        File::open(self.home.path("run.log")).unwrap().read_to_string(&mut text).unwrap();
        text
    }
}

/// The answer at a socket as JSON, if there is one.
#[allow(dead_code, reason = "other suites include this file, and compare JSON")]
pub(crate) fn asked(socket: &Path, path: &str) -> Option<Value> {
    asked_as(socket, path)
}

/// The answer at a socket, if there is one of this type.
pub(crate) fn asked_as<T: DeserializeOwned>(socket: &Path, path: &str) -> Option<T> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nhost: deputy\r\n\r\n").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    serde_json::from_str(body).ok()
}

impl Drop for RunningCoordinator<'_> {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            drop(self.child.kill());
            drop(self.child.wait());
            // The state, the log and the trail of a whole life.
            if !thread::panicking()
                && let Some(leak) = self.home.leak(b"", b"")
            {
                panic!("{leak}");
            }
        }
    }
}
