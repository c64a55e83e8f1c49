//! A worker that is let in, and says what no worker may say.

use deputy_link::message::{ApplyReport, ClientMessage, ClientMessageKind, FetchComponent, Join, Subscribe};

use super::*;

/// A connection that shows a worker's certificate, and on which the test says what it likes.
pub(super) async fn certified(
    coordinator: &TestCoordinator,
    identity: &WorkerIdentity,
) -> tokio_rustls::client::TlsStream<TcpStream> {
    let name = ServerName::try_from("coordinator.deputy.internal").unwrap();
    let connector = tokio_rustls::TlsConnector::from(identity.tls().unwrap());
    connector.connect(name, connect(coordinator).await).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_messages_end_only_their_own_connection() {
    let coordinator = start_coordinator(TestOptions::default()).await;
    coordinator.deliver(&[("analytics", &["s3-prod"])]);
    coordinator.publish("s3-prod", 1);
    let worker = coordinator.start_worker("analytics").await;
    worker.wait_for_lease("s3-prod", 1).await;
    let hostile = join(&coordinator.token("analytics", 1).await, WorkerKey::new().unwrap()).await.unwrap();
    let frame = |request| deputy_link::encode(&ClientMessage::from(request)).to_vec();
    let no_instance = Subscribe { instances: vec!["../s3-prod".to_owned()], ..Subscribe::default() };
    let many: Vec<String> = (0..4097).map(|number| format!("i{number}")).collect();
    let many = frame(ClientMessageKind::Subscribe(Subscribe { instances: many, ..Subscribe::default() }));
    let twice = frame(ClientMessageKind::Subscribe(Subscribe::default())).repeat(2);
    let attempts = [
        (vec![0xff; 64], "a frame without an end"),
        (vec![0, 4, 0, 1], "a frame that is too long by a byte"),
        ([&[0, 0, 0, 4][..], &[0xff; 4]].concat(), "no message"),
        (frame(ClientMessageKind::Join(Join::default())), "joining again"),
        (frame(ClientMessageKind::ApplyReport(ApplyReport::default())), "a report on nothing"),
        (frame(ClientMessageKind::Subscribe(no_instance)), "what is no name"),
        (frame(ClientMessageKind::FetchComponent(FetchComponent { digest: vec![1; 31] })), "what is no digest"),
        (many, "more names than one may want"),
        (twice, "subscribing twice"),
        (
            frame(ClientMessageKind::FetchComponent(FetchComponent { digest: vec![1; 32] })).repeat(101),
            "what is not for it, again and again",
        ),
    ];
    for (revision, (sent, what)) in (2..).zip(attempts) {
        let mut stream = certified(&coordinator, &hostile).await;
        stream.write_all(&sent).await.unwrap();
        stream.flush().await.unwrap();
        let mut buffer = [0; 4096];
        while let Ok(1..) = in_time(stream.read(&mut buffer)).await {}
        coordinator.publish("s3-prod", revision);
        worker.wait_for_lease("s3-prod", revision).await;
        assert_eq!(worker.link.state.borrow().failures, 0, "{what}");
    }
    assert!(coordinator.status(&worker).await.connected);
    wait_until(async || coordinator.link_faults() == 10).await;
    let refused = coordinator.events("fetch");
    assert!(refused.len() == 101 && refused.iter().all(|event| event.code.as_deref() == Some("component")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_subscription_is_audited_up_to_a_bound() {
    let coordinator = start_coordinator(TestOptions::default()).await;
    let wanted: Vec<String> = (0..100).map(|number| format!("i{number}")).collect();
    let identity = join(&coordinator.token("analytics", 1).await, WorkerKey::new().unwrap()).await.unwrap();
    let worker = TestWorker::start(identity, &wanted.iter().map(String::as_str).collect::<Vec<_>>());
    worker.wait_for_phase(LinkPhase::Connected).await;
    assert_eq!(worker.link.state.borrow().refusals.len(), 100);
    assert_eq!(coordinator.events("subscribe").len(), 16);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn join_failures_are_audited_up_to_a_bound() {
    let coordinator = start_coordinator(TestOptions::default()).await;
    let string = coordinator.token("analytics", 1).await;
    join(&string, WorkerKey::new().unwrap()).await.unwrap();
    let mut tries = tokio::task::JoinSet::new();
    let string = Arc::new(string);
    for _ in 0..400 {
        let string = Arc::clone(&string);
        tries.spawn(async move { join(&string, WorkerKey::new().unwrap()).await.is_err() });
    }
    while let Some(refused) = tries.join_next().await {
        assert!(refused.unwrap());
    }
    wait_until(async || coordinator.link_faults() == 400).await;
    let refused =
        coordinator.events("join").iter().filter(|event| event.outcome == deputy_audit::AuditOutcome::Refused).count();
    // Permits come back while it goes on.
    assert!((300..310).contains(&refused), "{refused}");
}
