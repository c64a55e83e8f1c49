//! The component's own body, written as `wasi:http` writes it.

use super::*;
use crate::testing::{Server, http, pause, request};
use ::http::HeaderMap;
use deputy_core::{ByteSize, Span};
use http_body::Frame;
use http_body_util::StreamBody;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wasmtime_wasi::p2::{DynOutputStream, StreamError};
use wasmtime_wasi_http::p2::body::{HostOutgoingBody, StreamContext};

/// A component that writes a body in pieces of one KiB.
struct Writer {
    body: HostOutgoingBody,
    stream: DynOutputStream,
}

fn writer() -> (Writer, WasiBody) {
    let (mut body, outgoing) = HostOutgoingBody::new(StreamContext::Request, None, 1, 64 * 1024);
    let stream = body.take_output_stream().unwrap();
    (Writer { body, stream }, outgoing.map_err(Error::from).boxed_unsync())
}

impl Writer {
    /// Writes this number of KiB before it reads anything.
    async fn write(&mut self, kib: usize) -> Result<(), StreamError> {
        let write = async {
            for _ in 0..kib {
                self.stream.blocking_write_and_flush(Bytes::from(vec![b'x'; 1024])).await?;
            }
            Ok(())
        };
        tokio::time::timeout(Duration::from_secs(10), write).await.expect("the body is taken")
    }

    fn finish(self) {
        drop(self.stream);
        self.body.finish(None).unwrap();
    }
}

fn post(url: &str, body: WasiBody) -> Request<WasiBody> {
    Request::post(url).body(body).unwrap()
}

/// A port without a listener.
async fn closed_port() -> u16 {
    tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

/// The whole body is written first, and the answer is looked at then.
async fn write_first(client: &mut TestClient, url: &str, kib: usize) -> Result<Response<WasiBody>, Error> {
    let (mut writer, body) = writer();
    let sent = Pin::from(client.hooks.send_request(post(url, body), None, Box::new(async { Ok(()) })));
    let sent = wasmtime_wasi::runtime::spawn(sent);
    writer.write(kib).await.expect("no write fails");
    writer.finish();
    sent.await.map(|(response, _)| response)
}

#[tokio::test]
async fn request_body_may_be_written_in_pieces() {
    let server = Server::start(|mut stream| async move {
        let text = request(&mut stream).await;
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n{:06}",
            text.split_once("\r\n\r\n").unwrap().1.matches('x').count()
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
    });
    let server = server.await;
    let mut client = client(vec![http(&format!("http://a.example:{}", server.port()))]);
    let response = write_first(&mut client, &format!("http://a.example:{}/", server.port()), 100).await.unwrap();
    assert_eq!(text(response).await.unwrap(), "102400");
    assert_eq!(client.http(), (AuditOutcome::Done, Some(200), 102_400, 6));
}

#[tokio::test]
async fn request_body_is_drained_when_the_server_is_absent() {
    for _ in 0..20 {
        let port = closed_port().await;
        let mut client = client(vec![http(&format!("http://a.example:{port}"))]);
        let error = write_first(&mut client, &format!("http://a.example:{port}/"), 300).await.unwrap_err();
        assert_eq!(format!("{error:?}"), "ConnectionRefused");
        assert_eq!(client.audited.only_outcome(), (AuditOutcome::Failed, Some("connection-refused".into())));
    }
}

#[tokio::test]
async fn request_body_is_drained_when_the_request_is_denied() {
    let mut client = client(vec![]);
    let error = write_first(&mut client, "http://a.example/", 300).await.unwrap_err();
    assert_eq!(format!("{error:?}"), "HttpRequestDenied");
    let usage = client.audited.budget.usage.snapshot();
    assert_eq!(usage.sent, 0, "nothing of it left");
}

#[tokio::test]
async fn request_body_is_drained_after_an_early_response() {
    let server = Server::start(|mut stream| async move {
        assert!(stream.read(&mut [0; 100]).await.unwrap() > 0);
        stream.write_all(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    });
    let server = server.await;
    let mut client = client(vec![http(&format!("http://a.example:{}", server.port()))]);
    // Whether the answer or the reset comes first is the network's affair; neither stops the component's writing.
    write_first(&mut client, &format!("http://a.example:{}/", server.port()), 2_000).await.ok();
}

#[tokio::test]
async fn request_error_does_not_wait_for_the_body() {
    let mut client = client(vec![]);
    let (mut writer, body) = writer();
    let error = client.send(post("http://a.example/", body)).await.unwrap_err();
    assert_eq!(format!("{error:?}"), "HttpRequestDenied");
    writer.write(300).await.expect("what is written afterwards is taken as well");
    writer.finish();
}

#[tokio::test]
async fn request_drain_ends_with_the_exchange() {
    let limits = Limits { exchange: Span::millis(600), ..Limits::default() };
    let mut client = limited(vec![], limits);
    let (mut writer, body) = writer();
    client.send(post("http://a.example/", body)).await.unwrap_err();
    writer.write(10).await.unwrap();
    pause(1_000).await;
    assert!(matches!(writer.write(10).await, Err(StreamError::Closed)));
}

#[tokio::test]
async fn request_drain_ends_at_the_sent_limit() {
    let limits = Limits { sent: ByteSize::kib(8), ..Limits::default() };
    let mut client = limited(vec![], limits);
    let (mut writer, body) = writer();
    client.send(post("http://a.example/", body)).await.unwrap_err();
    writer.write(8).await.expect("as much as that");
    assert!(matches!(writer.write(20).await, Err(StreamError::Closed)));
}

#[tokio::test]
async fn request_drain_leaves_no_task() {
    let mut client = client(vec![]);
    for _ in 0..20 {
        write_first(&mut client, "http://a.example/", 2).await.unwrap_err();
        pause(5).await;
    }
    assert!(client.hooks.drains.held() <= 2, "{}", client.hooks.drains.held());
}

#[tokio::test]
async fn request_trailers_count_as_sent_and_are_not_sent() {
    let (server, requests) = Server::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let mut client = client(vec![http(&format!("http://a.example:{}", server.port()))]);
    let trailers = HeaderMap::from_iter([("x-late".parse().unwrap(), "word".parse().unwrap())]);
    let frames = [Ok(Frame::data(Bytes::from_static(b"abc"))), Ok(Frame::trailers(trailers))];
    let body = StreamBody::new(futures::stream::iter(frames)).boxed_unsync();
    client.send(post(&format!("http://a.example:{}/", server.port()), body)).await.unwrap();
    assert_eq!(client.http(), (AuditOutcome::Done, Some(204), 3 + 6 + 4 + 4, 0));
    assert!(!requests.only().contains("x-late"));
}

#[tokio::test]
async fn request_drain_ends_with_the_call() {
    let mut client = client(vec![]);
    let (mut writer, body) = writer();
    client.send(post("http://a.example/", body)).await.unwrap_err();
    drop(client);
    pause(20).await;
    assert!(matches!(writer.write(10).await, Err(StreamError::Closed)));
}

#[tokio::test]
async fn request_body_over_its_limit_stops_the_request() {
    let got = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&got);
    let server = Server::start(move |mut stream| {
        let count = Arc::clone(&count);
        async move {
            let mut buffer = vec![0; 4096];
            while let Ok(bytes @ 1..) = stream.read(&mut buffer).await {
                count.fetch_add(buffer[..bytes].iter().filter(|byte| **byte == b'x').count(), Ordering::SeqCst);
            }
        }
    });
    let server = server.await;
    let limits = Limits { sent: ByteSize::kib(10), ..Limits::default() };
    let mut client = limited(vec![http(&format!("http://a.example:{}", server.port()))], limits);
    let error = write_first(&mut client, &format!("http://a.example:{}/", server.port()), 15).await.unwrap_err();
    assert_eq!((format!("{error:?}").as_str(), client.limits()), ("HttpRequestBodySize(None)", vec!["sent".into()]));
    assert!(got.load(Ordering::SeqCst) <= 10 * 1024);
}

#[tokio::test]
async fn request_with_an_aborted_body_is_incomplete() {
    let server = Server::start(|mut stream| async move {
        let text = request(&mut stream).await;
        assert!(!text.ends_with("0\r\n\r\n"), "the server must not take it for the end: {text}");
    });
    let server = server.await;
    let mut client = client(vec![http(&format!("http://a.example:{}", server.port()))]);
    let (mut writer, body) = writer();
    let url = format!("http://a.example:{}/", server.port());
    let sent = Pin::from(client.hooks.send_request(post(&url, body), None, Box::new(async { Ok(()) })));
    let sent = wasmtime_wasi::runtime::spawn(sent);
    writer.write(1).await.unwrap();
    drop(writer.stream);
    writer.body.abort();
    let error = sent.await.map(drop).unwrap_err();
    assert_eq!(format!("{error:?}"), "HttpProtocolError");
    assert_eq!(client.audited.only_outcome(), (AuditOutcome::Failed, Some("request-aborted".into())));
}

#[tokio::test]
async fn request_body_without_end_stops_at_the_exchange_limit() {
    let server = Server::start(|mut stream| async move {
        request(&mut stream).await;
    });
    let server = server.await;
    let limits = Limits { exchange: Span::millis(200), first_byte: Span::millis(50), ..Limits::default() };
    let mut client = limited(vec![http(&format!("http://a.example:{}", server.port()))], limits);
    let (_writer, body) = writer();
    let error = client.send(post(&format!("http://a.example:{}/", server.port()), body)).await.unwrap_err();
    assert_eq!((format!("{error:?}").as_str(), client.limits()), ("HttpResponseTimeout", vec!["exchange".into()]));
}

#[tokio::test]
async fn request_that_is_not_read_ends_at_the_exchange_limit() {
    let server = Server::start(|stream| async move {
        let _open = stream;
        std::future::pending().await
    });
    let server = server.await;
    let limits = Limits { exchange: Span::millis(300), sent: ByteSize::mib(64), ..Limits::default() };
    let mut client = limited(vec![http(&format!("http://a.example:{}", server.port()))], limits);
    let body = bytes(vec![b'x'; 32 << 20]);
    let error = client.send(post(&format!("http://a.example:{}/", server.port()), body)).await.unwrap_err();
    // A body in one piece is out, for all that the host can know, as soon as the connection has taken it.
    assert!(matches!(error, Error::HttpResponseTimeout), "{error:?}");
    assert_eq!(client.limits(), ["exchange"]);
}
