//! Leases that a receiver rejects: what is published, and what the report says.

use super::*;

const WHY: &str = "misconfigured: its payload has no field token";

impl TestWorker {
    fn reject(&self, instance: &str, revision: u64) {
        self.loader.receiver("aws").rejects.lock().unwrap().insert((instance.to_owned(), revision));
    }

    /// Receives a lease that `aws` accepts.
    async fn receive_good(&mut self, delivery: Delivery) {
        let report = format!("{}:{} ok", delivery.instance, delivery.stamp.revision);
        self.receive_delivery(delivery);
        assert_eq!(self.next_report().await, report);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejected_lease_holds_up_no_other_and_keeps_its_last_file() {
    let mut worker = TestWorker::start(&[("aws", &["a", "b", "c"])]).await;
    for name in ["a", "b", "c"] {
        worker.receive_good(delivery(name, "s3", 1, Span::secs(3600))).await;
    }
    worker.reject("b", 2);
    worker.receive("b", 2);
    assert_eq!(worker.next_report().await, format!("b:2 receiver aws: rejected, and revision 1 stays: {WHY}"));
    worker.receive_good(delivery("a", "s3", 2, Span::secs(3600))).await;
    assert_eq!(worker.read("aws/a"), format!("{CANARY} a 2"));
    assert_eq!(worker.read("aws/b"), format!("{CANARY} b 1"));

    let status = worker.handle.status().await.unwrap();
    let aws = &status.receivers[0];
    let rejection = &aws.rejected[0];
    assert_eq!((aws.state.as_str(), aws.ready, aws.failures, aws.rejected.len()), ("applied", false, 0, 1));
    assert_eq!((rejection.instance.as_str(), rejection.kind.as_str()), ("b", "misconfigured"));
    assert_eq!(rejection.kept.as_ref().map(|kept| kept.revision), Some(1));
    assert_eq!((aws.facts[0].name.as_str(), aws.facts[0].value.as_str()), ("files", "3"));
    let b = &status.instances[1];
    assert_eq!((b.name.as_str(), b.revision, b.state.as_str()), ("b", 2, "failed"));
    let (code, text) = worker.get("/readyz").await;
    let reason = format!("aws not ready: applied b: rejected, and revision 1 stays: {WHY}\n");
    assert_eq!((code, text), (StatusCode::SERVICE_UNAVAILABLE, reason));
    assert!(!format!("{status:?}").contains(CANARY));

    worker.receive_good(delivery("b", "s3", 3, Span::secs(3600))).await;
    worker.wait_until("it is ready", async |status| status.ready && status.receivers[0].rejected.is_empty()).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejected_lease_keeps_its_last_file_over_a_restart() {
    let mut worker = TestWorker::start(&[("aws", &["a", "b"])]).await;
    worker.receive_good(delivery("a", "s3", 1, Span::secs(3600))).await;
    worker.receive_good(delivery("b", "s3", 1, Span::secs(600))).await;
    worker.reject("b", 2);
    worker.receive("b", 2);
    worker.next_report().await;
    // The lease cache has the newest leases alone.
    let held = DeliveredState::clone(&worker.held.borrow());
    let folder = worker.stop().await;
    let mut worker =
        TestWorker::start_in(folder, DeliveredState::default(), |folder| hook("true", folder, Span::secs(20))).await;
    worker.reject("b", 2);
    worker.held.send_replace(Arc::new(held));
    assert_eq!(worker.next_report().await, "a:1 ok");
    assert_eq!(worker.next_report().await, format!("b:2 receiver aws: rejected, and revision 1 stays: {WHY}"));
    assert_eq!(worker.read("aws/b"), format!("{CANARY} b 1"));

    worker.clock.ahead_ms.store(601_000, Ordering::SeqCst);
    let gone = format!("b:2 receiver aws: rejected, and nothing of it is published: {WHY}");
    assert_eq!(worker.next_report().await, gone);
    assert!(!worker.output("aws/b").exists());
    assert_eq!(worker.read("aws/a"), format!("{CANARY} a 1"));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lease_that_does_not_expire_is_ready_for_ever() {
    let mut worker = TestWorker::start(&[("aws", &["a"])]).await;
    let endless = Delivery { valid_until: Timestamp::FOREVER, ..delivery("a", "s3", 1, Span::secs(1)) };
    worker.receive_good(endless).await;
    worker.clock.ahead_ms.store(u64::MAX / 4, Ordering::SeqCst);
    worker.wait_until("it is ready", async |status| status.ready).await;
    let status = worker.handle.status().await.unwrap();
    let a = &status.instances[0];
    assert_eq!((a.valid_until.as_str(), a.valid_for_ms), ("never", None));
    assert_eq!(worker.get("/readyz").await, (StatusCode::OK, "ready\n".to_owned()));
    let (_, metrics) = worker.get("/metrics").await;
    assert!(metrics.contains("deputy_worker_applied_revision{instance=\"a\",service=\"s3\"} 1"), "{metrics}");
    assert!(!metrics.contains("deputy_worker_delivery_expiry_timestamp_seconds{"), "{metrics}");
    worker.stop().await;
}
