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

#[test]
fn component_conformance_finds_traps_and_wrong_failures() {
    let script = "[instance]\ncomponent = \"guest.wasm\"\nsettings = { url = \"https://ask.example\" }\n[[instance.http]]\nallow = \
                  \"https://ask.example\"\n[[call]]\n[[call.http]]\nrequest = { method = \"POST\", url = \
                  \"https://ask.example/obtain\" }\nreply = { body = \"payload good\" }\n";
    let broken = broken("benign-lifecycle", script);
    // It panics without its setting and on lines that it does not know, and knows no status.
    for rule in [
        "obtain without settings",
        "status 429 with Retry-After to request 1",
        "a page of HTML to request 1",
        "an empty body to request 1",
    ] {
        assert!(broken.iter().any(|name| name == rule), "{rule}: {broken:?}");
    }
    for rule in ["no answer to request 1", "service-name without settings"] {
        assert!(!broken.iter().any(|name| name == rule), "{rule}: {broken:?}");
    }
}
