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

fn setting(worker: &Worker) -> Option<String> {
    worker.link.held.borrow().receivers.values().next().map(|binding| binding.settings["is"].clone())
}

fn holds(worker: &Worker) -> Option<u64> {
    worker.link.held.borrow().deliveries.get(&name()).map(|delivery| delivery.stamp.revision.0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_of_an_old_lease_reaches_no_new_group_and_no_new_receiver() {
    let site = site(How::default()).await;
    site.workers.deliver(plan(&["had"], OLD, "old"));
    site.publish_of(OLD, "s3", 1, "s3 1".to_owned());
    let (had, new) = (site.worker("had").await, site.worker("new").await);
    had.has("s3", 1).await;
    // Another account, another group, another receiver.
    site.workers.deliver(plan(&["had", "new"], NEW, "new"));
    let late = site.worker("had").await;
    late.has("s3", 1).await;
    new.is(LinkPhase::Connected).await;
    pause(200).await;
    assert_eq!((holds(&new), setting(&new), setting(&had).as_deref()), (None, None, Some("old")));
    assert_eq!(holds(&had), Some(1), "what it had, it has");
    site.publish_of(NEW, "s3", 2, "s3 2".to_owned());
    for worker in [&had, &new, &late] {
        worker.has("s3", 2).await;
        worker.holds(|held| held.receivers.values().any(|binding| binding.settings["is"] == "new")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_of_an_old_lease_after_a_restart_reaches_those_who_had_it() {
    let site = site(How::default()).await;
    site.publish_of(OLD, "s3", 1, "s3 1".to_owned());
    let mut first = plan(&["had", "new"], NEW, "new");
    // The other group was to get it later than the lease was obtained, and never did.
    let since = |millis| BTreeMap::from([(name(), Timestamp::from_millis(millis))]);
    first.before = [("had", 0), ("new", u64::MAX)]
        .map(|(name, millis)| {
            (group(name), EarlierDeliveries { instances: since(millis), ..EarlierDeliveries::default() })
        })
        .into();
    site.workers.deliver(first);
    let (had, new) = (site.worker("had").await, site.worker("new").await);
    had.has("s3", 1).await;
    new.is(LinkPhase::Connected).await;
    pause(200).await;
    assert_eq!(holds(&new), None);
    site.publish_of(NEW, "s3", 2, "s3 2".to_owned());
    new.has("s3", 2).await;
    had.has("s3", 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_to_another_group_alone_needs_no_other_lease() {
    let site = site(How::default()).await;
    site.workers.deliver(plan(&["had"], OLD, "old"));
    site.publish_of(OLD, "s3", 1, "s3 1".to_owned());
    site.workers.deliver(plan(&["had", "new"], OLD, "new"));
    let new = site.worker("new").await;
    new.has("s3", 1).await;
    new.holds(|held| held.receivers.values().any(|binding| binding.settings["is"] == "new")).await;
}
