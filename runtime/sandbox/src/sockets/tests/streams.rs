use super::*;
use crate::testing::{HangingResolver, Server, eventually, tcp};
use bytes::Bytes;
use deputy_audit::AuditAction;
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

async fn connected(server: &Server, limits: Limits) -> (TestSockets, Connected) {
    let mut guest = guest(vec![tcp(&server.address.to_string())], limits, Arc::new(HangingResolver));
    let connected = guest.connect(server.address).await.map_err(|_| ()).unwrap();
    assert_eq!(guest.outcomes(), []);
    (guest, connected)
}

impl TestSockets {
    async fn ready_input(&mut self, connected: &Connected) {
        self.input(connected).ready().await;
    }
}

async fn read(guest: &mut TestSockets, connected: &Connected) -> Result<Bytes, StreamError> {
    guest.input(connected).blocking_read(100).await
}

#[tokio::test]
async fn tcp_counts_bytes_in_both_directions() {
    let (server, heard) = server(b"hello").await;
    let (mut guest, connected) = connected(&server, Limits::default()).await;
    guest.ready_input(&connected).await;
    assert_eq!(guest.input(&connected).read(usize::MAX).unwrap(), "hello", "and not room for all that was asked for");
    assert!(matches!(read(&mut guest, &connected).await, Err(StreamError::Closed)));
    guest.output(&connected).blocking_write_and_flush(Bytes::from_static(b"good day")).await.unwrap();
    let send = wasi_tcp::ShutdownType::Send;
    guest.view().shutdown(borrow(&connected.socket), send).map_err(|_| ()).unwrap();
    eventually(|| heard.lock().unwrap().is_some()).await;
    assert_eq!(heard.lock().unwrap().as_deref(), Some(&b"good day"[..]));
    let usage = guest.audited.budget.usage.snapshot();
    assert_eq!((usage.requests, usage.sent, usage.received), (1, 8, 5));
    assert!(matches!(guest.output(&connected).check_write(), Err(StreamError::Closed)));
    guest.end();
    let [event] = guest.audited.events().try_into().unwrap();
    let (address, injected) = (server.address.to_string(), Vec::new());
    let recorded = AuditAction::Tcp { address, host: None, sent: 8, received: 5, injected };
    assert_eq!((event.action, event.outcome), (recorded, AuditOutcome::Done));
}

#[tokio::test]
async fn tcp_does_not_send_beyond_the_limit() {
    let (server, heard) = server(b"hello").await;
    let limits = Limits { sent: ByteSize::bytes(10), ..Limits::default() };
    let (mut guest, connected) = connected(&server, limits).await;
    guest.output(&connected).blocking_write_and_flush(Bytes::from_static(b"0123456789")).await.unwrap();
    let over = guest.output(&connected).blocking_write_and_flush(Bytes::from_static(b"x")).await.unwrap_err();
    assert!(matches!(over, StreamError::LastOperationFailed(_)), "{over:?}");
    assert!(matches!(guest.output(&connected).check_write(), Err(StreamError::Closed)));
    assert!(matches!(guest.input(&connected).read(1), Err(StreamError::Closed)));
    assert_eq!(guest.denials(), [PolicyDenial::Limit(Limit::Sent)]);
    assert_eq!(guest.outcomes(), [refused("over-limit:sent")]);
    eventually(|| heard.lock().unwrap().is_some()).await;
    assert_eq!(heard.lock().unwrap().as_deref(), Some(&b"0123456789"[..]));
}

#[tokio::test]
async fn tcp_does_not_deliver_beyond_the_limit() {
    let (server, _) = server(b"0123456789").await;
    let limits = Limits { received: ByteSize::bytes(9), ..Limits::default() };
    let (mut guest, connected) = connected(&server, limits).await;
    let mut got = 0;
    let over = loop {
        match guest.input(&connected).blocking_read(4).await {
            Ok(bytes) => got += bytes.len(),
            Err(error) => break error,
        }
    };
    assert!(got <= 9 && matches!(over, StreamError::LastOperationFailed(_)), "{got} {over:?}");
    assert_eq!(guest.denials(), [PolicyDenial::Limit(Limit::Received)]);
    assert!(matches!(guest.input(&connected).read(1), Err(StreamError::Closed)));
}

#[tokio::test]
async fn tcp_stream_flushes_its_last_write_when_dropped() {
    let (server, heard) = server(b"").await;
    let (mut guest, connected) = connected(&server, Limits::default()).await;
    let all = vec![7; 4 << 20];
    for piece in all.chunks(4096).take(900) {
        guest.output(&connected).blocking_write_and_flush(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    guest.output(&connected).cancel().await;
    drop(guest.table.delete(connected.output).unwrap());
    eventually(|| heard.lock().unwrap().is_some()).await;
    assert_eq!(heard.lock().unwrap().as_ref().map(Vec::len), Some(900 * 4096));
}

#[tokio::test]
async fn tcp_backpressure_buffers_one_write_only() {
    let server = Server::start(|stream| async move {
        let _open = stream;
        std::future::pending().await
    });
    let server = server.await;
    let limits = Limits { sent: ByteSize::mib(64), between_bytes: Span::millis(50), ..Limits::default() };
    let (mut guest, connected) = connected(&server, limits).await;
    let output = guest.output(&connected);
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
async fn tcp_write_larger_than_check_write_traps() {
    let (server, _) = server(b"").await;
    let (mut guest, connected) = connected(&server, Limits::default()).await;
    let room = guest.output(&connected).check_write().unwrap();
    let over = guest.output(&connected).write(Bytes::from(vec![0; room + 1]));
    assert!(matches!(over, Err(StreamError::Trap(_))), "{over:?}");
}

#[tokio::test]
async fn tcp_directions_shut_down_separately() {
    let (server, heard) = server(b"hello").await;
    let (mut guest, connected) = connected(&server, Limits::default()).await;
    let receive = wasi_tcp::ShutdownType::Receive;
    guest.view().shutdown(borrow(&connected.socket), receive).map_err(|_| ()).unwrap();
    assert!(matches!(guest.input(&connected).read(9), Err(StreamError::Closed)));
    guest.output(&connected).blocking_write_and_flush(Bytes::from_static(b"yes")).await.unwrap();
    drop(guest);
    eventually(|| heard.lock().unwrap().is_some()).await;
    assert_eq!(heard.lock().unwrap().as_deref(), Some(&b"yes"[..]));
}

#[tokio::test]
async fn tcp_connection_closes_with_its_streams() {
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
    let (mut guest, connected) = connected(&server, Limits::default()).await;
    drop(guest.table.delete(connected.input).unwrap());
    drop(guest.table.delete(connected.output).unwrap());
    tokio::time::timeout(std::time::Duration::from_secs(5), told).await.unwrap().unwrap();
}

#[tokio::test]
async fn tcp_broken_connection_is_reported_without_text() {
    let server = Server::start(|mut stream| async move {
        stream.read_exact(&mut [0; 1]).await.unwrap();
        stream.set_zero_linger().unwrap();
    });
    let server = server.await;
    let (mut guest, connected) = connected(&server, Limits::default()).await;
    guest.output(&connected).blocking_write_and_flush(Bytes::from_static(b"x")).await.unwrap();
    let error = loop {
        match read(&mut guest, &connected).await {
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
async fn sockets_close_with_the_table_of_the_call() {
    let (server, heard) = server(b"").await;
    let (guest, _connected) = connected(&server, Limits::default()).await;
    drop(guest);
    eventually(|| heard.lock().unwrap().is_some()).await;
}
