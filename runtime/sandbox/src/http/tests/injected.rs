use super::*;
use crate::testing::{Requests, Server, http};
use deputy_core::grant::{Injection, InjectionEncoding, InjectionPoint};

const SECRET: &str = "hunter2&=+\u{e9}";

fn header(name: &str, secret: &str, form: InjectionEncoding) -> Injection {
    Injection { place: InjectionPoint::Header(name.into()), secret: secret.parse().unwrap(), form }
}

fn field(name: &str, secret: &str) -> Injection {
    let form = InjectionEncoding::Plain { prefix: String::new() };
    Injection { place: InjectionPoint::Field(name.into()), secret: secret.parse().unwrap(), form }
}

fn bearer(secret: &str) -> Injection {
    header("authorization", secret, InjectionEncoding::Plain { prefix: "Bearer ".into() })
}

async fn adding(inject: Vec<Injection>) -> (TestClient, String, Requests, Server) {
    let (server, requests) = Server::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let mut rule = http(&format!("http://a.example:{}", server.port()));
    rule.send.inject = inject;
    let values = StaticSecrets::of(&[("key", SECRET), ("plain", "abc"), ("lines", "a\nb")]);
    let client = with(vec![rule], Limits::default(), values, names());
    (client, format!("http://a.example:{}/", server.port()), requests, server)
}

fn form(url: &str, body: &'static str) -> Request<WasiBody> {
    Request::post(url).header("content-type", "application/x-www-form-urlencoded").body(bytes(body)).unwrap()
}

/// Neither the audit log nor what a component gets holds the secret.
fn silent(client: &TestClient, error: &dyn std::fmt::Debug) {
    let all = format!("{:?} {error:?} {:?}", client.audited.events(), client.audited.budget.findings.denials());
    for secret in [SECRET, "abc", "a\\nb", "hunter2", "YWJj"] {
        assert!(!all.contains(secret), "{all}");
    }
}

#[tokio::test]
async fn inject_header_replaces_the_components() {
    let (mut client, url, requests, _server) = adding(vec![bearer("plain")]).await;
    let sly = Request::get(&url).header("Authorization", "Bearer mine").header("authorization", "again");
    client.send(sly.body(bytes("")).unwrap()).await.unwrap();
    let seen = requests.only();
    assert!(seen.contains("authorization: Bearer abc\r\n"), "{seen}");
    assert!(!seen.contains("mine") && !seen.contains("again"), "{seen}");
    let events = client.audited.events();
    let AuditAction::Http { injected, .. } = &events[0].action else { panic!("{events:?}") };
    assert_eq!(injected, &["plain"]);
    assert!(!format!("{events:?}").contains("abc"));
}

#[tokio::test]
async fn inject_header_is_sensitive() {
    let (client, ..) = adding(vec![]).await;
    let (mut head, body) = get("http://a.example/").into_parts();
    let whole = crate::network::Deadline::after(deputy_core::Span::secs(9), deputy_core::Limit::Exchange);
    let (budget, drains) = (Arc::clone(&client.audited.budget), client.hooks.drains.weak());
    let mut body = crate::http::outgoing::RequestBody::new(body, budget, Arc::default(), drains, whole);
    let values = StaticSecrets::of(&[("plain", "abc")]);
    crate::http::inject::inject(&[bearer("plain")], &*values, &mut head, &mut body, whole, 0).await.unwrap();
    assert_eq!(head.headers["authorization"], "Bearer abc");
    assert!(!format!("{head:?}").contains("abc"));
}

#[tokio::test]
async fn inject_basic_is_user_and_secret_in_base64() {
    let basic = header("authorization", "plain", InjectionEncoding::Basic { user: "me".into() });
    let (mut client, url, requests, _server) = adding(vec![basic]).await;
    client.get(&url).await.unwrap();
    let seen = requests.only();
    assert!(seen.contains("authorization: Basic bWU6YWJj\r\n"), "{seen}");
}

#[tokio::test]
async fn inject_oauth_basic_encodes_both_halves() {
    let basic = header("authorization", "key", InjectionEncoding::OauthBasic { client: "https://me/?a=b c".into() });
    let (mut client, url, requests, _server) = adding(vec![basic]).await;
    client.get(&url).await.unwrap();
    let seen = requests.only();
    let coded = seen.split("authorization: Basic ").nth(1).unwrap().lines().next().unwrap();
    let pair = String::from_utf8(base64::Engine::decode(&base64::engine::general_purpose::STANDARD, coded).unwrap());
    assert_eq!(pair.unwrap(), "https%3A%2F%2Fme%2F%3Fa%3Db%20c:hunter2%26%3D%2B%C3%A9");
}

#[tokio::test]
async fn inject_field_updates_the_content_length() {
    let (mut client, url, requests, _server) = adding(vec![field("client_secret", "key"), field("k", "plain")]).await;
    let body = "grant_type=client_credentials&client%5Fsecret=mine";
    let request = Request::post(&url)
        .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
        .header("content-length", body.len());
    client.send(request.body(bytes(body)).unwrap()).await.unwrap();
    let seen = requests.only();
    let (head, body) = seen.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, "grant_type=client_credentials&client_secret=hunter2%26%3D%2B%C3%A9&k=abc");
    assert!(head.contains(&format!("content-length: {}\r\n", body.len())) && !head.contains("chunked"), "{head}");
    let (outcome, _, sent, _) = client.http();
    assert_eq!((outcome, sent), (AuditOutcome::Done, body.len() as u64));
}

#[tokio::test]
async fn inject_field_needs_a_form() {
    let field = || vec![field("client_secret", "plain")];
    let kinds: [&[(&str, &str)]; 4] = [
        &[],
        &[("content-type", "application/json")],
        &[("content-type", "application/x-www-form-urlencoded"), ("content-encoding", "gzip")],
        &[("content-type", "application/x-www-form-urlencoded"), ("content-type", "text/plain")],
    ];
    for headers in kinds {
        let (mut client, url, requests, _server) = adding(field()).await;
        let mut request = Request::post(&url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let error = client.send(request.body(bytes("a=1")).unwrap()).await.unwrap_err();
        assert_eq!(format!("{error:?}"), "ConfigurationError", "{headers:?}");
        assert!(requests.all().is_empty());
        assert_eq!(client.audited.only_outcome(), (AuditOutcome::Failed, Some("injection".into())));
    }
}

#[tokio::test]
async fn inject_error_does_not_quote_the_secret() {
    let (mut client, url, requests, _server) = adding(vec![bearer("lines")]).await;
    let error = client.get(&url).await.unwrap_err();
    assert_eq!(format!("{error:?}"), "ConfigurationError");
    assert!(requests.all().is_empty());
    silent(&client, &error);
}

#[tokio::test]
async fn inject_fails_without_the_secret() {
    let (mut client, url, requests, _server) = adding(vec![bearer("gone")]).await;
    let error = client.get(&url).await.unwrap_err();
    assert_eq!(format!("{error:?}"), "ConfigurationError");
    assert!(requests.all().is_empty());
    assert_eq!(client.audited.only_outcome(), (AuditOutcome::Failed, Some("secret-unavailable".into())));
}

#[tokio::test]
async fn inject_adds_nothing_to_a_denied_request() {
    let (mut client, url, requests, _server) = adding(vec![bearer("key")]).await;
    let error = client.get(&url.replace("a.example", "b.example")).await.unwrap_err();
    assert_eq!(format!("{error:?}"), "HttpRequestDenied");
    let events = client.audited.events();
    let AuditAction::Http { injected, .. } = &events[0].action else { panic!("{events:?}") };
    assert!(injected.is_empty() && requests.all().is_empty());
}

#[tokio::test]
async fn inject_denies_a_form_over_the_sent_limit() {
    let (server, _) = Server::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let mut rule = http(&format!("http://a.example:{}", server.port()));
    rule.send.inject = vec![field("k", "plain")];
    let limits = Limits { sent: deputy_core::ByteSize::bytes(4), ..Limits::default() };
    let mut client = with(vec![rule], limits, StaticSecrets::of(&[("plain", "abc")]), names());
    let url = format!("http://a.example:{}/", server.port());
    let error = client.send(form(&url, "a=123")).await.unwrap_err();
    assert_eq!((format!("{error:?}").as_str(), client.limits()), ("HttpRequestBodySize(None)", vec!["sent".into()]));
}

#[tokio::test]
async fn inject_uses_a_changed_secret_in_the_next_request() {
    let (server, requests) = Server::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let mut rule = http(&format!("http://a.example:{}", server.port()));
    rule.send.inject = vec![bearer("plain")];
    let values = StaticSecrets::of(&[("plain", "one")]);
    let mut client = with(vec![rule], Limits::default(), Arc::clone(&values), names());
    let url = format!("http://a.example:{}/", server.port());
    client.get(&url).await.unwrap();
    values.0.lock().unwrap().insert("plain".into(), "two".into());
    client.get(&url).await.unwrap();
    let all = requests.all();
    assert!(all[0].contains("Bearer one") && all[1].contains("Bearer two"), "{all:?}");
}
