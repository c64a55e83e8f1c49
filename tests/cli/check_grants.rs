//! `deputy check` of grants: what a component imports and may use, and secrets that cannot be used as granted.

use insta::assert_snapshot;
use serde_json::Value;

use crate::home::{TestEnvironment, s3};

const ENDPOINT: &str = "http://127.0.0.1:1";

#[test]
fn check_compares_imports_with_grants() {
    let home = TestEnvironment::with(
        r#"[instances.s3]
component = "s3-sts.wasm"
settings = { region = "eu-west-1" }

[instances.s3.secrets.aws-key]
file = "jwt-key"
jwt = { algorithms = ["RS256", "EdDSA"], issuers = ["a"], audiences = ["b"], max-lifetime = "10m" }

[instances.s3.secrets.password]
file = "aws-key"
reveal = false

[[instances.s3.tcp]]
allow = "broker.example.com:9093"

[[instances.s3.http]]
allow = "https://sts.eu-west-1.amazonaws.com"
methods = ["POST"]
paths = ["/"]

[instances.off]
component = "nowhere.wasm"
enabled = false
"#,
    );
    // RFC 8037, appendix A.
    home.write(
        "jwt-key",
        r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
    );
    home.restrict_mode("jwt-key");
    assert_snapshot!(home.snapshot(&["check"]), @"
    exit code 0
    ----- stdout
    off: not enabled
      component  [HOME]/nowhere.wasm

    s3: ok
      component  [HOME]/s3-sts.wasm
                 provider of s3, [N] KiB
      obtains    aws-credential-process/1
      sha256     [SHA256]
      secrets    aws-key (file): readable
                 password (file): readable
      imported and granted
        make HTTP requests  POST https://sts.eu-west-1.amazonaws.com /
      imported and not granted
        sign AWS requests (SigV4) with a secret
      granted and not imported
        sign JSON Web Tokens with a secret  aws-key
        open TCP connections                broker.example.com:9093

    deputy.toml: 1 instance, all ok

    ----- stderr
    warning: the secret `password` is not used
     --> deputy.toml:9:23
      |
    9 | [instances.s3.secrets.password]
      |                       ^^^^^^^^ it grants no operation, and no rule sends it
    ");
}

#[test]
fn check_names_what_a_grant_leaves_open() {
    let home = TestEnvironment::with(&s3(ENDPOINT).replace("services = [\"sts\"]", "services = [\"sts\", \"s3\"]"));
    home.write("aws-key", "wJalr");
    home.restrict_mode("aws-key");
    assert_snapshot!(home.snapshot(&["check"]), @"
    exit code 0
    ----- stdout
    s3: ok
      component  [HOME]/s3-sts.wasm
                 provider of s3, [N] KiB
      obtains    aws-credential-process/1
      sha256     [SHA256]
      secrets    aws-key (file): readable
      imported and granted
        sign AWS requests (SigV4) with a secret  aws-key
        make HTTP requests                       http://127.0.0.1:[PORT]
      left open by the grant
        aws-key  a request to s3 may be a presigned URL, good for up to seven days

    deputy.toml: 1 instance, all ok
    ");
    let run = home.run(&["check", "--json"]);
    let seen: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(seen["instances"][0]["loaded"]["left_open"][0]["secret"], "aws-key");
}

#[test]
fn check_finds_secrets_that_are_not_what_they_are_used_for() {
    let lines = r#"
[instances.s3.secrets.signer]
file = "signer"
sign = { algorithms = ["ES256"] }

[instances.s3.secrets.token]
file = "token"

[[instances.s3.http]]
allow = "https://api.example.com"
headers = { authorization = { secret = "token", prefix = "Bearer " } }
"#;
    let home = TestEnvironment::with_s3("http://127.0.0.1:1", lines);
    for (name, value) in [("signer", "hunter2"), ("token", "hunter2\nhunter2"), ("aws-key", "two hunter2")] {
        home.write(name, value);
        home.restrict_mode(name);
    }
    let run = home.run(&["check", "--json"]);
    assert_eq!(run.code, Some(1), "{}", run.stdout);
    assert!(!(run.stdout.clone() + &run.stderr).contains("hunter2"), "{}", run.stdout);
    let seen: Value = serde_json::from_str(&run.stdout).unwrap();
    let secrets = seen["instances"][0]["loaded"]["secrets"].as_array().unwrap().clone();
    for (name, words) in [
        ("aws-key", "is not an AWS secret access key"),
        ("signer", "is not a private key"),
        ("token", "cannot be a header"),
    ] {
        let secret = secrets.iter().find(|secret| secret["name"] == name).unwrap();
        assert_eq!(secret["ok"], false, "{secret}");
        assert!(secret["error"].as_str().unwrap().contains(words), "{secret}");
    }
}

#[test]
fn check_lists_what_rules_add() {
    let lines = r#"
[instances.s3.secrets.token]
file = "token"

[[instances.s3.http]]
allow = "https://api.example.com"
headers = { authorization = { secret = "token", prefix = "Bearer " } }
form = { client_secret = { secret = "token" } }

[[instances.s3.http]]
allow = "https://login.example.com"
methods = ["POST"]
paths = ["/token"]
form = { client_secret = { secret = "token" } }
"#;
    let home = TestEnvironment::with_s3(ENDPOINT, lines);
    home.write("token", "hunter2-hunter2");
    home.restrict_mode("token");
    let run = home.run(&["check"]);
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    for line in [
        "https://api.example.com, adds token as header authorization (behind \"Bearer \"), adds token as form field client_secret",
        "POST https://login.example.com /token, adds token as form field client_secret",
    ] {
        assert!(run.stdout.contains(line), "{}", run.stdout);
    }
    assert_eq!(
        run.stderr.matches("the component chooses which requests carry the secret").count(),
        1,
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("needs `methods` and `paths`"), "{}", run.stderr);
    assert!(!(run.stdout + &run.stderr).contains("hunter2"));
}
