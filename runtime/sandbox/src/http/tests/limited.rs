use super::*;
use crate::testing::{Deaf, Server, Silent, http, pause, request};
use deputy_core::{ByteSize, Span};
use tokio::io::AsyncWriteExt;

fn limits(set: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    set(&mut limits);
    limits
}

/// Asks this server once and gives the error for the component and the limit that was exceeded.
async fn over(server: &Server, limits: Limits) -> (String, Vec<String>) {
    let mut lab = limited(vec![http(&format!("http://a.example:{}", server.port()))], limits);
    let error = match lab.get(&format!("http://a.example:{}/", server.port())).await {
        Ok(response) => text(response).await.unwrap_err(),
        Err(error) => error,
    };
    let (outcome, code) = lab.book.ending();
    if lab.book.budget.findings.timeouts().is_empty() {
        assert_eq!(outcome, AuditOutcome::Refused);
        assert_eq!(code, lab.limits().first().map(|limit| format!("over-limit:{limit}")));
    } else {
        // The server is at fault, and neither the component nor the limit.
        assert_eq!((outcome, lab.denials()), (AuditOutcome::Failed, Vec::new()));
        assert!(code.as_deref().is_some_and(|code| code.ends_with("timeout")), "{code:?}");
    }
    (format!("{error:?}"), lab.limits())
}

fn told(error: &str, limit: &str) -> (String, Vec<String>) {
    (error.into(), vec![limit.into()])
}

#[tokio::test]
async fn a_url_may_be_as_long_as_its_limit_and_no_longer() {
    let (server, _) = Server::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let rule = http(&format!("http://a.example:{}", server.port()));
    let url = format!("http://a.example:{}/?{}", server.port(), "x".repeat(60));
    let of = |bytes: usize| limits(|limits| limits.url = ByteSize::bytes(bytes as u64));
    limited(vec![rule.clone()], of(url.len())).get(&url).await.unwrap();
    let mut lab = limited(vec![rule], of(url.len() - 1));
    assert_eq!(format!("{:?}", lab.get(&url).await.unwrap_err()), "HttpRequestUriTooLong");
    assert_eq!(lab.limits(), ["url"]);
}

#[tokio::test]
async fn a_requests_headers_may_be_as_long_as_their_limit_and_no_longer() {
    let (server, _) = Server::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let rule = http(&format!("http://a.example:{}", server.port()));
    let request =
        || Request::get(format!("http://a.example:{}/", server.port())).header("abc", "xyz").body(bytes("")).unwrap();
    let of = |bytes| limits(|limits| limits.headers = ByteSize::bytes(bytes));
    // "abc: xyz\r\n"; the answer has none.
    let mut exact = limited(vec![rule.clone()], of(10));
    assert!(!matches!(exact.send(request()).await, Err(Error::HttpRequestHeaderSectionSize(_))));
    let mut lab = limited(vec![rule], of(9));
    assert_eq!(format!("{:?}", lab.send(request()).await.unwrap_err()), "HttpRequestHeaderSectionSize(None)");
    assert_eq!((lab.limits(), lab.book.budget.usage.snapshot().requests), (vec!["headers".to_owned()], 1));
}

#[tokio::test]
async fn requests_are_counted_and_the_one_too_many_is_refused() {
    let (server, requests) = Server::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let mut lab =
        limited(vec![http(&format!("http://a.example:{}", server.port()))], limits(|limits| limits.requests = 2));
    let url = format!("http://a.example:{}/", server.port());
    for _ in 0..2 {
        lab.get(&url).await.unwrap();
    }
    assert_eq!(format!("{:?}", lab.get(&url).await.unwrap_err()), "ConnectionLimitReached");
    assert_eq!((lab.limits(), requests.all().len()), (vec!["requests".to_owned()], 2));
}

#[tokio::test]
async fn headers_of_an_answer_are_limited_together_and_in_number() {
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 0\r\n\r\n", "y".repeat(40_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}content-length: 0\r\n\r\n", "a: b\r\n".repeat(2_000));
    for answer in [long, many] {
        let (server, _) = Server::answering(answer).await;
        assert_eq!(over(&server, Limits::default()).await, told("HttpResponseHeaderSectionSize(None)", "headers"));
    }
}

#[tokio::test]
async fn an_answers_head_may_be_as_long_as_its_limit_and_no_longer() {
    let head = format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 0\r\n\r\n", "y".repeat(10_000));
    let (server, _) = Server::answering(head.clone()).await;
    let of = |bytes: usize| limits(|limits| limits.headers = ByteSize::bytes(bytes as u64));
    let mut exact = limited(vec![http(&format!("http://a.example:{}", server.port()))], of(head.len()));
    exact.get(&format!("http://a.example:{}/", server.port())).await.unwrap();
    assert_eq!(over(&server, of(head.len() - 1)).await, told("HttpResponseHeaderSectionSize(None)", "headers"));
}

#[tokio::test]
async fn a_head_may_be_longer_than_usual_where_the_operator_says_so() {
    let (server, _) = Server::answering(format!("HTTP/1.1 204 No Content\r\nx: {}\r\n\r\n", "y".repeat(600_000))).await;
    let of = limits(|limits| limits.headers = ByteSize::mib(1));
    let mut lab = limited(vec![http(&format!("http://a.example:{}", server.port()))], of);
    lab.get(&format!("http://a.example:{}/", server.port())).await.unwrap();
}

#[tokio::test]
async fn headers_that_never_end_are_cut_at_their_limit() {
    let server = Server::start(|mut stream| async move {
        request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n").await.ok();
        while stream.write_all(b"x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n").await.is_ok() {}
    });
    assert_eq!(over(&server.await, Limits::default()).await, told("HttpResponseHeaderSectionSize(None)", "headers"));
}

#[tokio::test]
async fn a_body_that_says_it_is_too_long_is_refused_unread() {
    let (server, _) = Server::answering(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 1_u64 << 40)).await;
    let mut lab = lab(vec![http(&format!("http://a.example:{}", server.port()))]);
    let error = lab.get(&format!("http://a.example:{}/", server.port())).await.unwrap_err();
    assert_eq!((format!("{error:?}").as_str(), lab.limits()), ("HttpResponseBodySize(None)", vec!["response".into()]));
    assert_eq!(lab.http(), (AuditOutcome::Refused, Some(200), 0, 0));
}

#[tokio::test]
async fn a_body_may_be_as_long_as_its_limit_and_no_longer() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n4\r\nefgh\r\n0\r\n\r\n";
    let (server, _) = Server::answering(chunked).await;
    let of = |bytes| limits(|limits| limits.response = ByteSize::bytes(bytes));
    let mut exact = limited(vec![http(&format!("http://a.example:{}", server.port()))], of(8));
    let response = exact.get(&format!("http://a.example:{}/", server.port())).await.unwrap();
    assert_eq!(text(response).await.unwrap(), "abcdefgh");
    assert_eq!(over(&server, of(7)).await, told("HttpResponseBodySize(None)", "response"));

    let (server, _) = Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nabcdefgh").await;
    let mut exact = limited(vec![http(&format!("http://a.example:{}", server.port()))], of(8));
    let response = exact.get(&format!("http://a.example:{}/", server.port())).await.unwrap();
    assert_eq!(text(response).await.unwrap(), "abcdefgh");
    assert_eq!(over(&server, of(7)).await, told("HttpResponseBodySize(None)", "response"));
}

#[tokio::test]
async fn what_comes_in_is_limited_over_all_requests() {
    let (server, _) =
        Server::answering("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n").await;
    let mut lab = limited(
        vec![http(&format!("http://a.example:{}", server.port()))],
        // "transfer-encoding: chunked\r\n" and the body, twice and almost a third time.
        limits(|limits| limits.received = ByteSize::bytes(3 * (28 + 4) - 1)),
    );
    let url = format!("http://a.example:{}/", server.port());
    for _ in 0..2 {
        assert_eq!(text(lab.get(&url).await.unwrap()).await.unwrap(), "abcd");
    }
    let error = text(lab.get(&url).await.unwrap()).await.unwrap_err();
    assert_eq!((format!("{error:?}").as_str(), lab.limits()), ("HttpResponseBodySize(None)", vec!["received".into()]));
}

#[tokio::test]
async fn what_leaves_is_limited_over_all_requests_heads_included() {
    let (server, requests) = Server::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let mut lab = limited(
        vec![http(&format!("http://a.example:{}", server.port()))],
        limits(|limits| limits.sent = ByteSize::bytes(1_000)),
    );
    let url = format!("http://a.example:{}/", server.port());
    let post = |bytes: usize| Request::post(&url).body(super::bytes("x".repeat(bytes))).unwrap();
    lab.send(post(600)).await.unwrap();
    let error = lab.send(post(600)).await.unwrap_err();
    assert_eq!((format!("{error:?}").as_str(), lab.limits()), ("HttpRequestBodySize(None)", vec!["sent".into()]));
    assert!(!requests.all().iter().skip(1).any(|request| request.contains("xxx")), "not even a part of it");
}

#[tokio::test]
async fn a_resolver_that_never_answers_is_the_connect_limits() {
    let limits = limits(|limits| limits.connect = Span::millis(50));
    let mut lab = with(vec![http("http://a.example")], limits, Values::of(&[]), Arc::new(Silent));
    assert_eq!(format!("{:?}", lab.get("http://a.example/").await.unwrap_err()), "ConnectionTimeout");
    assert_eq!(lab.limits(), ["connect"]);
}

#[tokio::test]
async fn an_address_that_does_not_answer_is_the_connect_limits_too() {
    let deaf = Deaf::new().await;
    let limits = limits(|limits| limits.connect = Span::millis(100));
    let mut lab = limited(vec![http(&format!("http://{}", deaf.address))], limits);
    assert_eq!(format!("{:?}", lab.get(&format!("http://{}/", deaf.address)).await.unwrap_err()), "ConnectionTimeout");
    assert_eq!(lab.limits(), ["connect"]);
}

#[tokio::test]
async fn a_server_that_never_answers_is_the_first_bytes_limit() {
    let server = Server::start(|stream| async move {
        let _open = stream;
        std::future::pending().await
    });
    let limits = limits(|limits| limits.first_byte = Span::millis(100));
    assert_eq!(over(&server.await, limits).await, told("ConnectionReadTimeout", "first-byte"));
}

#[tokio::test]
async fn a_head_that_drips_is_the_first_bytes_limit_too() {
    let server = Server::start(|mut stream| async move {
        for byte in b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n" {
            pause(30).await;
            stream.write_all(&[*byte]).await.ok();
        }
    });
    let limits = limits(|limits| limits.first_byte = Span::millis(200));
    assert_eq!(over(&server.await, limits).await, told("ConnectionReadTimeout", "first-byte"));
}

#[tokio::test]
async fn a_body_that_stalls_is_the_limit_between_bytes() {
    let server = Server::start(|mut stream| async move {
        request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc").await.ok();
        std::future::pending().await
    });
    let limits = limits(|limits| limits.between_bytes = Span::millis(100));
    assert_eq!(over(&server.await, limits).await, told("ConnectionReadTimeout", "between-bytes"));
}

#[tokio::test]
async fn a_body_that_drips_for_ever_is_the_limit_of_the_exchange() {
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
    assert_eq!(over(&server.await, limits).await, told("HttpResponseTimeout", "exchange"));
}

#[tokio::test]
async fn a_body_that_pours_for_ever_is_the_limit_of_one_answer() {
    let server = Server::start(|mut stream| async move {
        request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok();
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    });
    assert_eq!(over(&server.await, Limits::default()).await, told("HttpResponseBodySize(None)", "response"));
}

#[tokio::test]
async fn a_component_may_wait_for_less_but_not_for_longer_than_its_limits() {
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
        assert_eq!(hasty.book.ending(), (AuditOutcome::Failed, Some("first-byte-timeout".into())));
    }

    let mut hasty = with(vec![rule], Limits::default(), Values::of(&[]), Arc::new(Silent));
    let options = RequestOptions { connect_timeout: Some(Duration::from_millis(50)), ..RequestOptions::default() };
    let error = hasty.send_in(get(&url), options).await.unwrap_err();
    assert_eq!(format!("{error:?}"), "ConnectionTimeout");
    assert_eq!(hasty.book.ending(), (AuditOutcome::Failed, Some("connect-timeout".into())));
}
