//! What a fingerprint is taken of: all that makes tokens what they are, and nothing else.

#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]

use std::path::Path;

use deputy_config::{Colour, CoordinatorFile};
use deputy_core::Digest;
use insta::assert_snapshot;

/// An instance with one of everything.
const ALL: &str = r#"[upstreams.u]
calls-per-minute = 60
burst = 5
[upstreams.v]
calls-per-minute = 60
burst = 5

[instances.a]
component = "a.wasm"
settings = { region = "eu-west-1", role = "reader" }
upstream = "u"
obtain = "on-demand"
unused = "10m"
lifetime = "1h"
max-lifetime = "7d"
renew = { ratio = 0.75, jitter = 0.1 }
retry = { floor = "1s", most = "5m", slow = "1m" }
revoke = { replaced = "5m", removed = true, shutdown = false }
limits = { memory = "64MiB" }
prefer = "component"
file = { path = "token.json", lifetime = "2h" }

[instances.a.secrets.aws]
file = "aws-key"
sigv4 = { services = ["sts", "iam"], regions = ["eu-west-1", "eu-west-2"] }
[instances.a.secrets.jwt]
env = "JWT_KEY"
jwt = { algorithms = ["RS256", "EdDSA"], issuers = ["me", "you"], audiences = ["a", "b"], subjects = ["s", "t"], claims = { scope = ["list", "read"], all = true }, max-lifetime = "10m" }
[instances.a.secrets.bare]
credential = "bare"
hmac-sha256 = true
[instances.a.secrets.scram]
command = ["pass", "show scram"]
pbkdf2 = true
[instances.a.secrets.signer]
file = "signer"
sign = { algorithms = ["ES256", "RS256"] }
[instances.a.secrets.kafka]
file = "kafka"
scram = { username = "carol" }
[instances.a.secrets.tls]
file = "client.key"
[instances.a.secrets.token]
file = "token"
reveal = true

[[instances.a.http]]
allow = "https://a.example"
methods = ["GET", "POST"]
paths = ["/v1", "/v2"]
networks = ["private", "10.1.0.0/16"]
roots = "ca.pem"
client-certificate = { chain = "client.pem", key = { secret = "tls" } }
headers = { authorization = { secret = "token", prefix = "Bearer " }, x-user = { secret = "token", basic = "me" } }
form = { assertion = { secret = "token" } }
[[instances.a.http]]
allow = "http://*.example.com:8080"
[[instances.a.tcp]]
allow = "broker.example.com:9093"
networks = ["loopback"]
"#;

const FILE: &str = "[instances.a]\nservice = \"s3\"\nkind = \"aws-credential-process/1\"\nobtain = \"always\"\nfile = { path = \"token.json\", lifetime = \"1h\" }\n";

fn digest(byte: u8) -> Option<Digest> {
    Some(Digest::new([byte; 32]))
}

fn canonical(text: &str) -> String {
    let config = CoordinatorFile::parse(text, Path::new("/etc/deputy/deputy.toml"));
    let config = config.map_err(|errors| errors.render(Colour::Never)).unwrap();
    let entry = config.instances.values().next().unwrap();
    entry.canonical(if entry.component.is_some() { digest(0xab) } else { None })
}

/// The text with a change that must be there to make.
#[track_caller]
fn changed(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "{from}");
    text.replace(from, to)
}

/// A lease that was obtained before an update must still be known after it: who changes this text changes its version.
#[test]
fn canonical_text_is_stable() {
    assert_snapshot!(canonical(ALL), @r#"
    deputy instance, version 1
    component abababababababababababababababababababababababababababababababab
    setting "region" "eu-west-1"
    setting "role" "reader"
    source "aws" file "/etc/deputy/aws-key"
    source "bare" credential "bare"
    source "jwt" env "JWT_KEY"
    source "kafka" file "/etc/deputy/kafka"
    source "scram" command "pass" "show scram"
    source "signer" file "/etc/deputy/signer"
    source "tls" file "/etc/deputy/client.key"
    source "token" file "/etc/deputy/token"
    grant "aws" sigv4 services("iam" "sts") regions("eu-west-1" "eu-west-2")
    grant "bare" hmac-sha256
    subjects "jwt" subjects("s" "t")
    claim "jwt" "all" any
    claim "jwt" "scope" values("list" "read")
    grant "jwt" jwt algorithms("EdDSA" "RS256") issuers("me" "you") audiences("a" "b") 600000
    grant "kafka" scram "carol"
    grant "scram" pbkdf2
    grant "signer" sign algorithms("ES256" "RS256")
    grant "token" reveal
    http "https://a.example" methods("GET" "POST") paths("/v1" "/v2")
    open networks("10.1.0.0/16" "private")
    roots "/etc/deputy/ca.pem"
    client-certificate "/etc/deputy/client.pem" "tls"
    inject field "assertion" "token" plain ""
    inject header "authorization" "token" plain "Bearer "
    inject header "x-user" "token" basic "me"
    http "http://*.example.com:8080" methods() any-path
    tcp "broker.example.com" 9093
    open networks("loopback")
    file "/etc/deputy/token.json" 7200000
    "#);
    assert_snapshot!(canonical(FILE), @r#"
    deputy instance, version 1
    file "/etc/deputy/token.json" 3600000
    service "s3"
    kind "aws-credential-process/1"
    "#);
}

#[test]
fn canonical_text_has_tls_of_connections() {
    let text = r#"[instances.a]
component = "a.wasm"
[instances.a.secrets.key]
file = "client.key"
[[instances.a.tcp]]
allow = "a.example:9093"
tls = {}
[[instances.a.tcp]]
allow = "b.example:9093"
tls = { roots = "ca.pem", client-certificate = { chain = "client.pem", key = { secret = "key" } } }
"#;
    assert_snapshot!(canonical(text), @r#"
    deputy instance, version 1
    component abababababababababababababababababababababababababababababababab
    source "key" file "/etc/deputy/client.key"
    tcp "a.example" 9093
    tls
    tcp "b.example" 9093
    tls
    roots "/etc/deputy/ca.pem"
    client-certificate "/etc/deputy/client.pem" "key"
    "#);
}

#[test]
fn canonical_text_has_kerberos_targets() {
    let text = r#"[logins.etl]
principal = "etl@EXAMPLE.COM"
keytab = "etl.keytab"
[instances.a]
component = "a.wasm"
kerberos = { login = "etl", targets = ["hdfs/nn1.example.com@EXAMPLE.COM"] }
[[instances.a.http]]
allow = "https://nn1.example.com"
negotiate = "HTTP/_HOST@EXAMPLE.COM"
"#;
    assert_snapshot!(canonical(text), @r#"
    deputy instance, version 1
    component abababababababababababababababababababababababababababababababab
    http "https://nn1.example.com" methods() any-path
    negotiate "HTTP/_HOST@EXAMPLE.COM"
    kerberos "etl@EXAMPLE.COM"
    kerberos-target "hdfs/nn1.example.com@EXAMPLE.COM"
    "#);
}

#[test]
fn canonical_text_changes_with_what_tokens_depend_on() {
    let original = canonical(ALL);
    for (from, to) in [
        ("region = \"eu-west-1\"", "region = \"eu-west-2\""),
        ("role = \"reader\"", "rule = \"reader\""),
        ("settings = { region = \"eu-west-1\", role = \"reader\" }", ""),
        ("path = \"token.json\"", "path = \"token\""),
        ("lifetime = \"2h\" }", "lifetime = \"3h\" }"),
        ("prefer = \"component\"\nfile = { path = \"token.json\", lifetime = \"2h\" }", ""),
        // Where a secret is, under which name, and what it is for.
        ("file = \"aws-key\"", "file = \"other-key\""),
        ("file = \"aws-key\"", "credential = \"aws-key\""),
        ("file = \"aws-key\"", "env = \"aws-key\""),
        ("file = \"aws-key\"", "command = [\"aws-key\"]"),
        ("\"pass\", \"show scram\"", "\"pass\", \"show\", \"scram\""),
        ("secrets.aws]", "secrets.aws-key]"),
        ("\"sts\", \"iam\"", "\"sts\""),
        ("\"sts\", \"iam\"", "\"sts\", \"s3\""),
        ("\"eu-west-1\", \"eu-west-2\"", "\"eu-west-2\""),
        ("algorithms = [\"RS256\", \"EdDSA\"]", "algorithms = [\"EdDSA\"]"),
        ("\"me\", \"you\"", "\"me\""),
        ("audiences = [\"a\", \"b\"]", "audiences = [\"ab\"]"),
        ("audiences = [\"a\", \"b\"], ", ""),
        ("subjects = [\"s\", \"t\"]", "subjects = [\"s\"]"),
        ("subjects = [\"s\", \"t\"], ", ""),
        ("scope = [\"list\", \"read\"]", "scope = [\"list\"]"),
        ("scope = [\"list\", \"read\"]", "scope = true"),
        ("all = true", "all = [\"true\"]"),
        (", all = true", ""),
        ("\"10m\" }\n[", "\"11m\" }\n["),
        ("hmac-sha256 = true", "pbkdf2 = true"),
        ("hmac-sha256 = true", "hmac-sha256 = true\nreveal = true"),
        ("pbkdf2 = true", ""),
        ("username = \"carol\"", "username = \"admin\""),
        ("scram = { username = \"carol\" }", ""),
        ("\"ES256\", \"RS256\"", "\"ES256\""),
        ("reveal = true", ""),
        // Where it may be sent.
        ("allow = \"https://a.example\"", "allow = \"https://b.example\""),
        ("allow = \"https://a.example\"", "allow = \"https://a.example:8443\""),
        ("http://*.example.com:8080", "http://example.com:8080"),
        ("\"GET\", \"POST\"", "\"POST\""),
        ("methods = [\"GET\", \"POST\"]", ""),
        ("\"/v1\", \"/v2\"", "\"/v1\""),
        ("paths = [\"/v1\", \"/v2\"]", ""),
        ("\"private\", \"10.1.0.0/16\"", "\"private\""),
        ("networks = [\"loopback\"]", "networks = [\"private\"]"),
        ("networks = [\"loopback\"]", ""),
        ("broker.example.com:9093", "broker.example.com:9094"),
        ("[[instances.a.tcp]]\nallow = \"broker.example.com:9093\"\nnetworks = [\"loopback\"]", ""),
        ("[[instances.a.http]]\nallow = \"http://*.example.com:8080\"", ""),
        // And how.
        ("roots = \"ca.pem\"", "roots = \"other.pem\""),
        ("roots = \"ca.pem\"", ""),
        ("roots = \"ca.pem\"", "roots = \"ca.pem\"\noverride-headers = [\"forwarded\"]"),
        ("roots = \"ca.pem\"", "roots = \"ca.pem\"\nallow-echo = true"),
        ("client.pem", "other.pem"),
        ("key = { secret = \"tls\" }", "key = { secret = \"signer\" }"),
        ("prefix = \"Bearer \"", "prefix = \"Bearer\""),
        ("prefix = \"Bearer \"", "basic = \"Bearer \""),
        ("basic = \"me\"", "basic = \"you\""),
        ("authorization =", "x-authorization ="),
        ("form = { assertion", "form = { client_assertion"),
        ("form = { assertion = { secret = \"token\" } }", ""),
    ] {
        assert_ne!(canonical(&changed(ALL, from, to)), original, "{from} → {to}");
    }
    let file = canonical(FILE);
    for (from, to) in [("s3", "hdfs"), ("token.json", "token"), ("1h", "2h")] {
        assert_ne!(canonical(&changed(FILE, from, to)), file, "{from} → {to}");
    }
}

#[test]
fn canonical_text_ignores_when_tokens_are_obtained() {
    let original = canonical(ALL);
    for (from, to) in [
        ("upstream = \"u\"", "upstream = \"v\""),
        ("upstream = \"u\"", "upstream = \"u\"\nenabled = false"),
        // Who gets it does not change what it is: nothing is obtained again.
        ("upstream = \"u\"", "upstream = \"u\"\ndeliver-to = [\"analytics\", \"etl\"]"),
        ("obtain = \"on-demand\"\nunused = \"10m\"\n", ""),
        ("unused = \"10m\"", "unused = \"11m\""),
        ("lifetime = \"1h\"", "lifetime = \"2h\""),
        ("max-lifetime = \"7d\"", "max-lifetime = \"8d\""),
        ("prefer = \"component\"", "prefer = \"file\""),
        ("ratio = 0.75", "ratio = 0.5"),
        ("floor = \"1s\"", "floor = \"2s\""),
        ("removed = true", "removed = false"),
        ("memory = \"64MiB\"", "memory = \"65MiB\""),
        ("component = \"a.wasm\"", "component = \"moved.wasm\""),
        ("component = \"a.wasm\"", &format!("component = \"a.wasm\"\nsha256 = \"{}\"", "ab".repeat(32))),
        ("[upstreams.u]\ncalls-per-minute = 60", "[upstreams.u]\ncalls-per-minute = 61"),
    ] {
        assert_eq!(canonical(&changed(ALL, from, to)), original, "{from} → {to}");
    }
    assert_eq!(canonical(&ALL.replace("instances.a", "instances.b")), original);
    assert_eq!(canonical(&changed(FILE, "always", "on-demand")), canonical(FILE));
}

#[test]
fn canonical_text_ignores_order_and_formatting() {
    let original = canonical(ALL);
    for (from, to) in [
        ("{ region = \"eu-west-1\", role = \"reader\" }", "{role='reader',region='eu-west-1'} # a comment"),
        (
            "settings = { region = \"eu-west-1\", role = \"reader\" }\n",
            "settings.role = \"reader\"\nsettings.region = \"eu-west-1\"\n",
        ),
        ("\"sts\", \"iam\"", "\"iam\", \"sts\", \"iam\""),
        ("\"eu-west-1\", \"eu-west-2\"", "\n  \"eu-west-2\",\n  \"eu-west-1\",\n"),
        ("\"RS256\", \"EdDSA\"", "\"EdDSA\", \"RS256\""),
        ("\"s\", \"t\"", "\"t\", \"s\""),
        ("{ scope = [\"list\", \"read\"], all = true }", "{ all = true, scope = [\"read\", \"list\"], none = false }"),
        ("\"ES256\", \"RS256\"", "\"RS256\", \"ES256\""),
        ("\"GET\", \"POST\"", "\"POST\", \"GET\""),
        ("\"/v1\", \"/v2\"", "\"/v2\", \"/v1\""),
        ("\"private\", \"10.1.0.0/16\"", "\"10.1.0.0/16\", \"private\""),
        (
            "{ authorization = { secret = \"token\", prefix = \"Bearer \" }, x-user = { secret = \"token\", basic = \"me\" } }",
            "{ X-User = { basic = \"me\", secret = \"token\" }, Authorization = { secret = \"token\", prefix = \"Bearer \" } }",
        ),
        ("allow = \"https://a.example\"", "allow = \"https://a.example:443\""),
        ("path = \"token.json\"", "path = \"/etc/deputy/token.json\""),
        ("lifetime = \"2h\" }", "lifetime = \"120m\" }"),
    ] {
        assert_eq!(canonical(&changed(ALL, from, to)), original, "{from} → {to}");
    }
    let (head, tail) = ALL.split_once("[instances.a.secrets.aws]").unwrap();
    let (aws, tail) = tail.split_once("[instances.a.secrets.jwt]").unwrap();
    let (rest, rules) = tail.split_once("[[instances.a.http]]").unwrap();
    let swapped =
        format!("{head}[instances.a.secrets.jwt]{rest}[instances.a.secrets.aws]{aws}[[instances.a.http]]{rules}");
    assert_eq!(canonical(&swapped), original);
}

/// The first rule that allows a request decides, so two orders are two grants.
#[test]
fn canonical_text_depends_on_the_order_of_rules() {
    let rules = |first: &str, second: &str| {
        canonical(&format!(
            "[instances.a]\ncomponent = \"a\"\n[[instances.a.http]]\n{first}\n[[instances.a.http]]\n{second}"
        ))
    };
    let (one, other) = ("allow = \"https://a.example\"", "allow = \"https://b.example\"");
    assert_ne!(rules(one, other), rules(other, one));
}

#[test]
fn canonical_text_changes_with_the_component() {
    let config = CoordinatorFile::parse(ALL, Path::new("deputy.toml")).unwrap();
    let entry = config.instances.values().next().unwrap();
    assert_ne!(entry.canonical(digest(1)), entry.canonical(digest(2)));
    assert_ne!(entry.canonical(digest(1)), entry.canonical(None));
}

#[test]
fn canonical_text_of_a_value_never_looks_like_another_line() {
    let setting = |text: &str| canonical(&format!("[instances.a]\ncomponent = \"a\"\nsettings = {text}"));
    let plain = setting(r#"{ a = "1", b = "2" }"#);
    for text in [
        r#"{ a = "1\"\nsetting \"b\" \"2" }"#,
        r#"{ "a\" \"1\"\nsetting \"b" = "2" }"#,
        r#"{ a = "1", b = "\\x32" }"#,
        r#"{ a = "1", b = "2 " }"#,
        r#"{ a = "1", b = "２" }"#,
    ] {
        assert_ne!(setting(text), plain, "{text}");
    }
    let odd = setting(r#"{ a = "\"\\\n\u0000ä" }"#);
    assert!(odd.contains(r#"setting "a" "\"\\\x0a\x00\xc3\xa4""#), "{odd}");
    assert!(odd.bytes().all(|b| b == b'\n' || b == b' ' || b.is_ascii_graphic()));
}
