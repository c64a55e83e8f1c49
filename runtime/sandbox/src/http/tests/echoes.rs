//! Servers that send back what they got.

use super::*;
use crate::testing::{Server, http, request};
use deputy_core::grant::{Injection, InjectionEncoding, InjectionPoint};
use tokio::io::AsyncWriteExt;

const SECRET: &str = "Hunter2/tok+en";

fn injection(place: InjectionPoint, form: InjectionEncoding) -> Injection {
    Injection { place, secret: "key".parse().unwrap(), form }
}

fn header(form: InjectionEncoding) -> Injection {
    injection(InjectionPoint::Header("authorization".into()), form)
}

fn plain() -> InjectionEncoding {
    InjectionEncoding::Plain { prefix: "Bearer ".into() }
}

/// A server that answers with this of the request, in pieces of `piece` bytes.
async fn echoing(answer: impl Fn(&str) -> String + Send + Sync + 'static, piece: usize) -> Server {
    let answer = Arc::new(answer);
    Server::start(move |mut stream| {
        let answer = Arc::clone(&answer);
        async move {
            let answer = answer(&request(&mut stream).await);
            for bytes in answer.as_bytes().chunks(piece) {
                if stream.write_all(bytes).await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
            stream.shutdown().await.ok();
        }
    })
    .await
}

fn ok(headers: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

fn client_of(server: &Server, injections: Vec<Injection>, allow_echo: bool) -> (TestClient, String) {
    let mut rule = http(&format!("http://a.example:{}", server.port()));
    rule.send.inject = injections;
    rule.send.allow_echo = allow_echo;
    let client = with(vec![rule], Limits::default(), StaticSecrets::of(&[("key", SECRET)]), names());
    (client, format!("http://a.example:{}/", server.port()))
}

fn form(url: &str) -> Request<WasiBody> {
    Request::post(url).header("content-type", "application/x-www-form-urlencoded").body(bytes("a=1")).unwrap()
}

/// The response is denied, and what the component got of it holds nothing of the secret.
async fn denied(server: &Server, injection: Injection) {
    let (mut client, url) = client_of(server, vec![injection], false);
    let body = match client.send(form(&url)).await {
        Ok(response) => text(response).await,
        Err(error) => Err(error),
    };
    assert_eq!(format!("{:?}", body.unwrap_err()), "HttpRequestDenied");
    assert_eq!(client.denials(), ["secret-in-response"]);
    assert_eq!(client.audited.only_outcome(), (AuditOutcome::Refused, Some("secret-in-response".into())));
}

#[tokio::test]
async fn echo_of_a_request_is_denied_in_every_encoding() {
    let encodings = [
        plain(),
        InjectionEncoding::Basic { user: "me".into() },
        InjectionEncoding::OauthBasic { client: "me".into() },
    ];
    for piece in [1, 7, 10_000] {
        let server = echoing(|request| ok("", request), piece).await;
        for encoding in &encodings {
            denied(&server, header(encoding.clone())).await;
        }
        denied(&server, injection(InjectionPoint::Field("client_secret".into()), plain())).await;
    }
}

#[tokio::test]
async fn echo_is_denied_in_headers_and_trailers() {
    let sent = |request: &str| request.split("authorization: ").nth(1).unwrap().lines().next().unwrap().to_owned();
    let server = echoing(move |request| ok(&format!("x-seen: {}\r\n", sent(request)), "hello"), 1000).await;
    denied(&server, header(plain())).await;
    let trailers = move |request: &str| {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-seen\r\n\r\n5\r\nhello\r\n0\r\n";
        format!("{head}x-seen: {}\r\n\r\n", sent(request))
    };
    denied(&echoing(trailers, 1000).await, header(plain())).await;
}

#[tokio::test]
async fn echo_that_is_compressed_is_denied_and_not_asked_for() {
    let server = echoing(
        |request| {
            assert!(request.contains("accept-encoding: identity\r\n") && !request.contains("gzip"), "{request}");
            assert!(!request.contains("range:"), "{request}");
            ok("content-encoding: gzip\r\n", "hello")
        },
        1000,
    )
    .await;
    let (mut client, url) = client_of(&server, vec![header(plain())], false);
    let sly = Request::get(&url).header("accept-encoding", "gzip").header("range", "bytes=0-3");
    let error = client.send(sly.body(bytes("")).unwrap()).await.unwrap_err();
    assert_eq!(
        (format!("{error:?}").as_str(), client.denials()),
        ("HttpRequestDenied", vec!["secret-in-response".into()])
    );
}

#[tokio::test]
async fn echo_is_let_through_where_the_rule_allows_it() {
    let server = echoing(|request| ok("", request), 1000).await;
    let (mut client, url) = client_of(&server, vec![header(plain())], true);
    assert!(text(client.get(&url).await.unwrap()).await.unwrap().contains(SECRET));
    assert!(client.denials().is_empty());
}

#[tokio::test]
async fn echo_search_passes_other_responses_unchanged() {
    // The body ends with what could begin a secret, and with a trailer after it.
    let body = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nHunter2/t\r\n0\r\nx-sum: 9\r\n\r\n";
    for piece in [1, 1000] {
        let server = echoing(move |_| body.to_owned(), piece).await;
        let (mut client, url) = client_of(&server, vec![header(plain())], false);
        assert_eq!(text(client.get(&url).await.unwrap()).await.unwrap(), "Hunter2/t");
        assert_eq!(client.http(), (AuditOutcome::Done, Some(200), 0, 9));
    }
}
