use std::collections::BTreeMap;

use deputy_core::Span;
use deputy_core::schedule::{ConfigFingerprint, Lease};
use deputy_support::{SystemClock, pause};
use tokio::task::JoinSet;

use super::*;
use crate::testing::test_lease;

const OLD: ConfigFingerprint = ConfigFingerprint([1; 16]);
const NEW: ConfigFingerprint = ConfigFingerprint([2; 16]);

/// A feed of the instance `s3`.
struct TestFeed {
    board: Arc<LeaseBoard>,
    deliveries: watch::Sender<Arc<Deliveries>>,
    held: watch::Receiver<Arc<DeliveredState>>,
    _running: JoinSet<()>,
}

fn name() -> InstanceName {
    "s3".parse().unwrap()
}

impl TestFeed {
    fn start() -> Self {
        let board = Arc::new(LeaseBoard::default());
        let deliveries = watch::Sender::new(Arc::default());
        let (feed, held) = LocalFeed::new(LocalFeedOptions {
            board: Arc::clone(&board),
            deliveries: deliveries.subscribe(),
            instances: BTreeSet::from([name()]),
            clock: Arc::new(SystemClock::default()),
            traces: Arc::default(),
        });
        let mut running = JoinSet::new();
        running.spawn(feed.run());
        Self { board, deliveries, held, _running: running }
    }

    fn configure(&self, instance: &str, fingerprint: ConfigFingerprint, is_loading: bool) {
        let instance: InstanceName = instance.parse().unwrap();
        let loading = is_loading.then(|| instance.clone()).into_iter().collect();
        let fingerprints = BTreeMap::from([(instance, fingerprint)]);
        self.deliveries.send_replace(Arc::new(Deliveries { fingerprints, loading, ..Deliveries::default() }));
    }

    fn publish(&self, revision: u64, fingerprint: ConfigFingerprint, life: Span) {
        let lease = test_lease(revision);
        let valid_until = lease.obtained_at.plus(life);
        self.board.publish(name(), Lease { valid_until, fingerprint, ..lease });
    }

    /// Waits until it passes on this revision, or none, complete or not.
    async fn wait_for(&mut self, revision: Option<u64>, complete: bool) {
        let held = |state: &Arc<DeliveredState>| {
            let found = state.deliveries.get(&name()).map(|delivery| delivery.stamp.revision.0);
            (found, state.complete) == (revision, complete)
        };
        let waiting = tokio::time::timeout(Span::secs(20).duration(), self.held.wait_for(held));
        assert!(waiting.await.is_ok(), "not {revision:?}, {complete}");
    }
}

const LONG: Span = Span::secs(3600);

#[tokio::test]
async fn local_feed_has_the_newest_lease_once_a_component_is_loaded() {
    let mut feed = TestFeed::start();
    feed.publish(1, OLD, LONG);
    feed.configure("s3", ConfigFingerprint::UNKNOWN, true);
    feed.wait_for(None, false).await;
    feed.configure("s3", OLD, false);
    feed.wait_for(Some(1), true).await;
    feed.publish(2, OLD, LONG);
    feed.wait_for(Some(2), true).await;
}

#[tokio::test]
async fn local_feed_withholds_a_lease_of_another_configuration() {
    let mut feed = TestFeed::start();
    feed.configure("s3", OLD, false);
    feed.publish(1, OLD, LONG);
    feed.wait_for(Some(1), true).await;
    // What is held stays until there is a lease of the new configuration.
    feed.configure("s3", NEW, false);
    feed.publish(2, OLD, LONG);
    pause(Span::millis(100).duration()).await;
    feed.wait_for(Some(1), true).await;
    feed.publish(3, NEW, LONG);
    feed.wait_for(Some(3), true).await;
    let mut other = TestFeed::start();
    other.configure("s3", NEW, false);
    other.publish(1, OLD, LONG);
    other.wait_for(None, true).await;
}

#[tokio::test]
async fn local_feed_drops_what_is_withdrawn_and_keeps_what_expired() {
    let mut feed = TestFeed::start();
    feed.configure("s3", OLD, false);
    feed.publish(1, OLD, LONG);
    feed.wait_for(Some(1), true).await;
    feed.board.withdraw(&name());
    feed.wait_for(None, true).await;
    feed.publish(2, OLD, Span::secs(0));
    feed.wait_for(Some(2), true).await;
    feed.board.withdraw(&name());
    feed.publish(3, OLD, Span::secs(0));
    feed.wait_for(Some(3), true).await;
    // An instance that is not configured any more is not delivered, either.
    feed.configure("other", OLD, false);
    feed.wait_for(None, true).await;
}
