//! `deputy exec --restart-on-change`

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::coordinator::state;
use crate::home::TestEnvironment;
use crate::worker::Worker;

/// How long anything may take on a machine with two busy cores.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program that says what happens to it, in the file `said`. Its variable has the lease.
const TALKATIVE: &str = "trap 'echo ended >>said; exit 0' TERM; trap 'echo used >>said; exit 0' USR1; \
    echo $TOKEN >>said; while :; do sleep 0.05; done";

/// `deputy exec` that stays, and its program.
struct Supervisor<'h> {
    home: &'h TestEnvironment,
    child: Child,
}

impl<'h> Supervisor<'h> {
    fn start(home: &'h TestEnvironment, grace: &str, script: &str) -> Self {
        let state = state(home);
        let mut command = home.command(&[("DEPUTY_STATE", state.to_str().unwrap()), ("PATH", "/usr/bin:/bin")]);
        command.args(["exec", "any", "--config", "worker.toml", "--env", "TOKEN", "--restart-on-change"]);
        command.args(["--grace", grace, "--", "/bin/sh", "-c", script]).stdin(Stdio::null()).stderr(Stdio::null());
        Self { home, child: command.spawn().unwrap() }
    }

    fn said(&self) -> String {
        if self.home.path("said").exists() { self.home.read("said") } else { String::new() }
    }

    #[track_caller]
    fn until_said(&self, text: &str) {
        let begun = Instant::now();
        while self.said() != text {
            assert!(begun.elapsed() < PATIENCE, "{:?} is said, not {text:?}", self.said());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("/bin/kill").args([format!("-{name}"), pid]).status().unwrap().success());
    }

    #[track_caller]
    fn end(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "it goes on; it said {:?}", self.said());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Supervisor<'_> {
    fn drop(&mut self) {
        // Its program ends with it.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn exec_restarts_a_program_for_a_new_lease() {
    let home = TestEnvironment::empty();
    let worker = Worker::start(&home, &[("any", "any", "first")]);
    let mut exec = Supervisor::start(&home, "30s", TALKATIVE);
    exec.until_said("first\n");
    worker.replace("any", "second");
    exec.until_said("first\nended\nsecond\n");
    exec.signal("TERM");
    assert_eq!(exec.end().code(), Some(0));
    assert_eq!(exec.said(), "first\nended\nsecond\nended\n");
}

#[test]
fn exec_kills_a_program_that_does_not_end_in_time() {
    let home = TestEnvironment::empty();
    let worker = Worker::start(&home, &[("any", "any", "first")]);
    let stubborn = TALKATIVE.replace("echo ended >>said; exit 0", "echo stays >>said");
    let mut exec = Supervisor::start(&home, "500ms", &stubborn);
    exec.until_said("first\n");
    worker.replace("any", "second");
    exec.until_said("first\nstays\nsecond\n");
    exec.signal("USR1");
    assert_eq!(exec.end().code(), Some(0));
    assert_eq!(exec.said(), "first\nstays\nsecond\nused\n");
}

#[test]
fn exec_gives_up_a_program_that_keeps_failing_after_a_restart() {
    let home = TestEnvironment::empty();
    let worker = Worker::start(&home, &[("any", "any", "first")]);
    let failing = format!("if [ -e said ]; then echo fails >>said; exit 9; fi; {TALKATIVE}");
    let mut exec = Supervisor::start(&home, "30s", &failing);
    exec.until_said("first\n");
    worker.replace("any", "second");
    assert_eq!(exec.end().code(), Some(9));
    assert_eq!(exec.said(), format!("first\nended\n{}", "fails\n".repeat(6)));
}

#[test]
fn exec_ends_with_a_program_that_ends_by_itself() {
    let home = TestEnvironment::empty();
    let _worker = Worker::start(&home, &[("any", "any", "first")]);
    for (script, code) in [("exit 0", 0), ("exit 42", 42), ("kill -KILL $$", 137)] {
        assert_eq!(Supervisor::start(&home, "30s", script).end().code(), Some(code), "{script}");
    }
}

#[test]
fn exec_leaves_no_program_behind_when_it_is_killed() {
    let home = TestEnvironment::empty();
    let _worker = Worker::start(&home, &[("any", "any", "first")]);
    let mut exec = Supervisor::start(&home, "30s", TALKATIVE);
    exec.until_said("first\n");
    exec.signal("KILL");
    assert_eq!(exec.end().signal(), Some(9));
    exec.until_said("first\nended\n");
}
