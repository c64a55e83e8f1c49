//! When a worker is ready, and what it says when it is not.

use super::*;

/// A worker of which the coordinator says that its group gets these instances.
fn of_group(instances: &[&str], receivers: &[(&str, &[&str])]) -> Running {
    let worker = Running::start(receivers);
    let names = instances.iter().map(|name| name.parse().unwrap()).collect();
    worker.held.send_modify(|held| Arc::make_mut(held).group_instances = Some(names));
    worker
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readyz_names_each_instance_without_a_lease() {
    let worker = of_group(&["a", "b"], &[("aws", &["a", "b"])]);
    let rests = |status: &WorkerReport| status.receivers[0].state == "nothing";
    worker.until("it is said", async |status| status.absent.len() == 2 && rests(status)).await;
    let line = |name| format!("{name} not ready: the coordinator has no lease of it: `deputy status` there says why\n");
    let (code, text) = worker.ask("/readyz").await;
    assert_eq!((code, text), (StatusCode::SERVICE_UNAVAILABLE, line("a") + &line("b")));
    assert!(worker.ask("/metrics").await.1.contains("deputy_worker_ready 0\n"));
    worker.gets("a", 1);
    worker.until("a is there", async |status| status.absent.len() == 1 && status.receivers[0].ready).await;
    assert_eq!(worker.ask("/readyz").await, (StatusCode::SERVICE_UNAVAILABLE, line("b")));
    worker.gets("b", 1);
    worker.until("it is ready", async |status| status.ready).await;
    worker.held.send_modify(|held| {
        let held = Arc::make_mut(held);
        (held.deliveries, held.group_instances) = (BTreeMap::new(), Some(BTreeSet::new()));
    });
    worker.until("the group is empty", async |status| status.group_is_empty && rests(status)).await;
    let text = "not ready: no instance has the group analytics in `deliver-to` at the coordinator\n";
    assert_eq!(worker.ask("/readyz").await, (StatusCode::SERVICE_UNAVAILABLE, text.to_owned()));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn output_that_somebody_removes_is_published_and_told_again() {
    let mut worker = of_group(&["s3"], &[("aws", &["s3"])]);
    worker.gets("s3", 1);
    assert_eq!(worker.report().await, "s3:1 ok");
    worker.until("told", async |status| status.ready && worker.told().len() == 1).await;
    // At once, whatever the worker is writing there.
    let out = || worker.folder.path().join("out");
    fs::rename(out(), worker.folder.path().join("gone")).unwrap();
    worker.until("it is back", async |status| status.ready && !worker.read("aws/s3").is_empty()).await;
    worker.until("it is told", async |_| worker.told().len() == 2).await;
    fs::remove_file(worker.out("aws/s3")).unwrap();
    worker.until("the file is back", async |status| status.ready && !worker.read("aws/s3").is_empty()).await;
    let rests = |status: &WorkerReport| status.receivers[0].hook.as_ref().is_some_and(|hook| !hook.running);
    worker.until("it is told", async |status| rests(status) && worker.told().len() == 3).await;
    // What can't be published again is said.
    fs::rename(out(), worker.folder.path().join("gone too")).unwrap();
    put(out(), "a file");
    worker.until("it is not ready", async |status| !status.ready && status.receivers[0].failures > 0).await;
    let text = worker.ask("/readyz").await.1;
    assert!(text.starts_with("aws not ready: ") && text.contains("is a symbolic link or not a directory"), "{text}");
    fs::remove_file(out()).unwrap();
    worker.gets("s3", 2);
    worker.until("it is ready", async |status| status.ready && worker.read("aws/s3").ends_with("s3 2")).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hook_that_fails_once_is_tried_again_without_another_lease() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let mut held = DeliveredState { complete: true, ..DeliveredState::default() };
    held.receivers.insert("aws".parse().unwrap(), binding(&["s3"]));
    let script = "echo run >> \"$0\"/told; test -e \"$0\"/started";
    let mut worker = Running::start_in(folder, held, |folder| hook(script, folder, Span::secs(20)));
    worker.gets("s3", 1);
    assert_eq!(worker.report().await, "s3:1 ok");
    worker.until("it failed", async |status| status.receivers[0].hook.as_ref().is_some_and(|it| it.failures > 1)).await;
    let (code, text) = worker.ask("/readyz").await;
    assert!(code == StatusCode::OK && text.starts_with("ready\naws: the workload was not told: /bin/sh "), "{text}");
    put(worker.folder.path().join("started"), "");
    let is_told =
        |status: &WorkerReport| status.receivers[0].hook.as_ref().is_some_and(|it| !it.running && it.failures == 0);
    worker.until("it succeeded", async |status| is_told(status)).await;
    assert_eq!(worker.ask("/readyz").await.1, "ready\n");
    let count = worker.told().len();
    pause(Duration::from_millis(500)).await;
    assert_eq!(worker.told().len(), count, "it is told once");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "the test ends the thread, which stands for a file system")]
async fn output_file_system_that_hangs_is_not_ready_and_delays_nothing_else() {
    let mut worker = of_group(&["a", "b"], &[("hangs", &["a"]), ("runs", &["b"])]);
    for name in ["a", "b"] {
        worker.gets(name, 1);
        assert_eq!(worker.report().await, format!("{name}:1 ok"));
    }
    worker.until("it is ready", async |status| status.ready).await;
    let seat = worker.seats[&"hangs".parse().unwrap()].clone();
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let (begun, is_held) = tokio::sync::oneshot::channel();
    let hanging = std::thread::spawn(move || {
        let _units = seat.units().lock().unwrap();
        begun.send(()).unwrap();
        assert!(held.recv().is_err());
    });
    is_held.await.unwrap();
    worker.gets("a", 2);
    worker.until("it is being applied", async |status| status.receivers[0].state == "applying").await;
    assert!(worker.handle.status().await.unwrap().ready, "it has just begun");
    worker.clock.millis.store(11_000, Ordering::SeqCst);
    worker.until("it hangs", async |status| !status.ready).await;
    let text = worker.ask("/readyz").await.1;
    let directory = worker.folder.path().join("out");
    let expected = format!("hangs not ready: applying {} has not answered for 1", directory.display());
    assert!(text.starts_with(&expected), "{text}");
    assert!(worker.ask("/metrics").await.1.contains("deputy_worker_ready 0\n"));
    worker.gets("b", 2);
    assert_eq!(worker.report().await, "b:2 ok");
    drop(hold);
    hanging.join().unwrap();
    assert_eq!(worker.report().await, "a:2 ok");
    worker.until("it is ready", async |status| status.ready).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_asked_for_all_the_time_keeps_no_lease_from_ending() {
    let mut worker = Running::start(&[("aws", &["s3"])]);
    worker.holds(delivery("s3", "s3", 1, Span::secs(3600)));
    assert_eq!(worker.report().await, "s3:1 ok");
    // The wall clock alone jumps, so that no timer is due.
    worker.clock.wall.store(3_700_000, Ordering::SeqCst);
    worker.until("it is removed", async |_| !worker.out("aws").exists()).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_not_let_in_is_not_ready_however_well_the_rest_is() {
    let mut worker = Running::start(&[("aws", &["s3"])]);
    worker.gets("s3", 1);
    assert_eq!(worker.report().await, "s3:1 ok");
    for (phase, ready) in
        [(ConnectionPhase::Connecting, true), (ConnectionPhase::Out, false), (ConnectionPhase::Connected, true)]
    {
        *worker.phase.lock().unwrap() = phase;
        let (code, text) = worker.ask("/readyz").await;
        let said = "not ready: the coordinator does not let this worker in: it was removed\n";
        let expected = if ready { (StatusCode::OK, "ready\n") } else { (StatusCode::SERVICE_UNAVAILABLE, said) };
        assert_eq!((code, text.as_str()), expected, "{phase:?}");
        assert_eq!(worker.handle.status().await.unwrap().ready, ready, "{phase:?}");
        let line = format!("deputy_worker_ready {}\n", u8::from(ready));
        assert!(worker.ask("/metrics").await.1.contains(&line), "{phase:?}");
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_lacks_a_receiver_of_its_group_is_not_ready_until_it_comes() {
    let mut worker = Running::start(&[("aws", &["s3"])]);
    worker.gets("s3", 1);
    assert_eq!(worker.report().await, "s3:1 ok");
    let late: ReceiverName = "late".parse().unwrap();
    worker.held.send_modify(|held| Arc::make_mut(held).unavailable_receivers.extend([late.clone()]));
    worker.until("it lacks one", async |status| !status.ready && status.missing == ["late"]).await;
    let (code, text) = worker.ask("/readyz").await;
    let said = "late not ready: the coordinator can't load this receiver: its log says why\n";
    assert_eq!((code, text.as_str()), (StatusCode::SERVICE_UNAVAILABLE, said));
    worker.held.send_modify(|held| {
        let held = Arc::make_mut(held);
        held.unavailable_receivers.clear();
        held.receivers.insert(late, binding(&["s3"]));
    });
    worker.until("it is there", async |status| status.ready && status.receivers.len() == 2).await;
    worker.stop().await;
}
