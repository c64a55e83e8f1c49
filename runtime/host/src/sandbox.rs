//! The sandbox of a process or a command, with its cache of compiled components.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use deputy_audit::Audit;
use deputy_core::{SecretSource, in_one_line};
use deputy_sandbox::{CacheKey, CodeCache, Resolver, Sandbox, SandboxOptions, StandIn, SystemResolver};
use deputy_store::{MasterKey, MasterKeyError};

use crate::error::ProcessError;
use crate::platform::Platform;

/// Derives the key that authenticates compiled components from the master key.
const CACHE_KEY_PURPOSE: &str = "authenticate compiled components";

/// A sandbox for a command that has not opened the state. Compiled components are cached if the command can read the
/// master key, which may be readable by the service alone.
pub async fn open_without_state(
    state_dir: PathBuf,
    key: Option<&SecretSource>,
    audit: Arc<Audit>,
    platform: &Platform,
) -> Result<Sandbox, ProcessError> {
    open(cache_if_readable(state_dir, key, platform).await?, audit, platform)
}

/// The same for components in a made-up world.
pub async fn open_in<W: StandIn + Resolver + 'static>(
    world: Arc<W>,
    state_dir: PathBuf,
    key: Option<&SecretSource>,
    audit: Arc<Audit>,
    platform: &Platform,
) -> Result<Sandbox, ProcessError> {
    let cache = cache_if_readable(state_dir, key, platform).await?;
    let (compiler, folders) = (platform.compiler.clone(), platform.components.clone());
    let resolver = Arc::clone(&world) as Arc<dyn Resolver>;
    Ok(Sandbox::new(SandboxOptions { cache, compiler, audit, resolver, folders, stand_in: Some(world) })?)
}

async fn cache_if_readable(
    state_dir: PathBuf,
    key: Option<&SecretSource>,
    platform: &Platform,
) -> Result<Option<CodeCache>, ProcessError> {
    let cache = match master_key(&state_dir, key, platform).await {
        Ok(key) => Some(CodeCache { state_dir, key: cache_key(&key)? }),
        Err(error @ (MasterKeyError::Source(_) | MasterKeyError::Gone(_))) => {
            tracing::warn!(
                error = in_one_line(&error),
                "cannot read the master key: components are compiled for this command alone"
            );
            None
        }
        // Another user than the service, for instance root.
        Err(error) if error.is_state_of_another_user() => {
            tracing::warn!(
                state = %state_dir.display(),
                "the state belongs to another user: components are compiled for this command alone"
            );
            None
        }
        Err(error) => return Err(ProcessError::MasterKey(error)),
    };
    Ok(cache)
}

pub(crate) fn open(cache: Option<CodeCache>, audit: Arc<Audit>, platform: &Platform) -> Result<Sandbox, ProcessError> {
    let compiler = platform.compiler.clone();
    let (resolver, folders) = (Arc::new(SystemResolver::default()), platform.components.clone());
    Ok(Sandbox::new(SandboxOptions { cache, compiler, audit, resolver, folders, stand_in: None })?)
}

/// The master key: from its configured source, or from the state directory.
pub(crate) async fn master_key(
    state_dir: &Path,
    configured: Option<&SecretSource>,
    platform: &Platform,
) -> Result<MasterKey, MasterKeyError> {
    match configured {
        Some(source) => MasterKey::read(source, &platform.sources).await,
        None => MasterKey::of_state(state_dir, &platform.sources, Arc::clone(&platform.random)).await,
    }
}

pub(crate) fn cache_key(key: &MasterKey) -> Result<CacheKey, ProcessError> {
    Ok(CacheKey::new(&key.derive(CACHE_KEY_PURPOSE).map_err(ProcessError::MasterKey)?))
}

/// The audit log: a file, standard output for `-`, or none.
pub fn open_audit(path: Option<&Path>) -> Result<Audit, ProcessError> {
    Ok(match path {
        Some(path) if path == Path::new("-") => Audit::stdout()?,
        Some(path) => Audit::file(path)?,
        None => Audit::nowhere(),
    })
}
