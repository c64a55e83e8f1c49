//! The sandbox as the commands use it: this program is also its own compile child.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deputy_observe::Audit;
use deputy_sandbox::{Compiler, Options, Sandbox, SystemResolver};

use crate::error::CommandError;
use crate::exit::Exit;

/// The hidden command that compiles one component in a process of its own.
pub(crate) const COMPILE: &str = "compile-component";

/// A sandbox that keeps compiled components below a folder.
pub(crate) fn open(state_dir: Option<PathBuf>, audit: Arc<Audit>) -> Result<Sandbox, CommandError> {
    let state_dir = state_dir.ok_or_else(no_state)?;
    let program = std::env::current_exe().map_err(|error| CommandError::new(Exit::Internal, error))?;
    let compiler = Compiler::new(program, vec![OsString::from(COMPILE)]);
    let options = Options { state_dir, compiler, audit, resolver: Arc::new(SystemResolver) };
    Ok(Sandbox::new(options)?)
}

pub(crate) fn no_state() -> CommandError {
    let error = CommandError::new(Exit::Misconfigured, "there is no state directory");
    error.hint("name one with --state FOLDER, in DEPUTY_STATE, or as `state` in deputy.toml")
}

/// An audit log for calls that are given nothing, so that there is nothing to tell of them.
pub(crate) fn nobody() -> Audit {
    Audit::nowhere()
}

/// The audit log of a process that serves: a file, stdout for `-`, or nothing.
pub(crate) fn audit(path: Option<&Path>) -> Result<Audit, CommandError> {
    let audit = match path {
        Some(path) if path == Path::new("-") => Audit::stdout(),
        Some(path) => Audit::file(path),
        None => return Ok(nobody()),
    };
    audit.map_err(|error| CommandError::new(Exit::Failed, error))
}
