//! Readiness, and the reasons that `/readyz` gives.

#![expect(clippy::disallowed_methods, reason = "a test arranges and inspects its own files")]

use super::*;

/// A worker to whose group the coordinator delivers these instances.
async fn worker_of_group(instances: &[&str], receivers: &[(&str, &[&str])]) -> TestWorker {
    let worker = TestWorker::start(receivers).await;
    let names = instances.iter().map(|name| name.parse().unwrap()).collect();
    worker.held.send_modify(|held| Arc::make_mut(held).group_instances = Some(names));
    worker
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_names_each_instance_without_a_lease() {
    let worker = worker_of_group(&["a", "b"], &[("aws", &["a", "b"])]).await;
    let rests = |status: &WorkerReport| status.receivers[0].state == "nothing";
    worker.wait_until("it is said", async |status| status.absent.len() == 2 && rests(status)).await;
    let line = |name| format!("{name} not ready: the coordinator has no lease of it: `deputy status` there says why\n");
    let (code, text) = worker.get("/readyz").await;
    assert_eq!((code, text), (StatusCode::SERVICE_UNAVAILABLE, line("a") + &line("b")));
    assert!(worker.get("/metrics").await.1.contains("deputy_worker_ready 0\n"));
    worker.receive("a", 1);
    worker.wait_until("a is there", async |status| status.absent.len() == 1 && status.receivers[0].ready).await;
    assert_eq!(worker.get("/readyz").await, (StatusCode::SERVICE_UNAVAILABLE, line("b")));
    worker.receive("b", 1);
    worker.wait_until("it is ready", async |status| status.ready).await;
    worker.held.send_modify(|held| {
        let held = Arc::make_mut(held);
        held.deliveries.clear();
        held.group_instances = Some(BTreeSet::new());
    });
    worker.wait_until("the group is empty", async |status| status.group_is_empty && rests(status)).await;
    let text = "not ready: no instance has the group analytics in `deliver-to` at the coordinator\n";
    assert_eq!(worker.get("/readyz").await, (StatusCode::SERVICE_UNAVAILABLE, text.to_owned()));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unit_that_another_program_removes_is_published_again() {
    let mut worker = worker_of_group(&["s3"], &[("aws", &["s3"])]).await;
    worker.receive("s3", 1);
    assert_eq!(worker.next_report().await, "s3:1 ok");
    worker.wait_until("notified", async |status| status.ready && worker.hook_log().len() == 1).await;
    // A rename is atomic, whatever the worker is writing there.
    let out = || worker.folder.path().join("out");
    fs::rename(out(), worker.folder.path().join("gone")).unwrap();
    worker.wait_until("it is back", async |status| status.ready && !worker.read("aws/s3").is_empty()).await;
    worker.wait_until("the hook ran", async |_| worker.hook_log().len() == 2).await;
    fs::remove_file(worker.output("aws/s3")).unwrap();
    worker.wait_until("the file is back", async |status| status.ready && !worker.read("aws/s3").is_empty()).await;
    let rests = |status: &WorkerReport| status.receivers[0].hook.as_ref().is_some_and(|hook| !hook.running);
    worker.wait_until("the hook ran", async |status| rests(status) && worker.hook_log().len() == 3).await;
    // A unit that cannot be published again is reported.
    fs::rename(out(), worker.folder.path().join("gone too")).unwrap();
    put(out(), "a file");
    worker.wait_until("it is not ready", async |status| !status.ready && status.receivers[0].failures > 0).await;
    let text = worker.get("/readyz").await.1;
    assert!(text.starts_with("aws not ready: ") && text.contains("is a symbolic link or not a directory"), "{text}");
    fs::remove_file(out()).unwrap();
    worker.receive("s3", 2);
    worker.wait_until("it is ready", async |status| status.ready && worker.read("aws/s3").ends_with("s3 2")).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hook_that_fails_is_retried_without_another_lease() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let mut held = DeliveredState { complete: true, ..DeliveredState::default() };
    held.receivers.insert("aws".parse().unwrap(), binding(&["s3"]));
    let script = "echo run >> \"$0\"/hook.log; test -e \"$0\"/started";
    let mut worker = TestWorker::start_in(folder, held, |folder| hook(script, folder, Span::secs(20))).await;
    worker.receive("s3", 1);
    assert_eq!(worker.next_report().await, "s3:1 ok");
    worker
        .wait_until("it failed", async |status| status.receivers[0].hook.as_ref().is_some_and(|it| it.failures > 1))
        .await;
    let (code, text) = worker.get("/readyz").await;
    assert!(code == StatusCode::OK && text.starts_with("ready\naws: hook failed: /bin/sh "), "{text}");
    put(worker.folder.path().join("started"), "");
    let has_succeeded =
        |status: &WorkerReport| status.receivers[0].hook.as_ref().is_some_and(|it| !it.running && it.failures == 0);
    worker.wait_until("it succeeded", async |status| has_succeeded(status)).await;
    assert_eq!(worker.get("/readyz").await.1, "ready\n");
    let count = worker.hook_log().len();
    pause(Duration::from_millis(500)).await;
    assert_eq!(worker.hook_log().len(), count, "the hook runs once");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "the test ends the thread, which stands for a file system")]
async fn readiness_fails_while_a_file_system_hangs() {
    let mut worker = worker_of_group(&["a", "b"], &[("hangs", &["a"]), ("runs", &["b"])]).await;
    for name in ["a", "b"] {
        worker.receive(name, 1);
        assert_eq!(worker.next_report().await, format!("{name}:1 ok"));
    }
    worker.wait_until("it is ready", async |status| status.ready).await;
    let runner = worker.runners[&"hangs".parse().unwrap()].clone();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (lock, is_locked) = tokio::sync::oneshot::channel();
    let hanging = std::thread::spawn(move || {
        let _publisher = runner.publisher().lock().unwrap();
        lock.send(()).unwrap();
        assert!(released.recv().is_err());
    });
    is_locked.await.unwrap();
    worker.receive("a", 2);
    worker.wait_until("it is being applied", async |status| status.receivers[0].state == "applying").await;
    assert!(worker.handle.status().await.unwrap().ready, "it has just begun");
    worker.clock.ahead_ms.store(11_000, Ordering::SeqCst);
    worker.wait_until("it hangs", async |status| !status.ready).await;
    let text = worker.get("/readyz").await.1;
    let directory = worker.folder.path().join("out");
    let expected = format!("hangs not ready: applying {} has not answered for 1", directory.display());
    assert!(text.starts_with(&expected), "{text}");
    assert!(worker.get("/metrics").await.1.contains("deputy_worker_ready 0\n"));
    worker.receive("b", 2);
    assert_eq!(worker.next_report().await, "b:2 ok");
    drop(release);
    hanging.join().unwrap();
    assert_eq!(worker.next_report().await, "a:2 ok");
    worker.wait_until("it is ready", async |status| status.ready).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expiry_is_noticed_under_constant_status_requests() {
    let mut worker = TestWorker::start(&[("aws", &["s3"])]).await;
    worker.receive_delivery(delivery("s3", "s3", 1, Span::secs(3600)));
    assert_eq!(worker.next_report().await, "s3:1 ok");
    // The wall clock alone jumps, so that no timer is due.
    worker.clock.wall_ahead_ms.store(3_700_000, Ordering::SeqCst);
    worker.wait_until("it is removed", async |_| !worker.output("aws").exists()).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_fails_when_the_worker_is_not_admitted() {
    let mut worker = TestWorker::start(&[("aws", &["s3"])]).await;
    worker.receive("s3", 1);
    assert_eq!(worker.next_report().await, "s3:1 ok");
    for (phase, ready) in
        [(ConnectionPhase::Connecting, true), (ConnectionPhase::Out, false), (ConnectionPhase::Connected, true)]
    {
        *worker.phase.lock().unwrap() = phase;
        let (code, text) = worker.get("/readyz").await;
        let reason = "not ready: the coordinator does not admit this worker: it was removed\n";
        let expected = if ready { (StatusCode::OK, "ready\n") } else { (StatusCode::SERVICE_UNAVAILABLE, reason) };
        assert_eq!((code, text.as_str()), expected, "{phase:?}");
        assert_eq!(worker.handle.status().await.unwrap().ready, ready, "{phase:?}");
        let line = format!("deputy_worker_ready {}\n", u8::from(ready));
        assert!(worker.get("/metrics").await.1.contains(&line), "{phase:?}");
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_fails_while_a_receiver_is_missing() {
    let mut worker = TestWorker::start(&[("aws", &["s3"])]).await;
    worker.receive("s3", 1);
    assert_eq!(worker.next_report().await, "s3:1 ok");
    let late: ReceiverName = "late".parse().unwrap();
    worker.held.send_modify(|held| Arc::make_mut(held).unavailable_receivers.extend([late.clone()]));
    worker.wait_until("it lacks one", async |status| !status.ready && status.missing == ["late"]).await;
    let (code, text) = worker.get("/readyz").await;
    let reason = "late not ready: the coordinator cannot load this receiver; see its log\n";
    assert_eq!((code, text.as_str()), (StatusCode::SERVICE_UNAVAILABLE, reason));
    worker.held.send_modify(|held| {
        let held = Arc::make_mut(held);
        held.unavailable_receivers.clear();
        held.receivers.insert(late, binding(&["s3"]));
    });
    worker.wait_until("it is there", async |status| status.ready && status.receivers.len() == 2).await;
    worker.stop().await;
}
