//! What a coordinator that comes back says of what it can't load, and whom it has forgotten.

use super::*;

/// What the group gets: one instance, and this of one receiver.
fn plan(binding: Option<ReceiverBinding>) -> Deliveries {
    let instances = BTreeSet::from(["s3-prod".parse().unwrap()]);
    let receivers = BTreeMap::from([("aws".parse().unwrap(), binding)]);
    let given = GroupDeliveries { instances, receivers, ..GroupDeliveries::default() };
    Deliveries { groups: BTreeMap::from([(group("analytics"), given)]), ..Deliveries::default() }
}

fn binding(component: u8) -> ReceiverBinding {
    let instances = BTreeSet::from(["s3-prod".parse().unwrap()]);
    let (settings, limits) = (BTreeMap::new(), LimitOverrides::default());
    ReceiverBinding { component: Digest::new([component; 32]), settings, instances, limits }
}

fn bound(held: &DeliveredState) -> Option<&ReceiverBinding> {
    held.receivers.get(&"aws".parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receiver_that_cannot_be_loaded_stays_with_its_workers() {
    let coordinator = start_coordinator(TestOptions::default()).await;
    let address = coordinator.workers.address();
    coordinator.workers.deliver(plan(Some(binding(1))));
    let worker = coordinator.start_worker("analytics").await;
    worker.wait_for_state(|held| bound(held) == Some(&binding(1))).await;
    let folder = coordinator.stop().await;
    worker.wait_for_phase(LinkPhase::Connecting).await;

    let coordinator = start_coordinator_in(folder, address, TestOptions::default()).await;
    coordinator.workers.deliver(plan(None));
    worker.wait_for_phase(LinkPhase::Connected).await;
    assert_eq!(bound(&worker.link.held.borrow()), Some(&binding(1)));
    let late = coordinator.start_worker("analytics").await;
    late.wait_for_phase(LinkPhase::Connected).await;
    assert_eq!(bound(&late.link.held.borrow()), None, "there is nothing that it could be given");
    let missing = |worker: &TestWorker| worker.link.held.borrow().unavailable_receivers.len();
    assert_eq!((missing(&late), missing(&worker)), (1, 0));

    // It can be loaded; then it can't; then it is no longer configured.
    coordinator.workers.deliver(plan(Some(binding(2))));
    worker.wait_for_state(|held| bound(held) == Some(&binding(2))).await;
    late.wait_for_state(|held| bound(held) == Some(&binding(2)) && held.unavailable_receivers.is_empty()).await;
    coordinator.workers.deliver(plan(None));
    coordinator.publish("s3-prod", 1);
    worker.wait_for_lease("s3-prod", 1).await;
    assert_eq!(bound(&worker.link.held.borrow()), Some(&binding(2)));
    coordinator.deliver(&[("analytics", &["s3-prod"])]);
    worker.wait_for_state(|held| held.receivers.is_empty() && !held.deliveries.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_are_forgotten_in_time_unless_banned() {
    // Each start of an engine that keeps its identity in memory is a new worker.
    let lives = CertificateLifetimes { worker: Span::secs(60), ..TestOptions::default().lives };
    let coordinator = start_coordinator(TestOptions { lives, ..TestOptions::default() }).await;
    let (gone, banned) = (coordinator.start_worker("analytics").await, coordinator.start_worker("analytics").await);
    gone.wait_for_phase(LinkPhase::Connected).await;
    banned.wait_for_phase(LinkPhase::Connected).await;
    coordinator.workers.exclude(banned.id(), EnrolmentStatus::Banned).await.unwrap();
    let (gone_id, banned_id) = (gone.id(), banned.id());
    drop(gone);
    let count = async || coordinator.workers.workers().await.unwrap().len();
    wait_until(async || coordinator.workers.workers().await.unwrap().iter().all(|worker| !worker.connected)).await;
    coordinator.clock.millis.store(6 * DAY.as_millis(), Ordering::Relaxed);
    // Whatever is asked has it look at the clock.
    coordinator.token("analytics", 1).await;
    assert_eq!((count().await, coordinator.workers.sessions.all().len()), (2, 2));
    coordinator.clock.millis.store(8 * DAY.as_millis(), Ordering::Relaxed);
    coordinator.token("analytics", 1).await;
    assert_eq!((count().await, coordinator.workers.sessions.all().len()), (2, 2), "the clock may be wrong");
    coordinator.clock.millis.store(9 * DAY.as_millis(), Ordering::Relaxed);
    coordinator.token("analytics", 1).await;
    assert_eq!((count().await, coordinator.workers.sessions.all().len()), (1, 1));
    assert!(matches!(
        coordinator.workers.exclude(gone_id, EnrolmentStatus::Removed).await,
        Err(WorkerRequestError::UnknownWorker(worker)) if worker == gone_id
    ));

    let folder = coordinator.stop().await;
    let coordinator = start_coordinator_in(folder, "127.0.0.1:0".parse().unwrap(), TestOptions::default()).await;
    let kept = coordinator.workers.workers().await.unwrap();
    assert_eq!(kept.iter().map(|worker| worker.id.clone()).collect::<Vec<_>>(), [banned_id.to_string()]);
}
