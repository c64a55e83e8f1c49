//! What every command needs: streams, configuration, state directory, sockets.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use deputy_audit::Audit;
use deputy_config::{ConfigKind, ConfigPaths, CoordinatorFile, WorkerConfig};
use deputy_core::{SecretSource, Timestamp};
use deputy_files::shell_quoted;
use deputy_host::{Platform, coordinator, sandbox, worker};
use deputy_local::SocketPeer;
use deputy_sandbox::{ComponentFolders, Resolver, Sandbox, StandIn};
use deputy_sources::SourceContext;
use deputy_support::SystemClock;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{Winsize, tcgetwinsize};
use schemars::JsonSchema;
use serde::Serialize;

use crate::compiler::compiler;
use crate::environment::EnvConfig;
use crate::error::{CommandError, ErrorJson};
use crate::exit::Exit;
use crate::global_args::GlobalArgs;
use crate::print::{Printer, WARNING, terminal_json};

/// The version of the JSON that commands print. It grows when a field is removed or changes its meaning.
pub(crate) const SCHEMA: u32 = 1;

/// The configuration files that are used if they are in the current directory and no other one is named.
pub(crate) const COORDINATOR_FILE: &str = "deputy.toml";
const WORKER_FILE: &str = "worker.toml";

pub(crate) struct Context {
    pub(crate) printer: Printer,
    config: Option<PathBuf>,
    state_dir: Option<PathBuf>,
    environment: EnvConfig,
}

/// What a command about components needs.
pub(crate) struct FoundConfig {
    pub(crate) state_dir: PathBuf,
    pub(crate) key: Option<SecretSource>,
    /// The folder in which components are found by name.
    pub(crate) components: Option<PathBuf>,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct FailedJson<'a> {
    schema: u32,
    error: &'a ErrorJson,
}

impl Context {
    pub(crate) fn new(printer: Printer, global: &GlobalArgs, environment: EnvConfig) -> Self {
        Self { printer, config: global.config.clone(), state_dir: global.state.clone(), environment }
    }

    /// A command to print: with the options by which it finds the configuration and the state of this one.
    pub(crate) fn command(&self, words: &str) -> String {
        format!("deputy {words}{}", self.config_option())
    }

    /// The options that name this configuration and state to another command, unless they are the defaults.
    pub(crate) fn config_option(&self) -> String {
        let mut options = String::new();
        if let Some(config) = self.named_config().filter(|config| *config != Path::new(COORDINATOR_FILE)) {
            options.push_str(&format!(" --config {}", shell_quoted(config)));
        }
        if let Some(state) = &self.state_dir {
            options.push_str(&format!(" --state {}", shell_quoted(state)));
        }
        options
    }

    #[expect(clippy::disallowed_methods, reason = "the program's entry point brings the randomness")]
    pub(crate) fn platform(&self) -> Result<Platform, CommandError> {
        let compiler = compiler()?;
        Ok(Platform {
            components: ComponentFolders::new(&compiler.program, self.environment.components.clone()),
            compiler,
            random: Arc::new(SystemRandom::new()),
            sources: Arc::new(SourceContext::of_process()),
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        SystemClock::wall()
    }

    pub(crate) fn unused_proxy_warning(&self) -> Option<String> {
        let names = &self.environment.proxies;
        (!names.is_empty()).then(|| {
            let names = names.join(", ");
            format!("{names} is set and not used: components connect directly to the hosts that they are granted")
        })
    }

    /// A line for people about what a command does while it runs.
    pub(crate) fn note(&self, text: &str) {
        self.printer.stderr(&format!("deputy: {text}\n"));
    }

    pub(crate) fn print_unused_proxy_warning(&self) {
        if let Some(warning) = self.unused_proxy_warning() {
            self.printer.labelled(WARNING, "warning", &warning);
        }
    }

    pub(crate) fn configuration(&self) -> Result<CoordinatorFile, CommandError> {
        Ok(CoordinatorFile::load(self.named_config().unwrap_or(Path::new(COORDINATOR_FILE)))?)
    }

    /// The path and text of the coordinator's configuration.
    pub(crate) fn configuration_text(&self) -> Result<(PathBuf, String), CommandError> {
        let path = self.named_config().unwrap_or(Path::new(COORDINATOR_FILE));
        Ok((path.to_owned(), deputy_config::read_text(path)?))
    }

    /// Where a new configuration goes: the coordinator's, or a worker's.
    pub(crate) fn new_config_path(&self, is_worker: bool) -> PathBuf {
        let kind = if is_worker { ConfigKind::Worker } else { ConfigKind::Coordinator };
        self.named_config_or(file_of(kind)).to_owned()
    }

    /// The named configuration, or else this file.
    pub(crate) fn named_config_or<'a>(&'a self, file: &'a str) -> &'a Path {
        self.named_config().unwrap_or(Path::new(file))
    }

    /// What a command about components takes from a configuration, a coordinator's or a worker's. One that is only in the
    /// current directory may be invalid, and is then ignored.
    pub(crate) fn found_config(&self) -> Result<FoundConfig, CommandError> {
        if let Some(path) = self.named_config() {
            return self.config_of(path);
        }
        match self.config_or(file_of(kind_here())).map(|path| self.config_of(path)) {
            Some(Ok(config)) => Ok(config),
            _ => Ok(FoundConfig { state_dir: self.state_dir(None)?, key: None, components: None }),
        }
    }

    fn config_of(&self, path: &Path) -> Result<FoundConfig, CommandError> {
        match ConfigPaths::load(path)?.program {
            ConfigKind::Worker => {
                let WorkerConfig { state_dir, key, components, .. } = WorkerConfig::load(path)?;
                Ok(FoundConfig { state_dir: self.worker_state_dir(state_dir.as_deref())?, key, components })
            }
            ConfigKind::Coordinator => {
                let config = CoordinatorFile::load(path)?;
                let state_dir = self.state_dir(Some(&config))?;
                Ok(FoundConfig { state_dir, key: config.coordinator.key, components: config.components })
            }
        }
    }

    /// The worker's configuration that a command is about: the named file if it is a worker's, or the one in the current
    /// directory where there is only that.
    pub(crate) fn worker_config_here(&self) -> Result<Option<PathBuf>, CommandError> {
        let Some(path) = self.config_or(file_of(kind_here())) else { return Ok(None) };
        Ok((ConfigPaths::load(path)?.program == ConfigKind::Worker).then(|| path.to_owned()))
    }

    /// The worker's configuration: the named file, the one in the current directory, or the defaults.
    pub(crate) fn worker_configuration(&self) -> Result<WorkerConfig, CommandError> {
        match self.config_or(WORKER_FILE) {
            Some(path) => Ok(WorkerConfig::load(path)?),
            None => Ok(WorkerConfig::parse("", Path::new(WORKER_FILE))?),
        }
    }

    /// The coordinator's configuration file: the named one, or the one in the current directory.
    pub(crate) fn coordinator_path(&self) -> Option<PathBuf> {
        self.config_or(COORDINATOR_FILE).map(Path::to_owned)
    }

    fn named_config(&self) -> Option<&Path> {
        self.config.as_deref().or(self.environment.config.as_deref())
    }

    fn config_or<'a>(&'a self, file: &'a str) -> Option<&'a Path> {
        self.named_config().or(Some(Path::new(file)).filter(|path| path.exists()))
    }

    /// The coordinator's state directory.
    pub(crate) fn state_dir(&self, config: Option<&CoordinatorFile>) -> Result<PathBuf, CommandError> {
        let configured = config.and_then(|config| config.state_dir.as_deref());
        self.environment.state_dir(self.state_dir.as_deref(), configured).ok_or_else(no_state_dir)
    }

    /// The worker's state directory. By default it is beside that of a coordinator of the same user.
    pub(crate) fn worker_state_dir(&self, configured: Option<&Path>) -> Result<PathBuf, CommandError> {
        self.environment.worker_state_dir(self.state_dir.as_deref(), configured).ok_or_else(no_state_dir)
    }

    /// A sandbox for a command that does not open the state.
    pub(crate) async fn sandbox(&self, config: &CoordinatorFile, audit: Arc<Audit>) -> Result<Sandbox, CommandError> {
        self.open_sandbox(self.state_dir(Some(config))?, config.coordinator.key.as_ref(), audit).await
    }

    /// A sandbox for a command that needs no configuration.
    pub(crate) async fn plain_sandbox(&self, audit: Arc<Audit>) -> Result<Sandbox, CommandError> {
        let FoundConfig { state_dir, key, .. } = self.found_config()?;
        self.open_sandbox(state_dir, key.as_ref(), audit).await
    }

    /// A sandbox in a made-up world, for tests of components.
    pub(crate) async fn sandbox_in<W: StandIn + Resolver + 'static>(
        &self,
        world: Arc<W>,
        audit: Arc<Audit>,
    ) -> Result<Sandbox, CommandError> {
        let FoundConfig { state_dir, key, .. } = self.found_config()?;
        Ok(sandbox::open_in(world, state_dir, key.as_ref(), audit, &self.platform()?).await?)
    }

    pub(crate) async fn open_sandbox(
        &self,
        state_dir: PathBuf,
        key: Option<&SecretSource>,
        audit: Arc<Audit>,
    ) -> Result<Sandbox, CommandError> {
        Ok(sandbox::open_without_state(state_dir, key, audit, &self.platform()?).await?)
    }

    /// The coordinator's socket, or the worker's if the named configuration is a worker's, and which of them it is.
    pub(crate) fn control_socket(&self, named: Option<&Path>) -> Result<(PathBuf, SocketPeer), CommandError> {
        self.socket(ConfigKind::Coordinator, named)
    }

    /// The socket of a process that serves leases: the coordinator's, or the worker's where the current directory has a
    /// `worker.toml` and no `deputy.toml`.
    pub(crate) fn lease_socket(&self, named: Option<&Path>) -> Result<(PathBuf, SocketPeer), CommandError> {
        self.socket(kind_here(), named)
    }

    pub(crate) fn worker_socket(&self, named: Option<&Path>) -> Result<(PathBuf, SocketPeer), CommandError> {
        self.socket(ConfigKind::Worker, named)
    }

    /// The named socket, or the one of the configuration, which may have errors elsewhere. `default` is the kind of
    /// configuration to look for if none is named.
    fn socket(&self, default: ConfigKind, named: Option<&Path>) -> Result<(PathBuf, SocketPeer), CommandError> {
        if let Some(socket) = named.or(self.environment.socket.as_deref()) {
            return Ok((socket.to_owned(), SocketPeer::Named));
        }
        let paths = match self.config_or(file_of(default)) {
            Some(path) => ConfigPaths::load(path)?,
            None => ConfigPaths { program: default, ..ConfigPaths::default() },
        };
        let peer = match paths.program {
            ConfigKind::Coordinator => SocketPeer::Coordinator,
            ConfigKind::Worker => SocketPeer::Worker,
        };
        if let Some(socket) = paths.socket {
            return Ok((socket, peer));
        }
        let configured = paths.state_dir.as_deref();
        Ok(match paths.program {
            ConfigKind::Coordinator => {
                let state_dir = self.environment.state_dir(self.state_dir.as_deref(), configured);
                (state_dir.ok_or_else(no_state_dir)?.join(coordinator::SOCKET), peer)
            }
            ConfigKind::Worker => (self.worker_state_dir(configured)?.join(worker::SOCKET), peer),
        })
    }

    /// The control sequence that clears the terminal, if stdout is one.
    pub(crate) fn clear(&self) -> &'static str {
        if io::stdout().is_terminal() { "\u{1b}[H\u{1b}[2J" } else { "" }
    }

    /// The width of stdout in columns: the terminal's, or that of `COLUMNS`. `None` if a program reads it.
    pub(crate) fn width(&self) -> Option<usize> {
        let columns = terminal_size().map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0);
        columns.or(self.environment.columns.filter(|columns| *columns > 0))
    }

    /// Shows a text in place of the last one if stdout is a terminal, as far as it fits, and prints it otherwise. Returns
    /// whether stdout still has a reader.
    pub(crate) fn frame(&self, text: &str) -> Result<bool, CommandError> {
        match terminal_size() {
            Some(size) => is_written(self.printer.frame(&cropped(text, usize::from(size.ws_row)))),
            None => self.stdout_if_read(text),
        }
    }

    pub(crate) fn json(&self, object: &impl Serialize) -> Result<(), CommandError> {
        let text = serde_json::to_string(object).map_err(|error| CommandError::new(Exit::Internal, error))?;
        self.stdout(&(terminal_json(&text) + "\n"))
    }

    /// Prints on stdout. That its reader is gone is no error.
    pub(crate) fn stdout(&self, text: &str) -> Result<(), CommandError> {
        self.stdout_if_read(text)?;
        Ok(())
    }

    /// Prints on stdout, and returns whether it still has a reader.
    pub(crate) fn stdout_if_read(&self, text: &str) -> Result<bool, CommandError> {
        is_written(self.printer.stdout(text))
    }

    pub(crate) fn payload(&self, bytes: &[u8]) -> Result<(), CommandError> {
        is_written(self.printer.payload(bytes))?;
        Ok(())
    }

    /// Whether stdout has a reader, as far as that can be known without writing to it.
    pub(crate) fn is_stdout_read(&self) -> bool {
        let stdout = io::stdout();
        let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
        let closed = PollFlags::ERR | PollFlags::HUP;
        // Some systems cannot poll files, which always count as read.
        poll(&mut fds, Some(&Timespec::default())).is_err() || fds.iter().all(|fd| !fd.revents().intersects(closed))
    }

    /// Prints an error, on stderr and, with `json`, as an object on stdout.
    pub(crate) fn fail(&self, error: &CommandError, json: bool) -> Exit {
        if json {
            // If stdout is closed, stderr has the error.
            self.json(&FailedJson { schema: SCHEMA, error: &error.json() }).ok();
        }
        error.print(self.printer);
        error.exit()
    }
}

/// The size of the terminal that stdout is.
fn terminal_size() -> Option<Winsize> {
    let stdout = io::stdout();
    stdout.is_terminal().then(|| tcgetwinsize(&stdout).ok()).flatten()
}

/// The lines that fit into this number of rows: the first ones, how many are left out, and the last one.
fn cropped(text: &str, rows: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    // The last row stays empty, since the cursor is there.
    let Some(kept) = rows.checked_sub(3).filter(|kept| lines.len() > kept + 2) else { return text.to_owned() };
    let left_out = lines.len().saturating_sub(kept + 1);
    let shown = lines.iter().take(kept).map(|line| (*line).to_owned());
    let end = [format!("… {left_out} more lines"), lines.last().copied().unwrap_or_default().to_owned()];
    shown.chain(end).map(|line| line + "\n").collect()
}

/// The kind of configuration in the current directory: a worker's where there is only that.
fn kind_here() -> ConfigKind {
    let is_worker = Path::new(WORKER_FILE).exists() && !Path::new(COORDINATOR_FILE).exists();
    if is_worker { ConfigKind::Worker } else { ConfigKind::Coordinator }
}

fn file_of(kind: ConfigKind) -> &'static str {
    match kind {
        ConfigKind::Coordinator => COORDINATOR_FILE,
        ConfigKind::Worker => WORKER_FILE,
    }
}

fn no_state_dir() -> CommandError {
    CommandError::new(Exit::Misconfigured, "no state directory")
        .hint("name one with --state DIR, in DEPUTY_STATE, or as `state` in the configuration")
}

fn is_written(result: io::Result<()>) -> Result<bool, CommandError> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(CommandError::new(Exit::Failed, error).context("cannot write to stdout")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_keeps_the_first_lines_and_the_last() {
        let text = "a\nb\nc\nd\ne\n";
        assert_eq!(cropped(text, 6), text);
        assert_eq!(cropped(text, 5), "a\nb\n… 2 more lines\ne\n");
        assert_eq!(cropped(text, 2), text, "a terminal that is no one's");
    }
}
