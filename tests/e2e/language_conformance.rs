//! The rules that every provider keeps, tried on the examples in all languages: see `deputy test --conformance`.

use std::fs;

use deputy_test_harness::{TestEnvironment, exit};
use deputy_test_servers::guest;

const OAUTH2: &str = r#"
[instance.settings]
token-url = "https://login.example/token"
scope = "read"

[instance.secrets.client-secret]
value = "mock-of-a-client-secret"

[[instance.http]]
allow = "https://login.example"
methods = ["POST"]
paths = ["/token"]
headers = { authorization = { secret = "client-secret", oauth2-basic = "deputy" } }

[[call]]
[[call.http]]
request = { method = "POST", url = "https://login.example/token", form = { grant_type = "client_credentials" } }
reply = { json = { access_token = "mock-of-a-token", token_type = "Bearer", expires_in = 3600 } }
"#;

const SIGNED: &str = r#"
[instance.settings]
subject = "worker"

[instance.secrets.signing-key]
value = "mock-of-a-key-of-32-bytes-or-more"
hmac-sha256 = true

[[call]]
expect = { expires-in = "1h" }

[[call]]
function = "renew"
after = "45m"
expect = { expires-in = "1h", facts = { subject = "worker" } }
"#;

#[track_caller]
fn keeps_the_rules(component: &str, script: &str) {
    let home = TestEnvironment::with_compiled(component);
    let path = guest(component).unwrap();
    describes_itself(&home, path.to_str().unwrap());
    fs::write(home.path("a.test.toml"), format!("[instance]\ncomponent = {path:?}\n{script}")).unwrap();
    for more in [&[][..], &["--conformance"]] {
        let run = home.deputy(&[&["test", "a.test.toml"], more].concat()).ends_with(exit::OK);
        assert!(more.is_empty() || run.stdout.lines().count() > 25, "{}", run.stdout);
    }
}

#[track_caller]
fn describes_itself(home: &TestEnvironment, component: &str) {
    let run = home.deputy(&["inspect", component, "--json"]).ends_with(exit::OK);
    let about = run.json()["description"]["about"].to_string();
    assert!(about.contains("\"title\""), "{component}: {about}");
}

#[test]
fn language_conformance_of_requests() {
    for component in ["oauth2-c", "oauth2-go", "oauth2-javascript", "oauth2-python", "oauth2-rust"] {
        keeps_the_rules(component, OAUTH2);
    }
}

#[test]
fn language_conformance_of_renewal() {
    for component in ["signed-javascript", "signed-python"] {
        keeps_the_rules(component, SIGNED);
    }
}

/// Receivers with the test that `deputy new` writes, and the providers whose secret signs.
#[test]
fn language_conformance_of_receivers_and_assertions() {
    let home = TestEnvironment::in_target("e2e-state");
    let put = |name: &str, to: &str| fs::copy(guest(name).unwrap(), home.path(to)).unwrap();
    for (lang, language) in [("c", "c"), ("go", "go"), ("js", "javascript"), ("python", "python"), ("rust", "rust")] {
        let receiver = format!("headers-{language}");
        let created = home.program().args(["new", "receiver", &receiver, "--lang", lang]).output().unwrap();
        assert!(created.status.success());
        put(&receiver, &format!("{receiver}/{receiver}.wasm"));
        describes_itself(&home, guest(&receiver).unwrap().to_str().unwrap());
        let provider = format!("assertion-{language}");
        put(&provider, &format!("{provider}.wasm"));
        let script = include_str!("../providers/assertion/assertion.test.toml");
        let script = script.replace("assertion.wasm", &format!("{provider}.wasm"));
        fs::write(home.path(&format!("{provider}.test.toml")), script).unwrap();
    }
    // What only the kit for Go has no example of: to renew, to revoke, and to keep state.
    put("session-go", "session-go.wasm");
    fs::write(home.path("session.test.toml"), include_str!("../providers/session/session.test.toml")).unwrap();
    let folder = home.path(".");
    let folder = folder.to_str().unwrap();
    let run = home.deputy(&["test", folder]).ends_with(exit::OK);
    assert!(run.stdout.ends_with("\n21 passed, 0 failed\n"), "{}", run.stdout);
    let run = home.deputy(&["test", folder, "--conformance"]).ends_with(exit::OK);
    assert!(run.stdout.lines().count() > 400, "{}", run.stdout);
}
