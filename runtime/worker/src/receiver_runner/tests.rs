//! Runs against a directory and a store, with a receiver that rejects what the test tells it to.

#![expect(clippy::disallowed_methods, reason = "a test inspects its own files")]

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use async_trait::async_trait;
use deputy_core::failure::FailureNext;
use deputy_core::time::Now;
use deputy_core::{Accepted, ComponentFailure, Digest, Expired, Fact, Kinds, LimitOverrides, Outputs, SecretBytes};

use super::*;
use crate::testing::{applied_cache, delivery, random};
use crate::unit::FileAccess;

/// When the deliveries of these tests expire.
const EXPIRY: u64 = 1000;

/// Writes each payload to a file of its instance's name.
#[derive(Default)]
struct PickyReceiver {
    /// Instances and revisions.
    rejects: Mutex<BTreeSet<(String, u64)>>,
    rejects_everything: bool,
    calls: AtomicUsize,
}

#[async_trait]
impl Receiver for PickyReceiver {
    fn kinds(&self) -> &Kinds {
        const { &Kinds::Any }
    }

    async fn accept(&self, deliveries: &[Delivery]) -> Result<Accepted, AcceptError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let rejects = self.rejects.lock().unwrap();
        let is_bad = |it: &&Delivery| {
            self.rejects_everything || rejects.contains(&(it.instance.to_string(), it.stamp.revision.0))
        };
        let failure = ComponentFailure {
            next: FailureNext::Misconfigured,
            message: "it is bad".to_owned(),
            code: None,
            setting: None,
            retry_after: None,
            facts: Vec::new(),
        };
        let rejected = deliveries.iter().filter(is_bad).map(|it| (it.instance.clone(), failure.clone())).collect();
        let file =
            |it: &Delivery| (it.instance.as_str().parse().unwrap(), SecretBytes::new(it.payload.expose().to_vec()));
        let facts = vec![Fact { name: "files".to_owned(), value: deliveries.len().to_string() }];
        Ok(Accepted { outputs: Outputs { files: deliveries.iter().map(file).collect() }, rejected, facts })
    }
}

struct OneReceiver(Arc<PickyReceiver>);

#[async_trait]
impl ReceiverLoader for OneReceiver {
    async fn load(&self, _: &ReceiverName, _: &ReceiverBinding) -> Result<Arc<dyn Receiver>, AcceptError> {
        Ok(Arc::clone(&self.0) as _)
    }
}

/// A runner whose process ends when it is dropped: the folder is what is left.
struct TestRunner<'f> {
    folder: &'f Path,
    receiver: Arc<PickyReceiver>,
    wall: Arc<AtomicU64>,
    runner: ReceiverRunner,
}

impl<'f> TestRunner<'f> {
    async fn start(folder: &'f Path, receiver: PickyReceiver) -> Self {
        let cache = applied_cache(folder).await;
        let name: ReceiverName = "app".parse().unwrap();
        let applied = cache.restore(None).await.remove(&name).unwrap_or_default();
        let (receiver, wall) = (Arc::new(receiver), Arc::new(AtomicU64::new(1)));
        let loader: Arc<dyn ReceiverLoader> = Arc::new(OneReceiver(Arc::clone(&receiver)));
        let time = Arc::clone(&wall);
        let now = move || Now {
            mono: MonotonicTime::from_millis(1),
            wall: Timestamp::from_millis(time.load(Ordering::SeqCst)),
        };
        let clock: Arc<dyn Clock> = Arc::new(now);
        let policy = ReceiverPolicy {
            directory: folder.join("out"),
            access: FileAccess::default(),
            hook: None,
            expired: Expired::Keep,
            limits: LimitOverrides::default(),
        };
        let context = RunnerContext { random: &random(), loader: &loader, applied_cache: &cache, clock: &clock };
        let runner = ReceiverRunner::new(&name, &policy, applied, context);
        Self { folder, receiver, wall, runner }
    }

    fn rejecting(self, instance: &str, revision: u64) -> Self {
        self.receiver.rejects.lock().unwrap().insert((instance.to_owned(), revision));
        self
    }

    /// Runs with these revisions of instances.
    async fn run(&self, leases: &[(&str, u64)]) -> PublishedRun {
        let binding = ReceiverBinding {
            component: Digest::new([1; 32]),
            settings: BTreeMap::new(),
            instances: BTreeSet::new(),
            limits: LimitOverrides::default(),
        };
        let deliveries = leases.iter().map(|(name, revision)| delivery(name, *revision, EXPIRY)).collect();
        match self.runner.run(RunWork::Accept(Arc::new(binding), deliveries)).await {
            RunOutcome::Published(run) => run,
            RunOutcome::Failed(error) => panic!("{error}"),
        }
    }

    /// The published revision of each instance.
    fn published(&self) -> Vec<String> {
        let Ok(files) = fs::read_dir(self.folder.join("out/app")) else { return Vec::new() };
        let text = |file: fs::DirEntry| fs::read_to_string(file.path()).unwrap();
        let mut published: Vec<String> = files.map(|file| text(file.unwrap())).collect();
        published.sort();
        published.into_iter().map(|text| text.trim_start_matches("payload of ").to_owned()).collect()
    }

    fn records(&self) -> usize {
        let names = fs::read_dir(self.folder.join("state")).unwrap().map(|file| file.unwrap().file_name());
        names.filter(|name| name.to_str().unwrap().starts_with("applied.")).count()
    }
}

/// The rejections of a run with what is published instead.
fn rejected(run: &PublishedRun) -> Vec<String> {
    run.rejected.iter().map(|(instance, rejection)| format!("{instance}: {rejection}")).collect()
}

const KEPT: &str = "b: rejected, and revision 1 stays: misconfigured: it is bad";
const GONE: &str = "b: rejected, and nothing of it is published: misconfigured: it is bad";

#[tokio::test]
async fn runner_publishes_the_others_if_one_of_three_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let runner = TestRunner::start(folder.path(), PickyReceiver::default()).await.rejecting("b", 2);
    let first = runner.run(&[("a", 1), ("b", 1), ("c", 1)]).await;
    assert_eq!((rejected(&first).len(), runner.records()), (0, 3));
    let run = runner.run(&[("a", 2), ("b", 2), ("c", 2)]).await;
    assert_eq!((rejected(&run), runner.published()), (vec![KEPT.to_owned()], vec_of(["a 2", "b 1", "c 2"])));
    let applied: Vec<_> = run.applied.values().map(|lease| lease.version.revision.0).collect();
    assert_eq!((applied, runner.receiver.calls.load(Ordering::SeqCst)), (vec![2, 1, 2], 3));
    assert_eq!(run.facts[0].value, "3", "of the call whose files are published");
    // What was applied last stays so, however often the next are rejected.
    let runner = runner.rejecting("b", 3);
    runner.run(&[("a", 2), ("b", 3), ("c", 2)]).await;
    assert_eq!(runner.published(), ["a 2", "b 1", "c 2"]);
    runner.run(&[("a", 2), ("b", 4), ("c", 2)]).await;
    assert_eq!(runner.published(), ["a 2", "b 4", "c 2"]);
}

#[tokio::test]
async fn runner_leaves_out_a_lease_whose_fallback_is_rejected_too() {
    let folder = tempfile::tempdir().unwrap();
    let runner = TestRunner::start(folder.path(), PickyReceiver::default()).await;
    runner.run(&[("a", 1), ("b", 1)]).await;
    let runner = runner.rejecting("b", 1).rejecting("b", 2);
    let run = runner.run(&[("a", 1), ("b", 2)]).await;
    assert_eq!((rejected(&run), runner.published()), (vec![GONE.to_owned()], vec_of(["a 1"])));
    assert_eq!(runner.receiver.calls.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn runner_ends_if_everything_is_always_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let runner = TestRunner::start(folder.path(), PickyReceiver::default()).await;
    runner.run(&[("a", 1), ("b", 1)]).await;
    drop(runner);
    let receiver = PickyReceiver { rejects_everything: true, ..PickyReceiver::default() };
    let runner = TestRunner::start(folder.path(), receiver).await;
    let run = runner.run(&[("a", 2), ("b", 2)]).await;
    assert_eq!((rejected(&run).len(), runner.published()), (2, Vec::new()));
    assert_eq!((run.unit.unit, runner.receiver.calls.load(Ordering::SeqCst)), (None, 2));
}

#[tokio::test]
async fn runner_leaves_out_a_fallback_that_has_expired() {
    let folder = tempfile::tempdir().unwrap();
    let runner = TestRunner::start(folder.path(), PickyReceiver::default()).await.rejecting("b", 2);
    runner.run(&[("a", 1), ("b", 1)]).await;
    for (wall, left) in [(EXPIRY - 1, vec_of(["a 1", "b 1"])), (EXPIRY, vec_of(["a 1"])), (1, vec_of(["a 1", "b 1"]))] {
        runner.wall.store(wall, Ordering::SeqCst);
        runner.run(&[("a", 1), ("b", 2)]).await;
        assert_eq!(runner.published(), left, "at {wall}");
    }
}

#[tokio::test]
async fn runner_keeps_the_fallback_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let start = async || TestRunner::start(folder.path(), PickyReceiver::default()).await.rejecting("b", 2);
    let runner = start().await;
    runner.run(&[("a", 1), ("b", 1)]).await;
    // The process ends before it has seen the bad lease, and again when it has: the cache has replaced its own copy.
    drop(runner);
    for _ in 0..2 {
        let runner = start().await;
        let run = runner.run(&[("a", 2), ("b", 2)]).await;
        assert_eq!((rejected(&run), runner.published()), (vec![KEPT.to_owned()], vec_of(["a 2", "b 1"])));
        assert_eq!(runner.records(), 2);
    }
    let files = fs::read_dir(folder.path().join("state")).unwrap().map(|file| file.unwrap().path());
    for file in files.filter(|file| file.is_file()) {
        assert!(!String::from_utf8_lossy(&fs::read(file).unwrap()).contains("payload of"));
    }
}

#[tokio::test]
async fn runner_forgets_what_was_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let runner = TestRunner::start(folder.path(), PickyReceiver::default()).await.rejecting("b", 2);
    runner.run(&[("a", 1), ("b", 1)]).await;
    runner.run(&[("a", 1)]).await;
    assert_eq!(runner.records(), 1);
    let run = runner.run(&[("a", 1), ("b", 2)]).await;
    assert_eq!((rejected(&run), runner.published()), (vec![GONE.to_owned()], vec_of(["a 1"])));
    let RunOutcome::Published(run) = runner.runner.run(RunWork::Withdraw).await else { panic!() };
    assert_eq!((run.unit.unit, runner.published(), runner.records()), (None, Vec::new(), 0));
}

fn vec_of<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(str::to_owned).to_vec()
}
