//! What every command needs: the streams, the configuration, the state directory.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use deputy_config::{ConfigKind, ConfigPaths, CoordinatorFile, WorkerConfig};
use deputy_local::SocketPeer;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;

use crate::cli::Global;
use crate::environment::EnvConfig;
use crate::error::{CommandError, ErrorJson};
use crate::exit::Exit;
use crate::print::Printer;

/// The version of what the commands print as JSON. It grows when a field goes or changes its meaning.
pub(crate) const SCHEMA: u32 = 1;

/// The coordinator's socket in the state directory.
pub(crate) const SOCKET: &str = "control.sock";

/// A worker's socket in its state directory.
pub(crate) const WORKER_SOCKET: &str = "worker.sock";

/// The configurations that are looked for in the current folder.
const COORDINATOR: &str = "deputy.toml";
const WORKER: &str = "worker.toml";

pub(crate) struct Context {
    pub(crate) printer: Printer,
    config: Option<PathBuf>,
    state: Option<PathBuf>,
    surroundings: EnvConfig,
}

#[derive(Serialize)]
struct Failed<'a> {
    schema: u32,
    error: &'a ErrorJson,
}

impl Context {
    pub(crate) fn new(printer: Printer, global: &Global, surroundings: EnvConfig) -> Self {
        Self { printer, config: global.config.clone(), state: global.state.clone(), surroundings }
    }

    /// What an operator should know whose environment names a proxy.
    pub(crate) fn unused_proxy(&self) -> Option<String> {
        let names = self.surroundings.proxies.join(", ");
        let text = "is set and not used: requests of components go straight to the hosts that are granted";
        (!names.is_empty()).then(|| format!("{names} {text}"))
    }

    /// Reads the configuration.
    pub(crate) fn configuration(&self) -> Result<CoordinatorFile, CommandError> {
        Ok(CoordinatorFile::load(self.named().unwrap_or(Path::new(COORDINATOR)))?)
    }

    /// Reads the configuration if somebody named one, for commands that can do without.
    pub(crate) fn named_configuration(&self) -> Result<Option<CoordinatorFile>, CommandError> {
        Ok(self.named().map(CoordinatorFile::load).transpose()?)
    }

    fn named(&self) -> Option<&Path> {
        self.config.as_deref().or(self.surroundings.config.as_deref())
    }

    /// The state directory; the configuration has its say if there is one.
    pub(crate) fn state_dir(&self, config: Option<&CoordinatorFile>) -> Option<PathBuf> {
        self.surroundings.state_dir(self.state.as_deref(), config.and_then(|config| config.state_dir.as_deref()))
    }

    /// A worker's state directory. By default it lies beside a coordinator's of the same user.
    pub(crate) fn worker_state_dir(&self, configured: Option<&Path>) -> Option<PathBuf> {
        self.surroundings.worker_state_dir(self.state.as_deref(), configured)
    }

    /// The file that somebody named, if it is a worker's.
    pub(crate) fn names_worker(&self) -> Result<Option<PathBuf>, CommandError> {
        let Some(path) = self.named() else { return Ok(None) };
        Ok((ConfigPaths::load(path)?.program == ConfigKind::Worker).then(|| path.to_owned()))
    }

    /// A worker's configuration: the one that was named, or that lies here, or one that says nothing.
    pub(crate) fn worker_configuration(&self) -> Result<WorkerConfig, CommandError> {
        let file = Path::new(WORKER);
        match self.named().or(Some(file).filter(|path| path.exists())) {
            Some(path) => Ok(WorkerConfig::load(path)?),
            None => Ok(WorkerConfig::parse("", file)?),
        }
    }

    /// The socket of a coordinator or a worker, and which it is: where somebody named it, or where the configuration has it,
    /// whatever is wrong in that. A worker's configuration leads to the worker.
    pub(crate) fn socket(&self, named: Option<&Path>) -> Result<Option<(PathBuf, SocketPeer)>, CommandError> {
        self.socket_of(ConfigKind::Coordinator, named)
    }

    /// The socket of whoever gives out leases here: the coordinator's, or the worker's where a `worker.toml` and no
    /// `deputy.toml` lies in the current folder.
    pub(crate) fn either_socket(&self, named: Option<&Path>) -> Result<Option<(PathBuf, SocketPeer)>, CommandError> {
        let is_worker = Path::new(WORKER).exists() && !Path::new(COORDINATOR).exists();
        self.socket_of(if is_worker { ConfigKind::Worker } else { ConfigKind::Coordinator }, named)
    }

    /// A worker's socket: where somebody named it, or where the worker's configuration has it.
    pub(crate) fn worker_socket(&self, named: Option<&Path>) -> Result<Option<(PathBuf, SocketPeer)>, CommandError> {
        self.socket_of(ConfigKind::Worker, named)
    }

    /// Where nobody names a file, the one of this program is looked at that lies in the current folder.
    fn socket_of(
        &self,
        usual: ConfigKind,
        named: Option<&Path>,
    ) -> Result<Option<(PathBuf, SocketPeer)>, CommandError> {
        if let Some(socket) = named.or(self.surroundings.socket.as_deref()) {
            return Ok(Some((socket.to_owned(), SocketPeer::Named)));
        }
        let file = Path::new(match usual {
            ConfigKind::Coordinator => COORDINATOR,
            ConfigKind::Worker => WORKER,
        });
        let places = match self.named().or(Some(file).filter(|path| path.exists())) {
            Some(path) => ConfigPaths::load(path)?,
            None => ConfigPaths { program: usual, ..ConfigPaths::default() },
        };
        let (configured, flag) = (places.state_dir.as_deref(), self.state.as_deref());
        let (state, name, peer) = match places.program {
            ConfigKind::Coordinator => (self.surroundings.state_dir(flag, configured), SOCKET, SocketPeer::Coordinator),
            ConfigKind::Worker => (self.worker_state_dir(configured), WORKER_SOCKET, SocketPeer::Worker),
        };
        let socket = places.socket.or_else(|| state.map(|state| state.join(name)));
        Ok(socket.map(|socket| (socket, peer)))
    }

    /// What clears the terminal, if stdout is one.
    pub(crate) fn clear(&self) -> &'static str {
        if std::io::stdout().is_terminal() { "\u{1b}[H\u{1b}[2J" } else { "" }
    }

    /// How many columns stdout has: those of the terminal, or what COLUMNS says. None for a program that reads it.
    pub(crate) fn width(&self) -> Option<usize> {
        let stdout = std::io::stdout();
        let terminal = stdout.is_terminal().then(|| rustix::termios::tcgetwinsize(&stdout).ok()).flatten();
        let columns = terminal.map(|size| usize::from(size.ws_col)).or(self.surroundings.columns);
        columns.filter(|columns| *columns > 0)
    }

    /// Prints an object on stdout.
    pub(crate) fn json(&self, object: &impl Serialize) -> Result<(), CommandError> {
        let mut text = serde_json::to_string(object).map_err(|error| CommandError::new(Exit::Internal, error))?;
        text.push('\n');
        self.data(&text)
    }

    /// Prints text on stdout. A reader that has gone away has seen enough.
    pub(crate) fn data(&self, text: &str) -> Result<(), CommandError> {
        written(self.printer.stdout(text))
    }

    /// Prints text on stdout for somebody who may go away at any time. Says whether somebody still reads.
    pub(crate) fn shown(&self, text: &str) -> Result<bool, CommandError> {
        match self.printer.stdout(text) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
            result => written(result).map(|()| true),
        }
    }

    /// Whether somebody reads stdout, as far as that can be known without writing to it.
    pub(crate) fn is_read(&self) -> bool {
        let stdout = std::io::stdout();
        let mut looked = [PollFd::new(&stdout, PollFlags::empty())];
        let gone = PollFlags::ERR | PollFlags::HUP;
        // What can't be asked, such as a file on some systems, is read.
        poll(&mut looked, Some(&Timespec::default())).is_err() || looked.iter().all(|fd| !fd.revents().intersects(gone))
    }

    /// Prints a payload on stdout.
    pub(crate) fn payload(&self, bytes: &[u8]) -> Result<(), CommandError> {
        written(self.printer.payload(bytes))
    }

    /// Tells of an error, on stderr and, if asked for, as an object on stdout.
    pub(crate) fn fail(&self, error: &CommandError, json: bool) -> Exit {
        if json {
            // If stdout is gone, stderr still tells.
            drop(self.json(&Failed { schema: SCHEMA, error: &error.json() }));
        }
        error.print(self.printer);
        error.exit()
    }
}

fn written(result: std::io::Result<()>) -> Result<(), CommandError> {
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(CommandError::new(Exit::Failed, error).context("cannot write to stdout"))
        }
        _ => Ok(()),
    }
}
