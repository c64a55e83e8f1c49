use super::*;
use crate::testing::{Server, Silent, eventually, tcp};
use bytes::Bytes;
use deputy_core::{ByteSize, Limit, Span};
use std::sync::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wasmtime_wasi::p2::StreamError;

type Heard = Arc<Mutex<Option<Vec<u8>>>>;

/// Says this, closes its side, and tells what it heard once the other side is closed too.
async fn server(says: &'static [u8]) -> (Server, Heard) {
    let heard = Heard::default();
    let told = Arc::clone(&heard);
    let server = Server::start(move |mut stream| {
        let told = Arc::clone(&told);
        async move {
            stream.write_all(says).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut all = Vec::new();
            while stream.read_buf(&mut all).await.unwrap_or(0) > 0 {}
            *told.lock().unwrap() = Some(all);
        }
    });
    (server.await, heard)
}

async fn connected(server: &Server, limits: Limits) -> (Lab, Connected) {
    let mut lab = lab(vec![tcp(&server.address.to_string())], limits, Arc::new(Silent));
    let connected = lab.connect(server.address).await.map_err(|_| ()).unwrap();
    assert_eq!(lab.endings(), [done()]);
    (lab, connected)
}

impl Lab {
    async fn ready_input(&mut self, connected: &Connected) {
        self.input(connected).ready().await;
    }
}

async fn read(lab: &mut Lab, connected: &Connected) -> Result<Bytes, StreamError> {
    lab.input(connected).blocking_read(100).await
}

#[tokio::test]
async fn bytes_go_both_ways_and_are_counted() {
    let (server, heard) = server(b"hello").await;
    let (mut lab, connected) = connected(&server, Limits::default()).await;
    lab.ready_input(&connected).await;
    assert_eq!(lab.input(&connected).read(usize::MAX).unwrap(), "hello", "and not room for all that was asked for");
    assert!(matches!(read(&mut lab, &connected).await, Err(StreamError::Closed)));
    lab.output(&connected).blocking_write_and_flush(Bytes::from_static(b"good day")).await.unwrap();
    let send = wasi_tcp::ShutdownType::Send;
    lab.view().shutdown(borrow(&connected.socket), send).map_err(|_| ()).unwrap();
    eventually(|| heard.lock().unwrap().is_some()).await;
    assert_eq!(heard.lock().unwrap().as_deref(), Some(&b"good day"[..]));
    let usage = lab.book.budget.usage.snapshot();
    assert_eq!((usage.requests, usage.sent, usage.received), (1, 8, 5));
    assert!(matches!(lab.output(&connected).check_write(), Err(StreamError::Closed)));
}

#[tokio::test]
async fn what_is_sent_over_the_limit_does_not_leave() {
    let (server, heard) = server(b"hello").await;
    let limits = Limits { sent: ByteSize::bytes(10), ..Limits::default() };
    let (mut lab, connected) = connected(&server, limits).await;
    lab.output(&connected).blocking_write_and_flush(Bytes::from_static(b"0123456789")).await.unwrap();
    let over = lab.output(&connected).blocking_write_and_flush(Bytes::from_static(b"x")).await.unwrap_err();
    assert!(matches!(over, StreamError::LastOperationFailed(_)), "{over:?}");
    assert!(matches!(lab.output(&connected).check_write(), Err(StreamError::Closed)));
    assert!(matches!(lab.input(&connected).read(1), Err(StreamError::Closed)));
    assert_eq!(lab.denials(), [PolicyDenial::Limit(Limit::Sent)]);
    assert_eq!(lab.endings(), [refused("over-limit:sent")]);
    eventually(|| heard.lock().unwrap().is_some()).await;
    assert_eq!(heard.lock().unwrap().as_deref(), Some(&b"0123456789"[..]));
}

#[tokio::test]
async fn what_comes_in_over_the_limit_is_not_handed_over() {
    let (server, _) = server(b"0123456789").await;
    let limits = Limits { received: ByteSize::bytes(9), ..Limits::default() };
    let (mut lab, connected) = connected(&server, limits).await;
    let mut got = 0;
    let over = loop {
        match lab.input(&connected).blocking_read(4).await {
            Ok(bytes) => got += bytes.len(),
            Err(error) => break error,
        }
    };
    assert!(got <= 9 && matches!(over, StreamError::LastOperationFailed(_)), "{got} {over:?}");
    assert_eq!(lab.denials(), [PolicyDenial::Limit(Limit::Received)]);
    assert!(matches!(lab.input(&connected).read(1), Err(StreamError::Closed)));
}

#[tokio::test]
async fn a_stream_that_is_dropped_after_its_last_write_has_written_it() {
    let (server, heard) = server(b"").await;
    let (mut lab, connected) = connected(&server, Limits::default()).await;
    let all = vec![7; 4 << 20];
    for piece in all.chunks(4096).take(900) {
        lab.output(&connected).blocking_write_and_flush(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    lab.output(&connected).cancel().await;
    drop(lab.table.delete(connected.output).unwrap());
    eventually(|| heard.lock().unwrap().is_some()).await;
    assert_eq!(heard.lock().unwrap().as_ref().map(Vec::len), Some(900 * 4096));
}

#[tokio::test]
async fn a_peer_that_reads_nothing_makes_the_component_wait_and_holds_no_more_than_one_write() {
    let server = Server::start(|stream| async move {
        let _open = stream;
        std::future::pending().await
    });
    let server = server.await;
    let limits = Limits { sent: ByteSize::mib(64), between_bytes: Span::millis(50), ..Limits::default() };
    let (mut lab, connected) = connected(&server, limits).await;
    let output = lab.output(&connected);
    let mut written = 0;
    while let Ok(room @ 1..) = output.check_write() {
        output.write(Bytes::from(vec![0; room])).unwrap();
        written += room;
        assert!(written < 64 << 20, "the network has an end");
    }
    assert!(matches!(output.check_write(), Ok(0)));
    assert!(matches!(output.write(Bytes::from_static(b"x")), Err(StreamError::Trap(_))));
    // And dropping the stream does not wait for such a peer for ever.
    tokio::time::timeout(std::time::Duration::from_secs(5), output.cancel()).await.unwrap();
}

#[tokio::test]
async fn a_write_larger_than_the_host_said_is_a_trap() {
    let (server, _) = server(b"").await;
    let (mut lab, connected) = connected(&server, Limits::default()).await;
    let room = lab.output(&connected).check_write().unwrap();
    let over = lab.output(&connected).write(Bytes::from(vec![0; room + 1]));
    assert!(matches!(over, Err(StreamError::Trap(_))), "{over:?}");
}

#[tokio::test]
async fn one_direction_can_be_shut_down_alone() {
    let (server, heard) = server(b"hello").await;
    let (mut lab, connected) = connected(&server, Limits::default()).await;
    let receive = wasi_tcp::ShutdownType::Receive;
    lab.view().shutdown(borrow(&connected.socket), receive).map_err(|_| ()).unwrap();
    assert!(matches!(lab.input(&connected).read(9), Err(StreamError::Closed)));
    lab.output(&connected).blocking_write_and_flush(Bytes::from_static(b"yes")).await.unwrap();
    drop(lab);
    eventually(|| heard.lock().unwrap().is_some()).await;
    assert_eq!(heard.lock().unwrap().as_deref(), Some(&b"yes"[..]));
}

#[tokio::test]
async fn a_connection_without_streams_is_closed_though_its_socket_is_still_there() {
    let (closed, told) = tokio::sync::oneshot::channel();
    let closed = Mutex::new(Some(closed));
    let server = Server::start(move |mut stream| {
        let closed = closed.lock().unwrap().take().unwrap();
        async move {
            while stream.write_all(&[0; 4096]).await.is_ok() {}
            closed.send(()).unwrap();
        }
    });
    let server = server.await;
    let (mut lab, connected) = connected(&server, Limits::default()).await;
    drop(lab.table.delete(connected.input).unwrap());
    drop(lab.table.delete(connected.output).unwrap());
    tokio::time::timeout(std::time::Duration::from_secs(5), told).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_connection_that_breaks_is_told_without_a_text() {
    let server = Server::start(|mut stream| async move {
        stream.read_exact(&mut [0; 1]).await.unwrap();
        stream.set_zero_linger().unwrap();
    });
    let server = server.await;
    let (mut lab, connected) = connected(&server, Limits::default()).await;
    lab.output(&connected).blocking_write_and_flush(Bytes::from_static(b"x")).await.unwrap();
    let error = loop {
        match read(&mut lab, &connected).await {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    let StreamError::LastOperationFailed(error) = error else { panic!("{error:?}") };
    assert_eq!(error.downcast_ref::<ErrorCode>(), Some(&ErrorCode::ConnectionReset));
    let shown = format!("{error:?}");
    assert!(!shown.contains("os error") && !shown.contains(" at "), "{shown}");
}

#[tokio::test]
async fn everything_of_a_call_is_closed_with_its_table() {
    let (server, heard) = server(b"").await;
    let (lab, _connected) = connected(&server, Limits::default()).await;
    drop(lab);
    eventually(|| heard.lock().unwrap().is_some()).await;
}
