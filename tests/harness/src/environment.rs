//! The program as an operator runs it, and what must hold after every run.

use std::fs::{self, DirBuilder};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock};

use deputy_test_servers::guest;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tempfile::TempDir;

use crate::programs::{deputy_program, lasting_folder};
use crate::secret_search::SecretSearch;

/// What the exit codes are called.
pub mod exit {
    pub const OK: i32 = 0;
    pub const FAILED: i32 = 1;
    pub const MISCONFIGURED: i32 = 2;
    pub const DENIED: i32 = 3;
    pub const UNAVAILABLE: i32 = 4;
    pub const REFUSED: i32 = 5;
}

/// A folder with a configuration, secrets and state: a machine that has nothing else.
pub struct TestEnvironment {
    folder: TempDir,
    state: PathBuf,
    config: String,
    canaries: Mutex<Vec<String>>,
}

/// What the program did.
pub struct CommandOutput {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Default for TestEnvironment {
    fn default() -> Self {
        Self::new()
    }
}

impl TestEnvironment {
    /// With state of its own: every component is compiled again.
    pub fn new() -> Self {
        Self::with_state("state")
    }

    /// With the state folder of this target directory: components in Python and JavaScript take long to compile.
    pub fn with_compiled(component: &str) -> Self {
        static COMPILING: Mutex<()> = Mutex::new(());
        let home = Self::in_target("e2e-state");
        // One after the other: tests that run beside each other would each compile it.
        let _compiling = COMPILING.lock();
        home.deputy(&["inspect", guest(component).unwrap().to_str().unwrap()]).ends_with(exit::OK);
        home
    }

    /// With state of its own, in which the guests that follow a script are compiled already.
    pub fn with_script() -> Self {
        static COMPILED: OnceLock<PathBuf> = OnceLock::new();
        let compiled = COMPILED.get_or_init(|| Self::compiled("script-state", &["benign-lifecycle", "benign-obtain"]));
        let home = Self::new();
        copy_compiled(compiled, &home.state);
        home
    }

    /// A state directory of this target directory in which these components are compiled.
    pub fn compiled(state: &str, components: &[&str]) -> PathBuf {
        let home = Self::in_target(state);
        for component in components {
            home.deputy(&["inspect", guest(component).unwrap().to_str().unwrap()]).ends_with(exit::OK);
        }
        home.state
    }

    /// With a state folder of this target directory, which later runs find again.
    pub fn in_target(state: &str) -> Self {
        Self::with_state(lasting_folder(state))
    }

    /// Where its state is.
    pub fn state(&self) -> &Path {
        &self.state
    }

    fn with_state(state: impl AsRef<Path>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("secrets")).unwrap();
        let state = folder.path().join(state);
        let home = Self { folder, state, config: String::new(), canaries: Mutex::default() };
        home.write();
        home
    }

    /// Adds an instance of a component. `lines` is what stands below `[instances.NAME]`.
    pub fn instance(mut self, name: &str, component: &str, lines: &str) -> Self {
        let component = guest(component).unwrap();
        self.append(&format!("[instances.{name}]\ncomponent = {component:?}\n{lines}"));
        self
    }

    /// Adds lines to the configuration.
    pub fn append(&mut self, lines: &str) {
        self.config.push_str(lines);
        self.config.push('\n');
        self.write();
    }

    /// Adds lines before all others.
    pub fn prepend(&mut self, lines: &str) {
        self.config.insert_str(0, lines);
        self.write();
    }

    /// Replaces a part of the configuration, which must be there once.
    pub fn replace(&mut self, old: &str, new: &str) {
        assert_eq!(self.config.matches(old).count(), 1, "{old} in {}", self.config);
        self.config = self.config.replace(old, new);
        self.write();
    }

    /// Replaces a part of the configuration's file, which must be there once, while the program runs.
    pub fn edit(&self, old: &str, new: &str) {
        let config = fs::read_to_string(self.path("deputy.toml")).unwrap();
        assert_eq!(config.matches(old).count(), 1, "{old} in {config}");
        fs::write(self.path("deputy.toml"), config.replace(old, new)).unwrap();
    }

    /// Notes a value that must never be seen again, but in a file below `secrets`.
    pub fn canary(self, value: &str) -> Self {
        self.canaries.lock().unwrap().push(value.to_owned());
        self
    }

    /// Keeps a secret in a file of its own, `secrets/NAME`. Its value must never be seen again.
    pub fn secret(self, name: &str, value: &str) -> Self {
        self.put_secret(name, value);
        self.register_secret(value);
        self
    }

    /// Writes the file of a secret that was not there, or that is another one now.
    pub fn put_secret(&self, name: &str, contents: &str) {
        let mut file = fs::OpenOptions::new();
        let file = file.write(true).create(true).truncate(true).mode(0o600).open(self.path("secrets").join(name));
        file.unwrap().write_all(contents.as_bytes()).unwrap();
    }

    /// Looks for a value from now on that must not be shown, such as one that was obtained.
    pub fn register_secret(&self, value: &str) {
        let mut canaries = self.canaries.lock().unwrap();
        if !canaries.iter().any(|canary| canary == value) {
            canaries.push(value.to_owned());
        }
    }

    /// Keeps an output, so that it is searched with everything else.
    pub fn record_output(&self, to: &str, text: &str) {
        fs::create_dir_all(self.path("said")).unwrap();
        let file = fs::OpenOptions::new().create(true).append(true).open(self.path("said").join(to));
        file.unwrap().write_all(text.as_bytes()).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where a coordinator takes commands: beside its configuration, if that says so.
    pub fn socket(&self) -> PathBuf {
        let configured = self.path("control.sock");
        if configured.exists() { configured } else { self.state.join("control.sock") }
    }

    /// A command that `deputy` prints for the configuration and state of this folder.
    pub fn printed_command(&self, command: &str) -> String {
        let config = self.path("deputy.toml");
        format!("deputy {command} --config {} --state {}", config.display(), self.state.display())
    }

    /// Runs the program and sees that it told no secret to anybody.
    #[must_use]
    pub fn deputy(&self, args: &[&str]) -> CommandOutput {
        let mut command = self.command();
        command.args(args);
        self.deputy_as(command)
    }

    /// The same by a command that was changed.
    #[must_use]
    pub fn deputy_as(&self, command: Command) -> CommandOutput {
        let run = output(command);
        if let Some(leak) = self.leak(run.stdout.as_bytes(), run.stderr.as_bytes()) {
            panic!("{leak}");
        }
        run
    }

    /// Runs the program for a test that polls: its output is searched at the end.
    #[must_use]
    pub fn run_unchecked(&self, args: &[&str]) -> CommandOutput {
        let mut command = self.command();
        command.args(args);
        let run = output(command);
        self.record_output("who-asked-stdout", &run.stdout);
        self.record_output("who-asked-stderr", &run.stderr);
        run
    }

    /// The program in this home, ready for its arguments.
    pub fn command(&self) -> Command {
        let mut command = self.program();
        command.arg("--config").arg(self.path("deputy.toml")).arg("--state").arg(&self.state);
        command
    }

    /// The program with nothing but its environment, in which there is nothing.
    pub fn program(&self) -> Command {
        let mut command = Command::new(deputy_program());
        command.env_clear().env("COLUMNS", "200").current_dir(self.folder.path());
        command
    }

    /// The audit events of a file, in order, without what was recorded of a use before it began.
    pub fn audit(&self, name: &str) -> Vec<Value> {
        self.whole_audit(name).into_iter().filter(|event| event["outcome"] != "begun").collect()
    }

    /// All audit events of a file, in order; none if there is no file yet.
    pub fn whole_audit(&self, name: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.path(name)).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn write(&self) {
        fs::write(self.path("deputy.toml"), &self.config).unwrap();
    }

    /// Looks for every secret, in every form in which it might have got away, in all that was said and written.
    pub fn leak(&self, stdout: &[u8], stderr: &[u8]) -> Option<String> {
        let mut places = vec![("stdout".into(), stdout.to_vec()), ("stderr".into(), stderr.to_vec())];
        files(self.folder.path(), &mut places);
        assert!(places.len() >= 3, "nothing was searched");
        let wanted = SecretSearch::new(self.canaries.lock().unwrap().iter());
        places.iter().find_map(|(place, bytes)| {
            wanted.found_in(bytes).map(|form| format!("a secret is in {} as {form}", place.display()))
        })
    }
}

/// Gives a state directory another one's compiled components, and the key in it, if there is one, which authenticates them.
pub fn copy_compiled(from: &Path, to: &Path) {
    let components = to.join("components");
    DirBuilder::new().recursive(true).mode(0o700).create(&components).unwrap();
    for entry in fs::read_dir(from.join("components")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), components.join(entry.file_name())).unwrap();
    }
    if from.join("key").exists() {
        fs::copy(from.join("key"), to.join("key")).unwrap();
    }
}

impl CommandOutput {
    /// Sees that the program ended with this code.
    #[track_caller]
    pub fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// What it printed for programs.
    #[track_caller]
    pub fn parsed<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }

    /// What it printed for programs, whatever it is.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// Every file below a folder but the secrets themselves.
fn files(folder: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    // A process that runs replaces its files and folders.
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("secrets") {
                files(&path, found);
            }
        } else if path.is_file()
            && let Ok(bytes) = fs::read(&path)
        {
            found.push((path, bytes));
        }
    }
}

fn output(mut command: Command) -> CommandOutput {
    let output = command.stdin(Stdio::null()).output().unwrap();
    CommandOutput {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
