use super::*;
use crate::testing::{Server, StaticResolver, http};
use deputy_core::grant::PathRules;

/// The audit outcome and the error that a denied component sees.
async fn denied(client: &mut TestClient, request: Request<WasiBody>) -> (AuditOutcome, Option<String>) {
    let error = client.send(request).await.unwrap_err();
    assert_eq!(format!("{error:?}"), "HttpRequestDenied");
    client.audited.only_outcome()
}

fn refused(code: &str) -> (AuditOutcome, Option<String>) {
    (AuditOutcome::Refused, Some(code.into()))
}

#[tokio::test]
async fn http_denial_by_any_part_of_a_rule_resolves_nothing() {
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
        ("TRACK", "https://a.example:8443/v1", "odd-method"),
        ("TRACE", "https://a.example:8443/v1", "odd-method"),
        ("GET", "ftp://a.example:8443/v1", "odd-scheme"),
        ("GET", "https://u:p@a.example:8443/v1", "userinfo-not-allowed"),
        ("GET", "https://a.example:08443/v1", "odd-port"),
        ("GET", "https://2130706433:8443/v1", "odd-host"),
        ("GET", "https://a.example.:8443/v1", "odd-host"),
    ] {
        let mut client = with(
            vec![rule.clone()],
            Limits::default(),
            StaticSecrets::of(&[]),
            Arc::new(crate::testing::HangingResolver),
        );
        let request = Request::builder().method(method).uri(url).body(bytes("")).unwrap();
        assert_eq!(denied(&mut client, request).await, refused(code), "{method} {url}");
        assert_eq!(client.denials(), [code]);
        // To be refused is a request as well.
        assert_eq!(
            client.audited.budget.usage.snapshot(),
            crate::CallUsage { requests: 1, ..crate::CallUsage::default() }
        );
    }
}

#[tokio::test]
async fn http_record_omits_user_information() {
    let mut client = client(vec![]);
    client.get("https://user:hunter2@a.example/").await.unwrap_err();
    let events = format!("{:?}", client.audited.events());
    assert!(events.contains("https://a.example") && !events.contains("hunter2"), "{events}");
}

#[tokio::test]
async fn http_record_bounds_texts() {
    let mut client = client(vec![]);
    client.get(&format!("https://a.example/{}", "x".repeat(20_000))).await.unwrap_err();
    assert_eq!(client.limits(), ["url"]);
    let events = client.audited.events();
    let AuditAction::Http { path, .. } = &events[0].action else { panic!("{events:?}") };
    assert_eq!(path.len(), 256);
    assert_eq!(client.hooks.drains.held(), 0, "and an empty body is nothing to take");
}

#[tokio::test]
async fn http_record_holds_no_piece_of_a_known_secret() {
    let secret = "Hunter2-Hunter2-Hunter2";
    let value = Arc::new(deputy_core::SecretBytes::new(secret.into()));
    let redactor = Arc::new(crate::redact::Redactor::new(vec![("key".parse().unwrap(), value)]));
    for before in [200, 240, 255, 256, 1010, 1023, 1024] {
        let mut client = client(vec![]);
        client.audited.budget.audit.redact_with(Arc::clone(&redactor));
        let path = format!("{}{secret}{}", "x".repeat(before), "y".repeat(3000));
        // The host is written in lower case, whatever the component wrote.
        client.get(&format!("https://{secret}.example/{path}")).await.unwrap_err();
        let record = format!("{:?} {:?}", client.audited.events(), client.audited.budget.findings.denials());
        assert!(!record.to_lowercase().contains("hun"), "{before}: {record}");
    }
}

#[tokio::test]
async fn http_record_omits_the_query() {
    let mut client = client(vec![]);
    client.get("https://a.example/x?token=hunter2").await.unwrap_err();
    let events = format!("{:?}", client.audited.events());
    assert!(events.contains("\"/x\"") && !events.contains("hunter2"), "{events}");
}

#[tokio::test]
async fn http_inner_address_looks_like_an_ungranted_host() {
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
        let resolver = Arc::new(StaticResolver(vec![("a.example", addresses.clone())]));
        let mut rule = http("http://a.example");
        rule.networks.clear();
        let mut client = with(vec![rule], Limits::default(), StaticSecrets::of(&[]), resolver);
        let error = client.get("http://a.example/").await.unwrap_err();
        assert_eq!(format!("{error:?}"), "HttpRequestDenied", "{addresses:?}");
        let events = client.audited.events();
        let AuditAction::Http { address, .. } = &events[0].action else { panic!("{events:?}") };
        assert!(address.is_some(), "the operator sees which");
        assert_eq!(events[0].code.as_deref(), Some("address-not-granted"), "{addresses:?}");
    }
}

#[tokio::test]
async fn http_link_local_does_not_include_the_metadata_address() {
    let resolver = Arc::new(StaticResolver(vec![("a.example", vec!["169.254.169.254"])]));
    let mut rule = http("http://a.example");
    rule.networks = vec!["link-local".parse().unwrap(), "169.254.0.0/16".parse().unwrap()];
    let mut client = with(vec![rule], Limits::default(), StaticSecrets::of(&[]), resolver);
    assert_eq!(denied(&mut client, get("http://a.example/")).await, refused("address-not-granted"));
}

#[tokio::test]
async fn http_literal_address_needs_its_network() {
    let (server, _) = Server::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let url = format!("http://{}/", server.address);
    let mut rule = http(&format!("http://{}", server.address));
    let mut with_network = client(vec![rule.clone()]);
    assert_eq!(with_network.get(&url).await.unwrap().status().as_u16(), 204);
    rule.networks.clear();
    assert_eq!(denied(&mut client(vec![rule]), get(&url)).await, refused("address-not-granted"));
}

#[tokio::test]
async fn http_ipv4_mapped_address_is_another_host() {
    let mut named = client(vec![http("http://127.0.0.1")]);
    assert_eq!(denied(&mut named, get("http://[::ffff:127.0.0.1]/")).await, refused("host-not-granted"));
    let mut rule = http("http://[::ffff:127.0.0.1]");
    rule.networks = vec!["private".parse().unwrap()];
    assert_eq!(
        denied(&mut client(vec![rule]), get("http://[::ffff:127.0.0.1]/")).await,
        refused("address-not-granted")
    );
}

#[tokio::test]
async fn http_request_without_a_host_is_denied() {
    let mut client = client(vec![http("http://a.example")]);
    assert_eq!(denied(&mut client, get("/x")).await, refused("odd-scheme"));
}
