//! The one engine of a process, and the clock that interrupts components.
//!
//! The options that decide what compiled code looks like are in [`config`] alone, so that the compile child and the
//! process that runs the code cannot differ. How instances are laid out in memory is the runner's own affair: from a
//! pool where the address space is large enough, else one by one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use deputy_core::{Limits, Span};
use tokio::time::Instant;
use wasmtime::{
    Config, Enabled, Engine, EngineWeak, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails,
};

use deputy_support::timer_now;

/// How often a computing component is interrupted: the resolution of the limit `cpu`.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Concurrent calls; more wait. The pool has this size.
pub(crate) const CONCURRENT_CALLS: usize = 500;

/// What one call may take of the pool beside [`Limits::MAX_INSTANCES`], whatever its limits allow, so that other calls
/// always find room. A Python component has some twenty instances, one memory and two tables.
pub(crate) const MEMORIES: u32 = 8;
pub(crate) const TABLES: u32 = 8;

/// What wasmtime may take for the bookkeeping of one component's instances, in bytes. Instances of components within
/// components have no other limit: 16 bytes each, and some hundred more while a call runs.
const COMPONENT_INSTANCE: usize = 1 << 20;

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
    // By default `WASMTIME_BACKTRACE_DETAILS` decides, which the compile child does not have: its code would not load.
    config.wasm_backtrace_details(WasmBacktraceDetails::Disable);
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
    let calls = u32::try_from(CONCURRENT_CALLS).unwrap_or(u32::MAX);
    pooled.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(calls, calls * MEMORIES)));
    Engine::new(&pooled).or_else(|error| {
        tracing::info!(%error, "instance pool not available; allocating instances on demand");
        Engine::new(&config())
    })
}

/// An engine that runs nothing and rejects components that no slot of the pool can hold, also on machines without room
/// for a pool: it reserves no memory.
///
/// # Errors
/// As [`engine`].
pub(crate) fn checking_engine() -> Result<Engine, wasmtime::Error> {
    let mut config = config();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(1, 0)));
    Engine::new(&config)
}

fn pool(calls: u32, memories: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(calls);
    pool.total_stacks(calls);
    pool.total_core_instances(calls * Limits::MAX_INSTANCES);
    pool.total_memories(memories);
    pool.total_tables(calls * TABLES);
    pool.max_tables_per_module(TABLES);
    pool.max_component_instance_size(COMPONENT_INSTANCE);
    pool.table_elements(Limits::MAX_TABLE_ELEMENTS as usize);
    pool.max_memory_size(Limits::MAX_MEMORY.as_usize());
    pool.max_unused_warm_slots(16); // what idle slots keep is unused memory
    pool.pagemap_scan(Enabled::Auto); // resets only the touched pages, where the kernel reports them
    pool.linear_memory_keep_resident(64 << 10);
    pool
}

/// A thread that increments the epoch while calls run, and sleeps while none do. A gap in its pulse shows that the whole
/// process was stopped, by a signal or with its machine.
pub(crate) struct Ticker {
    pulse: Arc<Pulse>,
    thread: JoinHandle<()>,
}

struct Pulse {
    running: AtomicUsize,
    origin: Instant,
    /// The last beat, in nanoseconds since `origin`.
    last: AtomicU64,
    /// Nanoseconds for which the process was stopped while calls ran.
    stopped: AtomicU64,
}

/// Keeps the ticker awake while a call runs.
pub(crate) struct Ticking {
    pulse: Arc<Pulse>,
    begun: u64,
    stopped: u64,
}

/// A gap of this length, in nanoseconds, is not explained by a busy machine.
const MIN_STOP: u64 = 1_000_000_000;

impl Ticker {
    pub(crate) fn new(engine: &Engine) -> Result<Self, std::io::Error> {
        let pulse = Arc::new(Pulse {
            running: AtomicUsize::new(0),
            origin: timer_now(),
            last: AtomicU64::new(0),
            stopped: AtomicU64::new(0),
        });
        let engine = engine.weak();
        let ticking = Arc::clone(&pulse);
        let thread = thread::Builder::new().name("deputy-ticker".into()).spawn(move || tick(&engine, &ticking))?;
        Ok(Self { pulse, thread })
    }

    pub(crate) fn tick(&self) -> Ticking {
        let begun = self.pulse.now();
        let stopped = self.pulse.stopped.load(Ordering::SeqCst);
        if self.pulse.running.fetch_add(1, Ordering::SeqCst) == 0 {
            self.thread.thread().unpark();
        }
        Ticking { pulse: Arc::clone(&self.pulse), begun, stopped }
    }
}

impl Ticking {
    /// How long the process was stopped since this call began, if it was.
    pub(crate) fn stopped(&self) -> Option<Span> {
        let last = self.pulse.last.load(Ordering::SeqCst).max(self.begun);
        // The call may be awake again before the ticker is.
        let gap = Some(self.pulse.now().saturating_sub(last)).filter(|gap| *gap >= MIN_STOP);
        let noticed = self.pulse.stopped.load(Ordering::SeqCst).saturating_sub(self.stopped);
        let stopped = noticed.saturating_add(gap.unwrap_or_default());
        (stopped > 0).then(|| Span::millis(stopped / 1_000_000))
    }
}

impl Pulse {
    fn now(&self) -> u64 {
        let since = timer_now().saturating_duration_since(self.origin);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    fn beat(&self, asleep: bool) {
        let now = self.now();
        let gap = now.saturating_sub(self.last.load(Ordering::SeqCst));
        if gap >= MIN_STOP && !asleep {
            self.stopped.fetch_add(gap, Ordering::SeqCst);
        }
        self.last.store(now, Ordering::SeqCst);
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        self.pulse.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.thread.thread().unpark();
    }
}

/// Returns when the engine and the ticker are dropped.
fn tick(engine: &EngineWeak, pulse: &Arc<Pulse>) {
    loop {
        if pulse.running.load(Ordering::SeqCst) > 0 {
            #[expect(clippy::disallowed_methods, reason = "a thread of its own, which does nothing else")]
            thread::sleep(TICK);
            pulse.beat(false);
        } else if Arc::strong_count(pulse) == 1 {
            return;
        } else {
            thread::park();
            pulse.beat(true);
        }
        match engine.upgrade() {
            Some(engine) => engine.increment_epoch(),
            None => return,
        }
    }
}
