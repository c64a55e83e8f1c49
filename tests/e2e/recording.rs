//! `deputy test --record` against real servers: what it writes passes at once, and shows nothing of what they answered.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use deputy_test_harness::{TestEnvironment, exit};
use deputy_test_servers::{OidcProvider, Seaweed};

use crate::gate::Gate;
use crate::{languages, refresh_token, s3, servers};

const SCRIPT: &str = "recorded.test.toml";

/// Records an instance, and runs what was written. These values of it are in no file and no output.
fn record(home: &TestEnvironment, instance: &str, more: &[&str], answered: impl Fn() -> Vec<String>) -> String {
    let arguments = [&["test", "--record", SCRIPT, "--instance", instance][..], more].concat();
    let run = home.deputy(&arguments).ends_with(exit::OK);
    assert!(run.stdout.starts_with(&format!("{SCRIPT} is written, and passes")), "{}", run.stdout);
    assert_eq!(home.path(SCRIPT).metadata().unwrap().permissions().mode() & 0o7777, 0o600);
    let secrets = answered();
    assert!(secrets.iter().all(|secret| secret.len() > 15) && !secrets.is_empty(), "{secrets:?}");
    for secret in &secrets {
        home.register_secret(secret);
    }
    let script = fs::read_to_string(home.path(SCRIPT)).unwrap();
    // It searches that file as well, for every secret in every usual encoding.
    let run = home.deputy(&["test", SCRIPT]).ends_with(exit::OK);
    assert!(run.stdout.ends_with(" passed, 0 failed\n"), "{}", run.stdout);
    // A second recording calls nothing, and leaves the file alone.
    let before = answered().len();
    let run = home.deputy(&arguments).ends_with(exit::MISCONFIGURED);
    assert!(run.stderr.contains(&format!("{SCRIPT} exists: name a new file")), "{}", run.stderr);
    assert_eq!(answered().len(), before, "it called before it refused");
    assert_eq!(fs::read_to_string(home.path(SCRIPT)).unwrap(), script);
    script
}

/// What an author reads and changes.
#[track_caller]
fn assert_has(script: &str, lines: &[&str]) {
    for line in lines {
        assert!(script.contains(line), "{line} in:\n{script}");
    }
}

#[test]
fn recording_of_each_language_shows_no_token() {
    for component in ["oauth2-c", "oauth2-go", "oauth2-javascript", "oauth2-python", "oauth2-rust"] {
        let gate = Gate::before(servers::oidc().port());
        let (host, client) = (gate.endpoint(), OidcProvider::SERVICE);
        let basic =
            format!(r#"headers = {{ authorization = {{ secret = "client-secret", oauth2-basic = "{client}" }} }}"#);
        let rule = languages::rule(&host, &basic);
        let lines = format!("[instances.api.settings]\ntoken-url = \"{host}/token\"\n{rule}");
        let home = TestEnvironment::with_compiled(component)
            .secret("client-secret", OidcProvider::SECRET)
            .instance("api", component, &lines);
        let script = record(&home, "api", &[], || gate.answered("access_token"));
        assert_has(
            &script,
            &[
                "value = \"mock-client-secret\"",
                "form = { grant_type = \"client_credentials\" }",
                "kind = \"bearer-token/1\"",
                "expires-in = \"10m\"",
                "replaced-in = \"7m30s\"",
                "with secret client-secret\"",
            ],
        );
    }
}

#[test]
fn recording_of_s3_shows_no_key() {
    let gate = Gate::before(servers::seaweed().port());
    let home = s3::with_key(TestEnvironment::new(), Seaweed::SECRET_KEY).canary(Seaweed::ACCESS_KEY).instance(
        "s3",
        "s3-sts",
        &s3::lines("s3", &gate.endpoint(), ""),
    );
    let answered = || -> Vec<String> {
        let names = ["SecretAccessKey", "SessionToken"];
        names.iter().flat_map(|name| gate.answered_between(&format!("<{name}>"), '<')).collect()
    };
    let script = record(&home, "s3", &[], answered);
    assert_has(
        &script,
        &[
            "sigv4 = { regions = [\"us-east-1\"], services = [\"sts\"] }",
            "Action = \"AssumeRole\"",
            "authorization = { regex = \"^AWS4\\\\-HMAC\\\\-SHA256 Credential=\" }",
            "kind = \"aws-credential-process/1\"",
            "secret aws-key sigv4",
        ],
    );
}

#[test]
fn recording_of_rotated_tokens_shows_none() {
    let server = OidcProvider::start(600).unwrap();
    let gate = Gate::before(server.port());
    let lines = refresh_token::lines(&gate.endpoint(), &format!("userinfo-url = \"{}/me\"", gate.endpoint()));
    let home = TestEnvironment::new()
        .secret("refresh-token", &server.login().unwrap())
        .secret("client-secret", OidcProvider::SECRET)
        .instance("login", "refresh-token", &lines);
    let answered = || -> Vec<String> {
        ["access_token", "refresh_token"].iter().flat_map(|member| gate.answered(member)).collect()
    };
    let script = record(&home, "login", &[], answered);
    assert_has(
        &script,
        &[
            "grant_type = \"refresh_token\"",
            "authorization = { regex = \"^Bearer \" }",
            "secret refresh-token reveal",
            "save state",
        ],
    );
}
