//! A lease of an earlier configuration goes to those who had it.

use super::*;

const OLD: ConfigFingerprint = ConfigFingerprint([1; 16]);
const NEW: ConfigFingerprint = ConfigFingerprint([2; 16]);

fn name() -> InstanceName {
    "s3".parse().unwrap()
}

/// These groups get the instance, which has this configuration. `setting` is the receiver's.
fn plan(groups: &[&str], fingerprint: ConfigFingerprint, setting: &str) -> Deliveries {
    let mut plan = Deliveries { fingerprints: BTreeMap::from([(name(), fingerprint)]), ..Deliveries::default() };
    for group in groups {
        let binding = ReceiverBinding {
            component: Digest::new([7; 32]),
            settings: BTreeMap::from([("is".to_owned(), setting.to_owned())]),
            instances: BTreeSet::from([name()]),
            limits: LimitOverrides::default(),
        };
        let given = GroupDeliveries {
            instances: BTreeSet::from([name()]),
            receivers: BTreeMap::from([("app".parse().unwrap(), Some(binding))]),
            components: BTreeMap::new(),
        };
        plan.groups.insert(super::group(group), given);
    }
    plan
}

fn setting(worker: &TestWorker) -> Option<String> {
    worker.link.held.borrow().receivers.values().next().map(|binding| binding.settings["is"].clone())
}

fn held_revision(worker: &TestWorker) -> Option<u64> {
    worker.link.held.borrow().deliveries.get(&name()).map(|delivery| delivery.stamp.revision.0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_of_an_old_lease_reaches_no_new_group_or_receiver() {
    let coordinator = start_coordinator(TestOptions::default()).await;
    coordinator.workers.deliver(plan(&["had"], OLD, "old"));
    coordinator.publish_with_fingerprint(OLD, "s3", 1, "s3 1".to_owned());
    let (had, new) = (coordinator.start_worker("had").await, coordinator.start_worker("new").await);
    had.wait_for_lease("s3", 1).await;
    // Another account, another group, another receiver.
    coordinator.workers.deliver(plan(&["had", "new"], NEW, "new"));
    let late = coordinator.start_worker("had").await;
    late.wait_for_lease("s3", 1).await;
    new.wait_for_phase(LinkPhase::Connected).await;
    pause(200).await;
    assert_eq!((held_revision(&new), setting(&new), setting(&had).as_deref()), (None, None, Some("old")));
    assert_eq!(held_revision(&had), Some(1), "what it had, it has");
    coordinator.publish_with_fingerprint(NEW, "s3", 2, "s3 2".to_owned());
    for worker in [&had, &new, &late] {
        worker.wait_for_lease("s3", 2).await;
        worker.wait_for_state(|held| held.receivers.values().any(|binding| binding.settings["is"] == "new")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_of_an_old_lease_survives_a_restart() {
    let coordinator = start_coordinator(TestOptions::default()).await;
    coordinator.publish_with_fingerprint(OLD, "s3", 1, "s3 1".to_owned());
    let mut first = plan(&["had", "new"], NEW, "new");
    // The other group was to get it later than the lease was obtained, and never did.
    let since = |millis| BTreeMap::from([(name(), Timestamp::from_millis(millis))]);
    first.before = [("had", 0), ("new", u64::MAX)]
        .map(|(name, millis)| {
            (group(name), EarlierDeliveries { instances: since(millis), ..EarlierDeliveries::default() })
        })
        .into();
    coordinator.workers.deliver(first);
    let (had, new) = (coordinator.start_worker("had").await, coordinator.start_worker("new").await);
    had.wait_for_lease("s3", 1).await;
    new.wait_for_phase(LinkPhase::Connected).await;
    pause(200).await;
    assert_eq!(held_revision(&new), None);
    coordinator.publish_with_fingerprint(NEW, "s3", 2, "s3 2".to_owned());
    new.wait_for_lease("s3", 2).await;
    had.wait_for_lease("s3", 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_after_a_restart_needs_the_same_receiver() {
    let bound = |component, millis| EarlierReceiver {
        component: Digest::new([component; 32]),
        since: Timestamp::from_millis(millis),
    };
    // The component that was bound when the lease was obtained, another one, and the same one bound only since then.
    for (earlier, is_bound) in [(bound(7, 0), true), (bound(8, 0), false), (bound(7, u64::MAX), false)] {
        let coordinator = start_coordinator(TestOptions::default()).await;
        coordinator.publish_with_fingerprint(OLD, "s3", 1, "s3 1".to_owned());
        let mut first = plan(&["had"], NEW, "new");
        let instances = BTreeMap::from([(name(), Timestamp::from_millis(0))]);
        let receivers = BTreeMap::from([("app".parse().unwrap(), earlier)]);
        first.before = BTreeMap::from([(group("had"), EarlierDeliveries { instances, receivers })]);
        coordinator.workers.deliver(first);
        let worker = coordinator.start_worker("had").await;
        worker.wait_for_lease("s3", 1).await;
        worker.wait_for_phase(LinkPhase::Connected).await;
        pause(200).await;
        assert_eq!(setting(&worker).is_some(), is_bound, "{earlier:?}");
        coordinator.publish_with_fingerprint(NEW, "s3", 2, "s3 2".to_owned());
        worker.wait_for_state(|held| held.receivers.values().any(|binding| binding.settings["is"] == "new")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_to_another_group_alone_needs_no_other_lease() {
    let coordinator = start_coordinator(TestOptions::default()).await;
    coordinator.workers.deliver(plan(&["had"], OLD, "old"));
    coordinator.publish_with_fingerprint(OLD, "s3", 1, "s3 1".to_owned());
    coordinator.workers.deliver(plan(&["had", "new"], OLD, "new"));
    let new = coordinator.start_worker("new").await;
    new.wait_for_lease("s3", 1).await;
    new.wait_for_state(|held| held.receivers.values().any(|binding| binding.settings["is"] == "new")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_of_a_later_configuration_waits_for_a_reload() {
    let coordinator = start_coordinator(TestOptions { is_shared: true, ..TestOptions::default() }).await;
    coordinator.workers.deliver(plan(&["had"], OLD, "old"));
    coordinator.publish_with_fingerprint(OLD, "s3", 1, "s3 1".to_owned());
    let had = coordinator.start_worker("had").await;
    had.wait_for_lease("s3", 1).await;
    // The coordinator that leads was reloaded: another account, for another group.
    coordinator.publish_with_fingerprint(NEW, "s3", 2, "s3 2".to_owned());
    let late = coordinator.start_worker("had").await;
    late.wait_for_lease("s3", 1).await;
    late.wait_for_phase(LinkPhase::Connected).await;
    pause(200).await;
    assert_eq!((held_revision(&had), held_revision(&late)), (Some(1), Some(1)), "what it had, it has");
    // This one is reloaded, too.
    coordinator.workers.deliver(plan(&["new"], NEW, "new"));
    let new = coordinator.start_worker("new").await;
    new.wait_for_lease("s3", 2).await;
    had.wait_for_state(|held| held.deliveries.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_of_a_later_configuration_is_never_guessed() {
    let coordinator = start_coordinator(TestOptions { is_shared: true, ..TestOptions::default() }).await;
    let later = ConfigFingerprint([3; 16]);
    coordinator.workers.deliver(plan(&["had"], OLD, "old"));
    coordinator.publish_with_fingerprint(OLD, "s3", 1, "s3 1".to_owned());
    let had = coordinator.start_worker("had").await;
    had.wait_for_lease("s3", 1).await;
    coordinator.publish_with_fingerprint(later, "s3", 2, "s3 2".to_owned());
    // It passes over a configuration, and then its component is being loaded.
    for fingerprint in [NEW, ConfigFingerprint::UNKNOWN] {
        coordinator.workers.deliver(plan(&["had", "new"], fingerprint, "new"));
        pause(200).await;
        assert_eq!(held_revision(&had), Some(1));
    }
    coordinator.workers.deliver(plan(&["had"], later, "new"));
    had.wait_for_lease("s3", 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_goes_on_until_the_leader_is_reloaded() {
    // Those that follow are reloaded first, and the leader obtains by the old configuration meanwhile.
    let coordinator = start_coordinator(TestOptions { is_shared: true, ..TestOptions::default() }).await;
    coordinator.workers.deliver(plan(&["had"], OLD, "old"));
    coordinator.publish_with_fingerprint(OLD, "s3", 1, "s3 1".to_owned());
    let had = coordinator.start_worker("had").await;
    had.wait_for_lease("s3", 1).await;
    coordinator.workers.deliver(plan(&["had", "new"], NEW, "new"));
    coordinator.publish_with_fingerprint(OLD, "s3", 2, "s3 2".to_owned());
    had.wait_for_lease("s3", 2).await;
    let new = coordinator.start_worker("new").await;
    new.wait_for_phase(LinkPhase::Connected).await;
    pause(200).await;
    assert_eq!(held_revision(&new), None);
    coordinator.publish_with_fingerprint(NEW, "s3", 3, "s3 3".to_owned());
    new.wait_for_lease("s3", 3).await;
    had.wait_for_lease("s3", 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_needs_no_component_for_the_same_configuration() {
    let anywhere = "127.0.0.1:0".parse().unwrap();
    let options = TestOptions { is_shared: true, ..TestOptions::default() };
    let coordinator = start_coordinator_in(tempfile::tempdir().unwrap(), anywhere, options).await;
    coordinator.publish_with_fingerprint(OLD, "s3", 1, "s3 1".to_owned());
    pause(50).await;
    // Its component is missing here, or is being loaded.
    let mut first = plan(&["had", "new"], ConfigFingerprint::UNKNOWN, "old");
    let instances = BTreeMap::from([(name(), Timestamp::from_millis(0))]);
    first.before = BTreeMap::from([(group("had"), EarlierDeliveries { instances, ..EarlierDeliveries::default() })]);
    coordinator.workers.deliver(first);
    let (had, new) = (coordinator.start_worker("had").await, coordinator.start_worker("new").await);
    had.wait_for_lease("s3", 1).await;
    coordinator.publish_with_fingerprint(OLD, "s3", 2, "s3 2".to_owned());
    had.wait_for_lease("s3", 2).await;
    coordinator.publish_with_fingerprint(NEW, "s3", 3, "s3 3".to_owned());
    new.wait_for_phase(LinkPhase::Connected).await;
    pause(200).await;
    assert_eq!((held_revision(&had), held_revision(&new)), (Some(2), None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_of_a_later_configuration_depends_on_no_clock() {
    let anywhere = "127.0.0.1:0".parse().unwrap();
    let options = TestOptions { is_shared: true, ..TestOptions::default() };
    let coordinator = start_coordinator_in(tempfile::tempdir().unwrap(), anywhere, options).await;
    coordinator.publish_with_fingerprint(OLD, "s3", 1, "s3 1".to_owned());
    pause(50).await;
    let mut first = plan(&["had"], OLD, "old");
    let instances = BTreeMap::from([(name(), Timestamp::from_millis(0))]);
    first.before = BTreeMap::from([(group("had"), EarlierDeliveries { instances, ..EarlierDeliveries::default() })]);
    coordinator.workers.deliver(first);
    let had = coordinator.start_worker("had").await;
    had.wait_for_lease("s3", 1).await;
    // The leader's clock is behind: its lease looks as old as this process.
    let mut lease = coordinator.board.lease(&name()).unwrap();
    lease.revision = Revision(2);
    lease.obtained_at = lease.obtained_at.plus(Span::millis(1));
    lease.fingerprint = NEW;
    coordinator.board.publish(name(), lease);
    pause(200).await;
    assert_eq!(held_revision(&had), Some(1));
}
