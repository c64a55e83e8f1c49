//! `deputy test --watch`: what runs the tests again, what is awaited, and what ends it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use deputy_test_servers::guest;

use crate::home::TestEnvironment;

const TEST: &str =
    "[instance]\ncomponent = \"guest.wasm\"\n[[call]]\nfunction = \"kinds\"\nexpect = { value = [\"hostile/1\"] }\n";

/// Longer than any machine takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// A command that runs until it is stopped, or the test fails.
struct Watching<'h> {
    home: &'h TestEnvironment,
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl<'h> Watching<'h> {
    fn start(home: &'h TestEnvironment) -> Self {
        let stderr = fs::File::create(home.path("stderr")).unwrap();
        let mut command = home.command(&[]);
        command.args(["test", ".", "--watch"]).stdout(Stdio::piped()).stderr(stderr);
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().map(BufReader::new);
        Self { home, child, stdout }
    }

    /// The lines up to the next summary, which is this one.
    #[track_caller]
    fn until(&mut self, expected: &str) -> String {
        let mut seen = String::new();
        loop {
            let before = seen.len();
            let read = self.stdout.as_mut().unwrap().read_line(&mut seen).unwrap();
            assert!(read > 0, "it ended: {seen}{}", self.home.read("stderr"));
            let line = seen[before..].trim_end();
            if line.contains(" passed, ") {
                // A file that was read while it was written is run once more.
                if line == expected {
                    return seen;
                }
            }
        }
    }

    #[track_caller]
    fn until_stderr(&self, expected: &str) {
        let began = Instant::now();
        while !self.home.read("stderr").contains(expected) {
            assert!(began.elapsed() < PATIENCE, "{expected} in {}", self.home.read("stderr"));
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn component_watch_runs_what_changed_until_it_is_stopped() {
    let home = TestEnvironment::empty();
    let component = fs::read(guest("benign-lifecycle").unwrap()).unwrap();
    fs::write(home.path("guest.wasm"), &component).unwrap();
    home.write("a.test.toml", TEST);
    home.write("b.test.toml", TEST);
    let mut watching = Watching::start(&home);
    watching.until("2 passed, 0 failed");
    home.write("a.test.toml", &TEST.replace("hostile/1", "hostile/2"));
    assert!(watching.until("1 passed, 1 failed").contains("hostile/2"));
    // What is wrong with one file is shown, and the others are run.
    home.write("a.test.toml", "[instance]\ncall = ?");
    watching.until("1 passed, 0 failed");
    watching.until_stderr("a.test.toml:2:8");
    home.write("a.test.toml", TEST);
    watching.until("2 passed, 0 failed");
    // A compiler that is half done.
    fs::write(home.path("guest.wasm"), &component[..component.len() / 2]).unwrap();
    watching.until("0 passed, 0 failed");
    watching.until_stderr("guest.wasm");
    fs::remove_file(home.path("guest.wasm")).unwrap();
    watching.until("0 passed, 0 failed");
    fs::write(home.path("guest.wasm"), &component).unwrap();
    watching.until("2 passed, 0 failed");
    home.write("c.test.toml", TEST);
    watching.until("3 passed, 0 failed");
    fs::remove_file(home.path("c.test.toml")).unwrap();
    watching.until("2 passed, 0 failed");
    let killed = Command::new("kill").args(["-INT", &watching.child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(watching.child.wait().unwrap().code(), Some(0), "{}", home.read("stderr"));
}

#[test]
fn component_watch_ends_when_its_reader_is_gone() {
    let home = TestEnvironment::empty();
    fs::copy(guest("benign-lifecycle").unwrap(), home.path("guest.wasm")).unwrap();
    home.write("a.test.toml", TEST);
    let mut watching = Watching::start(&home);
    watching.until("1 passed, 0 failed");
    watching.stdout = None;
    let began = Instant::now();
    let code = loop {
        if let Some(status) = watching.child.try_wait().unwrap() {
            break status.code();
        }
        assert!(began.elapsed() < PATIENCE, "it does not end");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(code, Some(0), "{}", home.read("stderr"));
}

#[test]
fn component_watch_is_bounded() {
    let home = TestEnvironment::empty();
    for at in 0..501 {
        home.write(&format!("{at}.test.toml"), TEST);
    }
    let run = home.run(&["test", ".", "--watch"]);
    assert_eq!(run.code, Some(2), "{}{}", run.stdout, run.stderr);
    assert!(run.stderr.contains("more than 500 tests to watch: name fewer"), "{}", run.stderr);
}
