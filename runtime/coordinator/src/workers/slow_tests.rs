//! Workers that are there, and are stuck.

use super::*;

/// A worker that is connected, has subscribed, and does what the test has it do.
async fn bare(site: &Site) -> tokio_rustls::client::TlsStream<TcpStream> {
    let identity = join(&site.token("analytics", 1).await, WorkerKey::new().unwrap()).await.unwrap();
    let name = ServerName::try_from("coordinator.deputy.internal").unwrap();
    let connector = tokio_rustls::TlsConnector::from(identity.tls().unwrap());
    let mut stream = connector.connect(name, connect(site).await).await.unwrap();
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
async fn a_worker_that_is_never_heard_of_again_delays_nobody_and_is_let_go() {
    let site = site(How { heartbeat: Span::millis(300), ..How::default() }).await;
    site.deliver(&[("analytics", &["s3-prod"])]);
    let _stuck = bare(&site).await;
    let worker = site.worker("analytics").await;
    worker.is(LinkPhase::Connected).await;
    until(async || site.workers.roster.connected() == 2).await;
    for revision in 1..100 {
        site.publish("s3-prod", revision);
        worker.has("s3-prod", revision).await;
    }
    until(async || site.workers.roster.connected() == 1).await;
    assert!(site.status(&worker).await.connected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_reads_nothing_delays_nobody_and_is_let_go_though_it_speaks() {
    let site = site(How { heartbeat: Span::millis(300), ..How::default() }).await;
    site.deliver(&[("analytics", &["s3-prod", "large"])]);
    let mut stuck = bare(&site).await;
    let worker = site.worker("analytics").await;
    worker.is(LinkPhase::Connected).await;
    until(async || site.workers.roster.connected() == 2).await;
    // More than two sockets' buffers hold.
    site.publish_text("large", 1, "x".repeat(12 << 20));
    let ping = || deputy_link::message::ClientMessageKind::Ping(deputy_link::message::Ping {});
    for revision in 1..100 {
        site.publish("s3-prod", revision);
        worker.has("s3-prod", revision).await;
        drop(say(&mut stuck, ping()).await);
    }
    assert_eq!(site.workers.roster.connected(), 2, "a write has two seconds here");
    let begun = wall();
    until(async || {
        drop(say(&mut stuck, ping()).await);
        site.workers.roster.connected() == 1
    })
    .await;
    assert!(wall().since(begun) < Span::secs(10) && site.status(&worker).await.connected);
}
