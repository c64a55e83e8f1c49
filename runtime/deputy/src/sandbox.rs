//! The sandbox as the commands use it: this program is also its own compile child.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deputy_core::{SecretSource, in_one_line};
use deputy_observe::Audit;
use deputy_sandbox::{CacheKey, CodeCache, Compiler, Sandbox, SandboxOptions, SystemResolver};
use deputy_sources::SourceContext;
use deputy_store::{MasterKey, MasterKeyError, Random};

use crate::error::CommandError;
use crate::exit::Exit;
use crate::run::random;

/// The hidden command that compiles one component in a process of its own.
pub(crate) const COMPILE: &str = "compile-component";

/// What the key is derived for that authenticates compiled code.
const PURPOSE: &str = "authenticate compiled components";

/// A sandbox for a command that has not opened the state. Compiled code is kept if the state's key can be had: a key that
/// only the service can read is no obstacle.
pub(crate) async fn open_beside(
    state_dir: Option<PathBuf>,
    key: Option<&SecretSource>,
    audit: Arc<Audit>,
) -> Result<Sandbox, CommandError> {
    let state_dir = state_dir.ok_or_else(no_state)?;
    let here = SourceContext::of_process();
    let cache = match master_key(&state_dir, key, &here, random()).await {
        Ok(key) => Some(CodeCache { state_dir, key: cache_key(&key)? }),
        Err(error @ (MasterKeyError::Source(_) | MasterKeyError::Gone(_))) => {
            tracing::warn!(
                error = in_one_line(&error),
                "the state's key cannot be read: components are compiled for this command alone"
            );
            None
        }
        Err(error @ MasterKeyError::Store(_)) => return Err(CommandError::new(Exit::Misconfigured, error)),
        Err(error) => return Err(CommandError::new(Exit::Failed, error)),
    };
    sandbox(cache, audit)
}

/// A sandbox that keeps compiled components.
pub(crate) fn open(cache: CodeCache, audit: Arc<Audit>) -> Result<Sandbox, CommandError> {
    sandbox(Some(cache), audit)
}

/// The state's key: from where the operator put it, or from the directory itself.
pub(crate) async fn master_key(
    state_dir: &Path,
    configured: Option<&SecretSource>,
    here: &SourceContext,
    random: Random,
) -> Result<MasterKey, MasterKeyError> {
    match configured {
        Some(source) => MasterKey::read(source, here).await,
        None => MasterKey::of_state(state_dir, here, random).await,
    }
}

/// The key that authenticates compiled code.
pub(crate) fn cache_key(key: &MasterKey) -> Result<CacheKey, CommandError> {
    let key = key.derive(PURPOSE).map_err(|error| CommandError::new(Exit::Internal, error))?;
    Ok(CacheKey::new(&key))
}

fn sandbox(cache: Option<CodeCache>, audit: Arc<Audit>) -> Result<Sandbox, CommandError> {
    let program = std::env::current_exe().map_err(|error| CommandError::new(Exit::Internal, error))?;
    let compiler = Compiler::new(program, vec![OsString::from(COMPILE)]);
    Ok(Sandbox::new(SandboxOptions { cache, compiler, audit, resolver: Arc::new(SystemResolver) })?)
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
