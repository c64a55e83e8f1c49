//! What receivers make of deliveries, and what is published of it.

#![expect(clippy::disallowed_methods, reason = "a test arranges and inspects its own files")]

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_publishes_leases_and_reports_them() {
    let mut worker = TestWorker::start(&[("aws", &["lab", "prod"])]).await;
    worker.receive("prod", 1);
    assert_eq!(worker.next_report().await, "prod:1 ok");
    assert_eq!(worker.read("aws/prod"), format!("{CANARY} prod 1"));
    worker.receive("lab", 4);
    assert_eq!(worker.next_report().await, "lab:4 ok");
    assert_eq!(
        (worker.read("aws/prod"), worker.read("aws/lab")),
        (format!("{CANARY} prod 1"), format!("{CANARY} lab 4"))
    );
    worker.wait_until("notified", async |_| worker.hook_log().len() == 2).await;
    assert_eq!(worker.hook_log(), ["aws prod", "aws lab,prod"]);

    worker
        .wait_until("rests", async |status| status.receivers[0].hook.as_ref().is_some_and(|hook| !hook.running))
        .await;
    let status = worker.handle.status().await.unwrap();
    assert!(status.ready && status.complete);
    let aws = &status.receivers[0];
    assert_eq!(
        (aws.state.as_str(), aws.failures, aws.path.as_str()),
        ("applied", 0, worker.output("aws").to_str().unwrap())
    );
    let unit = aws.unit.as_ref().unwrap();
    assert_eq!((unit.number, &unit.files), (2, &vec!["lab".to_owned(), "prod".to_owned()]));
    assert!(unit.published_at.as_ref().unwrap() >= &status.since);
    assert!(aws.hook.as_ref().unwrap().error.is_none());
    let prod = &status.instances[1];
    assert_eq!(
        (prod.name.as_str(), prod.revision, prod.state.as_str(), prod.reason.as_ref()),
        ("prod", 1, "applied", None)
    );
    assert_eq!(status.connection.state, "connected");
    assert_eq!(worker.get("/readyz").await, (StatusCode::OK, "ready\n".to_owned()));
    assert_eq!(worker.get("/livez").await.0, StatusCode::OK);
    let (_, metrics) = worker.get("/metrics").await;
    for line in [
        "deputy_worker_applied_revision{instance=\"prod\",service=\"s3\"} 1",
        "deputy_worker_ready 1",
        "deputy_worker_received_total{instance=\"lab\"} 1",
        "deputy_worker_reports_total{instance=\"lab\",outcome=\"done\"} 1",
        "deputy_worker_hooks_total{receiver=\"aws\",outcome=\"done\"} 2",
    ] {
        assert!(metrics.lines().any(|metric| metric == line), "{line} is not in\n{metrics}");
    }
    let all = format!("{status:?}{}{metrics}", serde_json::to_string(&status).unwrap());
    assert!(!all.contains(CANARY), "{all}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receiver_that_hangs_delays_no_other_and_skips_to_the_newest() {
    let mut worker = TestWorker::start(&[("hangs", &["a"]), ("runs", &["b"])]).await;
    worker.loader.receiver("hangs").hangs.store(true, Ordering::SeqCst);
    // A receiver with nothing published is not ready while it runs for the first time.
    worker.wait_until("nothing is there", async |status| status.receivers.iter().all(|it| it.state == "nothing")).await;
    worker.receive("a", 1);
    worker.wait_until("hangs", async |_| worker.loader.receiver("hangs").calls.load(Ordering::SeqCst) == 1).await;
    for revision in 1..20 {
        worker.receive("a", revision + 1);
        worker.receive("b", revision);
        assert_eq!(worker.next_report().await, format!("b:{revision} ok"));
    }
    let status = worker.handle.status().await.unwrap();
    assert_eq!((status.receivers[0].state.as_str(), status.instances[0].state.as_str()), ("applying", "pending"));
    let (code, why) = worker.get("/readyz").await;
    assert_eq!((code, why.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "hangs not ready: applying \n"));
    let hangs = worker.loader.receiver("hangs");
    hangs.hangs.store(false, Ordering::SeqCst);
    hangs.resume.notify_one();
    assert_eq!(worker.next_report().await, "a:20 ok");
    assert_eq!(hangs.calls.load(Ordering::SeqCst), 2);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receiver_that_fails_or_panics_keeps_its_unit_and_is_retried() {
    let mut worker = TestWorker::start(&[("aws", &["s3"])]).await;
    worker.receive("s3", 1);
    assert_eq!(worker.next_report().await, "s3:1 ok");
    let aws = worker.loader.receiver("aws");
    aws.fails.store(true, Ordering::SeqCst);
    worker.receive("s3", 2);
    assert_eq!(worker.next_report().await, "s3:2 receiver aws: broken: it broke off");
    worker.wait_until("tried again", async |status| status.receivers[0].failures > 3).await;
    let status = worker.handle.status().await.unwrap();
    assert!(!status.ready);
    assert_eq!(status.receivers[0].unit.as_ref().unwrap().number, 1);
    assert_eq!(worker.read("aws/s3"), format!("{CANARY} s3 1"));
    assert!(worker.get("/readyz").await.1.contains("it broke off"));
    aws.panics.store(true, Ordering::SeqCst);
    assert_eq!(
        worker.next_report().await,
        "s3:2 receiver aws: internal: the run panicked; this is a bug, please report it"
    );
    aws.panics.store(false, Ordering::SeqCst);
    aws.fails.store(false, Ordering::SeqCst);
    let mut last = worker.next_report().await;
    while last != "s3:2 ok" {
        last = worker.next_report().await;
    }
    assert_eq!(worker.read("aws/s3"), format!("{CANARY} s3 2"));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unit_path_that_is_taken_is_reported_and_fixed_while_running() {
    let mut worker = TestWorker::start(&[("aws", &["s3"])]).await;
    fs::create_dir(worker.output("")).unwrap();
    put(worker.output("aws"), "mine");
    worker.receive("s3", 1);
    let why = format!(
        "s3:1 receiver aws: misconfigured: {} is not a link that deputy created: move it away, or rename the receiver",
        worker.output("aws").display()
    );
    assert_eq!(worker.next_report().await, why);
    fs::remove_file(worker.output("aws")).unwrap();
    worker.receive("s3", 2);
    assert_eq!(worker.next_report().await, "s3:2 ok");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unit_loses_withdrawn_unbound_and_expired_leases() {
    let mut worker = TestWorker::start(&[("aws", &["a", "b"]), ("other", &["a"])]).await;
    worker.receive("a", 1);
    assert_eq!(worker.next_report().await, "a:1 ok");
    worker.receive_delivery(delivery("b", "s3", 1, Span::secs(4)));
    assert_eq!(worker.next_report().await, "b:1 ok");
    worker.wait_until("b ended", async |_| !worker.output("aws/b").exists()).await;
    assert!(worker.output("aws/a").exists());
    assert!(!worker.handle.status().await.unwrap().ready, "b is held and has ended");
    worker.held.send_modify(|held| {
        Arc::make_mut(held).receivers.remove(&"other".parse().unwrap());
    });
    worker
        .wait_until("other is gone", async |status| status.receivers.len() == 1 && !worker.output("other").exists())
        .await;
    worker.held.send_modify(|held| Arc::make_mut(held).deliveries.clear());
    worker.wait_until("nothing is there", async |status| status.ready && !worker.output("aws").exists()).await;
    worker.wait_until("notified", async |_| worker.hook_log().iter().any(|line| line == "aws ")).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receiver_gets_no_foreign_kind_and_applies_the_others() {
    let mut worker = TestWorker::start(&[("aws", &["k", "s"])]).await;
    worker.receive_delivery(delivery("k", "kafka", 1, Span::secs(60)));
    assert_eq!(
        worker.next_report().await,
        "k:1 receiver aws: rejected, and nothing of it is published: misconfigured: the receiver takes only s3/1, not \
         kafka/1: unbind it from this instance"
    );
    assert!(!worker.output("aws").exists());
    worker.receive("s", 1);
    assert_eq!(worker.next_report().await, "s:1 ok");
    assert_eq!((worker.read("aws/s"), worker.read("aws/k")), (format!("{CANARY} s 1"), String::new()));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn link_that_ends_or_never_reads_does_not_stop_the_worker() {
    let worker = TestWorker::start(&[("aws", &["s3"])]).await;
    // The link takes no reports.
    for revision in 1..30 {
        worker.receive("s3", revision);
        worker.wait_until("applied", async |_| worker.read("aws/s3") == format!("{CANARY} s3 {revision}")).await;
    }
    let TestWorker { folder, held, reports, handle, mut running, .. } = worker;
    drop(reports);
    drop(held);
    let status = handle.status().await.unwrap();
    assert!(status.receivers[0].ready);
    assert_eq!(fs::read_to_string(folder.path().join("out/aws/s3")).unwrap(), format!("{CANARY} s3 29"));
    handle.stop().await.unwrap();
    running.join_next().await.unwrap().unwrap();
    assert!(handle.status().await.is_err());
}
