//! The sandbox of a process: one engine, one cache, and the components that are loaded with them.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use deputy_audit::Audit;
use deputy_core::{ComponentRef, Instance, LoginPlan, ReceiverPlan};
use deputy_kerberos::LoginStatus;
use tokio::sync::Semaphore;
use wasmtime::component::Linker;

use crate::blocking::blocking;
use crate::call_context;
use crate::clock;
use crate::compile::Compiler;
use crate::compile_cache::{Cache, CacheError, CacheKey};
use crate::component_folders::ComponentFolders;
use crate::component_info::ComponentInfo;
use crate::engine::{self, CONCURRENT_CALLS, Ticker};
use crate::kerberos::Logins;
use crate::load_error::LoadError;
use crate::loaded_component::{LoadedComponent, MAX_READERS};
use crate::network::Resolver;
use crate::provider::LoadedProvider;
use crate::receiver::LoadedReceiver;
use crate::shared::SandboxShared;
use crate::stand_in::{StandIn, World};
use crate::threads::CallThreads;
use crate::watchdog::Watchdog;

/// What a sandbox is made with.
pub struct SandboxOptions {
    /// Where compiled code is kept. `None`: nowhere, each process compiles what it needs.
    pub cache: Option<CodeCache>,
    /// How to compile. Its program also becomes a login process, by the argument `kerberos-login`.
    pub compiler: Compiler,
    pub audit: Arc<Audit>,
    pub resolver: Arc<dyn Resolver>,
    /// Where components are found by name.
    pub folders: ComponentFolders,
    /// Only `deputy test` has one.
    pub stand_in: Option<Arc<dyn StandIn>>,
}

/// Where compiled code is kept, and the key that authenticates it.
pub struct CodeCache {
    /// A folder for this user alone; created if it does not exist.
    pub state_dir: PathBuf,
    /// A key of this installation.
    pub key: CacheKey,
}

/// Runs components. Cheap to clone.
#[derive(Clone)]
pub struct Sandbox {
    shared: Arc<SandboxShared>,
}

/// Why a sandbox cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error("cannot use the cache of compiled components")]
    Cache(#[from] CacheError),
    #[error("cannot start the WebAssembly engine; this is a bug, please report it")]
    Engine(#[from] wasmtime::Error),
    #[error("cannot start the threads for components")]
    Threads(#[from] io::Error),
}

/// How long [`Sandbox::settle`] waits.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(2);

impl Sandbox {
    pub(crate) fn shared(&self) -> &Arc<SandboxShared> {
        &self.shared
    }

    /// Starts the engine and its threads, and opens the cache.
    ///
    /// # Errors
    /// If the state directory can't be used or is open to other users, or if the engine can't be started.
    pub fn new(options: SandboxOptions) -> Result<Self, SandboxError> {
        let engine = engine::engine()?;
        let mut linker = Linker::new(&engine);
        call_context::link(&mut linker)?;
        let folder = options.cache.as_ref().map(|cache| (cache.state_dir.as_path(), cache.key.clone()));
        let shared = SandboxShared {
            audit: options.audit,
            next_call: AtomicU64::new(1),
            denials: Arc::default(),
            resolver: options.resolver,
            world: World::new(options.stand_in),
            slots: Arc::new(Semaphore::new(CONCURRENT_CALLS)),
            threads: CallThreads::new()?,
            ticker: Ticker::new(&engine)?,
            watchdog: Watchdog::new()?,
            logins: Logins::new(options.compiler.program.clone()),
            folders: options.folders,
            cache: Cache::new(engine.clone(), options.compiler, folder)?,
            readers: Arc::new(Semaphore::new(MAX_READERS)),
            engine,
            linker,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Reads, checks, compiles and links an instance's component. Runs nothing of it.
    ///
    /// # Errors
    /// If one of these fails; the component's own code is not run and so can't cause an error.
    pub async fn load(&self, instance: &Instance) -> Result<LoadedProvider, LoadError> {
        let loaded = LoadedComponent::load(&self.shared, &instance.component, instance.sha256).await?;
        let shared = Arc::clone(&self.shared);
        let instance = instance.clone();
        blocking(move |thread| {
            let linked = shared.link(&loaded.info.path, &loaded.component, thread)?;
            LoadedProvider::new(shared, instance, linked, loaded)
        })
        .await
    }

    /// The same for a receiver's component.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub async fn load_receiver(&self, plan: &ReceiverPlan) -> Result<LoadedReceiver, LoadError> {
        let loaded = LoadedComponent::load(&self.shared, &plan.component, plan.sha256).await?;
        let shared = Arc::clone(&self.shared);
        let plan = plan.clone();
        blocking(move |thread| {
            let linked = shared.link(&loaded.info.path, &loaded.component, thread)?;
            LoadedReceiver::new(shared, plan, linked, loaded)
        })
        .await
    }

    /// Reads and compiles a component, and describes it, with the imports that nothing provides. Runs nothing of it.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub async fn inspect(&self, component: &ComponentRef) -> Result<ComponentInfo, LoadError> {
        let LoadedComponent { component, mut info } = LoadedComponent::load(&self.shared, component, None).await?;
        let shared = Arc::clone(&self.shared);
        blocking(move |thread| {
            match shared.link(&info.path, &component, thread) {
                Ok(_) => {}
                Err(LoadError::MissingImports { imports, .. }) => info.missing_imports = imports,
                Err(error) => return Err(error),
            }
            Ok(info)
        })
        .await
    }

    /// Logs in, and waits until that has succeeded or failed, for no longer than the login's time limit.
    pub async fn check_login(&self, plan: &LoginPlan) -> LoginStatus {
        let login = self.shared.logins.of(plan);
        let ready = login.ready().await;
        let status = login.status();
        // A KDC that is still silent is no failed attempt yet.
        LoginStatus { fault: ready.err().or(status.fault), ..status }
    }

    /// Waits until all calls have ended and are recorded, abandoned ones included, but at most two seconds: for the end
    /// of the program.
    pub async fn settle(&self) {
        let all = u32::try_from(CONCURRENT_CALLS).unwrap_or(u32::MAX);
        // Every call holds a slot until its end is recorded. A call that does not end in time ends with the process.
        tokio::time::timeout(SETTLE_TIMEOUT, self.shared.slots.acquire_many(all)).await.map(drop).ok();
    }

    /// Releases components that no provider or receiver uses any more, and removes compiled code that was not loaded for
    /// long, or that is over the cache's size. Returns the number of removed files.
    pub async fn prune(&self) -> usize {
        let shared = Arc::clone(&self.shared);
        blocking(move |_| shared.cache.prune(clock::system())).await
    }
}
