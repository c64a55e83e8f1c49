//! What token endpoints answer, by the letter: `providers/examples/answers.test.toml`, and what differs or is too long for it,
//! to the example in each language. Each answer must be taken, or refused as the failure that it is.

use std::fs;

use deputy_test_harness::{TestEnvironment, exit};
use deputy_test_servers::guest;
use serde_json::Value;

use crate::languages::LANGUAGES;

const ANSWERS: &str = include_str!("../../providers/examples/answers.test.toml");

/// `{"access_token":"tok-1","token_type":"Bearer","expires_in":3600}` as gzip has it.
const GZIP: &str =
    "H4sIAAAAAAACA6tWSkxOTi0uji/Jz07NU7JSAtK6hko6SmB+fEllQSpQ0Ck1sSi1CCiaWlGQWZRaHJ8JVGpsZmBQCwCFPXxgQAAAAA==";

/// The kits without a library for it in their language's own.
const WITHOUT_GZIP: [&str; 2] = ["oauth2-c", "oauth2-rust"];

/// Another answer for the script.
fn call(name: &str, reply: &str, expected: &str) -> String {
    format!(
        "\n[[call]]\nname = \"{name}\"\nhttp = [{{ request = {{ method = \"POST\", url = \"http://login.example/token\" }}, \
         reply = {{ {reply} }} }}]\nexpect = {{ {expected} }}\n"
    )
}

fn gzip(component: &str) -> String {
    let reply = format!("headers = {{ content-encoding = \"gzip\" }}, base64 = \"{GZIP}\"");
    let refused = "failure = { kind = \"denied\", message = { regex = \"encoded as gzip, which was not asked for\" } }";
    let taken = "payload = \"tok-1\", expires-in = \"1h\"";
    call("gzip", &reply, if WITHOUT_GZIP.contains(&component) { refused } else { taken })
}

/// A parser that calls itself would overflow the component's stack, which is a trap.
fn deep() -> String {
    let reply = format!("body = '{}'", "[".repeat(5000));
    let nested = format!("body = '{{\"error\":{}'", "{\"a\":".repeat(2000));
    let expected = "failure = { kind = \"denied\", message = { regex = \"nested deeper|JSON\" } }";
    call("deep list", &reply, expected) + &call("deep object", &nested, expected)
}

/// A server that never answers, within a limit of its own: no other call may be short of time on a busy machine.
fn silence() -> String {
    let head = ANSWERS.split("[[call]]").next().unwrap();
    let limited = head.replace("settings = {", "limits = { first-byte = \"300ms\" }\nsettings = {");
    assert_ne!(limited, head);
    limited + &call("silence", "hang = true", "failure = \"unavailable\"")
}

#[test]
fn oauth_answers_are_read_as_services_write_them() {
    let homes = LANGUAGES.map(TestEnvironment::with_compiled);
    let home = &homes[0];
    for component in LANGUAGES {
        fs::copy(guest(component).unwrap(), home.path(&format!("{component}.wasm"))).unwrap();
        for (name, script) in [("answers", ANSWERS.to_owned() + &gzip(component) + &deep()), ("silence", silence())] {
            let script = script.replace("oauth2.wasm", &format!("{component}.wasm"));
            fs::write(home.path(&format!("{component}-{name}.test.toml")), script).unwrap();
        }
    }
    let run = home.deputy(&["test", ".", "--json"]);
    let files = run.json()["files"].as_array().unwrap().clone();
    let calls: Vec<&Value> = files.iter().flat_map(|file| file["calls"].as_array().unwrap()).collect();
    let wrong: Vec<_> = calls.iter().filter(|call| call["ok"] != true).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!((files.len(), calls.len()), (10, LANGUAGES.len() * (ANSWERS.matches("\n[[call]]").count() + 4)));
    assert!(calls.len() > 250, "{}", calls.len());
    run.ends_with(exit::OK);
}
