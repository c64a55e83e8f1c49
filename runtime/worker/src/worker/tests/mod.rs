#![expect(clippy::disallowed_methods, reason = "a test arranges and inspects its own files")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use async_trait::async_trait;
use deputy_audit::Audit;
use deputy_core::failure::FailureNext;
use deputy_core::{
    Accepted, ComponentFailure, Delivery, Digest, Expired, Fact, HookCommand, Kinds, LeaseVersion, LimitOverrides,
    Outputs, Revision, SecretBytes, Timestamp,
};
use deputy_http_server::HttpHandler as _;
use deputy_link::ReceiverBinding;
use deputy_support::SystemClock;
use http::{Request, StatusCode};
use tokio::sync::Notify;

use tokio::task::JoinSet;

use super::*;
use crate::connection::ConnectionPhase;
use crate::health::WorkerHealth;
use crate::hook::Hook;
use crate::receiver::Receiver;
use crate::receiver_policy::ReceiverPolicy;
use crate::status::WorkerReport;
use crate::testing::{applied_cache, put, random};
use crate::unit::FileAccess;

mod hooks;
mod publishing;
mod readiness;
mod rejections;

/// Part of every payload. No log, status or metric may contain it.
const CANARY: &str = "canary-7f3a";

/// Writes each payload to a file of its instance's name, or misbehaves as the test tells it to.
struct CopyingReceiver {
    kinds: Kinds,
    calls: AtomicUsize,
    fails: AtomicBool,
    hangs: AtomicBool,
    panics: AtomicBool,
    /// Instances and revisions that it rejects.
    rejects: Mutex<BTreeSet<(String, u64)>>,
    resume: Notify,
}

#[async_trait]
impl Receiver for CopyingReceiver {
    fn kinds(&self) -> &Kinds {
        &self.kinds
    }

    async fn accept(&self, deliveries: &[Delivery]) -> Result<Accepted, AcceptError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        assert!(!self.panics.load(Ordering::SeqCst), "as the test wants it");
        if self.hangs.load(Ordering::SeqCst) {
            self.resume.notified().await;
        }
        if self.fails.load(Ordering::SeqCst) {
            return Err(AcceptError::host(FailureKind::Broken, "it broke off"));
        }
        let rejects = self.rejects.lock().unwrap().clone();
        let bad = |it: &&Delivery| rejects.contains(&(it.instance.to_string(), it.stamp.revision.0));
        let rejected = deliveries.iter().filter(bad).map(|it| (it.instance.clone(), bad_payload())).collect();
        let files = deliveries.iter().map(|delivery| {
            let bytes = delivery.payload.expose().to_vec();
            (delivery.instance.as_str().parse().unwrap(), SecretBytes::new(bytes))
        });
        let outputs = Outputs { files: files.collect() };
        let facts = vec![Fact { name: "files".to_owned(), value: outputs.files.len().to_string() }];
        Ok(Accepted { outputs, rejected, facts })
    }
}

fn bad_payload() -> ComponentFailure {
    ComponentFailure {
        next: FailureNext::Misconfigured,
        message: "its payload has no field token".to_owned(),
        code: None,
        setting: None,
        retry_after: None,
        facts: Vec::new(),
    }
}

/// Loads a receiver of its own for each name.
#[derive(Default)]
struct TestLoader(Mutex<BTreeMap<ReceiverName, Arc<CopyingReceiver>>>);

impl TestLoader {
    fn receiver(&self, name: &str) -> Arc<CopyingReceiver> {
        let mut receivers = self.0.lock().unwrap();
        let receiver = receivers.entry(name.parse().unwrap()).or_insert_with(|| {
            Arc::new(CopyingReceiver {
                kinds: Kinds::parse_receiver(["s3/1"]).unwrap(),
                calls: AtomicUsize::default(),
                fails: AtomicBool::default(),
                hangs: AtomicBool::default(),
                panics: AtomicBool::default(),
                rejects: Mutex::default(),
                resume: Notify::default(),
            })
        });
        Arc::clone(receiver)
    }
}

#[async_trait]
impl ReceiverLoader for TestLoader {
    async fn load(&self, name: &ReceiverName, _: &ReceiverBinding) -> Result<Arc<dyn Receiver>, AcceptError> {
        Ok(self.receiver(name.as_str()))
    }
}

struct TestWorker {
    folder: Arc<tempfile::TempDir>,
    loader: Arc<TestLoader>,
    held: watch::Sender<Arc<DeliveredState>>,
    reports: mpsc::Receiver<DeliveryReport>,
    handle: WorkerHandle,
    health: WorkerHealth,
    phase: Arc<Mutex<ConnectionPhase>>,
    running: JoinSet<()>,
    clock: Arc<AdjustableClock>,
    runners: BTreeMap<ReceiverName, Arc<ReceiverRunner>>,
}

/// The system's clock, which a test can set forward.
#[derive(Default)]
struct AdjustableClock {
    clock: SystemClock,
    ahead_ms: AtomicU64,
    /// Of the wall clock alone.
    wall_ahead_ms: AtomicU64,
}

impl Clock for AdjustableClock {
    fn now(&self) -> Now {
        let now = self.clock.now();
        let ahead = Span::millis(self.ahead_ms.load(Ordering::SeqCst));
        let wall_ahead = Span::millis(self.wall_ahead_ms.load(Ordering::SeqCst));
        Now { mono: now.mono.plus(ahead), wall: now.wall.plus(ahead).plus(wall_ahead) }
    }
}

fn hook(script: &str, folder: &Path, limit: Span) -> Hook {
    let words = ["/bin/sh", "-c", script, folder.to_str().unwrap()].map(str::to_owned);
    Hook::Command(HookCommand::new(words.to_vec()).unwrap(), limit)
}

impl TestWorker {
    async fn start(receivers: &[(&str, &[&str])]) -> Self {
        let mut held = DeliveredState { complete: true, ..DeliveredState::default() };
        for (name, instances) in receivers {
            held.receivers.insert(name.parse().unwrap(), binding(instances));
        }
        let script = "echo \"$DEPUTY_RECEIVER $DEPUTY_INSTANCES\" >> \"$0\"/hook.log";
        Self::start_in(Arc::new(tempfile::tempdir().unwrap()), held, |folder| hook(script, folder, Span::secs(20)))
            .await
    }

    async fn start_in(folder: Arc<tempfile::TempDir>, held: DeliveredState, hook: impl Fn(&Path) -> Hook) -> Self {
        let applied_cache = applied_cache(folder.path()).await;
        let applied = applied_cache.restore(None).await;
        let policy = ReceiverPolicy {
            directory: folder.path().join("out"),
            access: FileAccess::default(),
            hook: Some(hook(folder.path())),
            expired: Expired::Remove,
            limits: LimitOverrides::default(),
        };
        let mut retry = ReceiverPolicies::RETRY;
        retry.floor = Span::millis(50);
        retry.most = Span::millis(100);
        let policies = ReceiverPolicies {
            default: policy,
            receivers: BTreeMap::new(),
            bindings: BTreeMap::new(),
            wanted: None,
            endpoints: BTreeSet::new(),
            retry,
        };
        let loader = Arc::new(TestLoader::default());
        let (held, when_held) = watch::channel(Arc::new(held));
        // The smallest capacity: the worker must not depend on it.
        let (reporter, reports) = mpsc::channel(1);
        let metrics = Arc::new(WorkerMetrics::default());
        let phase = Arc::new(Mutex::new(ConnectionPhase::Connected));
        let current_phase = Arc::clone(&phase);
        let clock = Arc::new(AdjustableClock::default());
        let options = WorkerOptions {
            traces: Arc::default(),
            policies: Arc::new(policies),
            loader: Arc::clone(&loader) as Arc<dyn ReceiverLoader>,
            applied_cache,
            applied,
            metrics: Arc::clone(&metrics),
            clock: Arc::clone(&clock) as _,
            random: random(),
            seed: 1,
            held: when_held,
            reports: reporter,
            connection: Box::new(move || {
                let phase = *current_phase.lock().unwrap();
                ConnectionSnapshot {
                    worker: "0123456789abcdef".to_owned(),
                    group: "analytics".to_owned(),
                    coordinator: "coordinator:8271".to_owned(),
                    addresses: vec!["coordinator:8271".to_owned(), "other:8271".to_owned()],
                    phase,
                    since: Timestamp::from_millis(1),
                    heard: Some(Timestamp::from_millis(2)),
                    error: (phase == ConnectionPhase::Out).then(|| "it was\nremoved".to_owned()),
                    certificate_ends: None,
                    refused: Vec::new(),
                }
            }),
        };
        let (mut worker, handle) = Worker::new(options);
        let names: Vec<ReceiverName> = held.borrow().receivers.keys().cloned().collect();
        let runners = names.into_iter().map(|name| (name.clone(), worker.runner(&name))).collect();
        let mut running = JoinSet::new();
        running.spawn(worker.run());
        let health = WorkerHealth::new(handle.clone(), metrics, Arc::new(Audit::memory()));
        Self { folder, loader, held, reports, handle, health, phase, running, clock, runners }
    }

    fn receive(&self, instance: &str, revision: u64) {
        self.receive_delivery(delivery(instance, "s3", revision, Span::secs(3600)));
    }

    fn receive_delivery(&self, delivery: Delivery) {
        self.held.send_modify(|held| {
            Arc::make_mut(held).deliveries.insert(delivery.instance.clone(), delivery);
        });
    }

    fn output(&self, path: &str) -> PathBuf {
        self.folder.path().join("out").join(path)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.output(path)).unwrap_or_default()
    }

    /// The lines that the hook wrote.
    fn hook_log(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.path().join("hook.log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    async fn next_report(&mut self) -> String {
        let report =
            tokio::time::timeout(Duration::from_secs(20), self.reports.recv()).await.expect("a report").unwrap();
        let result = report.result.err().unwrap_or_else(|| "ok".to_owned());
        format!("{}:{} {result}", report.instance, report.stamp.revision)
    }

    async fn wait_until(&self, what: &str, is_so: impl AsyncFn(&WorkerReport) -> bool) {
        for _ in 0..2000 {
            if is_so(&self.handle.status().await.unwrap()).await {
                return;
            }
            pause(Duration::from_millis(10)).await;
        }
        panic!("never {what}: {:#?}", self.handle.status().await.unwrap());
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        let answer = self.health.answer(Request::get(path).body(()).unwrap()).await;
        (answer.status(), String::from_utf8(answer.body().to_vec()).unwrap())
    }

    async fn stop(mut self) -> Arc<tempfile::TempDir> {
        self.handle.stop().await.unwrap();
        self.running.join_next().await.unwrap().unwrap();
        self.folder
    }
}

fn binding(instances: &[&str]) -> ReceiverBinding {
    let instances = instances.iter().map(|name| name.parse().unwrap()).collect();
    let limits = LimitOverrides::default();
    ReceiverBinding { component: Digest::new([1; 32]), settings: BTreeMap::new(), instances, limits }
}

fn delivery(instance: &str, service: &str, revision: u64, life: Span) -> Delivery {
    let now = SystemClock::default().now().wall;
    Delivery {
        instance: instance.parse().unwrap(),
        service: service.parse().unwrap(),
        kind: format!("{service}/1").parse().unwrap(),
        stamp: LeaseVersion { revision: Revision(revision), obtained_at: now },
        valid_until: now.plus(life),
        next_at: None,
        renewable_until: None,
        payload: Arc::new(SecretBytes::new(format!("{CANARY} {instance} {revision}").into_bytes())),
        trace: None,
    }
}
