//! A program that serves until its value is dropped.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::Error;

/// Runs a program beside a watcher that ends it, and removes its folder, once our end of the pipe is closed. So neither
/// a killed test nor an interrupted demonstration leaves a server behind, and nothing unsafe is needed for that.
const WATCHED: &str = r#"
trap '' INT TERM HUP
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
echo $server >pid
{ cat <&3 >/dev/null; kill -9 $server; rm -rf $LEFTOVERS; } 2>/dev/null &
exec 3<&-
wait $server
"#;

/// How long a server may take until it serves. A machine with two busy cores needs most of it.
const PATIENCE: Duration = Duration::from_secs(90);

/// How many of its last lines are shown when something went wrong.
const LAST_LINES: usize = 40;

/// A server about to start.
pub struct Start {
    name: &'static str,
    folder: TempDir,
    leftovers: String,
    command: Command,
}

impl Start {
    /// A program with a folder of its own.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(name: &'static str, program: &Path) -> Result<Self, Error> {
        let folder = tempfile::Builder::new()
            .prefix(&format!("deputy-{name}-"))
            .tempdir()
            .map_err(|error| Error::new(format!("no folder for {name}: {error}")))?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", WATCHED, "watched"]).arg(program);
        command.current_dir(folder.path()).env("HOME", folder.path()).env("TMPDIR", folder.path());
        let leftovers = folder.path().display().to_string();
        Ok(Self { name, folder, leftovers, command })
    }

    /// The folder that ends with the server.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file into its folder.
    ///
    /// # Errors
    /// When that fails.
    pub fn file(&self, name: &str, contents: &str) -> Result<PathBuf, Error> {
        let path = self.folder().join(name);
        fs::write(&path, contents).map_err(|error| Error::new(format!("writing {}: {error}", path.display())))?;
        Ok(path)
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    /// Has a file removed that the server leaves outside its folder.
    #[must_use]
    pub fn leaves(mut self, file: &str) -> Self {
        self.leftovers.push(' ');
        self.leftovers.push_str(file);
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Starts it, and waits until it is ready.
    ///
    /// # Errors
    /// When it ends, or is not ready in time: with its last lines.
    pub fn until(mut self, is_ready: impl Fn() -> bool) -> Result<Server, Error> {
        let log = self.folder().join("log");
        let failed = |error: std::io::Error| Error::new(format!("starting {}: {error}", self.name));
        let out = File::create(&log).map_err(failed)?;
        self.command.env("LEFTOVERS", &self.leftovers);
        self.command.stdin(Stdio::piped()).stdout(out.try_clone().map_err(failed)?).stderr(out);
        let child = self.command.spawn().map_err(failed)?;
        let mut server = Server { name: self.name, child, folder: self.folder };
        let started = Instant::now();
        while !is_ready() {
            if let Ok(Some(status)) = server.child.try_wait() {
                return Err(Error::new(format!("{} ended with {status}:\n{}", server.name, server.last_lines())));
            }
            if started.elapsed() > PATIENCE {
                let text = format!("{} is not ready after {} s", server.name, PATIENCE.as_secs());
                return Err(Error::new(format!("{text}:\n{}", server.last_lines())));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(server)
    }
}

/// A running server. It ends when this is dropped; what it said last is shown when a test fails.
pub struct Server {
    name: &'static str,
    child: Child,
    folder: TempDir,
}

impl Server {
    /// The folder that ends with the server: a place for what belongs to it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Sends it a signal by its name: a server that is stopped with `STOP` hangs, and goes on after `CONT`.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&self, name: &str) -> Result<(), Error> {
        let failed = |error: std::io::Error| Error::new(format!("sending {name} to {}: {error}", self.name));
        let pid = fs::read_to_string(self.folder().join("pid")).map_err(failed)?;
        let status = Command::new("/bin/kill").args([format!("-{name}"), pid.trim().to_owned()]).status();
        match status.map_err(failed)?.success() {
            true => Ok(()),
            false => Err(Error::new(format!("{} has ended:\n{}", self.name, self.last_lines()))),
        }
    }

    /// What it said last.
    #[must_use]
    pub fn last_lines(&self) -> String {
        let text = fs::read(self.folder().join("log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let skipped = lines.len().saturating_sub(LAST_LINES);
        lines.into_iter().skip(skipped).map(|line| format!("    {}: {line}\n", self.name)).collect()
    }
}

impl Drop for Server {
    #[expect(clippy::print_stderr, reason = "a failed test shows what its servers said")]
    fn drop(&mut self) {
        if thread::panicking() {
            eprint!("{}", self.last_lines());
        }
        drop(self.child.stdin.take()); // the watcher ends the server
        if let Err(error) = self.child.wait() {
            eprintln!("{} did not end: {error}", self.name);
        }
    }
}
