use std::sync::atomic::{AtomicI64, Ordering};

use deputy_core::schedule::LeaseRecord;
use deputy_core::time::Now;
use deputy_core::{Revision, Span};
use deputy_store::{DirectoryStore, KeyWriter, MasterKey};
use deputy_support::SystemClock;

use super::*;
use crate::testing::test_lease;

/// A clock that the test sets.
#[derive(Default)]
struct SetClock {
    clock: SystemClock,
    ahead_ms: AtomicI64,
}

impl Clock for SetClock {
    fn now(&self) -> Now {
        let Now { mono, wall } = self.clock.now();
        let wall = wall.as_millis().saturating_add_signed(self.ahead_ms.load(Ordering::Relaxed));
        Now { mono, wall: Timestamp::from_millis(wall) }
    }
}

impl SetClock {
    fn set_ahead(&self, ahead: Span) {
        self.ahead_ms.store(ahead.as_millis().try_into().unwrap(), Ordering::Relaxed);
    }
}

struct FollowedState {
    follower: LeaseFollower,
    writer: KeyWriter,
    clock: Arc<SetClock>,
    _folder: tempfile::TempDir,
}

#[expect(clippy::disallowed_methods, reason = "a test's own chance")]
async fn followed() -> FollowedState {
    let folder = tempfile::tempdir().unwrap();
    let master = MasterKey::parse(&std::array::from_fn::<u8, 32, _>(|at| at as u8)).unwrap();
    let random = Arc::new(aws_lc_rs::rand::SystemRandom::new());
    let store: Arc<dyn Store> =
        Arc::new(DirectoryStore::open(&folder.path().join("state"), master, random).await.unwrap());
    let clock = Arc::new(SetClock::default());
    let follower = LeaseFollower::new(Arc::clone(&store), Arc::default(), Arc::clone(&clock) as _);
    FollowedState { follower, writer: KeyWriter::shared(store), clock, _folder: folder }
}

impl FollowedState {
    /// As the leader does: a lease that was obtained at this time, in seconds, and is valid for an hour from now.
    async fn write(&self, name: &str, revision: u64, obtained: u64) {
        let obtained_at = Timestamp::from_millis(obtained * 1000);
        let lease = Lease { obtained_at, issued_at: obtained_at, ..test_lease(revision) };
        let record = LeaseRecord { revision: Revision(revision), lease: Some(lease), ..LeaseRecord::default() };
        let key = StoreKey::of_instance(&LEASE, &name.parse().unwrap());
        self.writer.put(&key, &lease_record::encode(&record).unwrap()).await.unwrap();
    }

    async fn delete(&self, name: &str) {
        self.writer.delete(&StoreKey::of_instance(&LEASE, &name.parse().unwrap())).await.unwrap();
    }

    fn revision(&self, name: &str) -> Option<u64> {
        self.follower.board.lease(&name.parse().unwrap()).map(|lease| lease.revision.0)
    }

    /// Waits until this revision is on the board.
    async fn wait_for(&self, name: &str, revision: Option<u64>) {
        let waiting = async {
            while self.revision(name) != revision {
                pause(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("it should be on the board by now");
    }

    async fn while_followed(&self, task: impl Future<Output = ()>) {
        tokio::select! { () = self.follower.run() => panic!("it never ends"), () = task => {} }
    }
}

#[tokio::test]
async fn lease_follower_goes_back_to_no_older_lease() {
    let state = followed().await;
    state.write("s3", 4, 400).await;
    let task = async {
        state.wait_for("s3", Some(4)).await;
        state.write("s3", 5, 500).await;
        state.wait_for("s3", Some(5)).await;
        // One with rights in etcd brings back the record from before, for a lease that was revoked since.
        state.write("s3", 4, 400).await;
        state.write("other", 1, 600).await;
        state.wait_for("other", Some(1)).await;
        assert_eq!(state.revision("s3"), Some(5));
        // A coordinator without its state begins with 1 again, and obtains later.
        state.write("s3", 1, 700).await;
        state.wait_for("s3", Some(1)).await;
        state.delete("s3").await;
        state.wait_for("s3", None).await;
    };
    state.while_followed(task).await;
}

#[tokio::test]
async fn lease_that_a_wrong_clock_ended_comes_back() {
    let state = followed().await;
    for name in ["s3", "gone", "late"] {
        state.write(name, 1, 100).await;
    }
    let task = async {
        state.wait_for("late", Some(1)).await;
        state.wait_for("s3", Some(1)).await;
        state.clock.set_ahead(Span::secs(7200));
        state.wait_for("s3", None).await;
        state.wait_for("gone", None).await;
        // These change while the clock is wrong.
        state.delete("gone").await;
        state.write("late", 2, 200).await;
        state.write("new", 1, 100).await;
        state.clock.set_ahead(Span::secs(0));
        state.wait_for("s3", Some(1)).await;
        state.wait_for("late", Some(2)).await;
        state.wait_for("new", Some(1)).await;
        assert_eq!(state.revision("gone"), None);
        assert!(state.follower.expired.lock_unpoisoned().is_empty());
    };
    state.while_followed(task).await;
}

#[tokio::test]
async fn lease_comes_back_while_others_keep_changing() {
    let state = followed().await;
    state.write("s3", 1, 100).await;
    let task = async {
        state.wait_for("s3", Some(1)).await;
        state.clock.set_ahead(Span::secs(7200));
        state.wait_for("s3", None).await;
        state.clock.set_ahead(Span::secs(0));
        let changing = async {
            for number in 1.. {
                state.write("busy", number, number).await;
                pause(Duration::from_millis(100)).await;
            }
        };
        tokio::select! { () = changing => {}, () = state.wait_for("s3", Some(1)) => {} }
    };
    state.while_followed(task).await;
}
