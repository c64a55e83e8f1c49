//! The child process that compiles components: this program, with a command that users do not see.

use std::ffi::OsString;

use deputy_sandbox::Compiler;

use crate::error::CommandError;
use crate::exit::Exit;

const COMMAND: &str = "compile-component";

/// How the sandbox starts it.
pub(crate) fn compiler() -> Result<Compiler, CommandError> {
    let program = std::env::current_exe()
        .map_err(|error| CommandError::new(Exit::Internal, error).context("cannot find the program's own file"))?;
    Ok(Compiler::new(program, vec![OsString::from(COMMAND)]))
}
