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

async fn adding(inject: Vec<Injection>) -> (Lab, String, Requests, Server) {
    let (server, requests) = Server::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let mut rule = http(&format!("http://a.example:{}", server.port()));
    rule.send.inject = inject;
    let values = Values::of(&[("key", SECRET), ("plain", "abc"), ("lines", "a\nb")]);
    let lab = with(vec![rule], Limits::default(), values, names());
    (lab, format!("http://a.example:{}/", server.port()), requests, server)
}

fn form(url: &str, body: &'static str) -> Request<WasiBody> {
    Request::post(url).header("content-type", "application/x-www-form-urlencoded").body(bytes(body)).unwrap()
}

/// Neither the audit log nor what a component gets holds the secret.
fn silent(lab: &Lab, error: &dyn std::fmt::Debug) {
    let all = format!("{:?} {error:?} {:?}", lab.book.events(), lab.book.budget.findings.denials());
    for secret in [SECRET, "abc", "a\\nb", "hunter2", "YWJj"] {
        assert!(!all.contains(secret), "{all}");
    }
}

#[tokio::test]
async fn a_header_is_added_in_place_of_what_the_component_sent() {
    let (mut lab, url, requests, _server) = adding(vec![bearer("plain")]).await;
    let sly = Request::get(&url).header("Authorization", "Bearer mine").header("authorization", "again");
    lab.send(sly.body(bytes("")).unwrap()).await.unwrap();
    let seen = requests.only();
    assert!(seen.contains("authorization: Bearer abc\r\n"), "{seen}");
    assert!(!seen.contains("mine") && !seen.contains("again"), "{seen}");
    let events = lab.book.events();
    let AuditAction::Http { injected, .. } = &events[0].what else { panic!("{events:?}") };
    assert_eq!(injected, &["plain"]);
    assert!(!format!("{events:?}").contains("abc"));
}

#[tokio::test]
async fn an_added_header_does_not_show_where_headers_are_printed() {
    let (lab, ..) = adding(vec![]).await;
    let (mut head, body) = get("http://a.example/").into_parts();
    let whole = crate::network::Deadline::after(deputy_core::Span::secs(9), deputy_core::Limit::Exchange);
    let (budget, drains) = (Arc::clone(&lab.book.budget), lab.hooks.drains.weak());
    let mut body = crate::http::outgoing::RequestBody::new(body, budget, Arc::default(), drains, whole);
    let values = Values::of(&[("plain", "abc")]);
    crate::http::inject::inject(&[bearer("plain")], &*values, &mut head, &mut body, whole, 0).await.unwrap();
    assert_eq!(head.headers["authorization"], "Bearer abc");
    assert!(!format!("{head:?}").contains("abc"));
}

#[tokio::test]
async fn basic_is_user_and_secret_in_base64() {
    let basic = header("authorization", "plain", InjectionEncoding::Basic { user: "me".into() });
    let (mut lab, url, requests, _server) = adding(vec![basic]).await;
    lab.get(&url).await.unwrap();
    let seen = requests.only();
    assert!(seen.contains("authorization: Basic bWU6YWJj\r\n"), "{seen}");
}

#[tokio::test]
async fn oauth2_basic_form_encodes_both_halves() {
    let basic = header("authorization", "key", InjectionEncoding::OauthBasic { client: "https://me/?a=b c".into() });
    let (mut lab, url, requests, _server) = adding(vec![basic]).await;
    lab.get(&url).await.unwrap();
    let seen = requests.only();
    let coded = seen.split("authorization: Basic ").nth(1).unwrap().lines().next().unwrap();
    let pair = String::from_utf8(base64::Engine::decode(&base64::engine::general_purpose::STANDARD, coded).unwrap());
    assert_eq!(pair.unwrap(), "https%3A%2F%2Fme%2F%3Fa%3Db%20c:hunter2%26%3D%2B%C3%A9");
}

#[tokio::test]
async fn a_field_is_added_to_a_form_and_its_length_is_put_right() {
    let (mut lab, url, requests, _server) = adding(vec![field("client_secret", "key"), field("k", "plain")]).await;
    let body = "grant_type=client_credentials&client%5Fsecret=mine";
    let request = Request::post(&url)
        .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
        .header("content-length", body.len());
    lab.send(request.body(bytes(body)).unwrap()).await.unwrap();
    let seen = requests.only();
    let (head, body) = seen.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, "grant_type=client_credentials&client_secret=hunter2%26%3D%2B%C3%A9&k=abc");
    assert!(head.contains(&format!("content-length: {}\r\n", body.len())) && !head.contains("chunked"), "{head}");
    let (outcome, _, sent, _) = lab.http();
    assert_eq!((outcome, sent), (AuditOutcome::Done, body.len() as u64));
}

#[tokio::test]
async fn a_field_is_added_to_nothing_but_a_form() {
    let field = || vec![field("client_secret", "plain")];
    let kinds: [&[(&str, &str)]; 4] = [
        &[],
        &[("content-type", "application/json")],
        &[("content-type", "application/x-www-form-urlencoded"), ("content-encoding", "gzip")],
        &[("content-type", "application/x-www-form-urlencoded"), ("content-type", "text/plain")],
    ];
    for headers in kinds {
        let (mut lab, url, requests, _server) = adding(field()).await;
        let mut request = Request::post(&url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let error = lab.send(request.body(bytes("a=1")).unwrap()).await.unwrap_err();
        assert_eq!(format!("{error:?}"), "ConfigurationError", "{headers:?}");
        assert!(requests.all().is_empty());
        assert_eq!(lab.book.ending(), (AuditOutcome::Failed, Some("injection".into())));
    }
}

#[tokio::test]
async fn a_secret_that_is_no_header_is_an_error_that_does_not_show_it() {
    let (mut lab, url, requests, _server) = adding(vec![bearer("lines")]).await;
    let error = lab.get(&url).await.unwrap_err();
    assert_eq!(format!("{error:?}"), "ConfigurationError");
    assert!(requests.all().is_empty());
    silent(&lab, &error);
}

#[tokio::test]
async fn a_secret_that_is_not_to_be_had_stops_the_request() {
    let (mut lab, url, requests, _server) = adding(vec![bearer("gone")]).await;
    let error = lab.get(&url).await.unwrap_err();
    assert_eq!(format!("{error:?}"), "ConfigurationError");
    assert!(requests.all().is_empty());
    assert_eq!(lab.book.ending(), (AuditOutcome::Failed, Some("secret-unavailable".into())));
}

#[tokio::test]
async fn a_request_that_is_not_allowed_gets_no_secret() {
    let (mut lab, url, requests, _server) = adding(vec![bearer("key")]).await;
    let error = lab.get(&url.replace("a.example", "b.example")).await.unwrap_err();
    assert_eq!(format!("{error:?}"), "HttpRequestDenied");
    let events = lab.book.events();
    let AuditAction::Http { injected, .. } = &events[0].what else { panic!("{events:?}") };
    assert!(injected.is_empty() && requests.all().is_empty());
}

#[tokio::test]
async fn a_form_larger_than_may_be_sent_is_refused() {
    let (server, _) = Server::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let mut rule = http(&format!("http://a.example:{}", server.port()));
    rule.send.inject = vec![field("k", "plain")];
    let limits = Limits { sent: deputy_core::ByteSize::bytes(4), ..Limits::default() };
    let mut lab = with(vec![rule], limits, Values::of(&[("plain", "abc")]), names());
    let url = format!("http://a.example:{}/", server.port());
    let error = lab.send(form(&url, "a=123")).await.unwrap_err();
    assert_eq!((format!("{error:?}").as_str(), lab.limits()), ("HttpRequestBodySize(None)", vec!["sent".into()]));
}

#[tokio::test]
async fn a_changed_secret_is_in_the_next_request() {
    let (server, requests) = Server::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let mut rule = http(&format!("http://a.example:{}", server.port()));
    rule.send.inject = vec![bearer("plain")];
    let values = Values::of(&[("plain", "one")]);
    let mut lab = with(vec![rule], Limits::default(), Arc::clone(&values), names());
    let url = format!("http://a.example:{}/", server.port());
    lab.get(&url).await.unwrap();
    values.0.lock().unwrap().insert("plain".into(), "two".into());
    lab.get(&url).await.unwrap();
    let all = requests.all();
    assert!(all[0].contains("Bearer one") && all[1].contains("Bearer two"), "{all:?}");
}
