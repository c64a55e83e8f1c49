//! `deputy test --record`: what it writes, what it leaves out, and when it writes nothing.

use std::fs;

use deputy_test_servers::guest;
use serde_json::Value;

use crate::home::{CommandOutput, TestEnvironment};
use crate::service::{answering, failing, granting};

const OUT: &str = "out.test.toml";

/// What the service answers, in forms that a script could show by mistake.
const PAYLOAD: &str = "canary/letters+with = all & kinds?of%signs";
const HANDLE: &str = "canary-of-its-owner";

fn home() -> TestEnvironment {
    let home = TestEnvironment::empty();
    fs::create_dir(home.path("built")).unwrap();
    fs::copy(guest("benign-lifecycle").unwrap(), home.path("built/guest.wasm")).unwrap();
    home
}

fn record(home: &TestEnvironment, url: &str, more: &[&str]) -> CommandOutput {
    let set = format!("url={url}");
    let arguments =
        ["test", "--record", OUT, "built/guest.wasm", "--set", &set, "--allow", url, "--network", "loopback"];
    home.run(&[&arguments[..], more].concat())
}

/// Every form in which a value could stand in a file.
fn forms(value: &str) -> Vec<String> {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
    let percent = |kept: &str, plus: bool| -> String {
        value
            .bytes()
            .map(|byte| match byte {
                b' ' if plus => "+".to_owned(),
                byte if byte.is_ascii_alphanumeric() || kept.as_bytes().contains(&byte) => char::from(byte).to_string(),
                byte => format!("%{byte:02X}"),
            })
            .collect()
    };
    let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![value.to_owned(), hex, percent("-._~", false), percent("*-._", true)];
    forms.extend([STANDARD_NO_PAD.encode(value), URL_SAFE_NO_PAD.encode(value)]);
    forms
}

#[track_caller]
fn assert_hides(text: &str, values: &[&str]) {
    for form in values.iter().flat_map(|value| forms(value)) {
        assert!(!text.contains(&form), "{form} in:\n{text}");
    }
}

#[test]
fn component_record_of_a_command_line_passes() {
    let answer = format!("payload {PAYLOAD}\nafter-ms 3600000\nhandle {HANDLE}\nfact region eu");
    let (home, url) = (home(), answering(200, "x-request: 1\r\n", &answer));
    let run = record(&home, &url, &["--renew", "--revoke"]);
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    assert!(!run.stderr.contains("stays valid"), "{}", run.stderr);
    assert_eq!(home.mode(OUT), 0o600);
    let script = home.read(OUT);
    assert_hides(&script, &[PAYLOAD, HANDLE]);
    assert_hides(&(run.stdout + &run.stderr), &[PAYLOAD, HANDLE]);
    for line in [
        "component = \"built/guest.wasm\"",
        "networks = [\"loopback\"]",
        "function = \"renew\"",
        "function = \"revoke\"",
        "payload = \"mock-payload\"",
        "handle = \"mock-handle\"",
        "expires-in = \"1h\"",
        "facts = { region = ",
        "headers = { handle = { regex = \".\" } }",
    ] {
        assert!(script.contains(line), "{line} in:\n{script}");
    }
    assert!(script.starts_with("# Recorded by `deputy test --record`"), "{script}");
    let run = home.run(&["test", OUT]);
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    assert!(run.stdout.ends_with("3 passed, 0 failed\n"), "{}", run.stdout);
    // It is about something: another component, or another answer, does not pass.
    home.write(OUT, &script.replace("payload = \"mock-payload\"", "payload = \"other\""));
    assert_eq!(home.run(&["test", OUT]).code, Some(1));
}

#[test]
fn component_record_of_an_instance_has_mock_secrets() {
    // Each run looks for the operator's key and for the session everywhere.
    let home = TestEnvironment::with_s3(&granting(), "");
    let run = home.run(&["test", "--record", OUT, "--instance", "s3"]);
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    let script = home.read(OUT);
    for line in [
        "component = \"s3-sts.wasm\"",
        r#"value = "{\"AccessKeyId\":\"MOCKACCESSKEYID\",\"SecretAccessKey\":\"mock-secretaccesskey\"}""#,
        "expires-in = \"",
        "replaced-in = \"",
        "Action = \"GetSessionToken\"",
    ] {
        assert!(script.contains(line), "{line} in:\n{script}");
    }
    assert!(!script.contains("AKIAEXAMPLE") && !script.contains("ASIAEXAMPLE"), "{script}");
    let run = home.run(&["test", OUT]);
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
}

/// What the component returns beside something else is a word of its payload, and a number is a value like others.
#[test]
fn component_record_shows_no_number_and_no_word_of_a_payload() {
    let answer = "payload 4930211234:swordfish\nfact pin 4930211234\nfact login swordfish,read";
    let (home, url) = (home(), answering(200, "", answer));
    let run = record(&home, &url, &[]);
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    assert_hides(&home.read(OUT), &["4930211234", "swordfish"]);
}

/// A service that answers with very many texts ends the recording, and does not keep it busy.
#[test]
fn component_record_bounds_what_a_service_answers() {
    let (home, url) = (home(), answering(200, "", &format!("payload {}", "a ".repeat(20_001))));
    let run = record(&home, &url, &[]);
    assert_eq!(run.code, Some(1), "{}{}", run.stdout, run.stderr);
    assert!(run.stderr.contains("the answers have more than 1000 secret values or 20000 texts"), "{}", run.stderr);
    // Said whether a test comes of it or not.
    assert!(run.stderr.contains("what was obtained stays valid until it expires: --revoke"), "{}", run.stderr);
    assert!(!home.path(OUT).exists());
}

#[test]
fn component_record_replaces_no_file() {
    let (home, url) = (home(), answering(200, "", "payload p"));
    home.write(OUT, "mine");
    std::os::unix::fs::symlink("elsewhere", home.path("link.test.toml")).unwrap();
    for target in [OUT, "link.test.toml"] {
        let run = home.run(&["test", "--record", target, "built/guest.wasm", "--allow", &url]);
        assert_eq!(run.code, Some(2), "{}{}", run.stdout, run.stderr);
        assert!(run.stderr.contains(&format!("{target} exists: name a new file")), "{}", run.stderr);
        assert!(!run.stderr.contains("audit"), "it called nothing: {}", run.stderr);
    }
    assert_eq!(home.read(OUT), "mine");
    assert!(!home.path("elsewhere").exists());
}

#[test]
fn component_record_of_a_failed_call_writes_nothing() {
    let home = TestEnvironment::with_s3(&failing(403, "", "AccessDenied"), "");
    let run = home.run(&["test", "--record", OUT, "--instance", "s3"]);
    assert_eq!(run.code, Some(3), "{}{}", run.stdout, run.stderr);
    assert!(run.stderr.contains("told by STS"), "{}", run.stderr);
    assert!(!home.path(OUT).exists());
}

#[test]
fn component_record_that_would_not_pass_is_not_written() {
    // The component needs a text of the answer that is also what it returns.
    let (home, url) = (home(), answering(200, "", "payload hostile/1\nkind hostile/1"));
    let run = record(&home, &url, &[]);
    assert_eq!(run.code, Some(1), "{}{}", run.stdout, run.stderr);
    assert!(run.stderr.contains("the component acts differently on made-up values"), "{}", run.stderr);
    assert!(!home.path(OUT).exists());
    let binary = "payload \u{0}";
    let run = record(&home, &answering(200, "", binary), &[]);
    assert_eq!(run.code, Some(1), "{}{}", run.stdout, run.stderr);
    assert!(run.stderr.contains("is not a text, and only texts can be recorded"), "{}", run.stderr);
    assert!(!home.path(OUT).exists());
    let left: Vec<_> = fs::read_dir(home.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["built"], "nothing is left beside it");
}

#[test]
fn component_record_warns_of_tokens_that_stay_valid() {
    let (home, url) = (home(), answering(200, "", &format!("payload {PAYLOAD}")));
    let run = record(&home, &url, &[]);
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    assert!(run.stderr.contains("what was obtained stays valid until it expires: --revoke"), "{}", run.stderr);
}

#[test]
fn component_record_refuses_what_it_cannot_do() {
    let home = TestEnvironment::with_s3("http://127.0.0.1:1", "");
    for (arguments, expected) in [
        (&["--record", OUT][..], "--record takes one component, or --instance NAME"),
        (&["--record", OUT, "a.wasm", "b.wasm"], "--record takes one component"),
        (&["--record", OUT, "s3-sts.wasm", "--allow", "a.example:1"], "only HTTP can be recorded"),
        (&["--record", OUT, "s3-sts.wasm", "--renew"], "does not export `renewal`"),
        (&["--record", OUT, "--instance", "s3", "--revoke"], "does not export `revocation`"),
        (&["--record", OUT, "--instance", "s4"], "has no instance \"s4\""),
        (&["--record", OUT, "--instance", "s3", "--set", "a=b"], "cannot be used with"),
        (&["--record", OUT, "s3-sts.wasm", "--json"], "cannot be used with"),
        (&["--instance", "s3"], "required"),
        (&[".", "--renew"], "required"),
        (&[".", "--set", "a=b"], "have no effect without --record"),
    ] {
        let run = home.run(&[&["test"], arguments].concat());
        assert_eq!(run.code, Some(2), "{arguments:?}: {}{}", run.stdout, run.stderr);
        assert!(run.stderr.contains(expected), "{expected}: {}", run.stderr);
    }
    assert!(!home.path(OUT).exists());
}

/// A value that a script may not show is one in the audit log's encodings, too.
#[test]
fn component_record_shows_no_secret_of_a_setting() {
    let (home, url) = (home(), answering(200, "", &format!("payload {PAYLOAD}")));
    let run = record(&home, &url, &["--set", "api-key=canary-of-a-setting"]);
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    let script = home.read(OUT);
    assert_hides(&script, &["canary-of-a-setting"]);
    assert!(script.contains("api-key = \"mock-api-key\""), "{script}");
    let run = home.run(&["test", OUT, "--json"]);
    let seen: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(seen["ok"], true, "{}", run.stdout);
}
