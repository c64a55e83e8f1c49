//! `deputy test --conformance`: every connector of this repository that needs no Kerberos keeps the rules, and components that
//! do not keep them are found.

use std::fs;
use std::path::{Path, PathBuf};

use deputy_test_servers::guest;
use serde_json::Value;

use crate::home::TestEnvironment;

/// Connectors without a test of their own: they speak Kerberos or Kafka's SCRAM, and run against real servers.
const OTHERS: [&str; 5] = ["hbase", "hdfs", "hive", "kafka", "yarn"];

/// The tests beside the connectors, with the names of their components.
fn scripts() -> Vec<(String, PathBuf)> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let mut scripts = Vec::new();
    for folder in ["providers", "receivers"] {
        for connector in fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap()) {
            let name = connector.file_name().into_string().unwrap();
            if !connector.path().join("Cargo.toml").exists() {
                continue;
            }
            let files = fs::read_dir(connector.path()).unwrap().map(|entry| entry.unwrap().path());
            let tests: Vec<_> = files.filter(|file| file.to_str().unwrap().ends_with(".test.toml")).collect();
            assert!(!tests.is_empty() || OTHERS.contains(&name.as_str()), "{name} has no test");
            scripts.extend(tests.into_iter().map(|test| (name.clone(), test)));
        }
    }
    scripts.sort();
    assert!(scripts.len() >= 8, "{scripts:?}");
    scripts
}

#[test]
fn component_conformance_of_every_connector() {
    let home = TestEnvironment::empty();
    for (name, script) in scripts() {
        fs::copy(guest(&name).unwrap(), home.path(&format!("{name}.wasm"))).unwrap();
        fs::copy(&script, home.path(script.file_name().unwrap().to_str().unwrap())).unwrap();
    }
    let run = home.run(&["test", "."]);
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    let run = home.run(&["test", ".", "--conformance"]);
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    assert!(run.stdout.lines().count() > 200, "{}", run.stdout);
}

/// What a component breaks: the names of its trials.
fn broken(component: &str, script: &str) -> Vec<String> {
    let home = TestEnvironment::empty();
    fs::copy(guest(component).unwrap(), home.path("guest.wasm")).unwrap();
    home.write("a.test.toml", script);
    let run = home.run(&["test", "a.test.toml", "--conformance", "--json"]);
    assert_eq!(run.code, Some(1), "{}{}", run.stdout, run.stderr);
    let seen: Value = serde_json::from_str(&run.stdout).unwrap();
    let calls = seen["files"][0]["calls"].as_array().unwrap();
    let wrong = calls.iter().filter(|call| call["ok"] == false);
    wrong.map(|call| call["name"].as_str().unwrap().to_owned()).collect()
}

/// A component that says what its server says, and knows no status: it panics on lines that it does not know, and without its
/// setting.
const ASKS: &str = r#"
[instance]
component = "guest.wasm"
settings = { url = "https://ask.example" }

[[instance.http]]
allow = "https://ask.example"

[[call]]
[[call.http]]
request = { method = "POST", url = "https://ask.example/obtain" }
reply = { body = "payload good" }
"#;

#[test]
fn component_conformance_finds_traps_and_wrong_failures() {
    let broken = broken("benign-lifecycle", ASKS);
    for rule in [
        "obtain without settings",
        "status 429 with Retry-After to request 1",
        "a page of HTML to request 1",
        "an empty body to request 1",
        // What it exports has to be tried, too.
        "the good renew",
        "the good revoke",
    ] {
        assert!(broken.iter().any(|name| name == rule), "{rule}: {broken:?}");
    }
    for rule in ["no answer to request 1", "service-name without settings"] {
        assert!(!broken.iter().any(|name| name == rule), "{rule}: {broken:?}");
    }
}

#[test]
fn component_conformance_covers_renewal_and_revocation() {
    let call = |function: &str, reply: &str| {
        let request = format!("{{ method = \"POST\", url = \"https://ask.example/{function}\" }}");
        format!(
            "[[call]]\nfunction = \"{function}\"\n[[call.http]]\nrequest = {request}\nreply = {{ body = \"{reply}\" }}\n"
        )
    };
    let script = format!("{ASKS}{}{}", call("renew", "payload renewed"), call("revoke", ""));
    let broken = broken("benign-lifecycle", &script);
    for rule in [
        "renew without settings",
        "renew where the setting url is empty",
        "status 401 to request 1 of renew",
        "status 429 with Retry-After to request 1 of renew",
        "a page of HTML to request 1 of renew",
        "revoke without settings",
        // It reads no status, and takes a refusal for a success.
        "status 403 to request 1 of revoke",
        "status 500 to request 1 of revoke",
    ] {
        assert!(broken.iter().any(|name| name == rule), "{rule}: {broken:?}");
    }
    for rule in [
        "the good renew",
        "no answer to request 1 of renew",
        "renew with a payload that is garbage",
        "renew with an expiry in the past",
        "status 404 to request 1 of revoke",
        "a body without an end to request 1 of revoke",
        "revoke again",
    ] {
        assert!(!broken.iter().any(|name| name == rule), "{rule}: {broken:?}");
    }
}
