//! A coordinator that runs in a home.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::home::{CommandOutput, TestEnvironment};

/// How long anything may take on a machine with two busy cores.
const PATIENCE: Duration = Duration::from_secs(60);

/// `deputy run`, with state of its own. It is killed when this is dropped.
pub(crate) struct Coordinator<'h> {
    home: &'h TestEnvironment,
    child: Child,
}

impl<'h> Coordinator<'h> {
    /// Starts it, and waits until it answers and has loaded its components.
    pub(crate) fn start(home: &'h TestEnvironment) -> Self {
        let this = Self::start_with(home, &[]);
        this.until("it has started", || {
            let status = this.run(&["status", "--json"]).stdout;
            status.contains("\"starting\":false") && !status.contains("\"state\":\"loading\"")
        });
        this
    }

    /// Starts it with options, and waits for nothing.
    pub(crate) fn start_with(home: &'h TestEnvironment, options: &[&str]) -> Self {
        compiled(home);
        let log = File::create(home.path("run.log")).unwrap();
        let mut command = home.command(&[("DEPUTY_STATE", state(home).to_str().unwrap())]);
        let child = command.arg("run").args(options).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Self { home, child }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Runs the program beside it, on the same state.
    pub(crate) fn run(&self, arguments: &[&str]) -> CommandOutput {
        beside(self.home, arguments)
    }

    /// Waits until something is so.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !so() {
            assert!(begun.elapsed() < PATIENCE, "{what}: not after {PATIENCE:?}\n{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the instance `s3` is ready.
    pub(crate) fn until_ready(&self) {
        self.until("a lease", || self.run(&["status"]).stdout.ends_with("1 of 1 ready\n"));
    }

    pub(crate) fn log(&self) -> String {
        self.home.read("run.log")
    }

    /// Ends it without a warning.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Coordinator<'_> {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

/// Runs the program on the state that a coordinator has in this home, or would have.
pub(crate) fn beside(home: &TestEnvironment, arguments: &[&str]) -> CommandOutput {
    home.run_with(arguments, &[("DEPUTY_STATE", state(home).to_str().unwrap())])
}

pub(crate) fn state(home: &TestEnvironment) -> PathBuf {
    home.path("state")
}

/// Puts the compiled provider there, with the key that authenticates it: compiling takes longer than all else.
fn compiled(home: &TestEnvironment) {
    let (from, to) = (TestEnvironment::shared_state().join("components"), state(home).join("components"));
    if to.exists() {
        return;
    }
    assert_eq!(home.run(&["inspect", "s3-sts.wasm"]).code, Some(0));
    DirBuilder::new().recursive(true).mode(0o700).create(&to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        // What another test compiles at this moment is not there for long.
        if entry.path().extension().is_some_and(|extension| extension == "cwasm") {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
    fs::copy(TestEnvironment::shared_state().join("key"), state(home).join("key")).unwrap();
}
