//! What `docs/contract.md` says to type works as it stands there, with the real wasmtime and `wac`.
//!
//! Of a command only the addresses and the keys are replaced, which the page cannot know.

use deputy_test_servers::{OidcProvider, Seaweed};
use tempfile::TempDir;

use crate::local::Refusing;
use crate::page::{self, Page, shell};
use crate::servers;

const PAGE: Page = Page { name: "docs/contract.md", text: include_str!("../../docs/contract.md") };

const HEADING: &str = "Trying it with the wasmtime CLI";

fn author() -> TempDir {
    page::author(&[
        ("oauth2-javascript.wasm", "oauth2-javascript"),
        ("target/guests/s3-sts.wasm", "s3-sts"),
        ("target/guests/secrets.wasm", "secrets"),
    ])
}

/// The second block: it plugs the secrets in and calls the result.
fn plugged(endpoint: &str, id: &str, key: &str) -> String {
    let script = PAGE.replace(PAGE.blocks(HEADING)[1], "cargo xtask guests\n", "");
    let script = PAGE.replace(
        &PAGE.replace(&script, "AKIA…", id),
        "\"SecretAccessKey\": \"…\"",
        &format!("\"SecretAccessKey\": \"{key}\""),
    );
    PAGE.replace(&script, "http://127.0.0.1:8333", endpoint)
}

#[test]
fn wasmtime_cli_runs_the_commands_without_secrets() {
    let script = PAGE.replace(PAGE.blocks(HEADING)[0], "http://127.0.0.1:8080/token", &servers::oauth2().token_url());
    let printed = shell(author().path(), &script);
    let (kinds, token) = printed.split_once('\n').unwrap();
    assert_eq!(kinds, "ok([\"bearer-token/1\"])");
    assert!(
        token.starts_with("ok({kind: \"bearer-token/1\", payload: [") && token.contains("expiry: after-ms("),
        "{token}"
    );
}

#[test]
fn wasmtime_cli_with_secrets_reaches_a_real_sts() {
    let script = plugged(&servers::seaweed().endpoint(), Seaweed::ACCESS_KEY, Seaweed::SECRET_KEY);
    let script = PAGE.replace(&script, "arn:aws:iam::role/worker", Seaweed::ROLE_ARN);
    let printed = shell(author().path(), &script);
    let payload = payload(&printed);
    assert!(payload.contains("\"Version\":1") && payload.contains("\"SessionToken\":"), "{printed}");
}

#[test]
fn wasmtime_cli_wrong_key_is_denied_by_the_contract() {
    let script = plugged(&servers::seaweed().endpoint(), Seaweed::ACCESS_KEY, "wrong");
    let printed = shell(author().path(), &script);
    assert!(printed.starts_with("err({next: denied, message: \"AssumeRole: "), "{printed}");
}

#[test]
fn wasmtime_cli_other_operations_reach_moto() {
    let script = plugged(&servers::moto().endpoint(), "AKIAIOSFODNN7EXAMPLE", "any");
    let session = PAGE.replace(&script, ",\n           {name: \"role-arn\", value: \"arn:aws:iam::role/worker\"}", "");
    assert!(payload(&shell(author().path(), &session)).contains("\"AccessKeyId\":"));
}

#[test]
fn wasmtime_cli_calls_every_export_with_wasi_only() {
    const OPTIONS: &str = "-S p3=n -W concurrency-support=n";
    assert!(PAGE.text.contains(OPTIONS));
    let refusing = Refusing::new();
    let script = plugged(&refusing.endpoint(), "AKIA", "any");
    let folder = author();
    let printed = shell(folder.path(), &script);
    assert!(printed.starts_with("err({next: unavailable, "), "{printed}");
    let call =
        |call: &str| shell(folder.path(), &format!("wasmtime run -S http {OPTIONS} --invoke '{call}' plugged.wasm"));
    assert_eq!(call("service-name([])"), "ok(\"s3\")\n");
    assert_eq!(call("tokens-required([{name: \"region\", value: \"us-east-1\"}])"), "ok(true)\n");
    assert!(call("tokens-required([])").starts_with("err({next: misconfigured, "));
    assert!(call("tokens-required([{name: \"regoin\", value: \"x\"}])").contains("regoin"));
}

/// A call of a component with what Deputy has of WASI, and nothing that is compiled twice.
fn run(options: &str, call: &str, component: &str) -> String {
    format!(
        "wasmtime run -C cache=y -S http -S p3=n -W concurrency-support=n {options} --invoke '{call}' {component}.wasm\n"
    )
}

#[test]
fn wasmtime_cli_runs_the_example_of_each_language() {
    let settings = format!("[{{name: \"token-url\", value: \"{}\"}}]", servers::oauth2().token_url());
    for component in ["oauth2-c", "oauth2-go", "oauth2-javascript", "oauth2-python", "oauth2-rust"] {
        let folder = page::author(&[(&format!("{component}.wasm"), component)]);
        let calls = run("", "obtain([])", component) + &run("", &format!("obtain({settings})"), component);
        let printed = shell(folder.path(), &calls);
        let (refused, token) = printed.split_once('\n').unwrap();
        assert!(refused.starts_with("err({next: misconfigured, "), "{component}: {refused}");
        assert!(token.starts_with("ok({kind: \"bearer-token/1\", payload: ["), "{component}: {token}");
        assert!(token.contains("expiry: after-ms("), "{component}: {token}");
    }
}

#[test]
fn wasmtime_cli_gets_real_tokens_with_plugged_secrets() {
    let settings = format!(
        r#"[{{name: "token-url", value: "http://127.0.0.1:{}/token"}}, {{name: "client-id", value: "{}"}}]"#,
        servers::oidc().port(),
        OidcProvider::SIGNER
    );
    let obtain = |secret: &str| run(secret, &format!("obtain({settings})"), "plugged");
    for language in ["c", "go", "javascript", "python", "rust"] {
        let component = format!("assertion-{language}");
        let folder = page::author(&[("component.wasm", &component), ("secrets.wasm", "secrets")]);
        let script = "wac plug component.wasm --plug secrets.wasm -o plugged.wasm\n".to_owned()
            + &obtain("--env SECRET_CLIENT_SECRET=another-secret")
            + &obtain(&format!("--env SECRET_CLIENT_SECRET={}", OidcProvider::SECRET))
            + &obtain("");
        let printed = shell(folder.path(), &script);
        let [refused, token, missing] = printed.lines().collect::<Vec<_>>().try_into().unwrap();
        assert!(refused.starts_with("err({next: denied, message: \"401: invalid_client"), "{component}: {refused}");
        assert!(token.starts_with("ok({kind: \"bearer-token/1\", payload: ["), "{component}: {token}");
        assert!(token.contains("expiry: after-ms(600000)"), "{component}: {token}");
        let problem = "err({next: misconfigured, message: \"secret `client-secret`: SECRET_CLIENT_SECRET is not in";
        assert!(missing.starts_with(problem), "{component}: {missing}");
    }
}

#[test]
fn wasmtime_cli_signs_with_plugged_secrets() {
    for component in ["signed-javascript", "signed-python"] {
        let folder = page::author(&[("component.wasm", component), ("secrets.wasm", "secrets")]);
        let call = r#"obtain([{name: "subject", value: "worker"}])"#;
        let script = "wac plug component.wasm --plug secrets.wasm -o plugged.wasm\n".to_owned()
            + &run("--env SECRET_SIGNING_KEY=a-key-for-hmac-of-thirty-two-bytes", call, "plugged");
        let printed = shell(folder.path(), &script);
        assert!(printed.starts_with("ok({kind: \"signed-claims/1\", payload: ["), "{component}: {printed}");
    }
}

#[test]
fn wasmtime_cli_receives_with_plugged_outputs() {
    let delivery = |payload: &[u8]| {
        format!(
            "accept([], [{{instance: \"api\", service: \"oauth2\", revision: 1, kind: \"bearer-token/1\", \
             payload: {payload:?}, expiry: never, obtained-at: 1700000000000, facts: []}}])"
        )
    };
    for component in ["headers-c", "headers-go", "headers-javascript", "headers-python", "headers-rust"] {
        let folder = page::author(&[("component.wasm", component), ("outputs.wasm", "outputs")]);
        let script = "wac plug component.wasm --plug outputs.wasm -o plugged.wasm\nmkdir out\n".to_owned()
            + &run("--dir out", &delivery(b"t0k3n"), "plugged")
            + &run("--dir out", &delivery(b"two words"), "plugged");
        let printed = shell(folder.path(), &script);
        let (accepted, rejected) = printed.split_once('\n').unwrap();
        assert_eq!(accepted, "ok({rejected: [], facts: []})", "{component}");
        assert!(rejected.contains("instance: \"api\", failure: {next: denied"), "{component}: {rejected}");
        let written = std::fs::read_to_string(folder.path().join("out/api.header")).unwrap();
        assert_eq!(written, "Authorization: Bearer t0k3n\n", "{component}");
    }
}

/// The text of a payload, which wasmtime prints as numbers.
fn payload(printed: &str) -> String {
    let numbers = printed.split("payload: [").nth(1).and_then(|rest| rest.split(']').next());
    let numbers = numbers.unwrap_or_else(|| panic!("{printed}"));
    String::from_utf8(numbers.split(", ").map(|number| number.parse().unwrap()).collect()).unwrap()
}
