//! The compile child's side.

use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::thread;

use rustix::process::{Resource, Rlimit, Signal, getpid, kill_process, setrlimit};
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

use crate::call_context::{self, CallState};
use crate::compile_cache::MAX_CODE;
use crate::engine;

/// The exit code by which the child says that the component is at fault.
pub(super) const INVALID: u8 = 65;

/// The exit code by which the child says that its output cannot be written.
pub(super) const UNWRITTEN: u8 = 74;

/// The exit code of any other failure that the child can name.
pub(super) const FAILED: u8 = 1;

/// The stack of the thread that waits for the parent's end.
const SMALL_STACK: usize = 64 << 10;

/// The task of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Compile,
    Load,
}

/// An exit code and its reason.
type Failure = (u8, String);

impl Stage {
    /// Bytes before the input: the stage, and the input's length.
    pub(super) const HEADER: usize = 9;

    pub(super) fn header(self, length: u64) -> [u8; Self::HEADER] {
        let mut header = [0; Self::HEADER];
        if let Some((stage, rest)) = header.split_first_mut() {
            *stage = match self {
                Self::Compile => b'c',
                Self::Load => b'l',
            };
            rest.copy_from_slice(&length.to_le_bytes());
        }
        header
    }

    fn parse(header: [u8; Self::HEADER]) -> Option<(Self, u64)> {
        let [stage, length @ ..] = header;
        let stage = match stage {
            b'c' => Self::Compile,
            b'l' => Self::Load,
            _ => return None,
        };
        Some((stage, u64::from_le_bytes(length)))
    }
}

/// The compile child's whole life: `main` hands it the last two arguments and exits with what it returns.
///
/// Sets its own limits before it reads a byte of the component: address space in bytes, CPU time in seconds, the size of
/// what it writes, no core.
pub fn compile_child(memory: u64, seconds: u64) -> ExitCode {
    match limit(memory, seconds).and_then(|()| run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, text)) => {
            // The parent may have ended.
            writeln!(io::stderr(), "{text}").ok();
            ExitCode::from(code)
        }
    }
}

fn limit(memory: u64, seconds: u64) -> Result<(), Failure> {
    let limits = [
        (Resource::Core, 0, 0),
        (Resource::Fsize, MAX_CODE, MAX_CODE),
        (Resource::As, memory, memory),
        // At the soft limit of time the kernel sends SIGXCPU, which names the reason; at the hard one it just kills.
        (Resource::Cpu, seconds, seconds.saturating_add(1)),
    ];
    for (resource, soft, hard) in limits {
        setrlimit(resource, Rlimit { current: Some(soft), maximum: Some(hard) })
            .map_err(|error| (FAILED, format!("cannot limit the compiler: {error}")))?;
    }
    Ok(())
}

fn run() -> Result<(), Failure> {
    let (stage, input) = read().map_err(failed)?;
    watch_parent().map_err(failed)?;
    match stage {
        Stage::Compile => compile(&input),
        Stage::Load => load(&input),
    }
}

fn read() -> io::Result<(Stage, Vec<u8>)> {
    let mut stdin = io::stdin().lock();
    let mut header = [0; Stage::HEADER];
    stdin.read_exact(&mut header)?;
    let (stage, length) = Stage::parse(header).ok_or(io::ErrorKind::InvalidData)?;
    let mut input = Vec::with_capacity(usize::try_from(length).unwrap_or(usize::MAX).min(1 << 30));
    #[expect(clippy::disallowed_methods, reason = "bounded by `take`")]
    stdin.by_ref().take(length).read_to_end(&mut input)?;
    // Less than announced: the parent ended while it wrote.
    if input.len() as u64 == length { Ok((stage, input)) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Ends this process when the parent has ended, which closes standard input.
///
/// The kernel's signal for this (`PR_SET_PDEATHSIG`) is sent when the parent's thread ends, which may be one of many.
fn watch_parent() -> io::Result<()> {
    thread::Builder::new().stack_size(SMALL_STACK).spawn(wait_for_parent).map(drop)
}

fn wait_for_parent() {
    if io::stdin().lock().read_exact(&mut [0]).is_err() {
        kill_process(getpid(), Signal::KILL).ok();
    }
}

fn compile(component: &[u8]) -> Result<(), Failure> {
    let engine = Engine::new(&engine::config()).map_err(failed)?;
    let code = engine.precompile_component(component).map_err(invalid)?;
    let mut output = io::stdout().lock();
    output.write_all(&code).and_then(|()| output.flush()).map_err(|error| (UNWRITTEN, error.to_string()))
}

/// Loads and links code as the coordinator does, within this process's limits and those of a pool's slot.
#[expect(
    unsafe_code,
    clippy::disallowed_methods,
    reason = "the code comes from the compile child of the same parent; it is loaded to see what that costs, and not run"
)]
fn load(code: &[u8]) -> Result<(), Failure> {
    let engine = engine::checking_engine().map_err(failed)?;
    // SAFETY: the parent read it from the compile child; nothing of it is called.
    let component = unsafe { Component::deserialize(&engine, code) }.map_err(|error| {
        (INVALID, format!("it starts with more memory, tables or instances than any limit allows: {error:#}"))
    })?;
    let mut linker = Linker::<CallState>::new(&engine);
    call_context::link(&mut linker).map_err(failed)?;
    // The parent reports a missing import: here only the cost of linking matters.
    linker.instantiate_pre(&component).map(drop).ok();
    Ok(())
}

fn failed(error: impl std::fmt::Display) -> Failure {
    (FAILED, error.to_string())
}

fn invalid(error: wasmtime::Error) -> Failure {
    (INVALID, format!("{error:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stage_header_round_trips() {
        for stage in [Stage::Compile, Stage::Load] {
            assert_eq!(Stage::parse(stage.header(u64::MAX - 1)), Some((stage, u64::MAX - 1)));
        }
        assert_eq!(Stage::parse([0; Stage::HEADER]), None);
    }
}
