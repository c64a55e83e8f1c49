//! What all components of a process share.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use deputy_audit::{Audit, CallId};
use tokio::sync::Semaphore;
use wasmtime::Engine;
use wasmtime::component::{Component, InstancePre, Linker};

use crate::blocking::BlockingThread;
use crate::call_context::CallState;
use crate::compile_cache::Cache;
use crate::component_folders::ComponentFolders;
use crate::denial_budget::DenialBudget;
use crate::engine::Ticker;
use crate::imports;
use crate::kerberos::Logins;
use crate::load_error::LoadError;
use crate::network::Resolver;
use crate::stand_in::World;
use crate::threads::CallThreads;
use crate::watchdog::Watchdog;

/// What all components of a process share: nothing that one of them could write to.
pub(crate) struct SandboxShared {
    pub(crate) audit: Arc<Audit>,
    /// The id of the next call.
    pub(crate) next_call: AtomicU64,
    pub(crate) denials: Arc<DenialBudget>,
    pub(crate) resolver: Arc<dyn Resolver>,
    pub(crate) world: World,
    /// One permit per concurrent call, held until the call's end is recorded.
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) threads: CallThreads,
    pub(crate) ticker: Ticker,
    pub(crate) watchdog: Watchdog,
    pub(crate) cache: Cache,
    pub(crate) folders: ComponentFolders,
    /// Held while a component's file is read.
    pub(crate) readers: Arc<Semaphore>,
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<CallState>,
    pub(crate) logins: Logins,
}

impl SandboxShared {
    pub(crate) fn next_call(&self) -> CallId {
        CallId(self.next_call.fetch_add(1, Ordering::Relaxed))
    }

    /// Links a component against every interface that a grant can give.
    pub(crate) fn link(
        &self,
        path: &Path,
        component: &Component,
        _: &BlockingThread,
    ) -> Result<InstancePre<CallState>, LoadError> {
        self.linker.instantiate_pre(component).map_err(|source| {
            let path = path.to_owned();
            let imports = imports::missing(&self.engine, &self.linker, &component.component_type());
            if imports.is_empty() {
                LoadError::Import { path, source }
            } else {
                LoadError::MissingImports { path, imports }
            }
        })
    }
}
