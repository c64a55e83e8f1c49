//! What the coordinator bears: many instances with short leases, each call a moment of nothing, each lease sealed and
//! written to disk before it is published.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use aws_lc_rs::rand::SystemRandom;
use deputy_coordinator::{
    ConfiguredProvider, Coordinator, CoordinatorConfig, CoordinatorHandle, CoordinatorOptions, Deliveries, LeaseBoard,
};
use deputy_core::retry::RetryPolicy;
use deputy_core::schedule::{
    Budget, CallOutcome, CallRate, ConfigFingerprint, InstancePlan, OptionalExports, Policy, ProviderCall, Ratio,
    ScheduleConfig, UpstreamName,
};
use deputy_core::{InstanceName, SecretBytes, Span, Timestamp, TokenExpiry, Tokens};
use deputy_metrics::CoordinatorMetrics;
use deputy_sources::SourceContext;
use deputy_store::{DirectoryStore, MasterKey, Random};
use deputy_support::SystemClock;
use deputy_traces::OpenSpan;
use tokio::task::JoinSet;

use crate::Result;
use crate::report::{Report, Unit};

/// How many instances, and how long their leases live: some 700 and 1,300 calls in a second.
const SIZES: [(usize, Duration); 2] = [(1000, Duration::from_secs(2)), (10_000, Duration::from_secs(10))];

/// How long is measured, after each instance was called twice.
const WINDOW: Duration = Duration::from_secs(10);

/// What a slow provider takes, and how many of them there are: as in what was measured of Flink, which calls one after
/// the other.
const SLOW: Duration = Duration::from_millis(50);
const SLOW_ONES: usize = 10;

pub(crate) async fn measure(report: &mut Report, rounds: usize) -> Result {
    let (mut rates, mut lateness, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for (instances, life) in SIZES {
        let seen = many(instances, life).await?;
        rates.push((instances, seen.rate));
        lateness.push((instances, seen.lateness));
        memory.push((instances, seen.kib));
    }
    let name = |instances: usize| format!("{instances} instances");
    let section = report.section("leases obtained, sealed, written and published");
    for (instances, rate) in rates {
        section.add(&name(instances), Unit::PerSecond, vec![rate]);
    }
    let section = report.section("how late a renewal begins");
    for (instances, lateness) in lateness {
        section.add(&name(instances), Unit::Micros, lateness);
    }
    let section = report.section("memory of an instance");
    for (instances, kib) in memory {
        section.add(&name(instances), Unit::Kib, vec![kib]);
    }
    let section = report.section(format!("all of {SLOW_ONES} providers that take 50 ms each, first to last lease"));
    let (mut one, mut parallel, mut sequential) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        one.push(first_to_last(1, 1).await?);
        parallel.push(first_to_last(SLOW_ONES, SLOW_ONES).await?);
        sequential.push(first_to_last(SLOW_ONES, 1).await?);
    }
    section.times("one of them", &one);
    section.times("all at once", &parallel);
    section.times("with `calls = 1`: one after the other", &sequential);
    Ok(())
}

struct Seen {
    rate: f64,
    lateness: Vec<f64>,
    kib: f64,
}

/// Keeps this number of instances for a while.
async fn many(instances: usize, life: Duration) -> Result<Seen> {
    let before = resident()?;
    let shared = Arc::new(Shared::default());
    let make = |number: usize| Quick {
        // Spread from the start, so that waves do not hide behind each other.
        life: life.mul_f64(0.5 + 0.5 * number as f64 / instances as f64),
        due: AtomicU64::new(0),
        calls: AtomicU64::new(0),
        shared: Arc::clone(&shared),
    };
    let running = Running::start(instances, 64, |number| Arc::new(make(number))).await?;
    while shared.second.load(Ordering::Relaxed) < instances {
        pause(Duration::from_millis(50)).await;
    }
    let kib = (resident()? - before) / instances as f64;
    shared.begin();
    let begun = Instant::now();
    pause(WINDOW).await;
    let lateness = shared.end();
    let rate = lateness.len() as f64 / begun.elapsed().as_secs_f64();
    running.stop().await?;
    Ok(Seen { rate, lateness, kib })
}

/// How long it takes until all of this number of slow instances are published.
async fn first_to_last(instances: usize, calls: usize) -> Result<Duration> {
    let begun = Instant::now();
    let running = Running::start(instances, calls, |_| Arc::new(Slow)).await?;
    let mut changes = running.board.changes();
    let names = (0..instances).map(name).collect::<Result<Vec<_>>>()?;
    while !names.iter().all(|name| running.board.lease(name).is_some()) {
        changes.changed().await?;
    }
    let took = begun.elapsed();
    running.stop().await?;
    Ok(took)
}

/// What the calls of all instances tell.
#[derive(Default)]
struct Shared {
    /// How many instances were called a second time.
    second: AtomicUsize,
    lateness: Mutex<Option<Vec<f64>>>,
}

impl Shared {
    fn begin(&self) {
        *self.lateness.lock().unwrap_or_else(PoisonError::into_inner) = Some(Vec::new());
    }

    fn end(&self) -> Vec<f64> {
        self.lateness.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
    }
}

/// Answers at once, and knows when it will be called again.
struct Quick {
    life: Duration,
    due: AtomicU64,
    calls: AtomicU64,
    shared: Arc<Shared>,
}

#[async_trait]
impl ConfiguredProvider for Quick {
    async fn call(&self, _: &ProviderCall, _: &OpenSpan) -> CallOutcome {
        let now = micros();
        let due = self.due.load(Ordering::Relaxed);
        if self.calls.fetch_add(1, Ordering::Relaxed) == 1 {
            self.shared.second.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(lateness) = &mut *self.shared.lateness.lock().unwrap_or_else(PoisonError::into_inner) {
            lateness.push(now.saturating_sub(due).max(1) as f64); // times have milliseconds
        }
        let life = self.life.as_micros() as u64;
        self.due.store(now + life * 3 / 4, Ordering::Relaxed);
        tokens((now + life) / 1000)
    }
}

struct Slow;

#[async_trait]
impl ConfiguredProvider for Slow {
    async fn call(&self, _: &ProviderCall, _: &OpenSpan) -> CallOutcome {
        pause(SLOW).await;
        tokens(micros() / 1000 + 3_600_000)
    }
}

/// A kilobyte, as credentials with a session token have.
fn tokens(valid_until: u64) -> CallOutcome {
    let payload = SecretBytes::new(vec![b'x'; 1024]);
    let expiry = TokenExpiry::At(Timestamp::from_millis(valid_until));
    match "bench/1".parse() {
        Ok(kind) => CallOutcome::Obtained(Tokens { expiry, ..Tokens::new(kind, payload) }),
        Err(_) => CallOutcome::NotRequired,
    }
}

/// A coordinator with state of its own.
struct Running {
    board: Arc<LeaseBoard>,
    handle: CoordinatorHandle,
    task: JoinSet<()>,
    _state: tempfile::TempDir,
}

impl Running {
    async fn start(
        instances: usize,
        calls: usize,
        make: impl Fn(usize) -> Arc<dyn ConfiguredProvider>,
    ) -> Result<Self> {
        let state = tempfile::tempdir()?;
        let folder = state.path().join("state");
        let random: Random = Arc::new(SystemRandom::new());
        let surroundings = Arc::new(SourceContext::of_process());
        let key = MasterKey::of_state(&folder, &surroundings, Arc::clone(&random)).await?;
        let store = DirectoryStore::open(&folder, key, random).await?;
        let board = Arc::new(LeaseBoard::default());
        let (coordinator, handle) = Coordinator::open(CoordinatorOptions {
            name: String::new(),
            store: Arc::new(store),
            metrics: Arc::new(CoordinatorMetrics::default()),
            traces: Arc::default(),
            board: Arc::clone(&board),
            clock: Arc::new(SystemClock::default()),
            surroundings,
            seed: 1,
            shutdown: Span::secs(1),
            known: BTreeSet::new(),
            is_shared: false,
        })
        .await?;
        let plans = (0..instances).map(|number| Ok((name(number)?, plan()))).collect::<Result<_>>()?;
        let providers = (0..instances).map(|number| Ok((name(number)?, make(number)))).collect::<Result<_>>()?;
        let budget = Budget { per_minute: 60_000_000, burst: 1_000_000 };
        let configuration = ScheduleConfig { plans, default_budget: budget, budgets: BTreeMap::new(), calls };
        let mut task = JoinSet::new();
        let (loading, deliveries) = (BTreeSet::new(), Deliveries::default());
        let setup = CoordinatorConfig { configuration, providers, files: BTreeMap::new(), loading, deliveries };
        task.spawn(async move {
            coordinator.run().await.ok();
        });
        handle.configure(setup).await?;
        Ok(Self { board, handle, task, _state: state })
    }

    async fn stop(mut self) -> Result {
        self.handle.stop().await?;
        while let Some(ended) = self.task.join_next().await {
            ended?;
        }
        Ok(())
    }
}

fn name(number: usize) -> Result<InstanceName> {
    Ok(format!("instance-{number}").parse()?)
}

fn plan() -> InstancePlan {
    let upstream = UpstreamName::derived("bench", "here");
    let retry = RetryPolicy { floor: Span::millis(10), ..RetryPolicy::default() };
    let calls = CallRate { interval: Span::millis(10), per_hour: 1_000_000 };
    // Without jitter a provider knows when it is due.
    let policy = Policy { jitter: Ratio::thousandths(0), retry, calls, ..Policy::default() };
    InstancePlan {
        policy,
        upstream,
        account: None,
        service: None,
        file_kind: None,
        component: Some(OptionalExports::default()),
        fingerprint: ConfigFingerprint::default(),
        keeps_state: false,
    }
}

fn micros() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64
}

async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

/// What this process holds in memory, in KiB.
pub(crate) fn resident() -> Result<f64> {
    let text = fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB"));
    Ok(line.ok_or("no VmRSS")?.trim().parse()?)
}
