//! Bare wasmtime: the same version, the same code, nothing around it.
//!
//! The code is what the sandbox compiled. That this engine loads it shows that it has the same options, as far as they
//! decide about code; how instances are laid out in memory is set here as there.

use std::fs;
use std::path::{Path, PathBuf};

use deputy_core::Digest;
use hyper::{Request, Response};
use wasmtime::component::{Component, ComponentNamedList, InstancePre, Lift, Linker, Lower, ResourceTable};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView};

use crate::Result;

/// A component, ready to be instantiated.
pub(crate) struct Bare<T: 'static> {
    component: Component,
    linked: InstancePre<T>,
}

/// WASI that gives nothing: Python asks for its environment before it runs.
#[derive(Default)]
pub(crate) struct Wasi {
    context: WasiCtx,
    hooks: Hooks,
    http: WasiHttpCtx,
    table: ResourceTable,
}

impl WasiView for Wasi {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.context, table: &mut self.table }
    }
}

/// The engine, with a pool as large as the sandbox's.
pub(crate) fn engine() -> Result<Engine> {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(500);
    pool.total_stacks(500);
    pool.total_core_instances(500 * 32);
    pool.total_memories(1000);
    pool.total_tables(2000);
    pool.max_tables_per_module(8);
    pool.table_elements(100_000);
    pool.max_memory_size(1 << 30);
    pool.max_unused_warm_slots(16);
    pool.pagemap_scan(Enabled::Auto);
    pool.linear_memory_keep_resident(64 << 10);
    let mut config = Config::new();
    config.epoch_interruption(true);
    config.concurrency_support(false);
    config.wasm_component_model(true);
    config.wasm_memory64(false);
    config.wasm_multi_memory(false);
    config.wasm_relaxed_simd(false);
    config.memory_reservation(4 << 30);
    config.max_wasm_stack(512 << 10);
    config.async_stack_size(2 << 20);
    config.async_stack_zeroing(true);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Ok(Engine::new(&config)?)
}

/// The code that the sandbox with this state has compiled for a component.
pub(crate) fn code(state: &Path, digest: &Digest) -> Result<PathBuf> {
    for entry in fs::read_dir(state.join("components"))? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&digest.to_string())) {
            return Ok(path);
        }
    }
    Err("the sandbox has compiled nothing for it".into())
}

/// Sends nothing: no call that is timed here asks for it.
#[derive(Default)]
struct Hooks;

type Work = Box<dyn Future<Output = Result<(), wasmtime_wasi_http::Error>> + Send>;
type Answer = Result<(Response<WasiBody>, Work), wasmtime_wasi_http::Error>;

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        _: Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Work,
    ) -> Box<dyn Future<Output = Answer> + Send> {
        Box::new(async { Err(wasmtime_wasi_http::Error::HttpRequestDenied) })
    }
}

impl WasiHttpView for Wasi {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.hooks }
    }
}

impl Bare<()> {
    /// Links a component against nothing: what it imports is a trap, and the calls here use none of it.
    pub(crate) fn new(engine: Engine, code: &Path) -> Result<Self> {
        let component = load(&engine, code)?;
        let mut linker = Linker::new(&engine);
        linker.define_unknown_imports_as_traps(&component)?;
        Self::link(component, &linker)
    }
}

impl Bare<Wasi> {
    /// Links a component against WASI with HTTP, as those in Python and JavaScript want.
    pub(crate) fn with_wasi(engine: Engine, code: &Path) -> Result<Self> {
        let component = load(&engine, code)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
        linker.instance("delegation:tokens/types@0.2.0")?; // it has no functions
        Self::link(component, &linker)
    }
}

fn load(engine: &Engine, code: &Path) -> Result<Component> {
    #[expect(unsafe_code, reason = "the sandbox of this process has just written it")]
    // SAFETY: the file is the sandbox's own output, in a folder of this process.
    Ok(unsafe { Component::deserialize_file(engine, code)? })
}

impl<T: Default + Send + 'static> Bare<T> {
    fn link(component: Component, linker: &Linker<T>) -> Result<Self> {
        let linked = linker.instantiate_pre(&component)?;
        Ok(Self { component, linked })
    }

    /// A fresh store, a fresh instance, one call of an exported function of `provider`.
    pub(crate) async fn call<P, R>(&self, function: &str, arguments: P) -> Result<R>
    where
        P: ComponentNamedList + Lower + Send + Sync,
        R: ComponentNamedList + Lift + Send + Sync + 'static,
    {
        let mut store = Store::new(self.component.engine(), T::default());
        store.set_epoch_deadline(u64::MAX / 2);
        let provider = self.component.get_export_index(None, "delegation:tokens/provider@0.2.0");
        let function = self.component.get_export_index(provider.as_ref(), function).ok_or("no such export")?;
        let instance = self.linked.instantiate_async(&mut store).await?;
        let function = instance.get_typed_func::<P, R>(&mut store, function)?;
        Ok(function.call_async(&mut store, arguments).await?)
    }
}
