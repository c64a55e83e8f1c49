//! Compiled components, kept by what they were made of.
//!
//! A key is a digest of the component, the engine's version and its options; the folder and its files belong to this
//! user and to nobody else, so what is loaded is what this installation wrote. Loading maps the file and takes
//! milliseconds whatever its size.

use std::collections::HashMap;
use std::fs::{self, DirBuilder};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use deputy_core::Digest;
use tokio::sync::OwnedMutexGuard;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::compile::{CompileError, Compiler};

/// Compiles components once and keeps the code.
pub(crate) struct Cache {
    engine: Engine,
    compiler: Compiler,
    folder: PathBuf,
    loaded: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Option<Component>>>>>,
}

/// The place of one component, held until what is in it is known.
pub(crate) struct Slot<'c> {
    cache: &'c Cache,
    path: PathBuf,
    loaded: OwnedMutexGuard<Option<Component>>,
}

/// Why compiled code is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The component can't be compiled.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// A folder or file that others own or can write to.
    #[error("{} must belong to this user and be closed to others: chown and `chmod {mode:o} {}`", path.display(), path.display())]
    Exposed {
        /// Which.
        path: PathBuf,
        /// The mode that it should have.
        mode: u32,
    },
    /// Reading or writing failed.
    #[error("cannot use {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The code can't be loaded.
    #[error("cannot load the compiled code {}: delete it and try again", path.display())]
    Load {
        /// Which.
        path: PathBuf,
        /// Why.
        source: wasmtime::Error,
    },
}

impl Cache {
    /// A cache in `components` below the state directory, which is made if it is not there.
    pub(crate) fn new(engine: Engine, compiler: Compiler, state: &Path) -> Result<Self, CacheError> {
        let folder = state.join("components");
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|source| io_error(&folder, source))?;
        for folder in [state, &folder] {
            private(folder, 0o700)?;
        }
        Ok(Self { engine, compiler, folder, loaded: Mutex::new(HashMap::new()) })
    }

    /// The place of a component of this digest. Several that ask for the same wait for one.
    pub(crate) async fn slot(&self, digest: Digest) -> Slot<'_> {
        let key = self.key(digest);
        let loaded =
            Arc::clone(self.loaded.lock().unwrap_or_else(PoisonError::into_inner).entry(key.clone()).or_default());
        Slot { cache: self, path: self.folder.join(key), loaded: loaded.lock_owned().await }
    }

    fn key(&self, digest: Digest) -> String {
        let mut options = DefaultHasher::new(); // the engine's version is in its hash
        self.engine.precompile_compatibility_hash().hash(&mut options);
        format!("{digest}-{:016x}.cwasm", options.finish())
    }

    /// The file appears whole or not at all.
    async fn compile(&self, bytes: &[u8], path: &Path) -> Result<(), CacheError> {
        let failed = |source| io_error(path, source);
        let file = tempfile::Builder::new().prefix(".compiling-").tempfile_in(&self.folder).map_err(failed)?;
        self.compiler.compile(bytes, file.as_file().try_clone().map_err(failed)?).await?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(path).map_err(|error| failed(error.error))?;
        Ok(())
    }

    #[expect(
        unsafe_code,
        clippy::disallowed_methods,
        reason = "the file was written by this installation's own compiler into a folder closed to others"
    )]
    fn load(&self, path: &Path) -> Result<Component, CacheError> {
        // SAFETY: `private` has just shown that nobody else can have written it, and files are never changed in place.
        unsafe { Component::deserialize_file(&self.engine, path) }.map_err(|source| match format!("{source:#}") {
            // The compiler knows nothing of the pool; what no slot of it can hold, no limit allows either.
            text if text.contains("pooling allocator") => {
                CompileError::Invalid("it begins with more memory, tables or instances than any limit allows".into())
                    .into()
            }
            _ => CacheError::Load { path: path.to_owned(), source },
        })
    }
}

impl Slot<'_> {
    /// The compiled component, from memory or from the folder, if it is there.
    pub(crate) fn load(&mut self) -> Result<Option<Component>, CacheError> {
        if self.loaded.is_none() && self.path.try_exists().map_err(|source| io_error(&self.path, source))? {
            self.take().map(Some)
        } else {
            Ok(self.loaded.clone())
        }
    }

    /// The component, compiled now of these bytes, which must be those of the digest.
    pub(crate) async fn compile(&mut self, bytes: &[u8]) -> Result<Component, CacheError> {
        self.cache.compile(bytes, &self.path).await?;
        self.take()
    }

    fn take(&mut self) -> Result<Component, CacheError> {
        private(&self.path, 0o600)?;
        let component = self.cache.load(&self.path)?;
        *self.loaded = Some(component.clone());
        Ok(component)
    }
}

/// Refuses what somebody else could have written.
fn private(path: &Path, mode: u32) -> Result<(), CacheError> {
    let metadata = fs::symlink_metadata(path).map_err(|source| io_error(path, source))?;
    let own = metadata.uid() == rustix::process::geteuid().as_raw();
    let closed = metadata.permissions().mode() & 0o077 == 0;
    if own && closed && !metadata.is_symlink() {
        Ok(())
    } else {
        Err(CacheError::Exposed { path: path.to_owned(), mode })
    }
}

fn io_error(path: &Path, source: io::Error) -> CacheError {
    CacheError::Io { path: path.to_owned(), source }
}
