//! Workers that are there, and are stuck.

use super::*;

/// A worker that is connected, has subscribed, and does what the test has it do.
async fn bare(coordinator: &TestCoordinator) -> tokio_rustls::client::TlsStream<TcpStream> {
    let identity = join(&coordinator.token("analytics", 1).await, WorkerKey::new().unwrap()).await.unwrap();
    let name = ServerName::try_from("coordinator.deputy.internal").unwrap();
    let connector = tokio_rustls::TlsConnector::from(identity.tls().unwrap());
    let mut stream = connector.connect(name, connect(coordinator).await).await.unwrap();
    say(&mut stream, deputy_link::message::ClientMessageKind::Subscribe(deputy_link::message::Subscribe::default()))
        .await
        .unwrap();
    stream
}

async fn say(
    stream: &mut tokio_rustls::client::TlsStream<TcpStream>,
    request: deputy_link::message::ClientMessageKind,
) -> std::io::Result<()> {
    stream.write_all(&deputy_link::encode(&deputy_link::message::ClientMessage::from(request))).await?;
    stream.flush().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_worker_delays_no_other_and_is_disconnected() {
    let coordinator = start_coordinator(TestOptions { heartbeat: Span::millis(300), ..TestOptions::default() }).await;
    coordinator.deliver(&[("analytics", &["s3-prod"])]);
    let _stuck = bare(&coordinator).await;
    let worker = coordinator.start_worker("analytics").await;
    worker.wait_for_phase(LinkPhase::Connected).await;
    wait_until(async || coordinator.workers.sessions.connected() == 2).await;
    for revision in 1..100 {
        coordinator.publish("s3-prod", revision);
        worker.wait_for_lease("s3-prod", revision).await;
    }
    wait_until(async || coordinator.workers.sessions.connected() == 1).await;
    assert!(coordinator.status(&worker).await.connected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_that_reads_nothing_is_disconnected() {
    let coordinator = start_coordinator(TestOptions { heartbeat: Span::millis(300), ..TestOptions::default() }).await;
    coordinator.deliver(&[("analytics", &["s3-prod", "large"])]);
    let mut stuck = bare(&coordinator).await;
    let worker = coordinator.start_worker("analytics").await;
    worker.wait_for_phase(LinkPhase::Connected).await;
    wait_until(async || coordinator.workers.sessions.connected() == 2).await;
    // More than two sockets' buffers hold.
    coordinator.publish_payload("large", 1, "x".repeat(12 << 20));
    let ping = || deputy_link::message::ClientMessageKind::Ping(deputy_link::message::Ping {});
    for revision in 1..100 {
        coordinator.publish("s3-prod", revision);
        worker.wait_for_lease("s3-prod", revision).await;
        drop(say(&mut stuck, ping()).await);
    }
    assert_eq!(coordinator.workers.sessions.connected(), 2, "a write has two seconds here");
    let begun = wall();
    wait_until(async || {
        drop(say(&mut stuck, ping()).await);
        coordinator.workers.sessions.connected() == 1
    })
    .await;
    assert!(wall().since(begun) < Span::secs(10) && coordinator.status(&worker).await.connected);
}
