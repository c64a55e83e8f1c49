//! The one engine of a process, and the clock that interrupts components.
//!
//! The options that decide what compiled code looks like are in [`config`] alone, so that the compile child and the
//! process that runs the code cannot differ. How instances are laid out in memory is the runner's own affair: from a
//! pool where the address space is large enough, else one by one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use deputy_core::Limits;
use wasmtime::{Config, Enabled, Engine, EngineWeak, InstanceAllocationStrategy, PoolingAllocationConfig};

/// How often a computing component is interrupted, and so the grain of the limit `cpu`.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// How many calls run at once; more wait. The pool is made for this number.
pub(crate) const CONCURRENT_CALLS: usize = 500;

/// What one call may take of the pool beside [`Limits::MOST_INSTANCES`], whatever its limits say, so that it can't take
/// what others need. A Python component has some twenty instances, one memory and two tables.
pub(crate) const MEMORIES: u32 = 8;
pub(crate) const TABLES: u32 = 8;

/// Options that compiled code depends on. A change here makes cached code useless, which the cache's keys see.
pub(crate) fn config() -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true); // components are interrupted by the clock: cheaper than counting instructions
    config.concurrency_support(false); // WASI 0.2 only: the asynchronous half of the component model stays off
    config.wasm_component_model(true);
    config.wasm_memory64(false); // larger than any limit, and without the cheap bounds checks
    config.wasm_multi_memory(false);
    config.wasm_relaxed_simd(false); // results that differ between machines
    config.memory_reservation(4 << 30); // all of a 32-bit memory, so that bounds are checked by the page tables
    config.max_wasm_stack(512 << 10);
    config.async_stack_size(2 << 20); // at least 1.5 MiB for host functions: running out of it would end the process
    config.async_stack_zeroing(true); // a stack that another component used must not show through
    config
}

/// The engine that runs calls.
///
/// # Errors
/// If wasmtime refuses its options, which would be a bug here.
pub(crate) fn engine() -> Result<Engine, wasmtime::Error> {
    let mut pooled = config();
    pooled.allocation_strategy(InstanceAllocationStrategy::Pooling(pool()));
    Engine::new(&pooled).or_else(|error| {
        tracing::info!(%error, "no room for a pool of instances: allocating them one by one");
        Engine::new(&config())
    })
}

fn pool() -> PoolingAllocationConfig {
    let calls = u32::try_from(CONCURRENT_CALLS).unwrap_or(u32::MAX);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(calls);
    pool.total_stacks(calls);
    pool.total_core_instances(calls * Limits::MOST_INSTANCES);
    pool.total_memories(calls * MEMORIES);
    pool.total_tables(calls * TABLES);
    pool.max_tables_per_module(TABLES);
    pool.table_elements(Limits::MOST_TABLE_ELEMENTS as usize);
    pool.max_memory_size(Limits::MOST_MEMORY.as_usize());
    pool.max_unused_warm_slots(16); // what idle slots keep is memory that nobody uses
    pool.pagemap_scan(Enabled::Auto); // reset only the pages that were touched, where the kernel can say which
    pool.linear_memory_keep_resident(64 << 10);
    pool
}

/// A thread that moves the epoch on while calls run, and sleeps while none do.
pub(crate) struct Ticker {
    running: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

/// Keeps the ticker awake.
pub(crate) struct Ticking<'a>(&'a Ticker);

impl Ticker {
    pub(crate) fn new(engine: &Engine) -> Result<Self, std::io::Error> {
        let running = Arc::new(AtomicUsize::new(0));
        let (engine, count) = (engine.weak(), Arc::clone(&running));
        let thread = thread::Builder::new().name("deputy-ticker".into()).spawn(move || tick(&engine, &count))?;
        Ok(Self { running, thread })
    }

    pub(crate) fn tick(&self) -> Ticking<'_> {
        if self.running.fetch_add(1, Ordering::SeqCst) == 0 {
            self.thread.thread().unpark();
        }
        Ticking(self)
    }
}

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.thread.thread().unpark();
    }
}

/// Ends once the engine and the ticker are gone.
fn tick(engine: &EngineWeak, running: &Arc<AtomicUsize>) {
    loop {
        if running.load(Ordering::SeqCst) > 0 {
            #[expect(clippy::disallowed_methods, reason = "a thread of its own, which does nothing else")]
            thread::sleep(TICK);
        } else if Arc::strong_count(running) == 1 {
            return;
        } else {
            thread::park();
        }
        match engine.upgrade() {
            Some(engine) => engine.increment_epoch(),
            None => return,
        }
    }
}
