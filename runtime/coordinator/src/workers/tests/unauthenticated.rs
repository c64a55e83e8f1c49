//! Who reaches the port and is no worker.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn link_refuses_older_tls_and_plain_text() {
    let coordinator = start_coordinator(TestOptions::default()).await;
    let name = ServerName::try_from("coordinator.deputy.internal").unwrap();
    let error = tls(&[&rustls::version::TLS12]).connect(name, connect(&coordinator).await).await.unwrap_err();
    assert!(error.to_string().contains("ProtocolVersion"), "{error}");

    let mut plain = connect(&coordinator).await;
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut rest = Vec::new();
    #[expect(clippy::disallowed_methods, reason = "the other side closes")]
    in_time(plain.read_to_end(&mut rest)).await.unwrap();
    // An alert, and the end.
    assert!(rest.len() < 16, "{rest:?}");

    // Who says nothing is let go.
    let mut silent = connect(&coordinator).await;
    assert_eq!(in_time(silent.read(&mut [0; 16])).await.unwrap_or(0), 0);
    wait_until(async || coordinator.link_faults() == 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unauthenticated_peer_may_send_one_small_message() {
    let coordinator = start_coordinator(TestOptions::default()).await;
    coordinator.deliver(&[("analytics", &["s3-prod"])]);
    coordinator.publish("s3-prod", 1);
    let subscribe = deputy_link::encode(&deputy_link::message::ClientMessage::from(
        deputy_link::message::ClientMessageKind::Subscribe(deputy_link::message::Subscribe::default()),
    ));
    let garbage = [&[0, 0, 0, 4][..], &[0xff; 4]].concat();
    let oversized = [&[0, 0, 0x20, 1][..], &[1; 8193]].concat();
    let name = ServerName::try_from("coordinator.deputy.internal").unwrap();
    for (sent, what) in
        [(subscribe.to_vec(), "subscribe"), (garbage, "garbage"), (oversized, "oversized"), (vec![], "silence")]
    {
        let mut stream =
            tls(&[&rustls::version::TLS13]).connect(name.clone(), connect(&coordinator).await).await.unwrap();
        // It may be let go before all is sent.
        drop(stream.write_all(&sent).await);
        drop(stream.flush().await);
        let mut heard = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = in_time(stream.read(&mut buffer)).await {
            heard.extend_from_slice(&buffer[..count]);
        }
        let heard = String::from_utf8_lossy(&heard).into_owned();
        assert!(!heard.contains("s3-prod"), "{what}: {heard}");
        assert_eq!(heard.contains("malformed"), what == "subscribe", "{what}: {heard}");
    }
}
