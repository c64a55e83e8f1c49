//! Requests, names, connections and sockets.

use deputy_core::grant::{Host, HttpTarget, Scheme, Target};
use deputy_core::{Instance, PolicyDenial};

use super::{key, mended, mended_with};

/// One request, to a host that resolves to this address.
fn request(method: &str, url: &str, address: &str) -> impl Fn(&Instance) -> Result<(), PolicyDenial> {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (authority, path) = rest.split_at(rest.find('/').unwrap());
    let target = HttpTarget::parse(scheme, authority, method, path, []).unwrap();
    let address = address.parse().unwrap();
    move |instance| instance.grant.permit_http(&target)?.pin(&[address]).map(drop)
}

/// One connection by TCP, to a name that resolves to this address.
fn connection(host: &str, port: u16, address: &str) -> impl Fn(&Instance) -> Result<(), PolicyDenial> {
    let target = Target::new(Scheme::Tcp, host.parse().unwrap(), port);
    let address = address.parse().unwrap();
    move |instance| instance.grant.permit_tcp(&target)?.pin(&[address]).map(drop)
}

const PUBLIC: &str = "8.8.8.8";

#[test]
fn hint_for_a_host_allows_it() {
    let host = request("POST", "https://a.example.com/v1", PUBLIC);
    assert_eq!(mended("", &host).len(), 1);
    let hints = mended("[[instances.a.http]]\nallow = \"https://minio:9000\"", &host);
    assert!(hints[0].contains("its rules lead to https://minio:9000"), "{hints:?}");
    assert_eq!(mended("", request("GET", "http://127.0.0.1:8333/", "127.0.0.1")).len(), 1);
    assert_eq!(mended("", request("GET", "http://[::1]:8333/", "::1")).len(), 1);
}

/// A rule for one method and one path.
const RULE: &str = "[[instances.a.http]]\nallow = \"https://a.example.com:8443\"\nmethods = [\"POST\"]\npaths = [\"/token\"]\n\
                    networks = [\"private\"]";

#[test]
fn hint_for_a_part_of_a_rule_allows_it_beside_the_rule() {
    for (method, url) in [
        ("POST", "http://a.example.com:8443/token"),
        ("POST", "https://a.example.com/token"),
        ("GET", "https://a.example.com:8443/other"),
        ("POST", "https://a.example.com:8443/token/../x;y"),
    ] {
        let hints = mended(RULE, request(method, url, "10.0.0.1"));
        assert!(hints.len() == 1 && hints[0].starts_with("# a new rule:\n"), "{method} {url}: {hints:#?}");
    }
}

#[test]
fn hint_changes_a_rule_that_then_allows_this_alone() {
    let other =
        "[[instances.a.http]]\nallow = \"https://a.example.com:8443\"\nmethods = [\"GET\"]\npaths = [\"/x\", \"/y\"]";
    for (method, url, changed) in [
        ("PUT", "https://a.example.com:8443/token", "methods = [\"POST\", \"PUT\"]\npaths = [\"/token\"]"),
        ("POST", "https://a.example.com:8443/other", "methods = [\"POST\"]\npaths = [\"/token\", \"/other\"]"),
    ] {
        for (rules, number) in [(RULE.to_owned(), 1), (format!("{other}\n{RULE}"), 2)] {
            let hints = mended(&rules, request(method, url, "10.0.0.1"));
            let place = format!("# in this existing rule, number {number} of [[instances.a.http]]:");
            assert_eq!(
                hints,
                [format!("{place}\n[[instances.a.http]]\nallow = \"https://a.example.com:8443\"\n{changed}")]
            );
        }
    }
    // `PUT /x` in its rule would permit `PUT /y`.
    let hints = mended(other, request("PUT", "https://a.example.com:8443/x", PUBLIC));
    assert!(hints[0].starts_with("# a new rule:\n"), "{hints:#?}");
}

#[test]
fn hint_for_a_rule_with_secrets_adds_none_of_them() {
    let lines = "[instances.a.secrets.key]\nfile = \"k\"\n[[instances.a.http]]\nallow = \"https://a.example.com\"\n\
                 paths = [\"/token\"]\nheaders = { authorization = { secret = \"key\" } }";
    let hints = mended(lines, request("POST", "https://a.example.com/other", PUBLIC));
    assert!(hints[0].contains("adds none of the secrets"), "{hints:?}");
}

/// A POST with these headers.
fn request_with(url: &str, headers: &'static [&str]) -> impl Fn(&Instance) -> Result<(), PolicyDenial> {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (authority, path) = rest.split_at(rest.find('/').unwrap());
    let target = HttpTarget::parse(scheme, authority, "POST", path, headers.iter().copied()).unwrap();
    move |instance| instance.grant.permit_http(&target).map(drop)
}

#[test]
fn hint_for_an_override_header_opens_the_rule_that_is_there() {
    let headers: &[&str] = &["x-http-method-override", "X_Forwarded_For", "forwarded"];
    let two = "[[instances.a.http]]\nallow = \"https://a.example.com\"\nmethods = [\"GET\"]\n\
               [[instances.a.http]]\nallow = \"https://a.example.com\"\nmethods = [\"POST\"]\npaths = [\"/token\"]\n\
               override-headers = [\"x-real-ip\"]";
    for rules in ["[[instances.a.http]]\nallow = \"https://*.example.com\"", two] {
        let hints = mended(rules, |instance| {
            request_with("https://a.example.com/token", headers)(instance)?;
            request_with("https://a.example.com/token", &[])(instance)
        });
        assert!(hints.iter().all(|hint| hint.starts_with("# in this existing rule, number ")), "{hints:#?}");
        assert_eq!(hints.len(), 3, "{hints:#?}");
        assert_eq!(hints[0].contains("x-real-ip"), rules == two, "{hints:#?}");
    }
}

#[test]
fn hint_for_an_echo_allows_it_in_the_rule_that_adds_the_secret() {
    let rules = "[instances.a.secrets.key]\nfile = \"k\"\n\
                 [[instances.a.http]]\nallow = \"https://a.example.com\"\nmethods = [\"GET\"]\n\
                 [[instances.a.http]]\nallow = \"https://a.example.com\"\nmethods = [\"POST\"]\n\
                 headers = { authorization = { secret = \"key\" } }";
    let target = Target::parse(Scheme::Https, "a.example.com").unwrap();
    // As the sandbox judges a response.
    let respond = |instance: &Instance| {
        let allowed = instance.grant.http.iter().any(|rule| !rule.send.inject.is_empty() && rule.send.allow_echo);
        let denial = PolicyDenial::Echo { target: target.clone(), secret: key() };
        if allowed { Ok(()) } else { Err(denial) }
    };
    let hints = mended(rules, respond);
    assert!(hints.len() == 1 && hints[0].contains("a response can show it"), "{hints:#?}");
}

#[test]
fn hint_for_an_address_opens_the_rule_that_is_there() {
    for rules in [
        "[[instances.a.http]]\nallow = \"https://a.example.com\"",
        "[[instances.a.http]]\nallow = \"https://a.example.com\"\nnetworks = [\"loopback\"]",
        "[[instances.a.http]]\nallow = \"https://*.example.com\"",
        "[[instances.a.http]]\nallow = \"https://a.example.com\"\nmethods = [\"GET\"]\nnetworks = [\"private\"]\n\
         [[instances.a.http]]\nallow = \"https://a.example.com\"\nmethods = [\"POST\"]",
    ] {
        for address in ["10.0.0.1", "169.254.169.254", "192.0.2.1", "fd00::1"] {
            if rules.contains("private") && (address == "10.0.0.1" || address == "fd00::1") {
                let hints = mended(rules, request("POST", "https://a.example.com/", address));
                assert!(hints[0].contains("methods = [\"POST\"]"), "{hints:?}");
                continue;
            }
            let hints = mended(rules, request("POST", "https://a.example.com/", address));
            assert!(hints.iter().all(|hint| hint.starts_with("# in this existing rule, number ")), "{hints:#?}");
        }
    }
}

#[test]
fn hint_for_a_connection_allows_it() {
    for (rules, host, port, address) in [
        ("", "b.example.com", 9093, PUBLIC),
        ("", "10.0.0.1", 9093, "10.0.0.1"),
        (
            "[[instances.a.tcp]]\nallow = \"b.example.com:9092\"\nnetworks = [\"private\"]",
            "b.example.com",
            9093,
            "10.0.0.1",
        ),
        ("[[instances.a.tcp]]\nallow = \"b.example.com:9093\"", "b.example.com", 9093, "10.0.0.1"),
        (
            "[[instances.a.tcp]]\nallow = \"*.example.com:9093\"\nnetworks = [\"loopback\"]",
            "b.example.com",
            9093,
            "10.0.0.1",
        ),
    ] {
        mended(rules, connection(host, port, address));
    }
}

#[test]
fn hint_for_a_name_allows_to_look_it_up() {
    let host: Host = "b.example.com".parse().unwrap();
    let look_up = |instance: &Instance| instance.grant.permit_name(&host).map(drop);
    mended_with("", look_up, &|hint| hint.replace("PORT", "9093"));
}

#[test]
fn hint_for_a_socket_opens_the_address() {
    for (rules, address) in [
        ("", "8.8.8.8:53"),
        ("", "127.0.0.1:53"),
        ("[[instances.a.tcp]]\nallow = \"127.0.0.1:53\"\nnetworks = [\"private\"]", "127.0.0.1:53"),
        ("[[instances.a.tcp]]\nallow = \"[fd00::1]:53\"\nnetworks = [\"loopback\"]", "[fd00::1]:53"),
    ] {
        let address: std::net::SocketAddr = address.parse().unwrap();
        // As the sandbox judges an address that no name led to.
        let connect = |instance: &Instance| {
            let target = Target::new(Scheme::Tcp, Host::Address(address.ip()), address.port());
            let pinned = instance.grant.permit_tcp(&target).and_then(|permit| permit.pin(&[address.ip()]));
            pinned.map(drop).map_err(|_| PolicyDenial::Socket { address })
        };
        assert_eq!(mended(rules, connect).len(), 1);
    }
}
