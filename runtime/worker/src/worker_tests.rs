use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use async_trait::async_trait;
use deputy_core::{
    Delivery, Digest, Expired, HookCommand, LeaseVersion, LimitOverrides, Outputs, Revision, SecretBytes, Services,
    Timestamp,
};
use deputy_http_server::HttpHandler as _;
use deputy_link::ReceiverBinding;
use deputy_observe::Audit;
use deputy_support::SystemClock;
use http::{Request, StatusCode};
use tokio::sync::Notify;

use super::*;
use crate::connection::ConnectionPhase;
use crate::handle::WorkerHealth;
use crate::receiver::Receiver;
use crate::receiver_policy::ReceiverPolicy;
use crate::testing::{put, random};
use crate::unit::FileAccess;

#[path = "readiness_tests.rs"]
mod readiness;

/// What no text may hold.
const CANARY: &str = "canary-7f3a";

/// Writes each delivery to a file of its instance's name. It does what the test wants of it.
struct Copies {
    services: Services,
    calls: AtomicUsize,
    fails: AtomicBool,
    hangs: AtomicBool,
    panics: AtomicBool,
    goes_on: Notify,
}

#[async_trait]
impl Receiver for Copies {
    fn services(&self) -> &Services {
        &self.services
    }

    async fn accept(&self, deliveries: &[Delivery]) -> Result<Outputs, AcceptError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        assert!(!self.panics.load(Ordering::SeqCst), "as the test wants it");
        if self.hangs.load(Ordering::SeqCst) {
            self.goes_on.notified().await;
        }
        if self.fails.load(Ordering::SeqCst) {
            return Err(AcceptError { kind: FailureKind::Broken, message: "it broke off".to_owned() });
        }
        let file = |delivery: &Delivery| {
            let bytes = delivery.payload.expose().to_vec();
            (delivery.instance.as_str().parse().unwrap(), SecretBytes::new(bytes))
        };
        Ok(Outputs { files: deliveries.iter().map(file).collect() })
    }
}

/// Has a receiver for each name.
#[derive(Default)]
struct Shelf(Mutex<BTreeMap<ReceiverName, Arc<Copies>>>);

impl Shelf {
    fn of(&self, name: &str) -> Arc<Copies> {
        let make = || {
            Arc::new(Copies {
                services: Services::parse(["s3"]).unwrap(),
                calls: AtomicUsize::default(),
                fails: AtomicBool::default(),
                hangs: AtomicBool::default(),
                panics: AtomicBool::default(),
                goes_on: Notify::default(),
            })
        };
        Arc::clone(self.0.lock().unwrap().entry(name.parse().unwrap()).or_insert_with(make))
    }
}

#[async_trait]
impl ReceiverLoader for Shelf {
    async fn load(&self, name: &ReceiverName, _: &ReceiverBinding) -> Result<Arc<dyn Receiver>, AcceptError> {
        Ok(self.of(name.as_str()))
    }
}

/// A worker that runs, and what the test has of it.
struct Running {
    folder: Arc<tempfile::TempDir>,
    shelf: Arc<Shelf>,
    held: watch::Sender<Arc<DeliveredState>>,
    reports: mpsc::Receiver<DeliveryReport>,
    handle: WorkerHandle,
    health: WorkerHealth,
    phase: Arc<Mutex<ConnectionPhase>>,
    running: JoinSet<()>,
    clock: Arc<Ahead>,
    seats: BTreeMap<ReceiverName, ReceiverRunner>,
}

/// A clock that a test can set forward.
#[derive(Default)]
struct Ahead {
    clock: SystemClock,
    millis: AtomicU64,
    /// The same for the wall clock alone.
    wall: AtomicU64,
}

impl Clock for Ahead {
    fn now(&self) -> Now {
        let (now, ahead) = (self.clock.now(), Span::millis(self.millis.load(Ordering::SeqCst)));
        let wall = Span::millis(self.wall.load(Ordering::SeqCst));
        Now { mono: now.mono.plus(ahead), wall: now.wall.plus(ahead).plus(wall) }
    }
}

fn hook(script: &str, folder: &Path, limit: Span) -> Hook {
    let words = ["/bin/sh", "-c", script, folder.to_str().unwrap()].map(str::to_owned);
    Hook::Command(HookCommand::new(words.to_vec()).unwrap(), limit)
}

impl Running {
    fn start(receivers: &[(&str, &[&str])]) -> Self {
        let mut held = DeliveredState { complete: true, ..DeliveredState::default() };
        for (name, instances) in receivers {
            held.receivers.insert(name.parse().unwrap(), binding(instances));
        }
        let script = "echo \"$DEPUTY_RECEIVER $DEPUTY_INSTANCES\" >> \"$0\"/told";
        Self::start_in(Arc::new(tempfile::tempdir().unwrap()), held, |folder| hook(script, folder, Span::secs(20)))
    }

    fn start_in(folder: Arc<tempfile::TempDir>, held: DeliveredState, hook: impl Fn(&Path) -> Hook) -> Self {
        let plan = ReceiverPolicy {
            directory: folder.path().join("out"),
            access: FileAccess::default(),
            hook: Some(hook(folder.path())),
            expired: Expired::Remove,
            limits: LimitOverrides::default(),
        };
        let mut retry = ReceiverPolicies::RETRY;
        (retry.floor, retry.most) = (Span::millis(50), Span::millis(100));
        let plans = ReceiverPolicies {
            default: plan,
            receivers: BTreeMap::new(),
            bindings: BTreeMap::new(),
            wanted: None,
            endpoints: BTreeSet::new(),
            retry,
        };
        let shelf = Arc::new(Shelf::default());
        let (held, when_held) = watch::channel(Arc::new(held));
        // Nobody may depend on how many fit.
        let (reporter, reports) = mpsc::channel(1);
        let metrics = Arc::new(WorkerMetrics::default());
        let phase = Arc::new(Mutex::new(ConnectionPhase::Connected));
        let shown = Arc::clone(&phase);
        let clock = Arc::new(Ahead::default());
        let options = WorkerOptions {
            plans: Arc::new(plans),
            loader: Arc::clone(&shelf) as Arc<dyn ReceiverLoader>,
            metrics: Arc::clone(&metrics),
            clock: Arc::clone(&clock) as _,
            random: random(),
            seed: 1,
            held: when_held,
            reports: reporter,
            connection: Box::new(move || {
                let phase = *shown.lock().unwrap();
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
        let seats = names.into_iter().map(|name| (name.clone(), worker.seat(&name))).collect();
        let mut running = JoinSet::new();
        running.spawn(worker.run());
        let health = WorkerHealth::new(handle.clone(), metrics, Arc::new(Audit::memory()));
        Self { folder, shelf, held, reports, handle, health, phase, running, clock, seats }
    }

    fn gets(&self, instance: &str, revision: u64) {
        self.holds(delivery(instance, "s3", revision, Span::secs(3600)));
    }

    fn holds(&self, delivery: Delivery) {
        self.held.send_modify(|held| {
            Arc::make_mut(held).deliveries.insert(delivery.instance.clone(), delivery);
        });
    }

    fn out(&self, path: &str) -> PathBuf {
        self.folder.path().join("out").join(path)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.out(path)).unwrap_or_default()
    }

    /// What the hook wrote.
    fn told(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.path().join("told")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    async fn report(&mut self) -> String {
        let report =
            tokio::time::timeout(Duration::from_secs(20), self.reports.recv()).await.expect("a report").unwrap();
        let said = report.result.err().unwrap_or_else(|| "ok".to_owned());
        format!("{}:{} {said}", report.instance, report.stamp.revision)
    }

    async fn until(&self, what: &str, is_so: impl AsyncFn(&WorkerReport) -> bool) {
        for _ in 0..2000 {
            if is_so(&self.handle.status().await.unwrap()).await {
                return;
            }
            pause(Duration::from_millis(10)).await;
        }
        panic!("never {what}: {:#?}", self.handle.status().await.unwrap());
    }

    async fn ask(&self, path: &str) -> (StatusCode, String) {
        let answer = self.health.answer(Request::get(path).body(()).unwrap()).await;
        (answer.status(), String::from_utf8(answer.body().to_vec()).unwrap())
    }

    async fn stop(mut self) -> Arc<tempfile::TempDir> {
        self.handle.stop().await.unwrap();
        self.running.join_next().await.unwrap().unwrap();
        self.folder
    }
}

#[expect(clippy::disallowed_methods, reason = "a test looks again")]
async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
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
        stamp: LeaseVersion { revision: Revision(revision), obtained_at: now },
        valid_until: now.plus(life),
        payload: Arc::new(SecretBytes::new(format!("{CANARY} {instance} {revision}").into_bytes())),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_comes_to_the_workload_and_the_coordinator_hears_of_it() {
    let mut worker = Running::start(&[("aws", &["lab", "prod"])]);
    worker.gets("prod", 1);
    assert_eq!(worker.report().await, "prod:1 ok");
    assert_eq!(worker.read("aws/prod"), format!("{CANARY} prod 1"));
    worker.gets("lab", 4);
    assert_eq!(worker.report().await, "lab:4 ok");
    assert_eq!(
        (worker.read("aws/prod"), worker.read("aws/lab")),
        (format!("{CANARY} prod 1"), format!("{CANARY} lab 4"))
    );
    worker.until("told", async |_| worker.told().len() == 2).await;
    assert_eq!(worker.told(), ["aws prod", "aws lab,prod"]);

    worker.until("rests", async |status| status.receivers[0].hook.as_ref().is_some_and(|hook| !hook.running)).await;
    let status = worker.handle.status().await.unwrap();
    assert!(status.ready && status.complete);
    let aws = &status.receivers[0];
    assert_eq!(
        (aws.state.as_str(), aws.failures, aws.path.as_str()),
        ("applied", 0, worker.out("aws").to_str().unwrap())
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
    assert_eq!(worker.ask("/readyz").await, (StatusCode::OK, "ready\n".to_owned()));
    assert_eq!(worker.ask("/livez").await.0, StatusCode::OK);
    let (_, metrics) = worker.ask("/metrics").await;
    for line in [
        "deputy_worker_applied_revision{instance=\"prod\",service=\"s3\"} 1",
        "deputy_worker_ready 1",
        "deputy_worker_received_total{instance=\"lab\"} 1",
        "deputy_worker_reports_total{instance=\"lab\",outcome=\"done\"} 1",
        "deputy_worker_hooks_total{receiver=\"aws\",outcome=\"done\"} 2",
    ] {
        assert!(metrics.lines().any(|own| own == line), "{line} is not in\n{metrics}");
    }
    let all = format!("{status:?}{}{metrics}", serde_json::to_string(&status).unwrap());
    assert!(!all.contains(CANARY), "{all}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_hangs_delays_no_other_and_what_comes_meanwhile_is_coalesced() {
    let mut worker = Running::start(&[("hangs", &["a"]), ("runs", &["b"])]);
    worker.shelf.of("hangs").hangs.store(true, Ordering::SeqCst);
    // That there is nothing for it is settled, which is not the same as something that was good before.
    worker.until("nothing is there", async |status| status.receivers.iter().all(|it| it.state == "nothing")).await;
    worker.gets("a", 1);
    worker.until("hangs", async |_| worker.shelf.of("hangs").calls.load(Ordering::SeqCst) == 1).await;
    for revision in 1..20 {
        worker.gets("a", revision + 1);
        worker.gets("b", revision);
        assert_eq!(worker.report().await, format!("b:{revision} ok"));
    }
    let status = worker.handle.status().await.unwrap();
    assert_eq!((status.receivers[0].state.as_str(), status.instances[0].state.as_str()), ("applying", "pending"));
    let (code, why) = worker.ask("/readyz").await;
    assert_eq!((code, why.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "hangs not ready: applying \n"));
    let hangs = worker.shelf.of("hangs");
    hangs.hangs.store(false, Ordering::SeqCst);
    hangs.goes_on.notify_one();
    assert_eq!(worker.report().await, "a:20 ok");
    assert_eq!(hangs.calls.load(Ordering::SeqCst), 2);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_fails_or_panics_leaves_what_was_published_and_is_tried_again() {
    let mut worker = Running::start(&[("aws", &["s3"])]);
    worker.gets("s3", 1);
    assert_eq!(worker.report().await, "s3:1 ok");
    let aws = worker.shelf.of("aws");
    aws.fails.store(true, Ordering::SeqCst);
    worker.gets("s3", 2);
    assert_eq!(worker.report().await, "s3:2 receiver aws: broken: it broke off");
    worker.until("tried again", async |status| status.receivers[0].failures > 3).await;
    let status = worker.handle.status().await.unwrap();
    assert!(!status.ready);
    assert_eq!(status.receivers[0].unit.as_ref().unwrap().number, 1);
    assert_eq!(worker.read("aws/s3"), format!("{CANARY} s3 1"));
    assert!(worker.ask("/readyz").await.1.contains("it broke off"));
    aws.panics.store(true, Ordering::SeqCst);
    assert_eq!(worker.report().await, "s3:2 receiver aws: internal: the run panicked: this is a bug");
    aws.panics.store(false, Ordering::SeqCst);
    aws.fails.store(false, Ordering::SeqCst);
    let mut last = worker.report().await;
    while last != "s3:2 ok" {
        last = worker.report().await;
    }
    assert_eq!(worker.read("aws/s3"), format!("{CANARY} s3 2"));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_that_can_not_be_published_to_is_said_and_mended_without_a_restart() {
    let mut worker = Running::start(&[("aws", &["s3"])]);
    fs::create_dir(worker.out("")).unwrap();
    put(worker.out("aws"), "mine");
    worker.gets("s3", 1);
    let why = format!(
        "s3:1 receiver aws: misconfigured: {} is not a link that deputy created: move it away, or rename the receiver",
        worker.out("aws").display()
    );
    assert_eq!(worker.report().await, why);
    fs::remove_file(worker.out("aws")).unwrap();
    worker.gets("s3", 2);
    assert_eq!(worker.report().await, "s3:2 ok");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_finds_what_is_published_and_tells_nobody_again() {
    let mut worker = Running::start(&[("aws", &["s3"])]);
    worker.gets("s3", 1);
    worker.report().await;
    worker.until("told", async |status| status.receivers[0].hook.as_ref().is_some_and(|hook| !hook.running)).await;
    let held = DeliveredState::clone(&worker.held.borrow());
    let before = fs::read_link(worker.out("aws")).unwrap();
    let folder = worker.stop().await;
    // What is kept is all that there is: the coordinator is down.
    let script = "echo again >> \"$0\"/told";
    let mut worker = Running::start_in(folder, held, |folder| hook(script, folder, Span::secs(20)));
    assert_eq!(worker.report().await, "s3:1 ok");
    assert_eq!(fs::read_link(worker.out("aws")).unwrap(), before);
    worker.gets("s3", 2);
    assert_eq!(worker.report().await, "s3:2 ok");
    worker.until("told", async |_| worker.told().len() == 2).await;
    assert_eq!(worker.told(), ["aws s3", "again"]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workload_that_was_not_told_before_the_end_is_told_by_the_next_start() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let mut held = DeliveredState { complete: true, ..DeliveredState::default() };
    held.receivers.insert("aws".parse().unwrap(), binding(&["s3"]));
    let delivery = delivery("s3", "s3", 1, Span::secs(3600));
    held.deliveries.insert(delivery.instance.clone(), delivery);
    let mut worker = Running::start_in(folder, held.clone(), |folder| hook("sleep 1000", folder, Span::secs(1000)));
    assert_eq!(worker.report().await, "s3:1 ok");
    let folder = worker.stop().await;
    let worker = Running::start_in(folder, held, |folder| hook("echo at last > \"$0\"/told", folder, Span::secs(20)));
    worker.until("told", async |_| worker.told() == ["at last"]).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_that_hangs_or_fails_takes_nothing_back_and_runs_once_more_for_all_that_came() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let mut held = DeliveredState { complete: true, ..DeliveredState::default() };
    held.receivers.insert("aws".parse().unwrap(), binding(&["s3"]));
    let script = "echo run >> \"$0\"/told; sleep 1000";
    let mut worker = Running::start_in(folder, held, |folder| hook(script, folder, Span::millis(1500)));
    for revision in 1..10 {
        worker.gets("s3", revision);
        assert_eq!(worker.report().await, format!("s3:{revision} ok"));
    }
    worker
        .until("over", async |status| {
            status.receivers[0].hook.as_ref().is_some_and(|hook| !hook.running && hook.failures == 2)
        })
        .await;
    // Once for the first and once for all others; from then on it is tried again, since it fails.
    assert_eq!(worker.told()[..2], ["run", "run"]);
    let status = worker.handle.status().await.unwrap();
    assert!(status.ready, "the unit is applied");
    assert!(status.receivers[0].hook.as_ref().unwrap().error.as_ref().unwrap().contains("was killed after 1s500ms"));
    assert_eq!(worker.read("aws/s3"), format!("{CANARY} s3 9"));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_withdrawn_unbound_or_ended_is_no_longer_published() {
    let mut worker = Running::start(&[("aws", &["a", "b"]), ("other", &["a"])]);
    worker.gets("a", 1);
    assert_eq!(worker.report().await, "a:1 ok");
    worker.holds(delivery("b", "s3", 1, Span::secs(4)));
    assert_eq!(worker.report().await, "b:1 ok");
    worker.until("b ended", async |_| !worker.out("aws/b").exists()).await;
    assert!(worker.out("aws/a").exists());
    assert!(!worker.handle.status().await.unwrap().ready, "b is held and has ended");
    worker.held.send_modify(|held| drop(Arc::make_mut(held).receivers.remove(&"other".parse().unwrap())));
    worker.until("other is gone", async |status| status.receivers.len() == 1 && !worker.out("other").exists()).await;
    worker.held.send_modify(|held| Arc::make_mut(held).deliveries.clear());
    worker.until("nothing is there", async |status| status.ready && !worker.out("aws").exists()).await;
    worker.until("told", async |_| worker.told().iter().any(|line| line == "aws ")).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_a_receiver_does_not_take_is_said_and_the_others_are_applied() {
    let mut worker = Running::start(&[("aws", &["k", "s"])]);
    worker.holds(delivery("k", "kafka", 1, Span::secs(60)));
    assert_eq!(worker.report().await, "k:1 receiver aws: it takes s3 and not kafka: unbind it");
    assert!(!worker.out("aws").exists());
    worker.gets("s", 1);
    assert_eq!(worker.report().await, "s:1 ok");
    assert_eq!((worker.read("aws/s"), worker.read("aws/k")), (format!("{CANARY} s 1"), String::new()));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_ends_or_never_listens_keeps_nobody_from_being_served() {
    let worker = Running::start(&[("aws", &["s3"])]);
    // Nobody takes reports.
    for revision in 1..30 {
        worker.gets("s3", revision);
        worker.until("applied", async |_| worker.read("aws/s3") == format!("{CANARY} s3 {revision}")).await;
    }
    let Running { folder, held, reports, handle, mut running, .. } = worker;
    drop(reports);
    drop(held);
    let status = handle.status().await.unwrap();
    assert!(status.receivers[0].ready);
    assert_eq!(fs::read_to_string(folder.path().join("out/aws/s3")).unwrap(), format!("{CANARY} s3 29"));
    handle.stop().await.unwrap();
    running.join_next().await.unwrap().unwrap();
    assert!(handle.status().await.is_err());
}
