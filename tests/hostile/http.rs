//! Requests that no rule allows, and requests that only look as if one did.

use deputy_audit::AuditAction;
use deputy_core::grant::{HttpRule, PathRules};

use crate::harness::{Attack, AttackReport, host};
use crate::servers::Server;

/// A name that leads to this machine.
fn here() -> String {
    host().name(&["127.0.0.1"])
}

fn url(name: &str, server: &Server) -> String {
    format!("http://{name}:{}", server.port())
}

/// Nothing but public addresses.
fn public(_: &mut HttpRule) {}

const DENIED: &str = "err HttpRequestDenied";

/// Nothing arrived, the name was not looked up, and the component heard only that it is denied.
#[track_caller]
fn denied(seen: &AttackReport, code: &str, server: &Server) {
    seen.assert_denied(&[code]);
    assert!(seen.lines().iter().all(|line| line == DENIED), "{seen:?}");
    assert_eq!(server.heard(), [""; 0]);
}

// Hosts, schemes and ports.

#[test]
fn host_not_granted() {
    let (server, granted, other) = (Server::good(), here(), here());
    let seen =
        Attack::new("host-not-granted").http(&url(&granted, &server)).setting("url", url(&other, &server)).obtain();
    denied(&seen, "host-not-granted", &server);
    assert_eq!(host().queries_for(&other), 0, "a refused name was resolved, which tells its owner something");
}

#[test]
fn host_like_granted() {
    let (server, name) = (Server::good(), here());
    let port = server.port();
    let like = |names: &[String]| names.iter().map(|n| format!("http://{n}:{port}")).collect::<Vec<_>>().join("\n");
    let names = ["x.{}", "evil-{}", "evil{}", "{}.evil.test", "{}x", "{}-x", "www.{}"].map(|n| n.replace("{}", &name));
    let seen = Attack::new("host-like-granted").http(&url(&name, &server)).setting("urls", like(&names)).obtain();
    denied(&seen, "host-not-granted", &server);
    assert_eq!(seen.lines().len(), names.len());

    let below = format!("*.{name}");
    let names = ["{}", "evil{}", "x{}", "x.{}.evil.test"].map(|n| n.replace("{}", &name));
    let seen = Attack::new("host-like-granted").http(&url(&below, &server)).setting("urls", like(&names)).obtain();
    denied(&seen, "host-not-granted", &server);
    assert!(!host().unanswered_queries().iter().any(|asked| asked.contains(&name)), "a refused name was resolved");
}

#[test]
fn scheme_not_granted() {
    let (server, name) = (Server::good(), here());
    let granted = format!("https://{name}:{}", server.port());
    let seen = Attack::new("scheme-not-granted").http(&granted).setting("url", url(&name, &server)).obtain();
    denied(&seen, "scheme-not-granted", &server);
}

#[test]
fn port_not_granted() {
    let (server, name) = (Server::good(), here());
    let granted = format!("http://{name}");
    let seen = Attack::new("port-not-granted").http(&granted).setting("url", url(&name, &server)).obtain();
    denied(&seen, "port-not-granted", &server);
}

#[test]
fn host_absolute_form() {
    let (server, name) = (Server::good(), here());
    let url = url(&name, &server);
    let paths =
        "http://other.test/\nother.test/\n*\n@other.test/\n//other.test/\n/http://other.test/\n?http://other.test/";
    let seen = Attack::new("host-absolute-form").http(&url).setting("url", &url).setting("paths", paths).obtain();
    seen.assert_not_denied();
    assert_eq!(seen.lines(), [["err set-path-with-query"; 4].as_slice(), &["ok 200 hello"; 3]].concat());
    let lines: Vec<_> = server.heard().iter().map(|head| head.lines().next().unwrap().to_owned()).collect();
    let expected = ["//other.test/", "/http://other.test/", "/?http://other.test/"];
    assert_eq!(lines, expected.map(|path| format!("GET {path} HTTP/1.1")));
    let host_header = format!("host: {name}:{}\r\n", server.port());
    assert!(server.heard().iter().all(|head| head.to_lowercase().contains(&host_header)), "{:?}", server.heard());
}

#[test]
fn host_header_forged() {
    let (server, name) = (Server::good(), here());
    let url = url(&name, &server);
    let seen = Attack::new("host-header-forged").http(&url).setting("url", &url).obtain();
    assert_eq!(seen.lines(), ["err append Forbidden"; 7]);
    assert_eq!(server.heard(), [""; 0]);
}

#[test]
fn host_header_split() {
    let (server, name) = (Server::good(), here());
    let url = url(&name, &server);
    let seen = Attack::new("host-header-split").http(&url).setting("url", &url).obtain();
    let expected = [
        "err append InvalidSyntax",
        "err append InvalidSyntax",
        "err set-authority",
        "err set-path-with-query",
        "err set-method",
    ];
    assert_eq!(seen.lines(), expected);
    assert_eq!(server.heard(), [""; 0]);
}

#[test]
fn host_missing() {
    let (server, name) = (Server::good(), here());
    let url = url(&name, &server);
    let seen = Attack::new("host-missing").http(&url).setting("url", &url).obtain();
    // Without a scheme it is HTTPS; without an authority or a path it is no URL.
    seen.assert_denied(&["scheme-not-granted"]);
    let expected = [DENIED, "err HttpRequestUriInvalid", "err set-authority", "err HttpProtocolError"];
    assert_eq!(seen.lines(), expected);
    assert_eq!(server.heard(), [""; 0]);
}

// Methods and paths.

#[test]
fn method_not_granted() {
    let (server, name) = (Server::good(), here());
    let url = url(&name, &server);
    let get = |rule: &mut HttpRule| rule.methods = vec!["GET".parse().unwrap()];
    let seen = Attack::new("method-not-granted").http_with(&url, get).setting("url", &url).obtain();
    denied(&seen, "method-not-granted", &server);
    assert_eq!((seen.lines().len(), seen.requests().len()), (3, 3));
}

#[test]
fn header_not_granted() {
    let (server, name) = (Server::good(), here());
    let url = url(&name, &server);
    let headers = [
        "x-http-method-override: DELETE",
        "X-HTTP-Method: DELETE",
        "x_method_override: DELETE",
        "x-original-url: /admin",
        "x-rewrite-url: /admin",
        "forwarded: host=other.test",
        "X_Forwarded_Host: other.test",
        "x-forwarded-prefix: /admin",
        "x-forwarded-for: 127.0.0.1",
    ];
    let attack = |overrides: &[&str]| {
        let post = |rule: &mut HttpRule| {
            rule.methods = vec!["POST".parse().unwrap()];
            rule.networks = vec!["loopback".parse().unwrap()];
            rule.overrides = overrides.iter().map(|header| header.parse().unwrap()).collect();
        };
        let attack = Attack::new("header-not-granted").http_with(&url, post).setting("url", &url);
        attack.setting("headers", headers.join("\n")).obtain()
    };
    let seen = attack(&[]);
    denied(&seen, "header-not-granted", &server);
    assert_eq!((seen.lines().len(), seen.requests().len()), (9, 9));
    // The server receives a granted header unchanged.
    let seen = attack(&["x-forwarded-host"]);
    seen.assert_denied(&["header-not-granted"]);
    let sent = server.heard();
    assert!(sent.len() == 1 && sent[0].to_lowercase().contains("x_forwarded_host: other.test\r\n"), "{sent:?}");
}

#[test]
fn path_not_granted() {
    let (server, name) = (Server::good(), here());
    let base = url(&name, &server);
    let under = |rule: &mut HttpRule| {
        rule.paths = PathRules::Prefixes(vec!["/v1/auth".parse().unwrap()]);
        rule.networks = vec!["loopback".parse().unwrap()];
    };
    let bad = [
        "/",
        "/v1",
        "/v1/authors",
        "/V1/auth/x",
        "/v1/auth/../secret",
        "/v1/auth/..",
        "/v1/auth/./../secret",
        "/v1/auth/%2e%2e/secret",
        "/v1/auth/%2E%2e/secret",
        "/v1/auth%2f..%2fsecret",
        "/v1/auth/%252e%252e/secret",
        "/v1/auth//../secret",
        "//v1/auth",
        "/v1/auth;/../secret",
        "/v1/auth/%00",
        "/secret?/v1/auth",
    ];
    let urls = |paths: &[&str]| paths.iter().map(|path| format!("{base}{path}")).collect::<Vec<_>>().join("\n");
    let seen = Attack::new("path-not-granted").http_with(&base, under).setting("urls", urls(&bad)).obtain();
    denied(&seen, "path-not-granted", &server);
    assert_eq!(seen.lines().len(), bad.len());

    let good = ["/v1/auth", "/v1/auth/", "/v1/auth/x?y=../z"];
    let seen = Attack::new("path-not-granted").http_with(&base, under).setting("urls", urls(&good)).obtain();
    assert_eq!(seen.assert_not_denied().lines(), ["ok 200 hello"; 3]);
}

#[test]
fn path_smuggled_request() {
    let (server, name) = (Server::good(), here());
    let url = url(&name, &server);
    let under = |rule: &mut HttpRule| {
        rule.paths = PathRules::Prefixes(vec!["/".parse().unwrap()]);
        rule.networks = vec!["loopback".parse().unwrap()];
    };
    let seen = Attack::new("path-smuggled-request").http_with(&url, under).setting("url", &url).obtain();
    assert_eq!(seen.lines().len(), 4);
    let heard = server.heard();
    assert!(!heard.iter().any(|request| request.contains("hidden")), "{heard:?}");
}

// Targets that can be read in two ways.

/// Everything is refused with these codes, or was not even a request; nothing arrives.
#[track_caller]
fn odd(guest: &str, urls: &[String], codes: &[&str], refused: usize) -> AttackReport {
    let (server, granted) = (Server::good(), here());
    let urls: Vec<_> = urls.iter().map(|url| url.replace("{granted}", &granted)).collect();
    let urls: Vec<_> = urls.iter().map(|url| url.replace("{port}", &server.port().to_string())).collect();
    let case = Attack::new(guest).http(&url(&granted, &server)).http(&format!("http://{granted}"));
    let seen = case.setting("urls", urls.join("\n")).obtain();
    seen.assert_denied(codes);
    let lines = seen.lines();
    assert_eq!(lines.len(), urls.len());
    assert!(lines.iter().all(|line| line == DENIED || line.starts_with("err set-")), "{lines:?}");
    assert_eq!(lines.iter().filter(|line| *line == DENIED).count(), refused, "{lines:?}");
    assert_eq!(server.heard(), [""; 0]);
    seen
}

#[test]
fn odd_host() {
    let before = host().unanswered_queries();
    let hosts = [
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "127.0.0.1.",
        "{granted}.",
        "{granted}..",
        ".{granted}",
        "-x.{granted}",
        "x..{granted}",
        "%6e0.hostile.test",
    ];
    odd("odd-host", &hosts.map(|host| format!("http://{host}:{{port}}/")), &["odd-host"], hosts.len() - 1);
    assert_eq!(host().unanswered_queries(), before);
}

#[test]
fn odd_port() {
    let ports = ["0", "65536", "080", "+80", "99999999999999999999", "-1", "8o"];
    odd("odd-port", &ports.map(|port| format!("http://{{granted}}:{port}/")), &["odd-port"], ports.len());
}

#[test]
fn odd_path() {
    let urls = ["http://{granted}:{port}/\u{e9}", "http://{granted}:{port}/a\u{202e}b"].map(str::to_owned);
    odd("odd-path", &urls, &["odd-path"], 2);
}

#[test]
fn odd_scheme() {
    let schemes = ["ftp", "file", "ws", "gopher", "httpss", "unix", "data"];
    odd("odd-scheme", &schemes.map(|scheme| format!("{scheme}://{{granted}}:{{port}}/")), &["odd-scheme"], 7);
}

#[test]
fn userinfo_in_url() {
    let urls = [
        "http://{granted}@other.test:{port}/",
        "http://{granted}:80@other.test:{port}/",
        "http://user:word@{granted}:{port}/",
        "http://@{granted}:{port}/",
    ];
    let seen = odd("userinfo-in-url", &urls.map(str::to_owned), &["userinfo-not-allowed"], 4);
    assert!(!format!("{:?}", seen.events).contains("word"), "the audit log has a password: {:?}", seen.events);
}

#[test]
fn odd_method() {
    let (server, name) = (Server::good(), here());
    let url = url(&name, &server);
    let seen = Attack::new("odd-method").http(&url).setting("url", &url).obtain();
    denied(&seen, "odd-method", &server);
    assert_eq!(seen.lines().len(), 4);
}

// Addresses.

/// A granted name leads to `addresses`; the audit log has the first bad one, and the component hears nothing of it.
#[track_caller]
fn leads_to(guest: &str, addresses: &[&str], bad: &str, more: fn(&mut HttpRule)) {
    let (server, name) = (Server::good(), host().name(addresses));
    let url = url(&name, &server);
    let seen = Attack::new(guest).http_with(&url, more).setting("url", &url).obtain();
    denied(&seen, "address-not-granted", &server);
    let bad = bad.parse().unwrap();
    let refused =
        |what: &AuditAction| matches!(what, AuditAction::Http { address: Some(address), .. } if *address == bad);
    assert!(seen.events.iter().any(|event| refused(&event.action)), "{seen:?}");
    assert_eq!(seen.call.denials[0].address(), Some(bad));
}

#[test]
fn address_not_granted_loopback() {
    leads_to("address-not-granted-loopback", &["127.0.0.1"], "127.0.0.1", public);
    leads_to("address-not-granted-loopback", &["127.8.8.8"], "127.8.8.8", public);
    leads_to("address-not-granted-loopback", &["::1"], "::1", public);
    leads_to("address-not-granted-loopback", &["0.0.0.0"], "0.0.0.0", public);
}

#[test]
fn address_not_granted_metadata() {
    let guest = "address-not-granted-metadata";
    leads_to(guest, &["169.254.169.254"], "169.254.169.254", public);
    // It does not come along with the network that it is in.
    leads_to(guest, &["169.254.169.254"], "169.254.169.254", |rule| {
        rule.networks = vec!["link-local".parse().unwrap(), "169.254.0.0/16".parse().unwrap()];
    });
    leads_to(guest, &["fd00:ec2::254"], "fd00:ec2::254", |rule| rule.networks = vec!["private".parse().unwrap()]);
}

#[test]
fn address_not_granted_mapped_ipv6() {
    let guest = "address-not-granted-mapped-ipv6";
    leads_to(guest, &["::ffff:127.0.0.1"], "127.0.0.1", public);
    leads_to(guest, &["::ffff:169.254.169.254"], "169.254.169.254", public);
    leads_to(guest, &["::ffff:10.0.0.1"], "10.0.0.1", |rule| rule.networks = vec!["loopback".parse().unwrap()]);
    // Forms that hide an IPv4 address without being one: NAT64, 6to4, IPv4-compatible.
    for hidden in ["64:ff9b::7f00:1", "2002:7f00:1::", "::127.0.0.1"] {
        leads_to(guest, &[hidden], hidden, public);
    }
}

#[test]
fn address_not_granted_private() {
    for address in ["10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd00::1"] {
        leads_to("address-not-granted-private", &[address], address, public);
    }
}

#[test]
fn address_mixed_with_granted() {
    // The first is granted and would be reached: all are refused before it is tried.
    leads_to("address-mixed-with-granted", &["127.0.0.1", "10.0.0.1"], "10.0.0.1", |rule| {
        rule.networks = vec!["loopback".parse().unwrap()];
    });
}

#[test]
fn address_changes_between_requests() {
    let (server, name) = (Server::good(), host().changing_name(&["127.0.0.1", "169.254.169.254"]));
    let url = url(&name, &server);
    let seen = Attack::new("address-changes-between-requests").http(&url).setting("url", &url).obtain();
    seen.assert_denied(&["address-not-granted"]);
    assert_eq!(seen.lines(), ["ok 200 hello", DENIED]);
    // Once for each request: what was judged is what is connected to.
    assert_eq!(host().queries_for(&name), 2);
}

#[test]
fn address_literal_not_granted() {
    let server = Server::good();
    let hosts = ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "0.0.0.0", "[::]"];
    let urls = hosts.map(|host| url(host, &server));
    let case = urls.iter().fold(Attack::new("address-literal-not-granted"), |case, url| case.http_with(url, public));
    let seen = case.setting("urls", urls.join("\n")).obtain();
    seen.assert_denied(&["address-not-granted"]);
    assert_eq!(seen.lines(), [DENIED; 6]);
    assert_eq!(server.heard(), [""; 0]);
}

// Redirects.

fn redirecting(location: &str) -> Server {
    Server::answering(format!(
        "HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    ))
}

#[test]
fn host_redirect_followed() {
    let (other, name) = (Server::good(), here());
    let server = redirecting(&url(&here(), &other));
    let url = url(&name, &server);
    let seen = Attack::new("host-redirect-followed").http(&url).setting("url", &url).obtain();
    seen.assert_denied(&["host-not-granted"]);
    assert_eq!(seen.lines(), ["302", DENIED]);
    assert_eq!((server.heard().len(), other.heard().len()), (1, 0));
}

#[test]
fn address_redirect_to_metadata() {
    let (inner, name) = (host().name(&["169.254.169.254"]), here());
    let server = redirecting(&format!("http://{inner}/latest/meta-data/"));
    let url = url(&name, &server);
    let case = Attack::new("address-redirect-to-metadata").http(&url).http(&format!("http://{inner}"));
    let seen = case.setting("url", &url).obtain();
    seen.assert_denied(&["address-not-granted"]);
    assert_eq!(seen.lines(), ["302", DENIED]);
}
