//! A program that serves until its value is dropped.

use std::env;
use std::ffi::{OsStr, OsString};
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
(trap - TERM; exec "$@") </dev/null 3<&- &
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
        Self::entering(name, &[], program)
    }

    /// The same with the beginning of a command that runs the program elsewhere.
    pub(crate) fn entering(name: &'static str, entering: &[OsString], program: &Path) -> Result<Self, Error> {
        let folder = tempfile::Builder::new()
            .prefix(&format!("deputy-{name}-"))
            .tempdir()
            .map_err(|error| Error::new(format!("no folder for {name}: {error}")))?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", WATCHED, "watched"]).args(entering).arg(program);
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

    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    /// Leaves nothing of this process's environment to it but PATH.
    #[must_use]
    pub fn bare(mut self) -> Self {
        self.command.env_clear().env("PATH", env::var_os("PATH").unwrap_or_default());
        self.command.env("HOME", self.folder.path()).env("TMPDIR", self.folder.path());
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
    pub fn until(self, is_ready: impl Fn() -> bool) -> Result<Server, Error> {
        self.until_within(PATIENCE, is_ready)
    }

    /// The same within a time of its own.
    pub(crate) fn until_within(self, patience: Duration, is_ready: impl Fn() -> bool) -> Result<Server, Error> {
        let mut server = self.begin()?;
        server.wait_within(patience, is_ready)?;
        Ok(server)
    }

    /// Starts it, for [`Server::wait_until`]: a member of a cluster is ready only once others are there.
    pub(crate) fn begin(self) -> Result<Server, Error> {
        self.spawn("log")
    }

    /// Runs it to its end, and returns what it printed on stdout.
    ///
    /// # Errors
    /// When it fails or takes longer than the limit, which ends it: with its last lines.
    pub fn run(self, limit: Duration) -> Result<String, Error> {
        let mut server = self.spawn("out")?;
        let started = Instant::now();
        loop {
            let status = server.child.try_wait().map_err(|error| Error::new(format!("{}: {error}", server.name)))?;
            let out =
                || String::from_utf8_lossy(&fs::read(server.folder().join("out")).unwrap_or_default()).into_owned();
            match status {
                Some(status) if status.success() => return Ok(out()),
                Some(status) => {
                    let said = format!("{}{}", out(), server.last_lines());
                    return Err(Error::new(format!("{} ended with {status}:\n{said}", server.name)));
                }
                None if started.elapsed() > limit => {
                    let text = format!("{} has not ended after {} s", server.name, limit.as_secs());
                    return Err(Error::new(format!("{text}:\n{}", server.last_lines())));
                }
                None => thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    /// Starts it, its stderr into the file `log` and its stdout into that file or another one.
    fn spawn(mut self, stdout: &str) -> Result<Server, Error> {
        let failed = |error: std::io::Error| Error::new(format!("starting {}: {error}", self.name));
        let log = File::create(self.folder.path().join("log")).map_err(failed)?;
        let out = match stdout {
            "log" => log.try_clone(),
            other => File::create(self.folder.path().join(other)),
        };
        self.command.env("LEFTOVERS", &self.leftovers);
        self.command.stdin(Stdio::piped()).stdout(out.map_err(failed)?).stderr(log);
        let child = self.command.spawn().map_err(failed)?;
        Ok(Server { name: self.name, child, folder: self.folder })
    }
}

/// A running server. It ends when this is dropped; what it said last is shown when a test fails.
pub struct Server {
    name: &'static str,
    child: Child,
    folder: TempDir,
}

impl Server {
    /// Waits until it is ready.
    pub(crate) fn wait_until(&mut self, is_ready: impl Fn() -> bool) -> Result<(), Error> {
        self.wait_within(PATIENCE, is_ready)
    }

    fn wait_within(&mut self, patience: Duration, is_ready: impl Fn() -> bool) -> Result<(), Error> {
        let started = Instant::now();
        while !is_ready() {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(Error::new(format!("{} ended with {status}:\n{}", self.name, self.last_lines())));
            }
            if started.elapsed() > patience {
                let text = format!("{} is not ready after {} s", self.name, patience.as_secs());
                return Err(Error::new(format!("{text}:\n{}", self.last_lines())));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

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

    /// Asks it to end in an orderly way, and waits until it has.
    ///
    /// # Errors
    /// When it does not: it is then ended without asking.
    pub fn end(mut self) -> Result<(), Error> {
        self.signal("TERM")?;
        let asked = Instant::now();
        while self.child.try_wait().is_ok_and(|status| status.is_none()) {
            if asked.elapsed() > PATIENCE {
                return Err(Error::new(format!("{} does not end:\n{}", self.name, self.last_lines())));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
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
