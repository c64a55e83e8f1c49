//! Two coordinators on one state, each with workers of its own.

use deputy_test_stores::LayeredStore;

use super::*;
use crate::testing::FaultyStore;

/// Two coordinators; the second one sees the state as `view` makes it.
async fn two_coordinators(
    options: TestOptions,
    view: impl FnOnce(Arc<DirectoryStore>) -> LayeredStore<FaultyStore>,
) -> (TestCoordinator, TestCoordinator) {
    let options = TestOptions { is_shared: true, ..options };
    let anywhere = "127.0.0.1:0".parse().unwrap();
    let mut shared = None;
    let share = |store| {
        let store = Arc::new(store);
        shared = Some(Arc::clone(&store));
        store as Arc<dyn Store>
    };
    let one = start_coordinator_with(tempfile::tempdir().unwrap(), anywhere, options, share).await;
    let shared = shared.unwrap();
    let other = tempfile::tempdir().unwrap();
    let other = start_coordinator_with(other, anywhere, options, |_| Arc::new(view(shared)) as Arc<dyn Store>).await;
    one.deliver(&[]);
    other.deliver(&[]);
    (one, other)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn banned_worker_is_disconnected_wherever_it_is_connected() {
    let (one, other) = two_coordinators(TestOptions::default(), FaultyStore::new).await;
    let worker = other.start_worker("analytics").await;
    worker.wait_for_phase(LinkPhase::Connected).await;
    one.workers.exclude(worker.id(), EnrolmentStatus::Banned).await.unwrap();
    assert!(worker.wait_until_stopped().await.contains("is banned"));
    wait_until(async || other.status(&worker).await.standing == EnrolmentStatus::Banned).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn banned_worker_is_disconnected_by_what_a_write_finds() {
    let lives = CertificateLifetimes { authority: Span::secs(3600), worker: Span::secs(8) };
    let (one, other) = two_coordinators(TestOptions { lives, ..TestOptions::default() }, FaultyStore::deaf).await;
    let worker = other.start_worker("analytics").await;
    let first = worker.identity().ends();
    in_time(async {
        while worker.identity().ends() <= first {
            pause(50).await;
        }
    })
    .await;
    let identity = worker.identity();
    drop(worker);
    one.workers.exclude(identity.worker, EnrolmentStatus::Banned).await.unwrap();
    // The other coordinator has not heard of it, and admits the worker. Then it notes that the new certificate was used.
    let worker = TestWorker::start(identity, &[]);
    assert!(worker.wait_until_stopped().await.contains("is banned"));
    let renewals = other.events("renew");
    assert!(renewals.iter().all(|event| event.outcome == deputy_audit::AuditOutcome::Done), "{renewals:?}");
}
