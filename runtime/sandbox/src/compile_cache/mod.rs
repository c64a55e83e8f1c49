//! Compiled components, by the digest that they were compiled from.
//!
//! A file's name holds the digest of the component, the engine's version and its options. Its content is followed by
//! tags under a key that only this installation has. To load a file, it is copied into memory, the copy is authenticated
//! and sealed, and the copy is mapped: what another process or a failing disk does to the file meanwhile or afterwards
//! has no effect. A file that fails is quarantined, and its component is compiled again.
//!
//! Without a state directory nothing is kept: each process compiles what it needs.

mod code_dir;
mod key;
mod memory_file;
mod refusal;
mod tagged_code;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use deputy_core::{Digest, in_one_line};
use deputy_files::FileError;
use deputy_support::{LockUnpoisoned as _, timer_now};
use tokio::sync::{OwnedMutexGuard, Semaphore};
use wasmtime::Engine;
use wasmtime::component::Component;

use self::code_dir::CodeDir;
pub use self::key::CacheKey;
pub(crate) use self::memory_file::{Code, Draft};
use self::refusal::Refusals;
pub(crate) use self::tagged_code::MAX_CODE;
use crate::blocking::{BlockingThread, blocking};
use crate::clock;
use crate::compile::{CompileError, Compiler};

/// Digests that are remembered and neither loaded nor being loaded.
const REMEMBERED: usize = 1024;

/// Compiles components once and keeps the code.
pub(crate) struct Cache {
    engine: Engine,
    /// Of the engine's version and options.
    engine_hash: u64,
    compiler: Compiler,
    compiling: Semaphore,
    dir: Option<Arc<CodeDir>>,
    entries: Mutex<HashMap<Digest, Arc<tokio::sync::Mutex<CacheEntry>>>>,
}

/// What is known of one digest.
#[derive(Default)]
struct CacheEntry {
    component: Option<Arc<Component>>,
    refusals: Refusals,
}

/// The entry of one digest, locked while its component is loaded or compiled.
pub(crate) struct CacheSlot<'c> {
    cache: &'c Cache,
    digest: Digest,
    entry: OwnedMutexGuard<CacheEntry>,
}

/// Why there is no compiled code.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    #[error(transparent)]
    Compile(#[from] CompileError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("the cryptographic library cannot derive the key of the cache; this is a bug, please report it")]
    Key,
    /// Code that was just compiled cannot be loaded.
    #[error("compiled code cannot be loaded: this is a bug, please report it")]
    Load(#[source] wasmtime::Error),
    /// The same component was refused a moment ago, and is not compiled again yet.
    #[error(transparent)]
    Refused(CompileError),
}

impl Cache {
    /// A cache that keeps code in `components` below the state directory, or for this process alone.
    pub(crate) fn new(engine: Engine, compiler: Compiler, kept: Option<(&Path, CacheKey)>) -> Result<Self, CacheError> {
        let dir = kept.map(|(state, key)| CodeDir::open(state, key, clock::system())).transpose()?.map(Arc::new);
        let mut hasher = DefaultHasher::new(); // the engine's version is in its hash
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let engine_hash = hasher.finish();
        let compiling = Semaphore::new(compiler.parallel.max(1));
        Ok(Self { engine, engine_hash, compiler, compiling, dir, entries: Mutex::default() })
    }

    /// The slot of a component of this digest. Several that ask for the same wait for one.
    pub(crate) async fn slot(&self, digest: Digest) -> CacheSlot<'_> {
        let entry = {
            let mut entries = self.entries();
            if entries.len() >= REMEMBERED {
                entries.retain(|_, entry| is_loaded(entry));
            }
            Arc::clone(entries.entry(digest).or_default())
        };
        CacheSlot { cache: self, digest, entry: entry.lock_owned().await }
    }

    /// Releases components that nothing uses any more, and removes files that this process does not use: those that nothing
    /// loaded for long, and the oldest where there are too many. Returns how many files.
    pub(crate) fn prune(&self, now: SystemTime) -> usize {
        let mut used = Vec::new();
        for (digest, entry) in &*self.entries() {
            match entry.try_lock() {
                Ok(mut entry) => {
                    entry.component.take_if(|component| Arc::strong_count(component) == 1);
                    used.extend(entry.component.is_some().then_some(*digest));
                }
                // It is being loaded.
                Err(_) => used.push(*digest),
            }
        }
        let Some(dir) = &self.dir else { return 0 };
        dir.prune(&used.into_iter().map(|digest| dir.name(digest, self.engine_hash)).collect(), now)
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Digest, Arc<tokio::sync::Mutex<CacheEntry>>>> {
        self.entries.lock_unpoisoned()
    }

    /// Reads compiled code. `None` if there is none, or none that is usable.
    async fn read(&self, digest: Digest) -> Result<Option<Component>, CacheError> {
        let Some(dir) = self.dir.clone() else { return Ok(None) };
        let name = dir.name(digest, self.engine_hash);
        let engine = self.engine.clone();
        blocking(move |thread| {
            let code = match dir.read(&name) {
                Ok(Some(code)) => code,
                Ok(None) => return Ok(None),
                // It costs a compilation, and no lease.
                Err(error) => {
                    tracing::warn!(
                        error = in_one_line(&error),
                        "reading compiled code failed; compiling the component again"
                    );
                    return Ok(None);
                }
            };
            match load(&engine, &code, thread) {
                Ok(component) => Ok(Some(component)),
                // Compiled on a machine with other instructions, for example: a state directory moves.
                Err(error) => {
                    dir.quarantine(&name, &format!("it does not fit this machine: {error:#}"));
                    Ok(None)
                }
            }
        })
        .await
    }

    async fn compile(&self, digest: Digest, component: &[u8]) -> Result<Component, CacheError> {
        // The semaphore is never closed.
        let _place = self.compiling.acquire().await;
        let code = self.compiler.compile(component).await?;
        let kept = self.dir.clone().map(|dir| (dir.name(digest, self.engine_hash), dir));
        let engine = self.engine.clone();
        blocking(move |thread| {
            if let Some((name, dir)) = kept
                && let Err(error) = dir.write(&name, &code)
            {
                // A disk that is full or read-only costs a compilation at each start, and no lease.
                tracing::warn!(
                    error = in_one_line(&error),
                    "writing compiled code failed; the next start compiles the component again"
                );
            }
            load(&engine, &code, thread).map_err(CacheError::Load)
        })
        .await
    }
}

impl CacheSlot<'_> {
    /// The compiled component from memory or the folder, if it is there.
    pub(crate) async fn load(&mut self) -> Result<Option<Arc<Component>>, CacheError> {
        if let Some(component) = &self.entry.component {
            return Ok(Some(Arc::clone(component)));
        }
        if let Some((error, again)) = self.entry.refusals.active(timer_now())
            && let Some(error) = error.of_component()
        {
            tracing::info!(component = %self.digest, %again, "component failed to compile before; the next attempt waits");
            return Err(CacheError::Refused(error));
        }
        Ok(self.cache.read(self.digest).await?.map(|component| self.keep(component)))
    }

    /// The component, compiled now from these bytes, which must be those of the digest.
    pub(crate) async fn compile(&mut self, bytes: &[u8]) -> Result<Arc<Component>, CacheError> {
        let compiled = self.cache.compile(self.digest, bytes).await;
        if let Err(CacheError::Compile(error)) = &compiled {
            self.entry.refusals.note(error, timer_now());
        }
        compiled.map(|component| self.keep(component))
    }

    fn keep(&mut self, component: Component) -> Arc<Component> {
        let component = Arc::new(component);
        self.entry.component = Some(Arc::clone(&component));
        component
    }
}

/// Whether a component is loaded, or being loaded.
fn is_loaded(entry: &tokio::sync::Mutex<CacheEntry>) -> bool {
    entry.try_lock().map_or(true, |entry| entry.component.is_some())
}

#[expect(
    unsafe_code,
    clippy::disallowed_methods,
    reason = "the code is what this installation's compiler wrote, authenticated, and sealed in memory"
)]
fn load(engine: &Engine, code: &Code, _: &BlockingThread) -> Result<Component, wasmtime::Error> {
    // SAFETY: `Code` comes from the compile child or from a file whose tag was right, and nothing can write to it.
    unsafe { Component::deserialize_file(engine, code.path()) }
}
