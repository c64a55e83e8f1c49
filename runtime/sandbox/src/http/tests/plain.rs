use super::*;
use crate::testing::{Server, eventually, http, pause, request};
use ::http::header;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn http_granted_request_is_recorded_with_its_bytes() {
    let (server, requests) = Server::answering("HTTP/1.1 201 Created\r\ncontent-length: 5\r\nx: y\r\n\r\nhello").await;
    let port = server.port();
    let mut client = client(vec![http(&format!("http://a.example:{port}"))]);
    let post = Request::post(format!("http://A.example:{port}/x/y?q=1")).header("x-mine", "1").body(bytes("body!!"));
    let response = client.send(post.unwrap()).await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers()["x"].to_str().unwrap()), (201, "y"));
    assert_eq!(text(response).await.unwrap(), "hello");

    let seen = requests.only();
    let (head, body) = seen.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /x/y?q=1 HTTP/1.1\r\n"), "{head}");
    for line in [&*format!("host: a.example:{port}"), "connection: close", "x-mine: 1", "content-length: 6"] {
        assert!(head.lines().any(|own| own == line), "{line} is not in {head}");
    }
    assert_eq!(body, "body!!");

    let usage = client.audited.budget.usage.snapshot();
    assert_eq!(usage.requests, 1);
    assert!(usage.sent > 6 && usage.received > 5, "heads count too: {usage:?}");
    let events = client.audited.events();
    let [event] = &events[..] else { panic!("{events:?}") };
    assert_eq!((event.outcome, &event.code), (AuditOutcome::Done, &None));
    assert_eq!(
        event.action,
        AuditAction::Http {
            method: "POST".into(),
            target: format!("http://a.example:{port}"),
            path: "/x/y".into(),
            address: Some("127.0.0.1".parse().unwrap()),
            status: Some(201),
            sent: 6,
            received: 5,
            injected: vec![],
        }
    );
}

#[tokio::test]
async fn http_record_is_written_at_the_end_of_the_body() {
    let (server, _) = Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let mut client = client(vec![http(&format!("http://a.example:{}", server.port()))]);
    let response = client.get(&format!("http://a.example:{}/", server.port())).await.unwrap();
    assert!(client.audited.events().is_empty());
    assert_eq!(text(response).await.unwrap(), "ok");
    assert_eq!(client.http(), (AuditOutcome::Done, Some(200), 0, 2));
}

#[tokio::test]
async fn http_response_without_a_body_is_recorded_at_once() {
    let (server, _) = Server::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let mut client = client(vec![http(&format!("http://a.example:{}", server.port()))]);
    let _response = client.get(&format!("http://a.example:{}/", server.port())).await.unwrap();
    assert_eq!(client.http(), (AuditOutcome::Done, Some(204), 0, 0));
}

#[tokio::test]
async fn http_response_dropped_early_is_recorded_as_done() {
    let (server, _) = Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let mut client = client(vec![http(&format!("http://a.example:{}", server.port()))]);
    drop(client.get(&format!("http://a.example:{}/", server.port())).await.unwrap());
    assert_eq!(client.http(), (AuditOutcome::Done, Some(200), 0, 0));
}

#[tokio::test]
async fn http_record_has_the_address_that_answered() {
    let listener = tokio::net::TcpListener::bind("127.0.0.2:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let resolver = Arc::new(crate::testing::StaticResolver(vec![("a.example", vec!["127.0.0.3", "127.0.0.2"])]));
    let rules = vec![http(&format!("http://a.example:{port}"))];
    let mut client = with(rules, Limits::default(), StaticSecrets::of(&[]), resolver);
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        crate::testing::Requests::default().serve(&mut stream, "HTTP/1.1 204 No Content\r\n\r\n").await;
    };
    let url = format!("http://a.example:{port}/");
    let (answer, ()) = tokio::join!(client.get(&url), serve);
    answer.unwrap();
    let events = client.audited.events();
    let AuditAction::Http { address, .. } = &events[0].action else { panic!("{events:?}") };
    assert_eq!(address, &Some("127.0.0.2".parse().unwrap()));
}

#[tokio::test]
async fn http_url_without_a_path_is_the_root() {
    let (server, requests) = Server::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let mut client = client(vec![http(&format!("http://a.example:{}", server.port()))]);
    for tail in ["", "?q=1", "//b.example/x"] {
        client.get(&format!("http://a.example:{}{tail}", server.port())).await.unwrap();
    }
    // As the component's own parts are put together.
    let authority = format!("a.example:{}", server.port());
    let uri = ::http::Uri::builder().scheme("http").authority(authority).path_and_query("?q=2").build().unwrap();
    client.send(Request::get(uri).body(bytes("")).unwrap()).await.unwrap();
    let lines: Vec<_> = requests.all().iter().map(|request| request.lines().next().unwrap().to_owned()).collect();
    assert_eq!(lines, ["GET / HTTP/1.1", "GET /?q=1 HTTP/1.1", "GET //b.example/x HTTP/1.1", "GET /?q=2 HTTP/1.1"]);
}

#[tokio::test]
async fn http_redirect_is_not_followed() {
    let (server, requests) =
        Server::answering("HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n").await;
    let mut client = client(vec![http(&format!("http://a.example:{}", server.port()))]);
    let response = client.get(&format!("http://a.example:{}/", server.port())).await.unwrap();
    assert_eq!(response.status().as_u16(), 302);
    assert_eq!(response.headers()[header::LOCATION], "http://169.254.169.254/");
    requests.only();
    assert_eq!(client.audited.budget.usage.snapshot().requests, 1);
}

#[tokio::test]
async fn http_hop_headers_are_the_hosts() {
    let (server, requests) = Server::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let port = server.port();
    let mut client = client(vec![http(&format!("http://a.example:{port}"))]);
    for name in ["host", "connection", "te", "trailer", "transfer-encoding", "upgrade", "proxy-authorization"] {
        assert!(client.hooks.is_forbidden_header(&name.parse().unwrap()), "{name}");
    }
    assert!(!client.hooks.is_forbidden_header(&header::AUTHORIZATION));
    let sly = Request::get(format!("http://a.example:{port}/"))
        .header("host", "evil.example")
        .header("connection", "upgrade")
        .header("upgrade", "x");
    client.send(sly.body(bytes("")).unwrap()).await.unwrap();
    let seen = requests.only();
    assert!(!seen.contains("evil") && !seen.contains("upgrade"), "{seen}");
}

#[tokio::test]
async fn http_upgrade_is_a_failure() {
    let (server, _) =
        Server::answering("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nraw").await;
    let mut client = client(vec![http(&format!("http://a.example:{}", server.port()))]);
    let error = client.get(&format!("http://a.example:{}/", server.port())).await.unwrap_err();
    assert!(matches!(error, Error::HttpUpgradeFailed), "{error:?}");
    assert_eq!(client.audited.only_outcome(), (AuditOutcome::Failed, Some("upgrade".into())));
}

#[tokio::test]
async fn http_server_errors_have_plain_codes() {
    for (answer, guest, code) in [
        ("", "ConnectionTerminated", "connection-closed"),
        ("HTTP/1.1 200 OK\r\nconte", "ConnectionTerminated", "connection-closed"),
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n", "HttpProtocolError", "protocol"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", "HttpProtocolError", "protocol"),
    ] {
        let (server, _) = Server::answering(answer).await;
        let mut client = client(vec![http(&format!("http://a.example:{}", server.port()))]);
        let error = client.get(&format!("http://a.example:{}/", server.port())).await.unwrap_err();
        assert_eq!(format!("{error:?}"), guest, "{answer:?}");
        assert_eq!(client.audited.only_outcome(), (AuditOutcome::Failed, Some(code.into())), "{answer:?}");
    }
}

#[tokio::test]
async fn http_response_that_breaks_off_is_a_failure() {
    let (server, _) = Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await;
    let mut client = client(vec![http(&format!("http://a.example:{}", server.port()))]);
    let response = client.get(&format!("http://a.example:{}/", server.port())).await.unwrap();
    let error = text(response).await.unwrap_err();
    assert!(matches!(error, Error::HttpResponseIncomplete), "{error:?}");
    assert_eq!(client.audited.only_outcome(), (AuditOutcome::Failed, Some("response-incomplete".into())));
}

#[tokio::test]
async fn http_unknown_name_is_a_dns_failure() {
    let mut client = client(vec![http("http://nowhere.example")]);
    let error = client.get("http://nowhere.example/").await.unwrap_err();
    assert!(matches!(error, Error::DnsError { rcode: None, info_code: None }), "{error:?}");
    assert_eq!(client.audited.only_outcome(), (AuditOutcome::Failed, Some("dns".into())));
    assert!(client.denials().is_empty());
}

#[tokio::test]
async fn http_name_without_addresses_is_a_dns_failure() {
    let resolver = Arc::new(crate::testing::StaticResolver(vec![("a.example", vec![])]));
    let mut client = with(vec![http("http://a.example")], Limits::default(), StaticSecrets::of(&[]), resolver);
    let error = client.get("http://a.example/").await.unwrap_err();
    assert!(matches!(error, Error::DnsError { .. }), "{error:?}");
    assert_eq!(client.audited.only_outcome(), (AuditOutcome::Failed, Some("dns".into())));
}

#[tokio::test]
async fn http_request_of_an_ended_call_is_closed_and_recorded() {
    let closed = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&closed);
    let server = Server::start(move |mut stream| {
        let seen = Arc::clone(&seen);
        async move {
            request(&mut stream).await;
            assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0);
            seen.store(true, Ordering::SeqCst);
        }
    });
    let server = server.await;
    let mut client = client(vec![http(&format!("http://a.example:{}", server.port()))]);
    let url = format!("http://a.example:{}/", server.port());
    let sent = Pin::from(client.hooks.send_request(get(&url), None, Box::new(async { Ok(()) })));
    tokio::time::timeout(Duration::from_millis(200), sent).await.err().expect("no answer");
    eventually(|| closed.load(Ordering::SeqCst)).await;
    assert_eq!(client.audited.only_outcome(), (AuditOutcome::Cancelled, None));
}

#[tokio::test]
async fn http_response_of_an_ended_call_is_closed() {
    let closed = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&closed);
    let server = Server::start(move |mut stream| {
        let seen = Arc::clone(&seen);
        async move {
            request(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n").await.unwrap();
            assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0);
            seen.store(true, Ordering::SeqCst);
        }
    });
    let server = server.await;
    let mut client = client(vec![http(&format!("http://a.example:{}", server.port()))]);
    let response = client.get(&format!("http://a.example:{}/", server.port())).await.unwrap();
    pause(50).await;
    assert!(!closed.load(Ordering::SeqCst));
    drop(response);
    eventually(|| closed.load(Ordering::SeqCst)).await;
}

#[tokio::test]
async fn http_connections_are_not_reused() {
    let (server, requests) =
        Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n").await;
    let mut client = client(vec![http(&format!("http://a.example:{}", server.port()))]);
    for _ in 0..3 {
        text(client.get(&format!("http://a.example:{}/", server.port())).await.unwrap()).await.unwrap();
    }
    assert_eq!(requests.all().len(), 3);
}

#[tokio::test]
async fn http_user_agent_is_the_components_or_the_hosts() {
    let (server, requests) = Server::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let mut client = client(vec![http(&format!("http://a.example:{}", server.port()))]);
    let url = format!("http://a.example:{}/", server.port());
    client.get(&url).await.unwrap();
    client.send(Request::get(&url).header("User-Agent", "mine/1").body(bytes("")).unwrap()).await.unwrap();
    let all = requests.all();
    let host = format!("user-agent: deputy/{}\r\n", env!("CARGO_PKG_VERSION"));
    assert!(all[0].contains(&host), "{}", all[0]);
    assert!(all[1].contains("user-agent: mine/1\r\n") && !all[1].contains("deputy/"), "{}", all[1]);
}

#[tokio::test]
async fn response_may_have_more_than_a_hundred_headers() {
    let many = |count: usize| -> String { (0..count).map(|number| format!("x-h{number}: {number}\r\n")).collect() };
    let (server, _) = Server::answering(&format!("HTTP/1.1 204 No Content\r\n{}\r\n", many(500))).await;
    let mut client = client(vec![http(&format!("http://a.example:{}", server.port()))]);
    let response = client.get(&format!("http://a.example:{}/", server.port())).await.unwrap();
    assert!(response.headers().len() >= 500);
}
