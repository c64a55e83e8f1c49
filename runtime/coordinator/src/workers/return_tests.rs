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
async fn a_receiver_that_cannot_be_loaded_when_the_coordinator_starts_stays_with_who_has_it() {
    let site = site(How::default()).await;
    let address = site.workers.address();
    site.workers.deliver(plan(Some(binding(1))));
    let worker = site.worker("analytics").await;
    worker.holds(|held| bound(held) == Some(&binding(1))).await;
    let folder = site.end().await;
    worker.is(LinkPhase::Connecting).await;

    let site = site_in(folder, address, How::default()).await;
    site.workers.deliver(plan(None));
    worker.is(LinkPhase::Connected).await;
    assert_eq!(bound(&worker.link.held.borrow()), Some(&binding(1)));
    let late = site.worker("analytics").await;
    late.is(LinkPhase::Connected).await;
    assert_eq!(bound(&late.link.held.borrow()), None, "there is nothing that it could be given");
    let missing = |worker: &Worker| worker.link.held.borrow().unavailable_receivers.len();
    assert_eq!((missing(&late), missing(&worker)), (1, 0));

    // It can be loaded; then it can't; then it is no longer configured.
    site.workers.deliver(plan(Some(binding(2))));
    worker.holds(|held| bound(held) == Some(&binding(2))).await;
    late.holds(|held| bound(held) == Some(&binding(2)) && held.unavailable_receivers.is_empty()).await;
    site.workers.deliver(plan(None));
    site.publish("s3-prod", 1);
    worker.has("s3-prod", 1).await;
    assert_eq!(bound(&worker.link.held.borrow()), Some(&binding(2)));
    site.deliver(&[("analytics", &["s3-prod"])]);
    worker.holds(|held| held.receivers.is_empty() && !held.deliveries.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_been_gone_for_long_is_forgotten_and_who_is_banned_is_not() {
    // Each start of an engine that keeps its identity in memory is a new worker.
    let lives = CertificateLifetimes { worker: Span::secs(60), ..How::default().lives };
    let site = site(How { lives, ..How::default() }).await;
    let (gone, banned) = (site.worker("analytics").await, site.worker("analytics").await);
    gone.is(LinkPhase::Connected).await;
    banned.is(LinkPhase::Connected).await;
    site.workers.exclude(banned.id(), EnrolmentStatus::Banned).await.unwrap();
    let (gone_id, banned_id) = (gone.id(), banned.id());
    drop(gone);
    let count = async || site.workers.workers().await.unwrap().len();
    until(async || site.workers.workers().await.unwrap().iter().all(|worker| !worker.connected)).await;
    site.clock.millis.store(6 * DAY.as_millis(), Ordering::Relaxed);
    // Whatever is asked has it look at the clock.
    site.token("analytics", 1).await;
    assert_eq!((count().await, site.workers.roster.all().len()), (2, 2));
    site.clock.millis.store(8 * DAY.as_millis(), Ordering::Relaxed);
    site.token("analytics", 1).await;
    assert_eq!((count().await, site.workers.roster.all().len()), (2, 2), "the clock may be wrong");
    site.clock.millis.store(9 * DAY.as_millis(), Ordering::Relaxed);
    site.token("analytics", 1).await;
    assert_eq!((count().await, site.workers.roster.all().len()), (1, 1));
    assert!(matches!(
        site.workers.exclude(gone_id, EnrolmentStatus::Removed).await,
        Err(WorkerRequestError::UnknownWorker(worker)) if worker == gone_id
    ));

    let folder = site.end().await;
    let site = site_in(folder, "127.0.0.1:0".parse().unwrap(), How::default()).await;
    let kept = site.workers.workers().await.unwrap();
    assert_eq!(kept.iter().map(|worker| worker.id.clone()).collect::<Vec<_>>(), [banned_id.to_string()]);
}
