//! Whose state an instance's is: what makes it another's, and what does not.

#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]

use std::path::Path;

use deputy_config::{Colour, CoordinatorFile};
use deputy_core::Digest;
use insta::assert_snapshot;

/// An instance with one of everything that state can belong to.
const ALL: &str = r#"[logins.etl]
principal = "etl@EXAMPLE.COM"
keytab = "etl.keytab"
kdcs = ["kdc1.example.com"]

[instances.a]
component = "a.wasm"
settings = { scope = "read" }
lifetime = "1h"
state = {}
limits = { wall = "30s" }

[instances.a.kerberos]
login = "etl"
targets = ["HTTP/login.example.com@EXAMPLE.COM"]

[instances.a.secrets.refresh-token]
file = "token"
reveal = true
[instances.a.secrets.client]
env = "CLIENT"

[[instances.a.http]]
allow = "https://login.example.com"
methods = ["POST"]
paths = ["/token"]
form = { client_secret = { secret = "client" } }
[[instances.a.http]]
allow = "https://login.example.com"
methods = ["GET"]
paths = ["/me"]
[[instances.a.tcp]]
allow = "nn1.example.com:8020"
networks = ["private"]
"#;

/// The text that its identity is the digest of.
fn owner_of(component: u8, text: &str) -> String {
    let config = CoordinatorFile::parse(text, Path::new("/etc/deputy/deputy.toml"));
    let config = config.map_err(|errors| errors.render(Colour::Never)).unwrap();
    config.instances.values().next().unwrap().state_owner(Digest::new([component; 32])).unwrap()
}

/// The text with a change that must be there to make.
#[track_caller]
fn changed(from: &str, to: &str) -> String {
    assert_eq!(ALL.matches(from).count(), 1, "{from}");
    ALL.replace(from, to)
}

/// State that was saved before an update must still be given after it: who changes this text changes its version.
#[test]
fn state_owner_text_is_stable() {
    assert_snapshot!(owner_of(0xab, ALL), @r#"
    deputy state, version 1
    component abababababababababababababababababababababababababababababababab
    http "https://login.example.com" networks()
    tcp "nn1.example.com:8020" networks("private")
    login "etl@EXAMPLE.COM"
    secret "client" env "CLIENT"
    secret "refresh-token" file "/etc/deputy/token"
    "#);
}

#[test]
fn state_owner_changes_with_component_host_secret_and_login() {
    let own = owner_of(1, ALL);
    assert_ne!(owner_of(2, ALL), own, "another component");
    for (from, to) in [
        // Hosts.
        ("allow = \"nn1.example.com:8020\"", "allow = \"nn2.example.com:8020\""),
        ("allow = \"nn1.example.com:8020\"", "allow = \"nn1.example.com:8021\""),
        ("networks = [\"private\"]", "networks = [\"private\", \"loopback\"]"),
        ("[[instances.a.tcp]]", "[[instances.a.http]]\nallow = \"https://other.example.com\"\n[[instances.a.tcp]]"),
        // Secrets, by name and source.
        ("env = \"CLIENT\"", "env = \"OTHER\""),
        ("env = \"CLIENT\"", "credential = \"CLIENT\""),
        ("file = \"token\"", "file = \"other\""),
        ("[instances.a.secrets.refresh-token]", "[instances.a.secrets.other]"),
        // The login.
        ("principal = \"etl@EXAMPLE.COM\"", "principal = \"other@EXAMPLE.COM\""),
    ] {
        assert_ne!(owner_of(1, &changed(from, to)), own, "{to}");
    }
    let without_login =
        changed("[instances.a.kerberos]\nlogin = \"etl\"\ntargets = [\"HTTP/login.example.com@EXAMPLE.COM\"]\n", "");
    assert_ne!(owner_of(1, &without_login), own, "no login");
}

#[test]
fn state_owner_stays_the_same_after_any_other_change() {
    let own = owner_of(1, ALL);
    for (from, to) in [
        ("scope = \"read\"", "scope = \"write\""),
        ("component = \"a.wasm\"", "component = \"moved/a.wasm\""),
        ("lifetime = \"1h\"", "lifetime = \"2h\"\nretry = { floor = \"1s\" }"),
        ("limits = { wall = \"30s\" }", "limits = { state = \"1KiB\" }"),
        ("state = {}", "state = { inherit = \"abababababababababababababababababababababababababababababababab\" }"),
        ("reveal = true", "hmac-sha256 = true"),
        // Methods, paths and number of the rules for one host.
        ("paths = [\"/token\"]", "paths = [\"/oauth\"]"),
        ("methods = [\"GET\"]", "methods = [\"GET\", \"HEAD\"]"),
        ("[[instances.a.http]]\nallow = \"https://login.example.com\"\nmethods = [\"GET\"]\npaths = [\"/me\"]\n", ""),
        // How the login gets its ticket, and which services it opens contexts with.
        ("kdcs = [\"kdc1.example.com\"]", "kdcs = [\"kdc2.example.com\"]"),
        ("keytab = \"etl.keytab\"", "keytab = \"moved.keytab\""),
        ("targets = [\"HTTP/login", "targets = [\"hive/login"),
    ] {
        assert_eq!(owner_of(1, &changed(from, to)), own, "{to}");
    }
}

#[test]
fn state_owner_of_a_file_is_none() {
    let text =
        "[instances.a]\nservice = \"s3\"\nkind = \"bearer-token/1\"\nfile = { path = \"t\", lifetime = \"1h\" }\n";
    let config = CoordinatorFile::parse(text, Path::new("deputy.toml")).map_err(|errors| errors.render(Colour::Never));
    assert_eq!(config.unwrap().instances.values().next().unwrap().state_owner(Digest::new([1; 32])), None);
}
