//! `deputy compile-component`, which users do not see: the sandbox starts it to compile one component in a process of its own.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Args;
use deputy_sandbox::Compiler;

use crate::error::CommandError;
use crate::exit::Exit;

const NAME: &str = "compile-component";

/// Compile one component from standard input to standard output
#[derive(Debug, Args)]
pub(crate) struct CompileComponentArgs {
    /// Bytes of address space
    memory: u64,
    /// Seconds of CPU time
    seconds: u64,
}

impl CompileComponentArgs {
    pub(crate) fn run(&self) -> ExitCode {
        deputy_sandbox::compile_child(self.memory, self.seconds)
    }
}

/// How the sandbox starts this command.
pub(crate) fn compiler() -> Result<Compiler, CommandError> {
    let program = std::env::current_exe()
        .map_err(|error| CommandError::new(Exit::Internal, error).context("cannot find the program's own file"))?;
    Ok(Compiler::new(program, vec![OsString::from(NAME)]))
}
