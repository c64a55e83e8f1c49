//! The hook and the workload: after a change, across restarts, and while it hangs.

#![expect(clippy::disallowed_methods, reason = "a test arranges and inspects its own files")]

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_keeps_the_unit_and_runs_no_hook_again() {
    let mut worker = TestWorker::start(&[("aws", &["s3"])]).await;
    worker.receive("s3", 1);
    worker.next_report().await;
    worker
        .wait_until("notified", async |status| status.receivers[0].hook.as_ref().is_some_and(|hook| !hook.running))
        .await;
    let held = DeliveredState::clone(&worker.held.borrow());
    let before = fs::read_link(worker.output("aws")).unwrap();
    let folder = worker.stop().await;
    // The coordinator is down: what is held comes from the cache.
    let script = "echo again >> \"$0\"/hook.log";
    let mut worker = TestWorker::start_in(folder, held, |folder| hook(script, folder, Span::secs(20))).await;
    assert_eq!(worker.next_report().await, "s3:1 ok");
    assert_eq!(fs::read_link(worker.output("aws")).unwrap(), before);
    worker.receive("s3", 2);
    assert_eq!(worker.next_report().await, "s3:2 ok");
    worker.wait_until("notified", async |_| worker.hook_log().len() == 2).await;
    assert_eq!(worker.hook_log(), ["aws s3", "again"]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hook_that_a_stop_interrupted_runs_at_the_next_start() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let mut held = DeliveredState { complete: true, ..DeliveredState::default() };
    held.receivers.insert("aws".parse().unwrap(), binding(&["s3"]));
    let delivery = delivery("s3", "s3", 1, Span::secs(3600));
    held.deliveries.insert(delivery.instance.clone(), delivery);
    let mut worker =
        TestWorker::start_in(folder, held.clone(), |folder| hook("sleep 1000", folder, Span::secs(1000))).await;
    assert_eq!(worker.next_report().await, "s3:1 ok");
    let folder = worker.stop().await;
    let worker =
        TestWorker::start_in(folder, held, |folder| hook("echo at last > \"$0\"/hook.log", folder, Span::secs(20)))
            .await;
    worker.wait_until("notified", async |_| worker.hook_log() == ["at last"]).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hook_that_hangs_keeps_the_unit_and_coalesces_changes() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let mut held = DeliveredState { complete: true, ..DeliveredState::default() };
    held.receivers.insert("aws".parse().unwrap(), binding(&["s3"]));
    let script = "echo run >> \"$0\"/hook.log; sleep 1000";
    let mut worker = TestWorker::start_in(folder, held, |folder| hook(script, folder, Span::millis(1500))).await;
    for revision in 1..10 {
        worker.receive("s3", revision);
        assert_eq!(worker.next_report().await, format!("s3:{revision} ok"));
    }
    worker
        .wait_until("two runs have failed", async |status| {
            status.receivers[0].hook.as_ref().is_some_and(|hook| hook.failures >= 2)
        })
        .await;
    // Once for the first and once for all others; then it is retried because it fails.
    assert_eq!(worker.hook_log()[..2], ["run", "run"]);
    let status = worker.handle.status().await.unwrap();
    assert!(status.ready, "the unit is applied");
    assert!(status.receivers[0].hook.as_ref().unwrap().error.as_ref().unwrap().contains("was killed after 1s500ms"));
    assert_eq!(worker.read("aws/s3"), format!("{CANARY} s3 9"));
    worker.stop().await;
}
