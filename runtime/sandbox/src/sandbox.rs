//! The sandbox of a process: one engine, one cache, and the way from a file to a component that can be called.

use std::fs::File;
use std::io::{self, Read, Take};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use deputy_core::{Digest, Instance, ReceiverPlan, Span};
use deputy_observe::Audit;
use tokio::sync::Semaphore;
use wasmtime::Engine;
use wasmtime::component::{Component, InstancePre, Linker};

use crate::blocking::blocking;
use crate::call_context::{self, CallState};
use crate::clock;
use crate::compile::Compiler;
use crate::compile_cache::{Cache, CacheError, CacheKey};
use crate::component_info::{ComponentInfo, ComponentKind};
use crate::engine::{self, CONCURRENT_CALLS, Ticker};
use crate::http::HttpPolicyError;
use crate::network::Resolver;
use crate::provider::LoadedProvider;
use crate::receiver::LoadedReceiver;
use crate::refusal_budget::RefusalBudget;
use crate::threads::CallThreads;
use crate::watchdog::Watchdog;

/// What a sandbox is made with.
pub struct SandboxOptions {
    /// Where compiled code is kept. `None`: nowhere, each process compiles what it needs.
    pub cache: Option<CodeCache>,
    /// How components are compiled.
    pub compiler: Compiler,
    /// Where audit events go.
    pub audit: Arc<Audit>,
    /// How names are resolved.
    pub resolver: Arc<dyn Resolver>,
}

/// Where compiled code is kept, and what authenticates it.
pub struct CodeCache {
    /// A folder for this user alone; made if it is not there.
    pub state_dir: PathBuf,
    /// Only this installation has it.
    pub key: CacheKey,
}

/// Runs components. Cheap to clone.
#[derive(Clone)]
pub struct Sandbox {
    shared: Arc<Shared>,
}

/// What all components of a process share: nothing that one of them could write to.
pub(crate) struct Shared {
    pub(crate) audit: Arc<Audit>,
    pub(crate) calls: AtomicU64,
    pub(crate) refusals: Arc<RefusalBudget>,
    pub(crate) resolver: Arc<dyn Resolver>,
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) threads: CallThreads,
    pub(crate) ticker: Ticker,
    pub(crate) watchdog: Watchdog,
    cache: Cache,
    /// Held while a component's file is read.
    reading: Arc<Semaphore>,
    engine: Engine,
    linker: Linker<CallState>,
}

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The cache.
    #[error("cannot use the cache of compiled components")]
    Cache(#[from] CacheError),
    /// The engine.
    #[error("cannot start the WebAssembly engine; this is a bug, please report it")]
    Engine(#[from] wasmtime::Error),
    /// Threads.
    #[error("the threads for components can't be started")]
    Threads(#[from] io::Error),
}

/// Why a component is not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It can't be compiled.
    #[error("cannot compile {}", path.display())]
    Cache {
        /// The component.
        path: PathBuf,
        /// Why.
        source: CacheError,
    },
    /// It is not what it was a moment ago.
    #[error("{} changed while it was loaded: try again once nobody writes to it", path.display())]
    Changed {
        /// The component.
        path: PathBuf,
    },
    /// It has another digest than the configuration says.
    #[error("{} has the SHA-256 {found}, not {expected}: restore the file, or set `sha256` if the change is yours", path.display())]
    Digest {
        /// The component.
        path: PathBuf,
        /// What it has.
        found: Digest,
        /// What it should have.
        expected: Digest,
    },
    /// What its HTTP rules name can't be used.
    #[error("cannot use the HTTP rules of {instance}")]
    Http {
        /// The instance.
        instance: String,
        /// Why.
        source: HttpPolicyError,
    },
    /// Its file system does not answer.
    #[error("reading the component {} took longer than {limit}: is its file system reachable?", path.display())]
    Hangs {
        /// The component.
        path: PathBuf,
        /// How long it may take.
        limit: Span,
    },
    /// It imports what no grant can give.
    #[error("{} imports interfaces beyond the contract and WASI 0.2", path.display())]
    Import {
        /// The component.
        path: PathBuf,
        /// Which import.
        source: wasmtime::Error,
    },
    /// It can't be read.
    #[error("cannot read the component {}", path.display())]
    Read {
        /// The component.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is larger than any component should be.
    #[error("{} is larger than 256 MiB, the limit for a component", path.display())]
    Size {
        /// The component.
        path: PathBuf,
    },
    /// It is a component, but neither a provider nor a receiver.
    #[error("{} exports neither delegation:tokens/provider@0.1.0 nor delegation:tokens/receiver@0.1.0, so it is not a connector", path.display())]
    World {
        /// The component.
        path: PathBuf,
    },
    /// It is a connector of the other kind.
    #[error("{} is not a {wanted}: configure it where the other kind of component belongs", path.display())]
    Kind {
        /// The component.
        path: PathBuf,
        /// What it should be.
        wanted: ComponentKind,
    },
}

/// How long the end of calls is waited for at the end of the program.
const SETTLING: Duration = Duration::from_secs(2);

const LARGEST_COMPONENT: u64 = 256 << 20;

/// How many components' files are read at once, how long one may take, and how long it may wait for its turn.
const READERS: usize = 8;
const READING: Span = Span::secs(60);
const QUEUEING: Span = Span::secs(600);

impl Shared {
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    fn link(&self, path: &Path, component: &Component) -> Result<InstancePre<CallState>, LoadError> {
        let linked = self.linker.instantiate_pre(component);
        linked.map_err(|source| LoadError::Import { path: path.to_owned(), source })
    }
}

impl Sandbox {
    /// What its components share.
    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// A sandbox.
    ///
    /// # Errors
    /// If the state directory can't be used or is open to others, or if the engine can't be started.
    pub fn new(options: SandboxOptions) -> Result<Self, SandboxError> {
        let engine = engine::engine()?;
        let mut linker = Linker::new(&engine);
        call_context::link(&mut linker)?;
        let kept = options.cache.as_ref().map(|cache| (cache.state_dir.as_path(), cache.key.clone()));
        let shared = Shared {
            audit: options.audit,
            calls: AtomicU64::new(1),
            refusals: Arc::default(),
            resolver: options.resolver,
            slots: Arc::new(Semaphore::new(CONCURRENT_CALLS)),
            threads: CallThreads::new()?,
            ticker: Ticker::new(&engine)?,
            watchdog: Watchdog::new()?,
            cache: Cache::new(engine.clone(), options.compiler, kept)?,
            reading: Arc::new(Semaphore::new(READERS)),
            engine,
            linker,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Reads, checks, compiles and links an instance's component. Runs nothing of it.
    ///
    /// # Errors
    /// If one of these fails; the component's own code can't make it.
    pub async fn load(&self, instance: &Instance) -> Result<LoadedProvider, LoadError> {
        let loaded = self.component(&instance.component, instance.sha256).await?;
        let (shared, instance) = (Arc::clone(&self.shared), instance.clone());
        blocking(move || {
            let linked = shared.link(&instance.component, &loaded.component)?;
            LoadedProvider::new(shared, instance, linked, loaded)
        })
        .await
    }

    /// The same for a receiver's component.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub async fn load_receiver(&self, plan: &ReceiverPlan) -> Result<LoadedReceiver, LoadError> {
        let loaded = self.component(&plan.component, plan.sha256).await?;
        let (shared, plan) = (Arc::clone(&self.shared), plan.clone());
        blocking(move || {
            let linked = shared.link(&plan.component, &loaded.component)?;
            LoadedReceiver::new(shared, plan, linked, loaded)
        })
        .await
    }

    /// Reads and compiles a component, and says what it is. Runs nothing of it.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub async fn inspect(&self, path: &Path) -> Result<ComponentInfo, LoadError> {
        Ok(self.component(path, None).await?.inspection)
    }

    /// Waits until all calls are over and recorded, those included that nobody waits for any more, but at most two
    /// seconds: for the end of the program.
    pub async fn settle(&self) {
        let all = u32::try_from(CONCURRENT_CALLS).unwrap_or(u32::MAX);
        // Every call holds a place until its end is recorded. One that does not end in time ends with the process.
        tokio::time::timeout(SETTLING, self.shared.slots.acquire_many(all)).await.map(drop).ok();
    }

    /// Releases components that no provider or receiver has any more, and removes compiled code that nothing loaded for
    /// long, or of which there is too much. Returns how many files were removed.
    pub async fn prune(&self) -> usize {
        let shared = Arc::clone(&self.shared);
        blocking(move || shared.cache.prune(clock::system())).await
    }

    async fn component(&self, path: &Path, expected: Option<Digest>) -> Result<Loaded, LoadError> {
        let file = path.to_owned();
        let (digest, size) = self.read_file(path, move || digest(&file)).await?;
        if let Some(expected) = expected.filter(|expected| *expected != digest) {
            return Err(LoadError::Digest { path: path.to_owned(), found: digest, expected });
        }
        let failed = |source| LoadError::Cache { path: path.to_owned(), source };
        let mut slot = self.shared.cache.slot(digest).await;
        let component = match slot.load().await.map_err(failed)? {
            Some(component) => component,
            None => {
                let file = path.to_owned();
                let bytes = self.read_file(path, move || read(&file, digest)).await?;
                slot.compile(&bytes).await.map_err(failed)?
            }
        };
        drop(slot);
        let (engine, of) = (self.shared.engine.clone(), Arc::clone(&component));
        let inspection = blocking(move || ComponentInfo::of(&engine, &of, digest, size)).await;
        let inspection = inspection.ok_or_else(|| LoadError::World { path: path.to_owned() })?;
        Ok(Loaded { component, inspection })
    }

    /// Reads a component's file beside the runtime's threads, few at once: one whose file system hangs keeps its thread.
    async fn read_file<T: Send + 'static>(
        &self,
        path: &Path,
        read: impl FnOnce() -> Result<T, LoadError> + Send + 'static,
    ) -> Result<T, LoadError> {
        let late = |limit| LoadError::Hangs { path: path.to_owned(), limit };
        let place = Arc::clone(&self.shared.reading).acquire_owned();
        let place = tokio::time::timeout(QUEUEING.duration(), place).await.map_err(|_| late(QUEUEING))?;
        let reads = blocking(move || {
            let _place = place;
            read()
        });
        tokio::time::timeout(READING.duration(), reads).await.map_err(|_| late(READING))?
    }
}

/// A component, and what it is.
pub(crate) struct Loaded {
    /// The cache does not release it while somebody has this.
    pub(crate) component: Arc<Component>,
    pub(crate) inspection: ComponentInfo,
}

/// The digest of a file and its size, by way of a small buffer: most components are compiled already, and then nobody
/// needs their bytes.
fn digest(path: &Path) -> Result<(Digest, u64), LoadError> {
    let mut file = open(path)?;
    let (mut context, mut size, mut buffer) = (Context::new(&SHA256), 0, vec![0; 64 << 10]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                context.update(buffer.get(..count).unwrap_or_default());
                size += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(LoadError::Read { path: path.to_owned(), source }),
        }
    }
    if size > LARGEST_COMPONENT {
        return Err(LoadError::Size { path: path.to_owned() });
    }
    Ok((of(&context.finish()), size))
}

/// The bytes of a file that has this digest. What is compiled is what was asked about: the file may have changed since.
fn read(path: &Path, digest: Digest) -> Result<Vec<u8>, LoadError> {
    let mut bytes = Vec::new();
    #[expect(clippy::disallowed_methods, reason = "bounded by `take`")]
    open(path)?.read_to_end(&mut bytes).map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
    if of(&aws_lc_rs::digest::digest(&SHA256, &bytes)) == digest {
        Ok(bytes)
    } else {
        Err(LoadError::Changed { path: path.to_owned() })
    }
}

/// A file of which no more can be read than tells that it is too large.
fn open(path: &Path) -> Result<Take<File>, LoadError> {
    let failed = |source| LoadError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.len() > LARGEST_COMPONENT {
        return Err(LoadError::Size { path: path.to_owned() });
    }
    Ok(file.take(LARGEST_COMPONENT + 1))
}

fn of(sha256: &aws_lc_rs::digest::Digest) -> Digest {
    let mut digest = [0; 32];
    digest.copy_from_slice(sha256.as_ref());
    Digest::new(digest)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn a_digest_is_that_of_the_whole_file_whatever_its_size() {
        for size in [0, 1, (64 << 10) - 1, 64 << 10, (64 << 10) + 1, 300_000] {
            let bytes: Vec<u8> = (0..size).map(|n: u32| n.to_le_bytes()[1]).collect();
            let file = file(&bytes);
            let expected = of(&aws_lc_rs::digest::digest(&SHA256, &bytes));
            assert_eq!(digest(file.path()).unwrap(), (expected, u64::from(size)));
            assert_eq!(read(file.path(), expected).unwrap(), bytes);
        }
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(digest(file(b"").path()).unwrap().0.to_string(), empty);
    }

    #[test]
    fn a_file_that_changed_since_its_digest_was_taken_is_not_compiled() {
        let mut file = file(b"what was looked at");
        let (before, _) = digest(file.path()).unwrap();
        file.write_all(b", and then more").unwrap();
        assert!(matches!(read(file.path(), before), Err(LoadError::Changed { .. })));
    }

    #[test]
    fn a_file_is_too_large_by_its_first_byte_too_many() {
        let file = file(b"");
        file.as_file().set_len(LARGEST_COMPONENT).unwrap();
        assert_eq!(digest(file.path()).unwrap().1, LARGEST_COMPONENT);
        file.as_file().set_len(LARGEST_COMPONENT + 1).unwrap();
        assert!(matches!(digest(file.path()), Err(LoadError::Size { .. })));
        assert!(matches!(digest(Path::new("/dev/zero")), Err(LoadError::Size { .. })), "it has no length");
    }
}
