use super::*;
use crate::testing::{Names, Server, http};
use deputy_core::grant::PathRules;

/// What a component that is not allowed to is told, and what is recorded.
async fn denied(lab: &mut Lab, request: Request<WasiBody>) -> (AuditOutcome, Option<String>) {
    let error = lab.send(request).await.unwrap_err();
    assert_eq!(format!("{error:?}"), "HttpRequestDenied");
    lab.book.ending()
}

fn refused(code: &str) -> (AuditOutcome, Option<String>) {
    (AuditOutcome::Refused, Some(code.into()))
}

#[tokio::test]
async fn refusal_by_each_part_of_a_rule_looks_nothing_up() {
    let mut rule = http("https://a.example:8443");
    rule.methods = vec!["GET".parse().unwrap()];
    rule.paths = PathRules::Prefixes(vec!["/v1".parse().unwrap()]);
    for (method, url, code) in [
        ("GET", "https://b.example:8443/v1", "host-not-granted"),
        ("GET", "https://x.a.example:8443/v1", "host-not-granted"),
        ("GET", "http://a.example:8443/v1", "scheme-not-granted"),
        ("GET", "https://a.example/v1", "port-not-granted"),
        ("POST", "https://a.example:8443/v1", "method-not-granted"),
        ("GET", "https://a.example:8443/v2", "path-not-granted"),
        ("GET", "https://a.example:8443/v1/../v2", "path-not-granted"),
        ("GET", "https://a.example:8443/v1/%2e%2e/v2", "path-not-granted"),
        ("CONNECT", "https://a.example:8443/v1", "odd-method"),
        ("TRACE", "https://a.example:8443/v1", "odd-method"),
        ("GET", "ftp://a.example:8443/v1", "odd-scheme"),
        ("GET", "https://u:p@a.example:8443/v1", "userinfo-not-allowed"),
        ("GET", "https://a.example:08443/v1", "odd-port"),
        ("GET", "https://2130706433:8443/v1", "odd-host"),
        ("GET", "https://a.example.:8443/v1", "odd-host"),
    ] {
        let mut lab = with(vec![rule.clone()], Limits::default(), Values::of(&[]), Arc::new(crate::testing::Silent));
        let request = Request::builder().method(method).uri(url).body(bytes("")).unwrap();
        assert_eq!(denied(&mut lab, request).await, refused(code), "{method} {url}");
        assert_eq!(lab.denials(), [code]);
        // To be refused is a request as well.
        assert_eq!(lab.book.budget.usage.snapshot(), crate::CallUsage { requests: 1, ..crate::CallUsage::default() });
    }
}

#[tokio::test]
async fn user_information_is_not_recorded() {
    let mut lab = lab(vec![]);
    lab.get("https://user:hunter2@a.example/").await.unwrap_err();
    let events = format!("{:?}", lab.book.events());
    assert!(events.contains("https://a.example") && !events.contains("hunter2"), "{events}");
}

#[tokio::test]
async fn no_more_of_a_text_is_recorded_than_is_worth_reading() {
    let mut lab = lab(vec![]);
    lab.get(&format!("https://a.example/{}", "x".repeat(20_000))).await.unwrap_err();
    assert_eq!(lab.limits(), ["url"]);
    let events = lab.book.events();
    let AuditAction::Http { path, .. } = &events[0].what else { panic!("{events:?}") };
    assert_eq!(path.len(), 256);
    assert_eq!(lab.hooks.drains.held(), 0, "and an empty body is nothing to take");
}

#[tokio::test]
async fn a_query_is_not_recorded() {
    let mut lab = lab(vec![]);
    lab.get("https://a.example/x?token=hunter2").await.unwrap_err();
    let events = format!("{:?}", lab.book.events());
    assert!(events.contains("\"/x\"") && !events.contains("hunter2"), "{events}");
}

#[tokio::test]
async fn a_granted_name_that_leads_to_an_inner_address_is_refused_like_a_host_that_is_not_granted() {
    for addresses in [
        vec!["127.0.0.1"],
        vec!["169.254.169.254"],
        vec!["10.0.0.1"],
        vec!["::1"],
        vec!["::ffff:127.0.0.1"],
        vec!["8.8.8.8", "127.0.0.1"],
        vec!["0.0.0.0"],
        vec!["64:ff9b::7f00:1"],
    ] {
        let resolver = Arc::new(Names(vec![("a.example", addresses.clone())]));
        let mut rule = http("http://a.example");
        rule.networks.clear();
        let mut lab = with(vec![rule], Limits::default(), Values::of(&[]), resolver);
        let error = lab.get("http://a.example/").await.unwrap_err();
        assert_eq!(format!("{error:?}"), "HttpRequestDenied", "{addresses:?}");
        let events = lab.book.events();
        let AuditAction::Http { address, .. } = &events[0].what else { panic!("{events:?}") };
        assert!(address.is_some(), "the operator sees which");
        assert_eq!(events[0].code.as_deref(), Some("address-not-granted"), "{addresses:?}");
    }
}

#[tokio::test]
async fn link_local_does_not_open_the_metadata_address() {
    let resolver = Arc::new(Names(vec![("a.example", vec!["169.254.169.254"])]));
    let mut rule = http("http://a.example");
    rule.networks = vec!["link-local".parse().unwrap(), "169.254.0.0/16".parse().unwrap()];
    let mut lab = with(vec![rule], Limits::default(), Values::of(&[]), resolver);
    assert_eq!(denied(&mut lab, get("http://a.example/")).await, refused("address-not-granted"));
}

#[tokio::test]
async fn a_literal_address_needs_its_network_too() {
    let (server, _) = Server::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let url = format!("http://{}/", server.address);
    let mut rule = http(&format!("http://{}", server.address));
    let mut with_network = lab(vec![rule.clone()]);
    assert_eq!(with_network.get(&url).await.unwrap().status().as_u16(), 204);
    rule.networks.clear();
    assert_eq!(denied(&mut lab(vec![rule]), get(&url)).await, refused("address-not-granted"));
}

#[tokio::test]
async fn an_ipv4_address_in_ipv6_clothes_is_another_host_and_the_same_address() {
    let mut named = lab(vec![http("http://127.0.0.1")]);
    assert_eq!(denied(&mut named, get("http://[::ffff:127.0.0.1]/")).await, refused("host-not-granted"));
    let mut rule = http("http://[::ffff:127.0.0.1]");
    rule.networks = vec!["private".parse().unwrap()];
    assert_eq!(denied(&mut lab(vec![rule]), get("http://[::ffff:127.0.0.1]/")).await, refused("address-not-granted"));
}

#[tokio::test]
async fn a_request_that_names_no_host_is_refused() {
    let mut lab = lab(vec![http("http://a.example")]);
    assert_eq!(denied(&mut lab, get("/x")).await, refused("odd-scheme"));
}
