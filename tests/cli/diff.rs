//! `deputy diff`

use std::fs;

use deputy_test_servers::guest;
use insta::assert_snapshot;
use serde_json::Value;

use crate::home::TestEnvironment;

#[test]
fn diff_says_what_a_new_version_could_do_and_want() {
    let home = TestEnvironment::with("");
    fs::copy(guest("description-greedy").unwrap(), home.path("new.wasm")).unwrap();
    assert_snapshot!(home.snapshot(&["diff", "s3-sts.wasm", "new.wasm", "--set", "region=eu-west-1", "--set", "want=private"]), @"");
    let json = home.run(&["diff", "s3-sts.wasm", "new.wasm", "--set", "region=eu-west-1", "--json"]);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((&json["same"], &json["sections"].as_array().unwrap().is_empty()), (&false.into(), &false));
}

#[test]
fn diff_of_the_same_file_is_empty() {
    let home = TestEnvironment::with_s3("http://127.0.0.1:1", "");
    fs::copy(home.path("s3-sts.wasm"), home.path("copy.wasm")).unwrap();
    let run = home.run(&["diff", "s3-sts.wasm", "copy.wasm", "--instance", "s3"]);
    assert!(run.code == Some(0) && run.stdout.ends_with("\nThe same file.\n"), "{}{}", run.stdout, run.stderr);
    let json = home.run(&["diff", "s3-sts.wasm", "copy.wasm", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&json.stdout).unwrap()["same"], true);
}

#[test]
fn diff_with_a_component_that_does_not_describe_itself_says_so() {
    let home = TestEnvironment::with("");
    let held = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/held/0.2.0/s3-sts.wasm");
    fs::copy(held, home.path("held.wasm")).unwrap();
    let run = home.run(&["diff", "held.wasm", "s3-sts.wasm", "--set", "region=eu-west-1"]);
    assert!(run.stdout.contains("one that describes itself"), "{}{}", run.stdout, run.stderr);
    assert!(run.stdout.contains("What the old one wants is not known"), "{}", run.stdout);
}
