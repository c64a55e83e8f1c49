//! `deputy test`: each kind of expectation, held and not held.

use std::fs;

use deputy_test_servers::guest;
use insta::assert_snapshot;
use serde_json::Value;

use crate::home::{CommandOutput, TestEnvironment};

/// The start of a test whose component does as its server says: see tests/guests/src/script.rs.
pub(crate) const KEEPER: &str = r#"
state = "kept"
seed = 7

[instance]
component = "guest.wasm"
settings = { url = "https://ask.example" }
revoke = { replaced = "1m" }

[instance.state]

[[instance.http]]
allow = "https://ask.example"
methods = ["POST"]
"#;

fn home(component: &str, script: &str) -> TestEnvironment {
    let home = TestEnvironment::empty();
    fs::copy(guest(component).unwrap(), home.path("guest.wasm")).unwrap();
    home.write("a.test.toml", script);
    home
}

pub(crate) fn test(component: &str, script: &str) -> (TestEnvironment, CommandOutput) {
    let home = home(component, script);
    let run = home.run(&["test", "a.test.toml"]);
    (home, run)
}

pub(crate) fn assert_passes(component: &str, script: &str) {
    let (_, run) = test(component, script);
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
}

#[test]
fn component_test_of_the_documentation_passes() {
    let (_, rest) = include_str!("../../docs/testing.md").split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let home = home("s3-sts", "");
    home.write("a.test.toml", &example.replace("s3-sts.wasm", "guest.wasm"));
    assert_snapshot!(home.snapshot(&["test", "."]), @"
    exit code 0
    ----- stdout
    ok      ./a.test.toml: a role is assumed
    ok      ./a.test.toml: STS asks to wait
    ok      ./a.test.toml: another region is not granted
    3 passed, 0 failed
    ");
}

#[test]
fn component_test_of_several_calls_holds() {
    assert_passes(
        "benign-keeper",
        &format!(
            r#"{KEEPER}
[[call]]
[[call.http]]
request = {{ method = "POST", url = "https://ask.example/obtain", body = "kept", headers = {{ host = "ask.example" }} }}
reply = {{ body = "payload first\nafter-ms 3600000\nhandle h\nnext-at 1767227400000\nrenewable-until 1767312000000\nfact state second\nfact region eu" }}
[call.expect]
kind = "hostile/1"
payload = "first"
handle = {{ base64 = "aA==" }}
expiry = "2026-01-01T01:00:00Z"
expires-in = "1h"
next-in = "30m"
renewable-for = "1d"
replaced-in = "30m"
facts = {{ region = {{ regex = "^e" }}, other = {{ absent = true }} }}
uses = ["POST https://ask.example/obtain", "load state", "save state"]
state = "second"
within = {{ requests = 1, memory = "16MiB", cpu = "5s", sent = "1KiB", received = "1KiB", secret-operations = 0 }}

[[call]]
function = "renew"
after = "45m"
[[call.http]]
request = {{ method = "POST", url = "https://ask.example/renew", body = "first", headers = {{ handle = "h" }} }}
reply = {{ body = "payload renewed\nvalid-for-ever\nfact state third" }}
[call.expect]
payload = {{ regex = "^ren" }}
expiry = "never"

[[call]]
function = "revoke"
[[call.http]]
request = {{ method = "POST", url = "https://ask.example/revoke", body = "renewed" }}

[[call]]
function = "revoke"
tokens = {{ kind = "hostile/1", payload = "older", handle = "x", expires-in = "1h" }}
[[call.http]]
request = {{ method = "POST", url = "https://ask.example/revoke", body = "older" }}
reply = {{ body = "failure throttled 2000 not now" }}
[call.expect]
failure = {{ kind = "throttled", message = {{ regex = "not now" }}, code = {{ absent = true }}, retry-after = "2s" }}

[[call]]
function = "service-name"
expect = {{ value = "keeper" }}

[[call]]
function = "kinds"
expect = {{ value = ["hostile/1"] }}

[[call]]
function = "tokens-required"
expect = {{ value = true }}
"#
        ),
    );
}

#[test]
fn component_test_shows_what_differs() {
    let (home, run) = test(
        "benign-keeper",
        &format!(
            r#"{KEEPER}
[[call]]
name = "everything is different"
[[call.http]]
request = {{ method = "PUT", url = "https://ask.example/take?a=b", body = "dept", form = {{ a = "b" }}, json = {{ a = 1 }}, headers = {{ x-y = "z" }} }}
reply = {{ body = "payload first\nafter-ms 3600000\nfact state second" }}
[[call.http]]
request = {{ url = "https://ask.example/more" }}
[call.expect]
kind = "other/1"
payload = "second"
handle = "h"
expires-in = "2h"
next-in = "1h"
replaced-in = "1h"
facts = {{ region = "eu" }}
uses = ["secret a open"]
refused = ["host-not-granted"]
state = "third"
within = {{ requests = 0 }}
value = true

[[call]]
name = "it fails"
[[call.http]]
request = {{ method = "POST", url = "https://ask.example/obtain" }}
reply = {{ body = "failure denied who are you" }}

[[call]]
name = "it fails otherwise"
[[call.http]]
request = {{ method = "POST", url = "https://ask.example/obtain" }}
reply = {{ body = "failure denied who are you" }}
[call.expect]
failure = "unavailable"

[[call]]
name = "it fails with another text"
[[call.http]]
request = {{ method = "POST", url = "https://ask.example/obtain" }}
reply = {{ body = "failure denied who are you" }}
[call.expect]
failure = {{ kind = "denied", message = "no", code = "E1", retry-after = "1s" }}

[[call]]
name = "it does not fail"
[[call.http]]
request = {{ method = "POST", url = "https://ask.example/obtain" }}
reply = {{ body = "payload first\nfact state second" }}
[call.expect]
failure = "denied"
"#
        ),
    );
    // The component talks a lot on stderr.
    let run = CommandOutput { stderr: String::new(), ..run };
    assert_snapshot!(home.masked_output(&run), @r#"
    exit code 1
    ----- stdout
    failed  a.test.toml: everything is different
      request 1, method and URL
        - PUT https://ask.example/take?a=b
        + POST https://ask.example/obtain
      request 1, header x-y
        - z
        + nothing
      request 1, form field a
        - b
        + nothing
      request 1, body
        - dept
        + kept
      request 1, body
        - JSON {"a":1}
        + kept
      request 2
        - GET https://ask.example/more
        + no request
      kind
        - other/1
        + hostile/1
      payload
        - second
        + first
      handle
        - h
        + 
      expires in
        - 2h
        + 1h
      next in
        - 1h
        + nothing
      replaced in
        - 1h
        + 45m
      fact region
        - eu
        + nothing
      value
        - true
        + tokens
      uses of capabilities
        - secret a open
        + POST https://ask.example/obtain
        + load state
        + save state
      refused
        - host-not-granted
        + nothing
      requests
        - at most 0
        + 1
      state
        - third
        + second
      what it did
        done      call kinds, [N] ms
        done      load state
        done      POST https://ask.example:443/obtain at [TIME], status 200, sent 4 B, received 48 B
        done      save state
        done      call obtain, [N] ms
    failed  a.test.toml: it fails
      result
        - success
        + denied: who are you
      what it did
        done      call kinds, [N] ms
        done      load state
        done      POST https://ask.example:443/obtain at [TIME], status 200, sent 6 B, received 26 B
        failed    call obtain, [N] ms [denied]
    failed  a.test.toml: it fails otherwise
      kind of failure
        - unavailable
        + denied: who are you
      what it did
        done      call kinds, [N] ms
        done      load state
        done      POST https://ask.example:443/obtain at [TIME], status 200, sent 6 B, received 26 B
        failed    call obtain, [N] ms [denied]
    failed  a.test.toml: it fails with another text
      failure, message
        - no
        + who are you
      failure, code
        - E1
        + nothing
      failure, retry-after
        - 1s
        + nothing
      what it did
        done      call kinds, [N] ms
        done      load state
        done      POST https://ask.example:443/obtain at [TIME], status 200, sent 6 B, received 26 B
        failed    call obtain, [N] ms [denied]
    failed  a.test.toml: it does not fail
      result
        - the failure `denied`
        + success
      what it did
        done      call kinds, [N] ms
        done      load state
        done      POST https://ask.example:443/obtain at [TIME], status 200, sent 6 B, received 31 B
        done      save state
        done      call obtain, [N] ms
    0 passed, 5 failed
    "#);
}

#[test]
fn component_test_shows_a_refusal_with_its_fix() {
    let script = KEEPER.replace("allow = \"https://ask.example\"", "allow = \"https://other.example\"");
    let (home, run) = test("benign-lifecycle", &format!("{script}\n[[call]]\n"));
    assert_snapshot!(home.masked_output(&run), @r#"
    exit code 1
    ----- stdout
    failed  a.test.toml: obtain
      result
        - success
        + refused: HttpRequestDenied
      refused
        - nothing
        + host-not-granted
      refused [host-not-granted] https://ask.example:443 is not granted
        hint: to permit it
          # its rules lead to https://other.example: if the component was to go there, its settings need a change instead
          # a new rule:
          [[instance.http]]
          allow = "https://ask.example"
      what it did
        done      call kinds, [N] ms
        refused   POST https://ask.example:443/obtain [host-not-granted]
        failed    call obtain, [N] ms [unavailable]
    0 passed, 1 failed
    "#);
}

#[test]
fn component_test_ends_a_component_that_does_not_end() {
    let limits = "[instance]\ncomponent = \"guest.wasm\"\nlimits = { cpu = \"500ms\" }\n";
    let call = "[[call]]\nexpect = { failure = \"over-limit\", refused = [\"over-limit:cpu\"] }\n";
    assert_passes("cpu-endless-loop", &format!("{limits}{call}"));
}

#[test]
fn component_test_of_a_receiver_compares_files() {
    let script = |expect: &str| {
        format!(
            "[receiver]\ncomponent = \"guest.wasm\"\n[[call]]\nfunction = \"accept\"\n[[call.deliveries]]\ninstance = \"s3\"\n\
             service = \"s3\"\nkind = \"aws-credential-process/1\"\nexpires-in = \"1h\"\njson = {{ Version = 1, AccessKeyId = \
             \"A\", SecretAccessKey = \"S\", SessionToken = \"T\", Expiration = \"2026-01-01T01:00:00Z\" }}\n[call.expect]\n\
             {expect}\n[[call]]\nfunction = \"kinds\"\nexpect = {{ value = [\"aws-credential-process/1\"] }}\n[[call]]\nfunction = \
             \"accept\"\ndeliveries = [{{ instance = \"s3\", service = \"s3\", kind = \"aws-credential-process/1\", payload = \
             \"x\" }}]\nexpect = {{ rejected = {{ s3 = \"misconfigured\" }} }}\n"
        )
    };
    let (_, run) = test("aws-credentials", &script("files = { odd = \"\" }"));
    assert!(run.stdout.contains("file odd\n    - \n    + nothing"), "{}", run.stdout);
    assert!(run.stdout.contains("file credentials\n    - nothing\n    + # Deputy"), "{}", run.stdout);
    assert_passes(
        "aws-credentials",
        &script(
            "files = { credentials = { regex = \"aws_session_token *= *T\" }, \"s3.json\" = { json = { SessionToken = \"T\" } } }",
        ),
    );
}

#[test]
fn component_test_gives_the_seed_and_the_clock() {
    // The same signature twice: clock and key are those of the file.
    let (_, rest) = include_str!("../../docs/testing.md").split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let home = home("s3-sts", "");
    home.write("a.test.toml", &example.replace("s3-sts.wasm", "guest.wasm").replace("Credential=AKIAMOCK", "none"));
    let found = |run: CommandOutput| {
        let line = run.stdout.lines().find(|line| line.contains("+ AWS4-HMAC")).map(str::to_owned);
        line.unwrap_or_else(|| panic!("{}{}", run.stdout, run.stderr))
    };
    assert_eq!(found(home.run(&["test", "a.test.toml"])), found(home.run(&["test", "a.test.toml"])));
}

#[test]
fn component_test_prints_json_and_junit() {
    let home = home("benign-lifecycle", &format!("{KEEPER}\n[[call]]\nname = \"a < b\"\n"));
    let run = home.run(&["test", "a.test.toml", "--json", "--junit", "results.xml"]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    let seen: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&seen["schema"], &seen["ok"]), (&1.into(), &false.into()));
    let call = &seen["files"][0]["calls"][0];
    assert_eq!(call["mismatches"][0]["place"], "result");
    assert_eq!(call["events"].as_array().unwrap().iter().filter(|event| event["event"] == "call").count(), 2);
    let xml = home.read("results.xml");
    assert!(xml.contains("<testsuite name=\"a.test.toml\" tests=\"1\" failures=\"1\">"), "{xml}");
    assert!(xml.contains("name=\"a &lt; b\"") && xml.contains("<failure message=\"result"), "{xml}");
}

#[test]
fn component_test_names_what_is_wrong_with_a_file() {
    let home = home("benign-lifecycle", "");
    for (script, expected) in [
        (String::new(), "there is no component to test"),
        (format!("{KEEPER}\n[[call]]\nfuncton = \"obtain\"\n"), "a.test.toml:17:1: unknown field `functon`"),
        (format!("{KEEPER}\n[[call]]\nexpect = {{ failure = \"odd\" }}\n"), "`odd` is no kind of failure"),
        (format!("{KEEPER}\n[[call]]\nexpect = {{ payload = {{ regex = \"(\" }} }}\n"), "regex"),
        (
            format!("{KEEPER}\n[[call]]\nexpect = {{ payload = {{ regex = \"((a{{500}}){{500}}){{500}}\" }} }}\n"),
            "size limit",
        ),
        (format!("{KEEPER}\nhuge = \"{}\"\n", "x".repeat(2 << 20)), "larger than 1MiB"),
        (KEEPER.replace("allow =", "alow ="), "unknown key `alow`"),
        (KEEPER.replace("guest.wasm", "gone.wasm") + "[[call]]\n", "gone.wasm"),
        (format!("{KEEPER}\n[[call]]\nfunction = \"renew\"\n"), "there are no tokens"),
        (format!("{KEEPER}\n[[call]]\nfunction = \"accept\"\n"), "a provider has no such function"),
    ] {
        home.write("a.test.toml", &script);
        let run = home.run(&["test", "a.test.toml"]);
        assert_eq!(run.code, Some(2), "{}{}", run.stdout, run.stderr);
        assert!(run.stderr.contains(expected), "{expected}: {}", run.stderr);
    }
    let run = home.run(&["test", "nowhere"]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
}

#[test]
fn component_test_uses_nothing_of_this_machine() {
    let home = home("benign-lifecycle", "");
    let secret = |source: &str| format!("{KEEPER}[instance.secrets.key]\n{source}\n[[call]]\n");
    let written = format!("command = [\"touch\", \"{}\"]", home.path("run").display());
    let login = "[logins.a]\nprincipal = \"a@B\"\nkeytab = \"a.keytab\"\n[[call]]\n";
    for (script, expected) in [
        (secret(&written), "a test's secret has no `value`"),
        (secret("file = \"/etc/hostname\""), "a test's secret has no `value`"),
        (secret("env = \"HOME\""), "a test's secret has no `value`"),
        (format!("{KEEPER}{login}"), "a test has no KDC, so it has no logins"),
    ] {
        home.write("a.test.toml", &script);
        let run = home.run(&["test", "a.test.toml"]);
        assert_eq!(run.code, Some(2), "{script}: {}{}", run.stdout, run.stderr);
        assert!(run.stderr.contains(expected), "{script}: {}", run.stderr);
    }
    assert!(!home.path("run").exists());
}

#[test]
fn component_test_passes_nothing_over() {
    let home = home("benign-lifecycle", KEEPER);
    let run = home.run(&["test", "a.test.toml"]);
    assert_eq!(run.code, Some(2), "{}{}", run.stdout, run.stderr);
    assert!(run.stderr.contains("the test calls nothing: add a [[call]]"), "{}", run.stderr);
    fs::create_dir_all(home.path("1/2/3/4/5/6/7/8/9")).unwrap();
    let run = home.run(&["test", "."]);
    assert_eq!(run.code, Some(2), "{}{}", run.stdout, run.stderr);
    assert!(run.stderr.contains("is too large to look for tests"), "{}", run.stderr);
    let hosts =
        "[hosts.\"a.example\"]\naddresses = [\"192.0.2.1\"]\n[hosts.\"b.example\"]\naddresses = [\"192.0.2.1\"]\n";
    let calls = "[[call]]\nhttp = [{ request = { url = \"https://a.example/\" } }, { request = { url = \"https://b.example/\" } }]\n";
    home.write("a.test.toml", &format!("{KEEPER}{hosts}{calls}"));
    let run = home.run(&["test", "a.test.toml"]);
    assert_eq!(run.code, Some(2), "{}{}", run.stdout, run.stderr);
    assert!(run.stderr.contains("two hosts of the test have the address 192.0.2.1:443"), "{}", run.stderr);
    let run = home.run(&["test", ".", "--watch", "--junit", "x"]);
    assert_eq!(run.code, Some(2), "{}{}", run.stdout, run.stderr);
}
