//! From a component's file to a component that can be linked: read, checked, compiled.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use deputy_core::{ComponentRef, Digest, Span};
use wasmtime::component::Component;

use crate::blocking::blocking;
use crate::compile::CompileError;
use crate::compile_cache::CacheError;
use crate::component_file;
use crate::component_info::ComponentInfo;
use crate::load_error::LoadError;
use crate::not_connector::NotConnector;
use crate::shared::SandboxShared;

/// Component files that are read at once.
pub(crate) const MAX_READERS: usize = 8;
/// How long a read may wait for others.
const QUEUE_TIMEOUT: Span = Span::secs(600);

/// A component, and what it is.
pub(crate) struct LoadedComponent {
    /// The cache keeps the component in memory as long as this is referenced.
    pub(crate) component: Arc<Component>,
    pub(crate) info: ComponentInfo,
}

impl LoadedComponent {
    /// Finds, reads and compiles a component. Runs nothing of it.
    pub(crate) async fn load(
        shared: &SandboxShared,
        component: &ComponentRef,
        expected: Option<Digest>,
    ) -> Result<Self, LoadError> {
        let path = shared.folders.find(component).await?;
        let path = path.as_path();
        let file = path.to_owned();
        let (digest, size) = read_file(shared, path, move || component_file::digest(&file)).await?;
        if let Some(expected) = expected.filter(|expected| *expected != digest) {
            return Err(LoadError::Digest { path: path.to_owned(), found: digest, expected });
        }
        let component = compile(shared, path, digest).await?;
        let engine = shared.engine.clone();
        let inspected = Arc::clone(&component);
        let file = path.to_owned();
        let info =
            blocking(move |thread| ComponentInfo::of(&engine, &inspected, &file, (digest, size), thread)).await?;
        Ok(Self { component, info })
    }
}

/// The compiled component, from the cache if it is there.
async fn compile(shared: &SandboxShared, path: &Path, digest: Digest) -> Result<Arc<Component>, LoadError> {
    let mut slot = shared.cache.slot(digest).await;
    let cached = slot.load().await.map_err(|source| cache_error(path.to_owned(), source))?;
    if let Some(component) = cached {
        return Ok(component);
    }
    let file = path.to_owned();
    let bytes = read_file(shared, path, move || component_file::read(&file, digest)).await?;
    let path = path.to_owned();
    if let Some(found) = NotConnector::of_bytes(&bytes) {
        return Err(LoadError::NotConnector { path, found });
    }
    slot.compile(&bytes).await.map_err(|source| cache_error(path, source))
}

fn cache_error(path: PathBuf, source: CacheError) -> LoadError {
    let found = match &source {
        CacheError::Compile(CompileError::Invalid(text)) | CacheError::Refused(CompileError::Invalid(text)) => {
            NotConnector::of_compile_error(text)
        }
        _ => None,
    };
    match found {
        Some(found) => LoadError::NotConnector { path, found },
        None => LoadError::Cache { path, source },
    }
}

/// Reads a component's file, few at once.
async fn read_file<T: Send + 'static>(
    shared: &SandboxShared,
    path: &Path,
    read: impl FnOnce() -> Result<T, LoadError> + Send + 'static,
) -> Result<T, LoadError> {
    let permit = tokio::time::timeout(QUEUE_TIMEOUT.duration(), Arc::clone(&shared.readers).acquire_owned())
        .await
        .map_err(|_| LoadError::Hangs { path: path.to_owned(), limit: QUEUE_TIMEOUT })?;
    component_file::in_time(path, move || {
        let _permit = permit;
        read()
    })
    .await
}
