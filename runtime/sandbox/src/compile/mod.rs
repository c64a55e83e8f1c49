//! Compiling components, in child processes.
//!
//! Wasmtime does not promise that compiling a hostile component ends soon or in little memory, nor that loading the
//! result does. So each costs a child that has limits on both, an empty environment and nothing but three streams. The
//! first child compiles: the component comes in by standard input, the code goes out by standard output, which is a file
//! in memory. The second child loads that code once as the coordinator will, with little memory and time, so that what
//! costs too much to load is refused here. An error is one line on standard error.
//!
//! A child ends when its standard input does: a parent that was killed leaves none behind.

mod child;

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use deputy_core::{ByteSize, Span};
use deputy_support::single_line;
use rustix::process::Signal;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

pub use self::child::compile_child;
use self::child::{FAILED, INVALID, Stage, UNWRITTEN};
use crate::compile_cache::{Code, Draft};

/// How to start the compile child, and what it may use.
#[derive(Debug, Clone)]
pub struct Compiler {
    /// The program, whose `main` calls [`compile_child`].
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
    pub memory: ByteSize,
    /// Its time by the clock on the wall; its CPU time is limited to four times that.
    pub time: Span,
    /// What loading compiled code may add to the address space, beside the code itself.
    pub load_memory: ByteSize,
    /// The CPU time that loading compiled code may take.
    pub load_time: Span,
    /// How many children may run at once.
    pub parallel: usize,
}

/// Why a component was not compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// It is none, or one that this engine refuses.
    #[error("not a component that deputy can run: {0}")]
    Invalid(String),
    /// The child ran out of memory, or died for another reason.
    #[error(
        "the compiler was ended by {signal} with {memory} of memory to use; a component that needs more is unusual: \
         make it smaller, or do not trust it"
    )]
    Killed { signal: String, memory: ByteSize },
    /// Its compiled code costs too much to load.
    #[error(
        "its compiled code takes more than {memory} of memory or {time} of CPU time to load ({why}): make it smaller, \
         or do not trust it"
    )]
    Load {
        /// What ended the child that loaded it.
        why: String,
        /// The memory that it had.
        memory: ByteSize,
        /// The time that it had.
        time: Span,
    },
    /// The child took too long.
    #[error(
        "compiling took longer than {0}; a component that needs more is unusual: make it smaller, or do not trust it"
    )]
    Slow(Span),
    /// The child compiled the component, and could not write the code.
    #[error("the compiled code cannot be written: {0}; it is kept in memory: give this machine more")]
    Unwritten(String),
    /// The child failed, and not because of the component.
    #[error("the compiler failed: {0}")]
    Failed(String),
    /// The child can't be started or talked to.
    #[error("cannot run the compiler {}", program.display())]
    Start { program: PathBuf, source: io::Error },
}

impl CompileError {
    /// The same error, if the component is at fault rather than this machine.
    pub(crate) fn of_component(&self) -> Option<Self> {
        match self {
            Self::Invalid(text) => Some(Self::Invalid(text.clone())),
            Self::Killed { signal, memory } => Some(Self::Killed { signal: signal.clone(), memory: *memory }),
            Self::Load { why, memory, time } => Some(Self::Load { why: why.clone(), memory: *memory, time: *time }),
            Self::Slow(time) => Some(Self::Slow(*time)),
            Self::Failed(_) | Self::Start { .. } | Self::Unwritten(_) => None,
        }
    }
}

/// How a child ended, and the text that it left.
struct ChildOutcome {
    status: ExitStatus,
    text: String,
}

impl Compiler {
    /// A compiler with the default limits: a Python component takes some 350 MiB and 10 s of two cores to compile, and
    /// some milliseconds to load.
    pub fn new(program: PathBuf, arguments: Vec<OsString>) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            program,
            arguments,
            memory: ByteSize::mib(2048),
            time: Span::secs(120),
            load_memory: ByteSize::mib(256),
            load_time: Span::secs(2),
            parallel: cores.clamp(2, 8),
        }
    }

    pub(crate) async fn compile(&self, component: &[u8]) -> Result<Code, CompileError> {
        let draft = Draft::new().map_err(|error| self.not_started(error))?;
        let output = draft.stdout().map_err(|error| self.not_started(error))?;
        let seconds = self.time.as_millis().div_ceil(1000).saturating_mul(4);
        let mut command = self.command(self.memory, seconds);
        command.stdout(output);
        let compiled = self.run(command, Stage::Compile, component.len() as u64, component).await?;
        self.check_exit(compiled.ok_or(CompileError::Slow(self.time))?)?;
        let code = draft.seal().map_err(|error| self.not_started(error))?;
        self.check(&code).await?;
        Ok(code)
    }

    /// Loads code once in a child.
    #[expect(clippy::disallowed_methods, reason = "a file in memory, by the path of its descriptor")]
    async fn check(&self, code: &Code) -> Result<(), CompileError> {
        let length = code.len().map_err(|error| self.not_started(error))?;
        let file = tokio::fs::File::open(code.path()).await.map_err(|error| self.not_started(error))?;
        // Once as it comes in, and once as it is mapped.
        let memory = ByteSize::bytes(length.saturating_mul(2).saturating_add(self.load_memory.as_u64()));
        let mut command = self.command(memory, self.load_time.as_millis().div_ceil(1000));
        command.stdout(Stdio::null());
        let refused = |why| CompileError::Load { why, memory: self.load_memory, time: self.load_time };
        let Some(outcome) = self.run(command, Stage::Load, length, file).await? else {
            return Err(refused("the time is over".to_owned()));
        };
        if outcome.status.success() {
            Ok(())
        } else if outcome.status.code() == Some(i32::from(INVALID)) {
            Err(CompileError::Invalid(outcome.text))
        } else if outcome.status.code() == Some(i32::from(FAILED)) {
            // The machine's fault, not the component's.
            Err(CompileError::Failed(outcome.text))
        } else {
            Err(refused(cause(outcome.status)))
        }
    }

    fn command(&self, memory: ByteSize, seconds: u64) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg(memory.as_u64().to_string()).arg(seconds.to_string());
        command.env_clear().current_dir("/").stdin(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Runs a child to its end; `None` if its time is over.
    async fn run(
        &self,
        mut command: Command,
        stage: Stage,
        length: u64,
        input: impl AsyncRead + Unpin,
    ) -> Result<Option<ChildOutcome>, CompileError> {
        let mut child = command.spawn().map_err(|error| self.not_started(error))?;
        let communicate = communicate(&mut child, stage.header(length), input);
        match tokio::time::timeout(self.time.duration(), communicate).await {
            Ok(outcome) => outcome.map(Some).map_err(|error| self.not_started(error)),
            Err(_) => Ok(None),
        }
    }

    fn not_started(&self, source: io::Error) -> CompileError {
        CompileError::Start { program: self.program.clone(), source }
    }

    fn check_exit(&self, ChildOutcome { status, text }: ChildOutcome) -> Result<(), CompileError> {
        if status.success() {
            return Ok(());
        }
        let to_error: Option<fn(String) -> CompileError> = match status.code().and_then(|code| u8::try_from(code).ok())
        {
            Some(INVALID) => Some(CompileError::Invalid),
            Some(UNWRITTEN) => Some(CompileError::Unwritten),
            Some(FAILED) => Some(CompileError::Failed),
            _ => None,
        };
        if let Some(to_error) = to_error {
            return Err(to_error(text));
        }
        if status.signal() == Some(Signal::XCPU.as_raw()) {
            return Err(CompileError::Slow(self.time));
        }
        Err(CompileError::Killed { signal: cause(status), memory: self.memory })
    }
}

fn cause(status: ExitStatus) -> String {
    match status.signal() {
        Some(number) => format!("signal {number}"),
        None => format!("exit code {}", status.code().unwrap_or_default()),
    }
}

/// Feeds the child and waits for it. Its input stays open until it ends. Its error text is bounded, and made of one line
/// of printable characters.
async fn communicate(
    child: &mut Child,
    header: [u8; Stage::HEADER],
    input: impl AsyncRead + Unpin,
) -> io::Result<ChildOutcome> {
    let stdin = child.stdin.take();
    let errors = child.stderr.take();
    let feed = async move {
        let mut input = input;
        let mut stdin = stdin?;
        // A child that has seen enough closes its end; its exit code says why.
        stdin.write_all(&header).await.ok()?;
        tokio::io::copy(&mut input, &mut stdin).await.ok()?;
        Some(stdin)
    };
    let listen = async move {
        let mut text = Vec::new();
        if let Some(errors) = errors {
            #[expect(clippy::disallowed_methods, reason = "bounded by `take`")]
            errors.take(4096).read_to_end(&mut text).await?;
        }
        Ok::<_, io::Error>(text)
    };
    let end = async { (listen.await, child.wait().await) };
    let (_stdin, (text, status)) = tokio::join!(feed, end);
    let text = single_line(&String::from_utf8_lossy(&text?));
    Ok(ChildOutcome { status: status?, text: text.trim().to_owned() })
}
