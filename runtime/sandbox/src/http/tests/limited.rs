use super::*;
use crate::testing::{FullBacklog, HangingResolver, Server, http, pause, request};
use deputy_core::{ByteSize, Span};
use tokio::io::AsyncWriteExt;

fn limits(set: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    set(&mut limits);
    limits
}

/// Asks this server once and gives the error for the component and the limit that was exceeded.
async fn over(server: &Server, limits: Limits) -> (String, Vec<String>) {
    let mut client = limited(vec![http(&format!("http://a.example:{}", server.port()))], limits);
    let error = match client.get(&format!("http://a.example:{}/", server.port())).await {
        Ok(response) => text(response).await.unwrap_err(),
        Err(error) => error,
    };
    let (outcome, code) = client.audited.only_outcome();
    if client.audited.budget.findings.timeouts().is_empty() {
        assert_eq!(outcome, AuditOutcome::Refused);
        assert_eq!(code, client.limits().first().map(|limit| format!("over-limit:{limit}")));
    } else {
        // The server is at fault, and neither the component nor the limit.
        assert_eq!((outcome, client.denials()), (AuditOutcome::Failed, Vec::new()));
        assert!(code.as_deref().is_some_and(|code| code.ends_with("timeout")), "{code:?}");
    }
    (format!("{error:?}"), client.limits())
}

fn failed_with(error: &str, limit: &str) -> (String, Vec<String>) {
    (error.into(), vec![limit.into()])
}

#[tokio::test]
async fn request_url_may_reach_its_limit() {
    let (server, _) = Server::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let rule = http(&format!("http://a.example:{}", server.port()));
    let url = format!("http://a.example:{}/?{}", server.port(), "x".repeat(60));
    let of = |bytes: usize| limits(|limits| limits.url = ByteSize::bytes(bytes as u64));
    limited(vec![rule.clone()], of(url.len())).get(&url).await.unwrap();
    let mut client = limited(vec![rule], of(url.len() - 1));
    assert_eq!(format!("{:?}", client.get(&url).await.unwrap_err()), "HttpRequestUriTooLong");
    assert_eq!(client.limits(), ["url"]);
}

#[tokio::test]
async fn request_headers_may_reach_their_limit() {
    let (server, _) = Server::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let rule = http(&format!("http://a.example:{}", server.port()));
    let request =
        || Request::get(format!("http://a.example:{}/", server.port())).header("abc", "xyz").body(bytes("")).unwrap();
    let of = |bytes| limits(|limits| limits.headers = ByteSize::bytes(bytes));
    // "abc: xyz\r\n"; the answer has none.
    let mut exact = limited(vec![rule.clone()], of(10));
    assert!(!matches!(exact.send(request()).await, Err(Error::HttpRequestHeaderSectionSize(_))));
    let mut client = limited(vec![rule], of(9));
    assert_eq!(format!("{:?}", client.send(request()).await.unwrap_err()), "HttpRequestHeaderSectionSize(None)");
    assert_eq!((client.limits(), client.audited.budget.usage.snapshot().requests), (vec!["headers".to_owned()], 1));
}

#[tokio::test]
async fn request_count_is_limited() {
    let (server, requests) = Server::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let mut client =
        limited(vec![http(&format!("http://a.example:{}", server.port()))], limits(|limits| limits.requests = 2));
    let url = format!("http://a.example:{}/", server.port());
    for _ in 0..2 {
        client.get(&url).await.unwrap();
    }
    assert_eq!(format!("{:?}", client.get(&url).await.unwrap_err()), "ConnectionLimitReached");
    assert_eq!((client.limits(), requests.all().len()), (vec!["requests".to_owned()], 2));
}

#[tokio::test]
async fn response_headers_are_limited_in_bytes_and_number() {
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 0\r\n\r\n", "y".repeat(40_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}content-length: 0\r\n\r\n", "a: b\r\n".repeat(2_000));
    for answer in [long, many] {
        let (server, _) = Server::answering(answer).await;
        assert_eq!(
            over(&server, Limits::default()).await,
            failed_with("HttpResponseHeaderSectionSize(None)", "headers")
        );
    }
}

#[tokio::test]
async fn response_head_may_reach_its_limit() {
    let head = format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 0\r\n\r\n", "y".repeat(10_000));
    let (server, _) = Server::answering(head.clone()).await;
    let of = |bytes: usize| limits(|limits| limits.headers = ByteSize::bytes(bytes as u64));
    let mut exact = limited(vec![http(&format!("http://a.example:{}", server.port()))], of(head.len()));
    exact.get(&format!("http://a.example:{}/", server.port())).await.unwrap();
    assert_eq!(over(&server, of(head.len() - 1)).await, failed_with("HttpResponseHeaderSectionSize(None)", "headers"));
}

#[tokio::test]
async fn response_head_limit_can_be_raised() {
    let (server, _) = Server::answering(format!("HTTP/1.1 204 No Content\r\nx: {}\r\n\r\n", "y".repeat(600_000))).await;
    let of = limits(|limits| limits.headers = ByteSize::mib(1));
    let mut client = limited(vec![http(&format!("http://a.example:{}", server.port()))], of);
    client.get(&format!("http://a.example:{}/", server.port())).await.unwrap();
}

#[tokio::test]
async fn response_headers_without_end_stop_at_the_limit() {
    let server = Server::start(|mut stream| async move {
        request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n").await.ok();
        while stream.write_all(b"x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n").await.is_ok() {}
    });
    assert_eq!(
        over(&server.await, Limits::default()).await,
        failed_with("HttpResponseHeaderSectionSize(None)", "headers")
    );
}

#[tokio::test]
async fn response_announced_too_large_is_denied_unread() {
    let (server, _) = Server::answering(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 1_u64 << 40)).await;
    let mut client = client(vec![http(&format!("http://a.example:{}", server.port()))]);
    let error = client.get(&format!("http://a.example:{}/", server.port())).await.unwrap_err();
    assert_eq!(
        (format!("{error:?}").as_str(), client.limits()),
        ("HttpResponseBodySize(None)", vec!["response".into()])
    );
    assert_eq!(client.http(), (AuditOutcome::Refused, Some(200), 0, 0));
}

#[tokio::test]
async fn response_body_may_reach_its_limit() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n4\r\nefgh\r\n0\r\n\r\n";
    let (server, _) = Server::answering(chunked).await;
    let of = |bytes| limits(|limits| limits.response = ByteSize::bytes(bytes));
    let mut exact = limited(vec![http(&format!("http://a.example:{}", server.port()))], of(8));
    let response = exact.get(&format!("http://a.example:{}/", server.port())).await.unwrap();
    assert_eq!(text(response).await.unwrap(), "abcdefgh");
    assert_eq!(over(&server, of(7)).await, failed_with("HttpResponseBodySize(None)", "response"));

    let (server, _) = Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nabcdefgh").await;
    let mut exact = limited(vec![http(&format!("http://a.example:{}", server.port()))], of(8));
    let response = exact.get(&format!("http://a.example:{}/", server.port())).await.unwrap();
    assert_eq!(text(response).await.unwrap(), "abcdefgh");
    assert_eq!(over(&server, of(7)).await, failed_with("HttpResponseBodySize(None)", "response"));
}

#[tokio::test]
async fn http_received_is_limited_over_all_requests() {
    let (server, _) =
        Server::answering("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n").await;
    let mut client = limited(
        vec![http(&format!("http://a.example:{}", server.port()))],
        // "transfer-encoding: chunked\r\n" and the body, twice and almost a third time.
        limits(|limits| limits.received = ByteSize::bytes(3 * (28 + 4) - 1)),
    );
    let url = format!("http://a.example:{}/", server.port());
    for _ in 0..2 {
        assert_eq!(text(client.get(&url).await.unwrap()).await.unwrap(), "abcd");
    }
    let error = text(client.get(&url).await.unwrap()).await.unwrap_err();
    assert_eq!(
        (format!("{error:?}").as_str(), client.limits()),
        ("HttpResponseBodySize(None)", vec!["received".into()])
    );
}

#[tokio::test]
async fn http_sent_is_limited_over_all_requests_with_heads() {
    let (server, requests) = Server::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let mut client = limited(
        vec![http(&format!("http://a.example:{}", server.port()))],
        limits(|limits| limits.sent = ByteSize::bytes(1_000)),
    );
    let url = format!("http://a.example:{}/", server.port());
    let post = |bytes: usize| Request::post(&url).body(super::bytes("x".repeat(bytes))).unwrap();
    client.send(post(600)).await.unwrap();
    let error = client.send(post(600)).await.unwrap_err();
    assert_eq!((format!("{error:?}").as_str(), client.limits()), ("HttpRequestBodySize(None)", vec!["sent".into()]));
    assert!(!requests.all().iter().skip(1).any(|request| request.contains("xxx")), "not even a part of it");
}

#[tokio::test]
async fn http_resolver_that_hangs_ends_at_the_connect_limit() {
    let limits = limits(|limits| limits.connect = Span::millis(50));
    let mut client = with(vec![http("http://a.example")], limits, StaticSecrets::of(&[]), Arc::new(HangingResolver));
    assert_eq!(format!("{:?}", client.get("http://a.example/").await.unwrap_err()), "ConnectionTimeout");
    assert_eq!(client.limits(), ["connect"]);
}

#[tokio::test]
async fn http_connect_that_hangs_ends_at_the_connect_limit() {
    let full_backlog = FullBacklog::new().await;
    let limits = limits(|limits| limits.connect = Span::millis(100));
    let mut client = limited(vec![http(&format!("http://{}", full_backlog.address))], limits);
    assert_eq!(
        format!("{:?}", client.get(&format!("http://{}/", full_backlog.address)).await.unwrap_err()),
        "ConnectionTimeout"
    );
    assert_eq!(client.limits(), ["connect"]);
}

#[tokio::test]
async fn http_server_that_never_answers_ends_at_first_byte() {
    let server = Server::start(|stream| async move {
        let _open = stream;
        std::future::pending().await
    });
    let limits = limits(|limits| limits.first_byte = Span::millis(100));
    assert_eq!(over(&server.await, limits).await, failed_with("ConnectionReadTimeout", "first-byte"));
}

#[tokio::test]
async fn http_head_that_drips_ends_at_first_byte() {
    let server = Server::start(|mut stream| async move {
        for byte in b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n" {
            pause(30).await;
            stream.write_all(&[*byte]).await.ok();
        }
    });
    let limits = limits(|limits| limits.first_byte = Span::millis(200));
    assert_eq!(over(&server.await, limits).await, failed_with("ConnectionReadTimeout", "first-byte"));
}

#[tokio::test]
async fn response_that_stalls_ends_at_between_bytes() {
    let server = Server::start(|mut stream| async move {
        request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc").await.ok();
        std::future::pending().await
    });
    let limits = limits(|limits| limits.between_bytes = Span::millis(100));
    assert_eq!(over(&server.await, limits).await, failed_with("ConnectionReadTimeout", "between-bytes"));
}

#[tokio::test]
async fn response_that_drips_ends_at_the_exchange_limit() {
    let server = Server::start(|mut stream| async move {
        request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.ok();
        while stream.write_all(b"1\r\nx\r\n").await.is_ok() {
            pause(20).await;
        }
    });
    let limits = limits(|limits| {
        limits.between_bytes = Span::secs(10);
        limits.exchange = Span::millis(400);
    });
    assert_eq!(over(&server.await, limits).await, failed_with("HttpResponseTimeout", "exchange"));
}

#[tokio::test]
async fn response_without_end_stops_at_the_response_limit() {
    let server = Server::start(|mut stream| async move {
        request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok();
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    });
    assert_eq!(over(&server.await, Limits::default()).await, failed_with("HttpResponseBodySize(None)", "response"));
}

#[tokio::test]
async fn http_timeouts_can_be_shortened_but_not_extended() {
    let server = Server::start(|stream| async move {
        let _open = stream;
        std::future::pending().await
    });
    let server = server.await;
    let url = format!("http://a.example:{}/", server.port());
    let rule = http(&format!("http://a.example:{}", server.port()));
    let asked = |wait| RequestOptions { first_byte_timeout: Some(wait), ..RequestOptions::default() };

    let mut patient = limited(vec![rule.clone()], limits(|limits| limits.first_byte = Span::millis(50)));
    patient.send_in(get(&url), asked(Duration::MAX)).await.unwrap_err();
    assert_eq!(patient.limits(), ["first-byte"]);

    for wait in [Duration::from_millis(50), Duration::ZERO] {
        let mut hasty = limited(vec![rule.clone()], Limits::default());
        let error = hasty.send_in(get(&url), asked(wait)).await.unwrap_err();
        assert_eq!(format!("{error:?}"), "ConnectionReadTimeout");
        assert!(hasty.denials().is_empty(), "its own wish is no limit");
        assert_eq!(hasty.audited.only_outcome(), (AuditOutcome::Failed, Some("first-byte-timeout".into())));
    }

    let mut hasty = with(vec![rule], Limits::default(), StaticSecrets::of(&[]), Arc::new(HangingResolver));
    let options = RequestOptions { connect_timeout: Some(Duration::from_millis(50)), ..RequestOptions::default() };
    let error = hasty.send_in(get(&url), options).await.unwrap_err();
    assert_eq!(format!("{error:?}"), "ConnectionTimeout");
    assert_eq!(hasty.audited.only_outcome(), (AuditOutcome::Failed, Some("connect-timeout".into())));
}
