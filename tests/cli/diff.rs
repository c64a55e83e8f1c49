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
    assert_snapshot!(home.snapshot(&["diff", "s3-sts.wasm", "new.wasm", "--set", "region=eu-west-1", "--set", "want=private"]), @r#"
    exit code 0
    ----- stdout
    s3-sts.wasm (0.1.0) → new.wasm (999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999…)

    It is now
      of service hostile (before: s3)

    It can no longer
      make HTTP requests
      read the time
      sign AWS requests (SigV4) with a secret

    New kinds of payload
      hostile/1

    It no longer obtains or takes
      aws-credential-process/1

    Its settings
      `want` is new: text\r\n[instances.evil]\ncomponent = "evil.wasm"
      `[[instances.evil.http]]` is new: a name like a header
      `x]"'#=` is new: a name like syntax
      `operation` is gone
      `region` is gone
      `endpoint` is gone
      `role-arn` is gone
      `role-session-name` is gone
      `external-id` is gone
      `policy` is gone
      `policy-arns` is gone
      `duration` is gone
      `secret` is gone
      `access-key-id` is gone

    It no longer imports
      delegation:tokens/secrets#[method]secret.sigv4
      delegation:tokens/secrets#open
      wasi:clocks/wall-clock#now
      wasi:http/outgoing-handler#handle
      wasi:http/types#[constructor]fields
      wasi:http/types#[constructor]outgoing-request
      wasi:http/types#[method]fields.append
      wasi:http/types#[method]fields.entries
      wasi:http/types#[method]fields.set
      wasi:http/types#[method]future-incoming-response.get
      wasi:http/types#[method]future-incoming-response.subscribe
      wasi:http/types#[method]incoming-body.stream
      wasi:http/types#[method]incoming-response.consume
      wasi:http/types#[method]incoming-response.headers
      wasi:http/types#[method]incoming-response.status
      wasi:http/types#[method]outgoing-body.write
      wasi:http/types#[method]outgoing-request.body
      wasi:http/types#[method]outgoing-request.set-authority
      wasi:http/types#[method]outgoing-request.set-method
      wasi:http/types#[method]outgoing-request.set-path-with-query
      wasi:http/types#[method]outgoing-request.set-scheme
      wasi:http/types#[static]outgoing-body.finish
      wasi:http/types#http-error-code
      wasi:io/poll#[method]pollable.block
      wasi:io/streams#[method]input-stream.blocking-read
      wasi:io/streams#[method]output-stream.blocking-write-and-flush

    What the old one wants is not known: setting `want`: no such setting here; there are: operation, region, endpoint, role-arn, role-session-name, external-id, policy, policy-arns, duration, secret, access-key-id
    "#);
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
    assert!(!run.stdout.contains("It now wants") && !run.stdout.contains("New kinds"), "{}", run.stdout);
    let back = home.run(&["diff", "s3-sts.wasm", "held.wasm", "--set", "region=eu-west-1"]);
    assert!(!back.stdout.contains("It no longer wants"), "{}", back.stdout);
}

/// The same component as another file: readers of components pass over custom sections.
fn with_custom_section(home: &TestEnvironment, old: &str, new: &str) {
    let mut bytes = fs::read(home.path(old)).unwrap();
    bytes.extend([0, 2, 1, b'x']);
    fs::write(home.path(new), bytes).unwrap();
}

#[test]
fn diff_is_the_same_only_where_all_is_known() {
    let home = TestEnvironment::with("");
    with_custom_section(&home, "s3-sts.wasm", "new.wasm");
    let diff = |arguments: &[&str]| home.run(&[&["diff", "s3-sts.wasm", "new.wasm"], arguments].concat());
    let json = |arguments: &[&str]| serde_json::from_str::<Value>(&diff(arguments).stdout).unwrap();
    let known = json(&["--set", "region=eu-west-1", "--json"]);
    assert_eq!((&known["same"], &known["unknown"]), (&true.into(), &serde_json::json!([])), "{known}");
    // Without a region, neither says what it wants.
    let silent = json(&["--json"]);
    assert_eq!((&silent["same"], &silent["sections"]), (&false.into(), &serde_json::json!([])), "{silent}");
    assert_eq!(silent["unknown"].as_array().unwrap().len(), 2, "{silent}");
    let text = diff(&[]).stdout;
    assert!(
        !text.contains("Nothing that it could do") && text.contains("What the new one wants is not known"),
        "{text}"
    );
}
