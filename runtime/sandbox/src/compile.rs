//! Compiling components, in a child process.
//!
//! Wasmtime does not promise that compiling a hostile component ends soon or in little memory, so it costs a child that
//! has limits on both, an empty environment and nothing but three streams: the component comes in by standard input,
//! the code goes out by standard output, which is a file of the cache, and an error is one line on standard error.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus, Stdio};

use deputy_core::{ByteSize, Span};
use rustix::process::{Resource, Rlimit, Signal};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use wasmtime::Engine;

use crate::engine;

/// How to start the compile child, and what it may use.
#[derive(Debug, Clone)]
pub struct Compiler {
    /// The program, whose `main` calls [`compile_child`].
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Its address space.
    pub memory: ByteSize,
    /// Its time by the clock on the wall; its CPU time is limited to four times that.
    pub time: Span,
}

/// Why a component was not compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// It is none, or one that this engine refuses.
    #[error("not a component that can run here: {0}")]
    Invalid(String),
    /// The child ran out of memory, or died for another reason.
    #[error(
        "the compiler was ended by {signal} with {memory} of memory to use; a component that needs more is unusual: \
         make it smaller, or do not trust it"
    )]
    Killed {
        /// What ended it.
        signal: String,
        /// What it had.
        memory: ByteSize,
    },
    /// The child took too long.
    #[error(
        "compiling took longer than {0}; a component that needs more is unusual: make it smaller, or do not trust it"
    )]
    Slow(Span),
    /// The child compiled the component, and could not write the code.
    #[error("the compiled code cannot be written: {0}; make room in the state directory, which holds it")]
    Unwritten(String),
    /// The child failed, and not because of the component.
    #[error("the compiler failed: {0}")]
    Failed(String),
    /// The child can't be started or talked to.
    #[error("cannot run the compiler {}", program.display())]
    Start {
        /// The child's program.
        program: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// The exit code by which the child says that the component is at fault.
const INVALID: u8 = 65;

/// The exit code by which the child says that its output cannot be written.
const UNWRITTEN: u8 = 74;

/// The exit code of any other failure that the child can name.
const FAILED: u8 = 1;

impl Compiler {
    /// A compiler with the default limits: a Python component takes some 350 MiB and 10 s of two cores.
    pub fn new(program: PathBuf, arguments: Vec<OsString>) -> Self {
        Self { program, arguments, memory: ByteSize::mib(2048), time: Span::secs(120) }
    }

    /// Compiles a component into a file.
    pub(crate) async fn compile(&self, component: &[u8], code: File) -> Result<(), CompileError> {
        let failed = |source| CompileError::Start { program: self.program.clone(), source };
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .arg(self.memory.as_u64().to_string())
            .arg((self.time.as_millis().div_ceil(1000) * 4).to_string())
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(code)
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let Ok(talked) = tokio::time::timeout(self.time.duration(), talk(&mut child, component)).await else {
            return Err(CompileError::Slow(self.time));
        };
        let (status, text) = talked.map_err(failed)?;
        self.judge(status, text)
    }

    fn judge(&self, status: ExitStatus, text: String) -> Result<(), CompileError> {
        if status.success() {
            return Ok(());
        }
        let said: Option<fn(String) -> CompileError> = match status.code().and_then(|code| u8::try_from(code).ok()) {
            Some(INVALID) => Some(CompileError::Invalid),
            Some(UNWRITTEN) => Some(CompileError::Unwritten),
            Some(FAILED) => Some(CompileError::Failed),
            _ => None,
        };
        if let Some(said) = said {
            return Err(said(text));
        }
        if status.signal() == Some(Signal::XCPU.as_raw()) {
            return Err(CompileError::Slow(self.time));
        }
        let signal = match status.signal() {
            Some(number) => format!("signal {number}"),
            None => format!("exit code {}", status.code().unwrap_or_default()),
        };
        Err(CompileError::Killed { signal, memory: self.memory })
    }
}

/// Feeds the child and waits for it. Its error text is bounded, and made of one line of printable characters.
async fn talk(child: &mut Child, component: &[u8]) -> std::io::Result<(ExitStatus, String)> {
    let (input, errors) = (child.stdin.take(), child.stderr.take());
    let feed = async move {
        if let Some(mut input) = input {
            // A child that has seen enough closes its end; its exit code says why.
            drop(input.write_all(component).await);
        }
    };
    let listen = async move {
        let mut text = Vec::new();
        if let Some(errors) = errors {
            #[expect(clippy::disallowed_methods, reason = "bounded by `take`")]
            errors.take(4096).read_to_end(&mut text).await?;
        }
        Ok::<_, std::io::Error>(text)
    };
    let ((), text, status) = tokio::join!(feed, listen, child.wait());
    let text =
        String::from_utf8_lossy(&text?).chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    Ok((status?, text.trim().to_owned()))
}

/// The compile child's whole life: `main` hands it the last two arguments and exits with what it returns.
///
/// Sets its own limits before it reads a byte of the component: address space in bytes, CPU time in seconds, no core.
pub fn compile_child(memory: u64, seconds: u64) -> ExitCode {
    let limit = |resource, soft, hard| {
        rustix::process::setrlimit(resource, Rlimit { current: Some(soft), maximum: Some(hard) })
    };
    // At the hard limit of time the kernel kills without saying why; before that, at the soft one, SIGXCPU says it.
    let time = || limit(Resource::Cpu, seconds, seconds.saturating_add(1));
    let limited = limit(Resource::Core, 0, 0).and_then(|()| limit(Resource::As, memory, memory)).and_then(|()| time());
    let compiled =
        limited.map_err(|error| (FAILED, format!("cannot limit the compiler: {error}"))).and_then(|()| compile_stdin());
    match compiled {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, text)) => {
            drop(writeln!(std::io::stderr(), "{text}"));
            ExitCode::from(code)
        }
    }
}

fn compile_stdin() -> Result<(), (u8, String)> {
    let mut component = Vec::new();
    #[expect(clippy::disallowed_methods, reason = "bounded by the address space of this child")]
    std::io::stdin().lock().read_to_end(&mut component).map_err(|error| (FAILED, error.to_string()))?;
    let engine = Engine::new(&engine::config()).map_err(|error| (FAILED, error.to_string()))?;
    let code = engine.precompile_component(&component).map_err(|error| (INVALID, format!("{error:#}")))?;
    let mut output = std::io::stdout().lock();
    output.write_all(&code).and_then(|()| output.flush()).map_err(|error| (UNWRITTEN, error.to_string()))
}
