//! `deputy compile-component`, which users do not see: the sandbox starts it to compile one component in a process of its own.

use std::process::ExitCode;

use clap::Args;

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
