//! What a worker does too often is counted and bounded, and costs no other worker anything.

use deputy_audit::AuditOutcome;
use deputy_link::message::{ClientMessage, ClientMessageKind, FetchComponent, RenewCertificate, Subscribe};

use super::hostile::certified;
use super::*;

fn frame(request: ClientMessageKind) -> Vec<u8> {
    deputy_link::encode(&ClientMessage::from(request)).to_vec()
}

/// Sends what it can until the coordinator ends the connection. Returns options many bytes came back.
async fn say(coordinator: &TestCoordinator, identity: &WorkerIdentity, bytes: &[u8]) -> usize {
    let (mut reader, mut writer) = tokio::io::split(certified(coordinator, identity).await);
    let writing = async {
        drop(writer.write_all(bytes).await);
        drop(writer.flush().await);
    };
    let reading = async {
        let (mut count, mut buffer) = (0, [0; 4096]);
        while let Ok(read @ 1..) = reader.read(&mut buffer).await {
            count += read;
        }
        count
    };
    in_time(async { tokio::join!(writing, reading) }).await.1
}

impl TestCoordinator {
    fn suppressed(&self, operation: &str) -> u64 {
        self.counted(&format!("deputy_link_suppressed_total{{operation=\"{operation}\"}}"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frame_flood_of_one_worker_delays_no_other() {
    let coordinator = start_coordinator(TestOptions::default()).await;
    coordinator.deliver(&[("analytics", &["s3-prod"])]);
    let worker = coordinator.start_worker("analytics").await;
    worker.wait_for_phase(LinkPhase::Connected).await;
    let hostile = join(&coordinator.token("analytics", 1).await, WorkerKey::new().unwrap()).await.unwrap();
    // 512 KiB: a message of a later version as long as a frame may be, and as many empty frames as fit beside it.
    let length: u32 = 256 << 10;
    let unknown = [&[0x9a, 0x06, 0xfb, 0xff, 0x0f][..], &vec![1; length as usize - 5]].concat();
    let flood = [&length.to_be_bytes()[..], &unknown, &vec![0; 256 << 10]].concat();
    let begun = wall();
    let publishing = async {
        for revision in 1..50 {
            coordinator.publish("s3-prod", revision);
            worker.wait_for_lease("s3-prod", revision).await;
        }
    };
    tokio::join!(say(&coordinator, &hostile, &flood), publishing);
    assert!(wall().since(begun) < Span::secs(15));
    assert_eq!(worker.link.state.borrow().failures, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_of_a_removed_worker_are_recorded_up_to_a_bound() {
    let coordinator = start_coordinator(TestOptions::default()).await;
    let worker = coordinator.start_worker("analytics").await;
    worker.wait_for_phase(LinkPhase::Connected).await;
    let identity = worker.identity();
    coordinator.workers.exclude(worker.id(), EnrolmentStatus::Removed).await.unwrap();
    drop(worker);
    coordinator.events("connect");
    let name = ServerName::try_from("coordinator.deputy.internal").unwrap();
    for _ in 0..6 {
        let mut tries = tokio::task::JoinSet::new();
        for _ in 0..25 {
            let connector = tokio_rustls::TlsConnector::from(identity.tls().unwrap());
            let (name, stream) = (name.clone(), connect(&coordinator).await);
            tries.spawn(async move {
                let Ok(mut stream) = connector.connect(name, stream).await else { return };
                while let Ok(1..) = stream.read(&mut [0; 1024]).await {}
            });
        }
        in_time(async { while tries.join_next().await.is_some() {} }).await;
    }
    let events = coordinator.events("connect");
    assert!(
        events.iter().all(|event| event.outcome == AuditOutcome::Refused && event.code.as_deref() == Some("removed"))
    );
    let (recorded, suppressed) = (events.len() as u64, coordinator.suppressed("connect"));
    assert!(
        (1..=90).contains(&recorded) && suppressed >= 20 && recorded + suppressed <= 150,
        "{recorded} {suppressed}"
    );
    // The refusal of another worker is recorded as ever.
    let other = coordinator.start_worker("analytics").await;
    other.wait_for_phase(LinkPhase::Connected).await;
    coordinator.workers.exclude(other.id(), EnrolmentStatus::Banned).await.unwrap();
    TestWorker::start(other.identity(), &[]).wait_until_stopped().await;
    assert!(coordinator.events("connect").iter().any(|event| event.code.as_deref() == Some("banned")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renewals_that_are_malformed_end_the_connection() {
    let coordinator = start_coordinator(TestOptions::default()).await;
    let identity = join(&coordinator.token("analytics", 1).await, WorkerKey::new().unwrap()).await.unwrap();
    let bad = frame(ClientMessageKind::RenewCertificate(RenewCertificate { sequence: 1, request: vec![7; 64] }));
    say(&coordinator, &identity, &bad.repeat(5000)).await;
    let events = coordinator.events("renew");
    assert!((1..=90).contains(&events.len()), "{}", events.len());
    assert!(events.iter().all(|event| event.code.as_deref() == Some("malformed")));
    assert!(coordinator.suppressed("renew") > 0);
    // It was slowed down, and not locked.
    TestWorker::start(identity, &[]).wait_for_phase(LinkPhase::Connected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_of_failures_are_logged_up_to_a_bound_and_all_counted() {
    let coordinator = start_coordinator(TestOptions::default()).await;
    coordinator.deliver(&[("analytics", &["s3-prod"])]);
    coordinator.publish("s3-prod", 1);
    let worker = coordinator.start_worker("analytics").await;
    worker.wait_for_lease("s3-prod", 1).await;
    for number in 0..200 {
        worker.report("s3-prod", Err(format!("failure {number}"))).await;
    }
    let failed = "deputy_link_reports_total{instance=\"s3-prod\",outcome=\"failed\"}";
    wait_until(async || coordinator.counted(failed) == 200).await;
    let suppressed = coordinator.suppressed("apply");
    assert!((100..=140).contains(&suppressed), "{suppressed}");
    assert_eq!(coordinator.status(&worker).await.applied[0].failure.as_deref(), Some("failure 199"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_of_unknown_leases_are_not_shown() {
    let coordinator = start_coordinator(TestOptions::default()).await;
    coordinator.deliver(&[("analytics", &["s3-prod"])]);
    coordinator.publish("s3-prod", 5);
    let worker = coordinator.start_worker("analytics").await;
    worker.wait_for_lease("s3-prod", 5).await;
    let sent = worker.link.held.borrow().deliveries[&"s3-prod".parse::<InstanceName>().unwrap()].stamp;
    let later = sent.obtained_at.plus(Span::secs(1));
    for stamp in [
        LeaseVersion { revision: Revision(6), ..sent },
        LeaseVersion { revision: Revision(u64::MAX), ..sent },
        LeaseVersion { obtained_at: later, ..sent },
    ] {
        worker
            .link
            .reports
            .send(DeliveryReport { instance: "s3-prod".parse().unwrap(), stamp, result: Ok(()) })
            .await
            .unwrap();
    }
    let old = LeaseVersion { revision: Revision(4), ..sent };
    worker
        .link
        .reports
        .send(DeliveryReport { instance: "s3-prod".parse().unwrap(), stamp: old, result: Ok(()) })
        .await
        .unwrap();
    wait_until(async || coordinator.status(&worker).await.applied[0].revision.is_some()).await;
    assert_eq!(coordinator.status(&worker).await.applied[0].revision, Some(4));
    assert_eq!(coordinator.counted("deputy_link_reports_total{instance=\"s3-prod\",outcome=\"done\"}"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connection_that_is_silent_ends_with_its_certificate() {
    let lives = CertificateLifetimes { authority: Span::secs(3600), worker: Span::secs(3) };
    let coordinator =
        start_coordinator(TestOptions { lives, heartbeat: Span::secs(20), ..TestOptions::default() }).await;
    let identity = join(&coordinator.token("analytics", 1).await, WorkerKey::new().unwrap()).await.unwrap();
    let begun = wall();
    say(&coordinator, &identity, &frame(ClientMessageKind::Subscribe(Subscribe::default()))).await;
    assert!(wall().since(begun) < Span::secs(15), "three heartbeats are a minute");
    assert!(wall() >= identity.ends());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_are_recorded_up_to_a_bound_for_each_kind() {
    let coordinator = start_coordinator(TestOptions::default()).await;
    coordinator.deliver(&[("analytics", &["s3-prod"])]);
    let identity = join(&coordinator.token("analytics", 1).await, WorkerKey::new().unwrap()).await.unwrap();
    let fetch = frame(ClientMessageKind::FetchComponent(FetchComponent { digest: vec![1; 32] }));
    for _ in 0..3 {
        say(&coordinator, &identity, &fetch.repeat(101)).await;
    }
    let recorded = coordinator.events("fetch").len() as u64;
    assert!((120..=125).contains(&recorded), "{recorded}");
    assert_eq!(recorded + coordinator.suppressed("fetch"), 303, "what is not recorded is counted");
    // Another kind of refusal is recorded as ever.
    TestWorker::start(identity, &["secret"]).wait_for_phase(LinkPhase::Connected).await;
    assert_eq!(coordinator.events("subscribe").len(), 1);
}
