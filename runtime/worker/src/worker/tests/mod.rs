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

/// A running worker.
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
        payload: Arc::new(SecretBytes::new(format!("{CANARY} {instance} {revision}").into_bytes())),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_publishes_leases_and_reports_them() {
    let mut worker = TestWorker::start(&[("aws", &["lab", "prod"])]).await;
    worker.receive("prod", 1);
    assert_eq!(worker.next_report().await, "prod:1 ok");
    assert_eq!(worker.read("aws/prod"), format!("{CANARY} prod 1"));
    worker.receive("lab", 4);
    assert_eq!(worker.next_report().await, "lab:4 ok");
    assert_eq!(
        (worker.read("aws/prod"), worker.read("aws/lab")),
        (format!("{CANARY} prod 1"), format!("{CANARY} lab 4"))
    );
    worker.wait_until("told", async |_| worker.hook_log().len() == 2).await;
    assert_eq!(worker.hook_log(), ["aws prod", "aws lab,prod"]);

    worker
        .wait_until("rests", async |status| status.receivers[0].hook.as_ref().is_some_and(|hook| !hook.running))
        .await;
    let status = worker.handle.status().await.unwrap();
    assert!(status.ready && status.complete);
    let aws = &status.receivers[0];
    assert_eq!(
        (aws.state.as_str(), aws.failures, aws.path.as_str()),
        ("applied", 0, worker.output("aws").to_str().unwrap())
    );
    let unit = aws.unit.as_ref().unwrap();
    assert_eq!((unit.number, &unit.files), (2, &vec!["lab".to_owned(), "prod".to_owned()]));
    assert!(unit.published_at.as_ref().unwrap() >= &status.since);
    assert!(aws.hook.as_ref().unwrap().error.is_none());
    let prod = &status.instances[1];
    assert_eq!(
        (prod.name.as_str(), prod.revision, prod.state.as_str(), prod.reason.as_ref()),
        ("prod", 1, "applied", None)
    );
    assert_eq!(status.connection.state, "connected");
    assert_eq!(worker.get("/readyz").await, (StatusCode::OK, "ready\n".to_owned()));
    assert_eq!(worker.get("/livez").await.0, StatusCode::OK);
    let (_, metrics) = worker.get("/metrics").await;
    for line in [
        "deputy_worker_applied_revision{instance=\"prod\",service=\"s3\"} 1",
        "deputy_worker_ready 1",
        "deputy_worker_received_total{instance=\"lab\"} 1",
        "deputy_worker_reports_total{instance=\"lab\",outcome=\"done\"} 1",
        "deputy_worker_hooks_total{receiver=\"aws\",outcome=\"done\"} 2",
    ] {
        assert!(metrics.lines().any(|metric| metric == line), "{line} is not in\n{metrics}");
    }
    let all = format!("{status:?}{}{metrics}", serde_json::to_string(&status).unwrap());
    assert!(!all.contains(CANARY), "{all}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receiver_that_hangs_delays_no_other_and_skips_to_the_newest() {
    let mut worker = TestWorker::start(&[("hangs", &["a"]), ("runs", &["b"])]).await;
    worker.loader.receiver("hangs").hangs.store(true, Ordering::SeqCst);
    // A receiver with nothing published is not ready while it runs for the first time.
    worker.wait_until("nothing is there", async |status| status.receivers.iter().all(|it| it.state == "nothing")).await;
    worker.receive("a", 1);
    worker.wait_until("hangs", async |_| worker.loader.receiver("hangs").calls.load(Ordering::SeqCst) == 1).await;
    for revision in 1..20 {
        worker.receive("a", revision + 1);
        worker.receive("b", revision);
        assert_eq!(worker.next_report().await, format!("b:{revision} ok"));
    }
    let status = worker.handle.status().await.unwrap();
    assert_eq!((status.receivers[0].state.as_str(), status.instances[0].state.as_str()), ("applying", "pending"));
    let (code, why) = worker.get("/readyz").await;
    assert_eq!((code, why.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "hangs not ready: applying \n"));
    let hangs = worker.loader.receiver("hangs");
    hangs.hangs.store(false, Ordering::SeqCst);
    hangs.resume.notify_one();
    assert_eq!(worker.next_report().await, "a:20 ok");
    assert_eq!(hangs.calls.load(Ordering::SeqCst), 2);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receiver_that_fails_or_panics_keeps_its_unit_and_is_retried() {
    let mut worker = TestWorker::start(&[("aws", &["s3"])]).await;
    worker.receive("s3", 1);
    assert_eq!(worker.next_report().await, "s3:1 ok");
    let aws = worker.loader.receiver("aws");
    aws.fails.store(true, Ordering::SeqCst);
    worker.receive("s3", 2);
    assert_eq!(worker.next_report().await, "s3:2 receiver aws: broken: it broke off");
    worker.wait_until("tried again", async |status| status.receivers[0].failures > 3).await;
    let status = worker.handle.status().await.unwrap();
    assert!(!status.ready);
    assert_eq!(status.receivers[0].unit.as_ref().unwrap().number, 1);
    assert_eq!(worker.read("aws/s3"), format!("{CANARY} s3 1"));
    assert!(worker.get("/readyz").await.1.contains("it broke off"));
    aws.panics.store(true, Ordering::SeqCst);
    assert_eq!(
        worker.next_report().await,
        "s3:2 receiver aws: internal: the run panicked; this is a bug, please report it"
    );
    aws.panics.store(false, Ordering::SeqCst);
    aws.fails.store(false, Ordering::SeqCst);
    let mut last = worker.next_report().await;
    while last != "s3:2 ok" {
        last = worker.next_report().await;
    }
    assert_eq!(worker.read("aws/s3"), format!("{CANARY} s3 2"));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unit_path_that_is_taken_is_reported_and_fixed_while_running() {
    let mut worker = TestWorker::start(&[("aws", &["s3"])]).await;
    fs::create_dir(worker.output("")).unwrap();
    put(worker.output("aws"), "mine");
    worker.receive("s3", 1);
    let why = format!(
        "s3:1 receiver aws: misconfigured: {} is not a link that deputy created: move it away, or rename the receiver",
        worker.output("aws").display()
    );
    assert_eq!(worker.next_report().await, why);
    fs::remove_file(worker.output("aws")).unwrap();
    worker.receive("s3", 2);
    assert_eq!(worker.next_report().await, "s3:2 ok");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_keeps_the_unit_and_runs_no_hook_again() {
    let mut worker = TestWorker::start(&[("aws", &["s3"])]).await;
    worker.receive("s3", 1);
    worker.next_report().await;
    worker.wait_until("told", async |status| status.receivers[0].hook.as_ref().is_some_and(|hook| !hook.running)).await;
    let held = DeliveredState::clone(&worker.held.borrow());
    let before = fs::read_link(worker.output("aws")).unwrap();
    let folder = worker.stop().await;
    // The coordinator is down: what is held comes from the cache.
    let script = "echo again >> \"$0\"/hook.log";
    let mut worker = TestWorker::start_in(folder, held, |folder| hook(script, folder, Span::secs(20))).await;
    assert_eq!(worker.next_report().await, "s3:1 ok");
    assert_eq!(fs::read_link(worker.output("aws")).unwrap(), before);
    worker.receive("s3", 2);
    assert_eq!(worker.next_report().await, "s3:2 ok");
    worker.wait_until("told", async |_| worker.hook_log().len() == 2).await;
    assert_eq!(worker.hook_log(), ["aws s3", "again"]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hook_that_a_stop_interrupted_runs_at_the_next_start() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let mut held = DeliveredState { complete: true, ..DeliveredState::default() };
    held.receivers.insert("aws".parse().unwrap(), binding(&["s3"]));
    let delivery = delivery("s3", "s3", 1, Span::secs(3600));
    held.deliveries.insert(delivery.instance.clone(), delivery);
    let mut worker =
        TestWorker::start_in(folder, held.clone(), |folder| hook("sleep 1000", folder, Span::secs(1000))).await;
    assert_eq!(worker.next_report().await, "s3:1 ok");
    let folder = worker.stop().await;
    let worker =
        TestWorker::start_in(folder, held, |folder| hook("echo at last > \"$0\"/hook.log", folder, Span::secs(20)))
            .await;
    worker.wait_until("told", async |_| worker.hook_log() == ["at last"]).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hook_that_hangs_keeps_the_unit_and_coalesces_changes() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let mut held = DeliveredState { complete: true, ..DeliveredState::default() };
    held.receivers.insert("aws".parse().unwrap(), binding(&["s3"]));
    let script = "echo run >> \"$0\"/hook.log; sleep 1000";
    let mut worker = TestWorker::start_in(folder, held, |folder| hook(script, folder, Span::millis(1500))).await;
    for revision in 1..10 {
        worker.receive("s3", revision);
        assert_eq!(worker.next_report().await, format!("s3:{revision} ok"));
    }
    worker
        .wait_until("two runs have failed", async |status| {
            status.receivers[0].hook.as_ref().is_some_and(|hook| hook.failures >= 2)
        })
        .await;
    // Once for the first and once for all others; then it is retried because it fails.
    assert_eq!(worker.hook_log()[..2], ["run", "run"]);
    let status = worker.handle.status().await.unwrap();
    assert!(status.ready, "the unit is applied");
    assert!(status.receivers[0].hook.as_ref().unwrap().error.as_ref().unwrap().contains("was killed after 1s500ms"));
    assert_eq!(worker.read("aws/s3"), format!("{CANARY} s3 9"));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unit_loses_withdrawn_unbound_and_expired_leases() {
    let mut worker = TestWorker::start(&[("aws", &["a", "b"]), ("other", &["a"])]).await;
    worker.receive("a", 1);
    assert_eq!(worker.next_report().await, "a:1 ok");
    worker.receive_delivery(delivery("b", "s3", 1, Span::secs(4)));
    assert_eq!(worker.next_report().await, "b:1 ok");
    worker.wait_until("b ended", async |_| !worker.output("aws/b").exists()).await;
    assert!(worker.output("aws/a").exists());
    assert!(!worker.handle.status().await.unwrap().ready, "b is held and has ended");
    worker.held.send_modify(|held| {
        Arc::make_mut(held).receivers.remove(&"other".parse().unwrap());
    });
    worker
        .wait_until("other is gone", async |status| status.receivers.len() == 1 && !worker.output("other").exists())
        .await;
    worker.held.send_modify(|held| Arc::make_mut(held).deliveries.clear());
    worker.wait_until("nothing is there", async |status| status.ready && !worker.output("aws").exists()).await;
    worker.wait_until("told", async |_| worker.hook_log().iter().any(|line| line == "aws ")).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receiver_gets_no_foreign_kind_and_applies_the_others() {
    let mut worker = TestWorker::start(&[("aws", &["k", "s"])]).await;
    worker.receive_delivery(delivery("k", "kafka", 1, Span::secs(60)));
    assert_eq!(
        worker.next_report().await,
        "k:1 receiver aws: rejected, and nothing of it is published: misconfigured: the receiver takes only s3/1, not \
         kafka/1: unbind it from this instance"
    );
    assert!(!worker.output("aws").exists());
    worker.receive("s", 1);
    assert_eq!(worker.next_report().await, "s:1 ok");
    assert_eq!((worker.read("aws/s"), worker.read("aws/k")), (format!("{CANARY} s 1"), String::new()));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn link_that_ends_or_never_reads_does_not_stop_the_worker() {
    let worker = TestWorker::start(&[("aws", &["s3"])]).await;
    // The link takes no reports.
    for revision in 1..30 {
        worker.receive("s3", revision);
        worker.wait_until("applied", async |_| worker.read("aws/s3") == format!("{CANARY} s3 {revision}")).await;
    }
    let TestWorker { folder, held, reports, handle, mut running, .. } = worker;
    drop(reports);
    drop(held);
    let status = handle.status().await.unwrap();
    assert!(status.receivers[0].ready);
    assert_eq!(fs::read_to_string(folder.path().join("out/aws/s3")).unwrap(), format!("{CANARY} s3 29"));
    handle.stop().await.unwrap();
    running.join_next().await.unwrap().unwrap();
    assert!(handle.status().await.is_err());
}
