use super::*;
use proptest::prelude::*;

fn rule(pattern: &str, methods: &[&str], paths: &[&str], networks: &[&str]) -> HttpRule {
    HttpRule {
        pattern: pattern.parse().unwrap(),
        methods: methods.iter().map(|m| m.parse().unwrap()).collect(),
        paths: if paths.is_empty() {
            PathRules::Any
        } else {
            PathRules::Prefixes(paths.iter().map(|p| p.parse().unwrap()).collect())
        },
        overrides: Vec::new(),
        networks: networks.iter().map(|n| n.parse().unwrap()).collect(),
        send: RequestOptions::default(),
    }
}

fn request(method: &str, url: &str) -> HttpTarget {
    request_with(method, url, &[])
}

fn request_with(method: &str, url: &str, headers: &[&str]) -> HttpTarget {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    HttpTarget::parse(scheme, authority, method, path, headers.iter().copied()).unwrap()
}

fn grant(http: Vec<HttpRule>) -> Grant {
    Grant { http, ..Grant::default() }
}

fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn grant_without_rules_allows_nothing() {
    let nothing = Grant::default();
    assert_eq!(nothing.permit_http(&request("GET", "https://a.example/")).unwrap_err().code(), "host-not-granted");
    let target = Target::parse(Scheme::Tcp, "a.example:1").unwrap();
    assert_eq!(nothing.permit_tcp(&target).unwrap_err().code(), "host-not-granted");
    assert_eq!(nothing.permit_name(target.host()).unwrap_err().code(), "name-not-granted");
    assert_eq!(nothing.secret("key").unwrap_err().code(), "secret-not-granted");
}

#[test]
fn grant_denial_names_the_first_part_that_no_rule_allows() {
    let grant = grant(vec![
        rule("https://a.example", &["POST"], &["/v1"], &[]),
        rule("https://a.example:8443", &[], &[], &[]),
        rule("http://b.example", &[], &[], &[]),
    ]);
    for (method, url, code) in [
        ("GET", "https://c.example/v1", "host-not-granted"),
        ("GET", "https://b.example/v1", "scheme-not-granted"),
        ("POST", "http://a.example/v1", "scheme-not-granted"),
        ("POST", "https://a.example:444/v1", "port-not-granted"),
        ("GET", "https://a.example/v1", "method-not-granted"),
        ("POST", "https://a.example/v2", "path-not-granted"),
        ("POST", "https://a.example/v1/../v2", "path-not-granted"),
    ] {
        assert_eq!(grant.permit_http(&request(method, url)).unwrap_err().code(), code, "{method} {url}");
    }
    assert_eq!(grant.permit_http(&request("POST", "https://a.example/v1/x")).unwrap().rule(), 0);
    assert_eq!(grant.permit_http(&request("GET", "https://a.example:8443/")).unwrap().rule(), 1);
}

#[test]
fn grant_denies_headers_that_make_another_request() {
    let url = "https://a.example/v1";
    let plain = rule("https://a.example", &["POST"], &["/v1"], &[]);
    let without = grant(vec![plain.clone()]);
    for header in ["x-http-method-override", "X-Original-URL", "x_rewrite_url", "X-Forwarded-Host", "forwarded"] {
        let denial = without.permit_http(&request_with("POST", url, &["accept", header])).unwrap_err();
        assert_eq!(denial.code(), "header-not-granted", "{header}");
    }
    assert!(without.permit_http(&request_with("POST", url, &["accept", "x-amz-date"])).is_ok());

    let named = HttpRule { overrides: vec!["x-forwarded-for".parse().unwrap()], ..plain.clone() };
    let with = grant(vec![plain, named]);
    assert_eq!(with.permit_http(&request_with("POST", url, &["X_Forwarded_For"])).unwrap().rule(), 1);
    assert_eq!(with.permit_http(&request("POST", url)).unwrap().rule(), 0);
    for headers in [["x-forwarded-for", "x-forwarded-host"], ["forwarded", "x-forwarded-for"]] {
        let denial = with.permit_http(&request_with("POST", url, &headers)).unwrap_err();
        assert_eq!(denial.code(), "header-not-granted", "{headers:?}");
    }
    assert_eq!(with.permit_http(&request_with("GET", url, &["forwarded"])).unwrap_err().code(), "method-not-granted");
}

#[test]
fn grant_uses_the_first_rule_that_allows_the_request() {
    let grant =
        grant(vec![rule("https://*.a.example", &[], &[], &[]), rule("https://x.a.example", &[], &[], &["loopback"])]);
    let permit = grant.permit_http(&request("GET", "https://x.a.example/")).unwrap();
    assert_eq!((permit.rule(), permit.target().to_string().as_str()), (0, "https://x.a.example:443"));
    assert_eq!(permit.pin(&addresses(&["127.0.0.1"])).unwrap_err().code(), "address-not-granted");
}

#[test]
fn grant_denies_all_addresses_if_one_is_forbidden() {
    let grant = grant(vec![rule("https://a.example", &[], &[], &["10.1.0.0/16"])]);
    let permit = || grant.permit_http(&request("GET", "https://a.example/")).unwrap();
    let pinned = permit().pin(&addresses(&["8.8.8.8", "10.1.2.3"])).unwrap();
    assert_eq!(pinned.addresses(), ["8.8.8.8:443".parse().unwrap(), "10.1.2.3:443".parse().unwrap()]);
    assert_eq!((pinned.rule(), pinned.target().port()), (0, 443));
    for mixed in [
        ["8.8.8.8", "127.0.0.1"],
        ["10.2.0.1", "8.8.8.8"],
        ["8.8.8.8", "169.254.169.254"],
        ["8.8.8.8", "::ffff:10.2.0.1"],
    ] {
        assert_eq!(permit().pin(&addresses(&mixed)).unwrap_err().code(), "address-not-granted", "{mixed:?}");
    }
}

#[test]
fn grant_rule_with_a_literal_address_still_needs_its_network() {
    let without = grant(vec![rule("http://127.0.0.1:80", &[], &[], &[])]);
    let permit = without.permit_http(&request("GET", "http://127.0.0.1/")).unwrap();
    assert_eq!(permit.pin(&addresses(&["127.0.0.1"])).unwrap_err().code(), "address-not-granted");
}

#[test]
fn grant_matches_tcp_by_host_and_port() {
    let mut broker: TcpRule = "*.kafka.example:9093".parse().unwrap();
    broker.networks = vec!["private".parse().unwrap()];
    let grant = Grant { tcp: vec!["other.example:1".parse().unwrap(), broker], ..Grant::default() };
    let permit = |text: &str| grant.permit_tcp(&Target::parse(Scheme::Tcp, text).unwrap());
    let permitted = permit("b1.kafka.example:9093").unwrap();
    assert_eq!(permitted.rule(), 1);
    assert_eq!(permitted.pin(&addresses(&["10.0.0.1"])).unwrap().addresses(), ["10.0.0.1:9093".parse().unwrap()]);
    assert_eq!(permit("b1.kafka.example:9093").unwrap().pin(&[]).unwrap().rule(), 1);
    assert_eq!(permit("b1.kafka.example:9092").unwrap_err().code(), "port-not-granted");
    assert_eq!(permit("kafka.example:9093").unwrap_err().code(), "host-not-granted");

    let names = grant.permit_name(&"b1.kafka.example".parse().unwrap()).unwrap();
    assert_eq!(names.iter().map(|p| p.target().to_string()).collect::<Vec<_>>(), ["tcp://b1.kafka.example:9093"]);
    assert_eq!(grant.permit_name(&"a.example".parse().unwrap()).unwrap_err().code(), "name-not-granted");
}

#[test]
fn grant_secret_for_the_host_cannot_be_read_by_the_guest() {
    let name = |text: &str| text.parse::<SecretName>().unwrap();
    let open = SecretGrant::new(Some(SecretPurpose::HmacSha256), false);
    let grant =
        Grant { secrets: [(name("host"), SecretGrant::default()), (name("open"), open)].into(), ..Grant::default() };
    assert_eq!(grant.secret("open").unwrap().0, &name("open"));
    assert_eq!(grant.secret("host").unwrap_err().code(), "secret-not-granted");
    assert_eq!(grant.secret("none").unwrap_err().code(), "secret-not-granted");
}

#[test]
fn grant_denial_tells_the_guest_no_resolved_address() {
    let grant = grant(vec![rule("https://a.example", &[], &[], &[])]);
    let refusal =
        grant.permit_http(&request("GET", "https://a.example/")).unwrap().pin(&addresses(&["10.9.8.7"])).unwrap_err();
    assert_eq!(refusal.guest(), "https://a.example:443 is not granted");
    let unknown = grant.permit_http(&request("GET", "https://b.example/")).unwrap_err();
    assert_eq!(unknown.guest(), "https://b.example:443 is not granted");
    assert_eq!(refusal.address(), Some("10.9.8.7".parse().unwrap()));
    assert!(refusal.to_string().contains("10.9.8.7"));
}

fn hosts() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a.example", "b.a.example", "c.b.a.example", "d.example", "10.0.0.1"])
        .prop_map(str::to_owned)
}

fn rules() -> impl Strategy<Value = HttpRule> {
    let host =
        prop::sample::select(vec!["a.example", "b.a.example", "*.a.example", "*.b.a.example", "d.example", "10.0.0.1"]);
    let methods = prop::sample::subsequence(vec!["GET", "POST"], 0..=2);
    let paths = prop::sample::subsequence(vec!["/", "/x", "/x/y", "/z"], 0..=2);
    let networks = prop::sample::subsequence(vec!["loopback", "private"], 0..=2);
    let overrides = prop::sample::subsequence(vec!["forwarded", "x-forwarded-for"], 0..=2);
    (
        prop::sample::select(vec!["http", "https"]),
        host,
        prop::sample::select(vec!["", ":80", ":443"]),
        methods,
        paths,
        networks,
        overrides,
    )
        .prop_map(|(scheme, host, port, methods, paths, networks, overrides)| HttpRule {
            overrides: overrides.iter().map(|header| header.parse().unwrap()).collect(),
            ..rule(&format!("{scheme}://{host}{port}"), &methods, &paths, &networks)
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn grant_rule_that_covers_another_allows_all_its_requests(
        a in rules(), b in rules(), host in hosts(),
        scheme in prop::sample::select(vec!["http", "https"]),
        method in prop::sample::select(vec!["GET", "POST", "PUT"]),
        path in prop::sample::select(vec!["/", "/x", "/x/y", "/xx", "/z/1", "/../x"]),
        port in prop::sample::select(vec!["", ":80", ":443"]),
        address in prop::sample::select(vec!["127.0.0.1", "10.0.0.1", "8.8.8.8"]),
        headers in prop::sample::subsequence(vec!["forwarded", "x-forwarded-for"], 0..=2),
    ) {
        let request = request_with(method, &format!("{scheme}://{host}{port}{path}"), &headers);
        let address = addresses(&[address]);
        let allows = |rule: &HttpRule| {
            grant(vec![rule.clone()]).permit_http(&request).and_then(|permit| permit.pin(&address)).is_ok()
        };
        prop_assert!(a.covers(&a));
        if a.covers(&b) && allows(&b) {
            prop_assert!(allows(&a), "{a:?} covers {b:?}");
        }
    }
}

#[test]
fn grant_rule_covers_no_rule_that_is_wider_in_any_part() {
    let wide = rule("https://*.a.example", &["GET", "POST"], &["/v1"], &["private"]);
    assert!(wide.covers(&rule("https://b.a.example", &["GET"], &["/v1/x"], &[])));
    for narrow in [
        rule("http://b.a.example:443", &["GET"], &["/v1"], &[]),
        rule("https://b.a.example:8443", &["GET"], &["/v1"], &[]),
        rule("https://b.example", &["GET"], &["/v1"], &[]),
        rule("https://b.a.example", &["PUT"], &["/v1"], &[]),
        rule("https://b.a.example", &[], &["/v1"], &[]),
        rule("https://b.a.example", &["GET"], &["/"], &[]),
        rule("https://b.a.example", &["GET"], &[], &[]),
        rule("https://b.a.example", &["GET"], &["/v1"], &["loopback"]),
    ] {
        assert!(!wide.covers(&narrow), "{narrow:?}");
    }
    let narrow = rule("https://b.a.example", &["GET"], &["/v1"], &[]);
    assert!(!wide.covers(&HttpRule { overrides: vec!["forwarded".parse().unwrap()], ..narrow }));
    assert!(rule("https://a.example", &[], &[], &[]).covers(&rule("https://a.example", &[], &["/x"], &[])));
}
