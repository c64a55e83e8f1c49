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

use crate::environment::{TestEnvironment, exit};

/// How long anything may take on a machine with two busy cores.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// `deputy run` in a home. It is killed when this is dropped.
pub struct RunningCoordinator<'h> {
    home: &'h TestEnvironment,
    child: Child,
}

/// Whether a coordinator's status shows that all its components are loaded, or can't be, and the leases of its leader read.
pub fn is_loaded(status: &CoordinatorStatus) -> bool {
    !status.starting && !status.instances.iter().any(|instance| instance.is_loading() || instance.is_being_read())
}

impl<'h> RunningCoordinator<'h> {
    /// Starts it, and waits until it answers and has loaded its components.
    pub fn start(home: &'h TestEnvironment) -> Self {
        let running = Self::start_unseen(home);
        running.wait_until("it has started", || running.try_all().is_some_and(|status| is_loaded(&status)));
        running
    }

    /// Starts it, and waits for nothing.
    pub fn start_unseen(home: &'h TestEnvironment) -> Self {
        Self::start_as(home, home.command())
    }

    /// The same with a command of the home that was changed, such as one in another environment.
    pub fn start_as(home: &'h TestEnvironment, command: Command) -> Self {
        Self::start_logging(home, command, "debug")
    }

    /// The same with a level of the log.
    pub fn start_logging(home: &'h TestEnvironment, mut command: Command, level: &str) -> Self {
        let log = File::options().create(true).append(true).open(home.path("run.log")).unwrap();
        let command = command.args(["run", "--log", level]).stderr(log);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        Self { home, child }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it without a warning.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it with SIGTERM, and gives its exit code.
    pub fn stop(mut self) -> Option<i32> {
        self.signal("TERM");
        self.end()
    }

    /// Waits until it ends by itself, and gives its exit code.
    pub fn end(&mut self) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(begun.elapsed() < PATIENCE, "it does not stop:\n{}", self.last_lines());
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn signal(&self, name: &str) {
        send_signal(self.pid(), name);
    }

    /// Whether it answers yet.
    pub fn answers(&self) -> bool {
        self.try_all().is_some_and(|status| !status.starting)
    }

    /// Its status, as the command prints it.
    pub fn printed_status(&self) -> CoordinatorStatus {
        self.home.deputy(&["status", "--json"]).ends_with(exit::OK).parsed()
    }

    /// The status of one instance, as the command prints it.
    pub fn printed_instance(&self, name: &str) -> InstanceStatus {
        self.home.deputy(&["status", name, "--json"]).ends_with(exit::OK).parsed()
    }

    /// The status of one instance, asked in the fastest way: for tests that poll.
    pub fn instance_status(&self, name: &str) -> InstanceStatus {
        self.try_instance(name).unwrap_or_else(|| panic!("no status of {name}: {}", self.log()))
    }

    /// Its status, asked in that way.
    pub fn all_status(&self) -> CoordinatorStatus {
        self.try_all().unwrap_or_else(|| panic!("no answer: {}", self.log()))
    }

    /// The revision of the lease that an instance publishes, 0 if there is none.
    pub fn revision(&self, name: &str) -> u64 {
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
    pub fn wait_until(&self, what: &str, mut so: impl FnMut() -> bool) {
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
    pub fn last_error(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().rev().take_while(|line| !line.starts_with('{')).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    pub fn log(&self) -> String {
        let mut text = String::new();
        File::open(self.home.path("run.log")).unwrap().read_to_string(&mut text).unwrap();
        text
    }
}

/// Sends a signal to a process.
#[track_caller]
pub fn send_signal(pid: u32, name: &str) {
    let status = Command::new("/bin/kill").args([format!("-{name}"), pid.to_string()]).status();
    assert!(status.unwrap().success(), "SIG{name} to {pid}");
}

/// The answer at a socket, if there is one of this type.
pub fn asked_as<T: DeserializeOwned>(socket: &Path, path: &str) -> Option<T> {
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
