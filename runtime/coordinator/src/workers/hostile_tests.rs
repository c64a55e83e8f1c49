//! A worker that is let in, and says what no worker may say.

use deputy_link::message::{ApplyReport, ClientMessage, ClientMessageKind, FetchComponent, Join, Subscribe};

use super::*;

/// A connection that shows a worker's certificate, and on which the test says what it likes.
pub(super) async fn certified(site: &Site, identity: &WorkerIdentity) -> tokio_rustls::client::TlsStream<TcpStream> {
    let name = ServerName::try_from("coordinator.deputy.internal").unwrap();
    let connector = tokio_rustls::TlsConnector::from(identity.tls().unwrap());
    connector.connect(name, connect(site).await).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_worker_may_not_say_ends_its_own_connection_and_no_other() {
    let site = site(How::default()).await;
    site.deliver(&[("analytics", &["s3-prod"])]);
    site.publish("s3-prod", 1);
    let worker = site.worker("analytics").await;
    worker.has("s3-prod", 1).await;
    let hostile = join(&site.token("analytics", 1).await, WorkerKey::new().unwrap()).await.unwrap();
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
        let mut stream = certified(&site, &hostile).await;
        stream.write_all(&sent).await.unwrap();
        stream.flush().await.unwrap();
        let mut buffer = [0; 4096];
        while let Ok(1..) = soon(stream.read(&mut buffer)).await {}
        site.publish("s3-prod", revision);
        worker.has("s3-prod", revision).await;
        assert_eq!(worker.link.state.borrow().failures, 0, "{what}");
    }
    assert!(site.status(&worker).await.connected);
    assert!(site.metrics.encode(&[], &[]).unwrap().contains("deputy_link_faults_total 10"));
    let refused = site.events("fetch");
    assert!(refused.len() == 101 && refused.iter().all(|event| event.code.as_deref() == Some("component")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_what_a_worker_may_not_have_it_is_told_all_and_the_audit_log_some() {
    let site = site(How::default()).await;
    let wanted: Vec<String> = (0..100).map(|number| format!("i{number}")).collect();
    let identity = join(&site.token("analytics", 1).await, WorkerKey::new().unwrap()).await.unwrap();
    let worker = Worker::start(identity, &wanted.iter().map(String::as_str).collect::<Vec<_>>());
    worker.is(LinkPhase::Connected).await;
    assert_eq!(worker.link.state.borrow().refusals.len(), 100);
    assert_eq!(site.events("subscribe").len(), 16);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_tries_join_strings_that_are_no_good_fills_no_audit_log() {
    let site = site(How::default()).await;
    let string = site.token("analytics", 1).await;
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
    let refused =
        site.events("join").iter().filter(|event| event.outcome == deputy_observe::AuditOutcome::Refused).count();
    // Permits come back while it goes on.
    assert!((300..310).contains(&refused), "{refused}");
    assert!(site.metrics.encode(&[], &[]).unwrap().contains("deputy_link_faults_total 400"), "all are counted");
}
