//! What workers get, and what they report of it.

use super::*;
use tokio::sync::oneshot;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_follows_the_group_and_every_change() {
    let coordinator = start_coordinator(TestOptions::default()).await;
    coordinator.publish("s3-prod", 1);
    coordinator.deliver(&[("analytics", &["s3-prod", "s3-lab"]), ("other", &["secret"])]);
    coordinator.publish("secret", 1);
    let worker = coordinator.start_worker("analytics").await;
    worker.wait_for_lease("s3-prod", 1).await;
    worker.wait_for_phase(LinkPhase::Connected).await;
    for revision in 2..50 {
        coordinator.publish("s3-prod", revision);
    }
    worker.wait_for_lease("s3-prod", 49).await;
    coordinator.publish("s3-lab", 7);
    worker.wait_for_lease("s3-lab", 7).await;
    coordinator.board.withdraw(&"s3-lab".parse().unwrap());
    worker.wait_for_state(|held| held.deliveries.len() == 1).await;
    assert!(!worker.link.held.borrow().deliveries.contains_key(&"secret".parse().unwrap()));

    coordinator.deliver(&[("analytics", &["secret"])]);
    worker.wait_for_lease("secret", 1).await;
    worker.wait_for_state(|held| held.deliveries.len() == 1).await;
    coordinator.deliver(&[]);
    worker.wait_for_state(|held| held.deliveries.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_waits_until_the_leases_of_others_are_read() {
    let coordinator = start_coordinator(TestOptions { unread: true, ..TestOptions::default() }).await;
    coordinator.deliver(&[("analytics", &["s3-prod"])]);
    let string = coordinator.token("analytics", 1).await;
    let (joined, identity) = oneshot::channel();
    let joining = spawn(async move {
        joined.send(join(&string, WorkerKey::new().unwrap()).await).ok();
    });
    pause(300).await;
    assert!(!joining.is_finished(), "a worker would drop what its snapshot lacks");
    coordinator.publish("s3-prod", 1);
    coordinator.board.mark_read();
    let worker = TestWorker::start(identity.await.unwrap().unwrap(), &[]);
    worker.wait_for_lease("s3-prod", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_of_a_coordinator_that_is_behind_is_ignored() {
    let coordinator = start_coordinator(TestOptions::default()).await;
    coordinator.deliver(&[("analytics", &["s3-prod"])]);
    coordinator.publish("s3-prod", 4);
    let name = "s3-prod".parse().unwrap();
    let before = coordinator.board.lease(&name).unwrap();
    pause(5).await;
    coordinator.publish("s3-prod", 5);
    let worker = coordinator.start_worker("analytics").await;
    worker.wait_for_lease("s3-prod", 5).await;
    coordinator.board.publish(name.clone(), before);
    coordinator.deliver(&[("analytics", &["s3-prod", "s3-lab"])]);
    coordinator.publish("s3-lab", 1);
    worker.wait_for_lease("s3-lab", 1).await;
    assert_eq!(worker.link.held.borrow().deliveries[&name].stamp.revision.0, 5, "it comes before the other one");
    // One whose state was restored counts from a lower number, and obtains later.
    coordinator.publish("s3-prod", 3);
    worker.wait_for_lease("s3-prod", 3).await;
}

/// How many workers have not applied the newest lease of `s3-prod`.
async fn behind(coordinator: &TestCoordinator) -> u64 {
    coordinator.workers.behind().await[&"s3-prod".parse::<InstanceName>().unwrap()]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_reports_show_what_each_worker_applied() {
    let coordinator = start_coordinator(TestOptions::default()).await;
    coordinator.deliver(&[("analytics", &["s3-prod"])]);
    coordinator.publish("s3-prod", 1);
    let worker = coordinator.start_worker("analytics").await;
    worker.wait_for_lease("s3-prod", 1).await;
    let before = coordinator.status(&worker).await;
    assert_eq!((before.group.as_str(), before.connected, before.applied[0].current), ("analytics", true, false));
    assert_eq!(behind(&coordinator).await, 1);
    worker.report("s3-prod", Ok(())).await;
    wait_until(async || coordinator.status(&worker).await.applied[0].current).await;
    assert_eq!(behind(&coordinator).await, 0);
    let status = coordinator.status(&worker).await;
    assert_eq!((status.version.as_deref(), status.host.as_deref()), (Some("1.2.3"), Some("machine")));
    assert_eq!((status.applied[0].revision, status.applied[0].newest), (Some(1), Some(1)));

    coordinator.publish("s3-prod", 2);
    worker.wait_for_lease("s3-prod", 2).await;
    assert!(!coordinator.status(&worker).await.applied[0].current);
    worker.report("s3-prod", Err("no room\u{1b}[31m on the disk".to_owned())).await;
    wait_until(async || coordinator.status(&worker).await.applied[0].failure.is_some()).await;
    assert_eq!(behind(&coordinator).await, 1);
    let status = coordinator.status(&worker).await;
    assert_eq!(status.applied[0].failure.as_deref(), Some("no room[31m on the disk"));
    let failed = coordinator.counted("deputy_link_reports_total{instance=\"s3-prod\",outcome=\"failed\"}");
    assert_eq!(failed, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_refusal_names_the_line_that_would_allow_it() {
    let coordinator = start_coordinator(TestOptions::default()).await;
    coordinator.deliver(&[("analytics", &["s3-prod"]), ("other", &["secret"])]);
    coordinator.publish("s3-prod", 1);
    coordinator.publish("secret", 1);
    let string = coordinator.token("analytics", 1).await;
    let identity = join(&string, WorkerKey::new().unwrap()).await.unwrap();
    let worker = TestWorker::start(identity, &["s3-prod", "secret", "never-there"]);
    worker.wait_for_lease("s3-prod", 1).await;
    worker.wait_for_phase(LinkPhase::Connected).await;
    let refused = worker.link.state.borrow().refusals.clone();
    let about: Vec<&str> = refused.iter().map(|refusal| refusal.subject.as_str()).collect();
    assert_eq!(about, ["never-there", "secret"]);
    assert!(refused.iter().all(|refusal| refusal.code == ErrorCode::NotDelivered));
    assert!(refused[1].message.contains("deliver-to = [\"analytics\"] in [instances.secret]"), "{}", refused[1]);
    let events = coordinator.events("subscribe");
    assert_eq!(events.len(), 2);
    assert_eq!(events[1].code.as_deref(), Some("not-delivered"));
    assert!(matches!(&events[1].action, AuditAction::Worker { instance: Some(name), .. } if name == "secret"));
    coordinator.publish("secret", 2);
    coordinator.publish("s3-prod", 2);
    worker.wait_for_lease("s3-prod", 2).await;
    assert_eq!(worker.link.held.borrow().deliveries.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_survives_a_restart_and_sends_nothing_twice() {
    let coordinator = start_coordinator(TestOptions::default()).await;
    let address = coordinator.workers.address();
    coordinator.deliver(&[("analytics", &["s3-prod"])]);
    coordinator.publish("s3-prod", 1);
    let worker = coordinator.start_worker("analytics").await;
    worker.wait_for_lease("s3-prod", 1).await;
    assert_eq!(behind(&coordinator).await, 1);
    worker.report("s3-prod", Ok(())).await;
    wait_until(async || coordinator.status(&worker).await.applied[0].current).await;
    assert_eq!(behind(&coordinator).await, 0);
    let lease = coordinator.board.lease(&"s3-prod".parse().unwrap()).unwrap();
    let folder = coordinator.stop().await;
    worker.wait_for_phase(LinkPhase::Connecting).await;
    worker.wait_for_lease("s3-prod", 1).await;
    let payload = Arc::as_ptr(&worker.link.held.borrow().deliveries.values().next().unwrap().payload);

    let coordinator = start_coordinator_in(folder, address, TestOptions::default()).await;
    coordinator.board.publish("s3-prod".parse().unwrap(), lease);
    coordinator.deliver(&[("analytics", &["s3-prod"])]);
    worker.wait_for_phase(LinkPhase::Connected).await;
    // What it has applied is said again, since the coordinator has forgotten.
    wait_until(async || coordinator.status(&worker).await.applied.first().is_some_and(|applied| applied.current)).await;
    let now = Arc::as_ptr(&worker.link.held.borrow().deliveries.values().next().unwrap().payload);
    assert_eq!(payload, now, "it was not sent again");
    coordinator.publish("s3-prod", 2);
    worker.wait_for_lease("s3-prod", 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_includes_receivers_and_their_components() {
    let coordinator = start_coordinator(TestOptions::default()).await;
    let component = Bytes::from(vec![7; 300_000]);
    let digest = sha256(&component);
    let binding = |settings: &[(&str, &str)], limits: &LimitOverrides| ReceiverBinding {
        component: digest,
        settings: settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        instances: BTreeSet::from(["s3-prod".parse().unwrap()]),
        limits: limits.clone(),
    };
    let plan = |binding: ReceiverBinding| {
        let mut deliveries = Deliveries::default();
        let receivers = BTreeMap::from([("aws".parse().unwrap(), Some(binding))]);
        let components = BTreeMap::from([(digest, component.clone())]);
        let instances = BTreeSet::from(["s3-prod".parse().unwrap()]);
        deliveries.groups.insert(group("analytics"), GroupDeliveries { instances, receivers, components });
        deliveries
    };
    let (none, memory) = (LimitOverrides::default(), LimitOverrides::new([(Limit::Memory, 32 << 20)]).unwrap());
    coordinator.workers.deliver(plan(binding(&[], &none)));
    let (worker, other) = (coordinator.start_worker("analytics").await, coordinator.start_worker("other").await);
    worker.wait_for_state(|held| held.receivers.get(&"aws".parse().unwrap()) == Some(&binding(&[], &none))).await;
    assert_eq!(in_time(worker.link.fetch(digest)).await.unwrap(), component);
    let refused = in_time(other.link.fetch(digest)).await.unwrap_err();
    assert!(refused.to_string().contains("no such component for this group"), "{refused}");
    for limits in [&none, &memory] {
        let changed = binding(&[("default", "s3-prod")], limits);
        coordinator.workers.deliver(plan(changed.clone()));
        worker.wait_for_state(|held| held.receivers.get(&"aws".parse().unwrap()) == Some(&changed)).await;
    }
    coordinator.deliver(&[]);
    worker.wait_for_state(|held| held.receivers.is_empty()).await;
}
