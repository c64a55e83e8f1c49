//! `deputy check`

use std::fs;
use std::os::unix::fs::PermissionsExt;

use insta::assert_snapshot;
use serde_json::Value;

use crate::home::{TestEnvironment, s3};

const ENDPOINT: &str = "http://127.0.0.1:1";

#[test]
fn check_accepts_a_valid_configuration() {
    let home = TestEnvironment::with_s3(ENDPOINT, "");
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

    deputy.toml: 1 instance, all ok
    ");
}

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
fn check_shows_every_error_with_its_line() {
    let home = TestEnvironment::with(
        "[instances.s3]\ncomponent = \"s3-sts.wasm\"\nenabeld = true\nsettings = { duration = 3600 }\n",
    );
    assert_snapshot!(home.snapshot(&["check"]), @r#"
    exit code 2
    ----- stderr
    error: unknown key `enabeld`
     --> deputy.toml:3:1
      |
    3 | enabeld = true
      | ^^^^^^^ did you mean `enabled`?
      |
      = help: known keys: `component`, `deliver-to`, `enabled`, `file`, `http`, `kerberos`, `kind`, `lifetime`, `limits`, `max-lifetime`, `obtain`, `prefer`, `renew`, `retry`, `revoke`, `secrets`, `service`, `settings`, `sha256`, `state`, `tcp`, `unused` and `upstream`

    error: expected a string, found a whole number
     --> deputy.toml:4:25
      |
    4 | settings = { duration = 3600 }
      |                         ^^^^ write "3600"

    error: 2 errors in deputy.toml: nothing was started
    "#);
    assert_snapshot!(home.snapshot(&["check", "--json"]), @r#"
    exit code 2
    ----- stdout
    {"schema":1,"error":{"kind":"misconfigured","exit_code":2,"message":"the configuration deputy.toml is not valid","findings":[{"severity":"error","file":"deputy.toml","line":3,"column":1,"message":"unknown key `enabeld`","expected":"did you mean `enabled`?","hint":"known keys: `component`, `deliver-to`, `enabled`, `file`, `http`, `kerberos`, `kind`, `lifetime`, `limits`, `max-lifetime`, `obtain`, `prefer`, `renew`, `retry`, `revoke`, `secrets`, `service`, `settings`, `sha256`, `state`, `tcp`, `unused` and `upstream`"},{"severity":"error","file":"deputy.toml","line":4,"column":25,"message":"expected a string, found a whole number","expected":"write \"3600\""}]}}

    ----- stderr
    error: unknown key `enabeld`
     --> deputy.toml:3:1
      |
    3 | enabeld = true
      | ^^^^^^^ did you mean `enabled`?
      |
      = help: known keys: `component`, `deliver-to`, `enabled`, `file`, `http`, `kerberos`, `kind`, `lifetime`, `limits`, `max-lifetime`, `obtain`, `prefer`, `renew`, `retry`, `revoke`, `secrets`, `service`, `settings`, `sha256`, `state`, `tcp`, `unused` and `upstream`

    error: expected a string, found a whole number
     --> deputy.toml:4:25
      |
    4 | settings = { duration = 3600 }
      |                         ^^^^ write "3600"

    error: 2 errors in deputy.toml: nothing was started
    "#);
}

#[test]
fn check_without_a_file_explains_how_to_name_one() {
    assert_snapshot!(TestEnvironment::empty().snapshot(&["check"]), @"
    exit code 2
    ----- stderr
    error: cannot read the configuration deputy.toml
      because No such file or directory (os error 2)
    hint: name the file with --config FILE or in DEPUTY_CONFIG
    ");
}

#[test]
fn check_takes_the_file_from_flag_or_environment() {
    let home = TestEnvironment::with("nonsense");
    home.write("other.toml", "");
    assert_eq!(home.run(&["check", "--config", "other.toml"]).code, Some(0));
    assert_eq!(home.run_with(&["check"], &[("DEPUTY_CONFIG", "other.toml")]).code, Some(0));
    assert_eq!(home.run_with(&["check", "--config", "deputy.toml"], &[("DEPUTY_CONFIG", "other.toml")]).code, Some(2));
}

#[test]
fn check_finds_what_would_fail_at_run_time() {
    let home = TestEnvironment::with(&format!(
        r#"{}
[instances.changed]
component = "s3-sts.wasm"
sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

[instances.missing]
component = "missing.wasm"

[instances.unsettled]
component = "s3-sts.wasm"
settings = {{ regoin = "eu-west-1" }}
"#,
        s3(ENDPOINT)
    ));
    fs::set_permissions(home.path("aws-key"), fs::Permissions::from_mode(0o644)).unwrap();
    assert_snapshot!(home.snapshot(&["check"]), @"
    exit code 1
    ----- stdout
    changed: not ok
      component  [HOME]/s3-sts.wasm
      [HOME]/s3-sts.wasm has the SHA-256 [SHA256], not [SHA256]: restore the file, or set `sha256` if the change is yours

    missing: not ok
      component  [HOME]/missing.wasm
      cannot read the component [HOME]/missing.wasm
        because No such file or directory (os error 2)

    s3: not ok
      component  [HOME]/s3-sts.wasm
                 provider of s3, [N] KiB
      obtains    aws-credential-process/1
      sha256     [SHA256]
      secrets    aws-key (file): [HOME]/aws-key is open to other users (mode 0644): `chmod 600 [HOME]/aws-key`
      imported and granted
        sign AWS requests (SigV4) with a secret  aws-key
        make HTTP requests                       http://127.0.0.1:[PORT]

    unsettled: not ok
      component  [HOME]/s3-sts.wasm
                 provider of s3, [N] KiB
      obtains    aws-credential-process/1
      sha256     [SHA256]
      tokens-required deputy.toml:22: misconfigured: setting `regoin`: no such setting here; there are: operation, region, endpoint, role-arn, role-session-name, external-id, policy, policy-arns, duration, secret, access-key-id
      imported and not granted
        sign AWS requests (SigV4) with a secret
        make HTTP requests

    deputy.toml: 4 instances, 4 not ok
    ");
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
        "https://api.example.com, adds token as header authorization, adds token as form field client_secret",
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

#[test]
fn check_shows_file_sources_with_and_without_component() {
    let home = TestEnvironment::with_s3(
        ENDPOINT,
        r#"
[instances.s3.file]
path = "later.json"
lifetime = "1h"

[instances.mounted]
service = "hdfs"
kind = "aws-credential-process/1"
file = { path = "token", lifetime = "12h" }

[instances.nowhere]
service = "hdfs"
kind = "aws-credential-process/1"
file = { path = "nowhere/token", lifetime = "12h" }

[instances.folder]
service = "hdfs"
kind = "aws-credential-process/1"
file = { path = ".", lifetime = "12h" }

[instances.off]
service = "hdfs"
kind = "aws-credential-process/1"
file = { path = "off/token", lifetime = "12h" }
enabled = false
"#,
    );
    home.write("token", "a token");
    assert_snapshot!(home.snapshot(&["check"]), @"
    exit code 1
    ----- stdout
    folder: not ok
      file  [HOME]/.
            of hdfs, valid for 12h after it was written
            cannot be read: not a file

    mounted: ok
      file  [HOME]/token
            of hdfs, valid for 12h after it was written

    nowhere: not ok
      file  [HOME]/nowhere/token
            of hdfs, valid for 12h after it was written
            cannot be read: No such file or directory (os error 2)

    off: not enabled
      file  [HOME]/off/token
            of hdfs, valid for 12h after it was written

    s3: ok
      component  [HOME]/s3-sts.wasm
                 provider of s3, [N] KiB
      obtains    aws-credential-process/1
      sha256     [SHA256]
      secrets    aws-key (file): readable
      file       [HOME]/later.json
                 valid for 1h after it was written
                 cannot be read: No such file or directory (os error 2)
      imported and granted
        sign AWS requests (SigV4) with a secret  aws-key
        make HTTP requests                       http://127.0.0.1:[PORT]

    deputy.toml: 4 instances, 2 not ok
    ");
    let run = home.run(&["check", "--json"]);
    let seen: Value = serde_json::from_str(&run.stdout).unwrap();
    let [folder, mounted, nowhere, off, s3] = seen["instances"].as_array().unwrap().as_slice() else {
        panic!("{seen}")
    };
    let ok = [folder, mounted, nowhere, off, s3].map(|instance| instance["ok"].as_bool().unwrap());
    assert_eq!(ok, [false, true, false, true, true]);
    assert_eq!((&mounted["component"], &mounted["service"]), (&Value::Null, &"hdfs".into()));
    let path = home.path("token");
    assert_eq!(mounted["file"], serde_json::json!({ "path": path, "lifetime": "12h", "ok": true }));
    assert_eq!((&s3["loaded"]["service"], &s3["file"]["ok"]), (&"s3".into(), &false.into()));
    assert!(off["file"]["error"].is_null() && s3["service"].is_null());
}

#[test]
fn check_json_is_one_object() {
    let home = TestEnvironment::with_s3(ENDPOINT, "[instances.missing]\ncomponent = \"missing.wasm\"\n");
    let run = home.run(&["check", "--json"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(1), ""));
    let seen: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&seen["schema"], &seen["ok"], &seen["config"]), (&1.into(), &false.into(), &"deputy.toml".into()));
    let [missing, s3] = seen["instances"].as_array().unwrap().as_slice() else { panic!("{seen}") };
    assert_eq!((&missing["ok"], &missing["error"]["kind"]), (&false.into(), &"misconfigured".into()));
    assert_eq!((&s3["ok"], &s3["loaded"]["service"]), (&true.into(), &"s3".into()));
    assert_eq!(s3["loaded"]["tokens_required"], true);
    assert_eq!(s3["loaded"]["granted"][0], serde_json::json!({ "capability": "sigv4", "grants": ["aws-key"] }));
    assert_eq!(s3["loaded"]["secrets"][0], serde_json::json!({ "name": "aws-key", "source": "file", "ok": true }));
}

#[test]
fn check_asks_for_roots_where_the_system_has_none() {
    let home = TestEnvironment::with(&s3("https://sts.example.com"));
    home.write("none.pem", "");
    let none = home.path("none.pem");
    let none = [("SSL_CERT_FILE", none.to_str().unwrap()), ("SSL_CERT_DIR", home.path("no-folder").to_str().unwrap())]
        .map(|(name, value)| (name, value.to_owned()));
    let run = home.run_with(&["check"], &none.each_ref().map(|(name, value)| (*name, value.as_str())));
    assert_ne!(run.code, Some(0));
    assert!(run.stdout.contains("install them, or name a file with `roots`"), "{}", home.masked_output(&run));
}

#[test]
fn groups_show_what_their_workers_get() {
    let home = TestEnvironment::with_s3(
        ENDPOINT,
        r#"
[instances.mounted]
service = "hdfs"
kind = "aws-credential-process/1"
file = { path = "deputy.toml", lifetime = "1h" }
deliver-to = ["analytics", "etl"]

[coordinator]
listen = "127.0.0.1:8271"
advertise = "deputy.example:8271"

[groups.etl.receivers.files]
component = "s3-sts.wasm"
instances = ["mounted"]

[groups.etl.receivers.gone]
component = "gone.wasm"
instances = ["mounted"]
"#,
    );
    assert_snapshot!(home.snapshot(&["check"]), @"
    exit code 1
    ----- stdout
    mounted: ok
      file        [HOME]/deputy.toml
                  of hdfs, valid for 1h after it was written
      deliver to  analytics, etl

    s3: ok
      component  [HOME]/s3-sts.wasm
                 provider of s3, [N] KiB
      obtains    aws-credential-process/1
      sha256     [SHA256]
      secrets    aws-key (file): readable
      imported and granted
        sign AWS requests (SigV4) with a secret  aws-key
        make HTTP requests                       http://127.0.0.1:[PORT]

    group analytics: ok
      gets  mounted

    group etl: not ok
      gets       mounted
      receiver   files, for mounted
      component  [HOME]/s3-sts.wasm
      receiver   gone, for mounted
      component  [HOME]/gone.wasm
      files: [HOME]/s3-sts.wasm is a provider, not a receiver: a receiver exports the interface `receiver`
      gone: cannot read the component [HOME]/gone.wasm
        because No such file or directory (os error 2)

    deputy.toml: 2 instances, 2 groups, workers connect to deputy.example:8271, 1 not ok
    ");
    let run = home.run(&["check", "--json"]);
    let seen: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((run.code, &seen["ok"]), (Some(1), &false.into()));
    assert_eq!(seen["workers"], serde_json::json!({ "listen": "127.0.0.1:8271", "advertise": "deputy.example:8271" }));
    assert_eq!(seen["instances"][0]["deliver_to"], serde_json::json!(["analytics", "etl"]));
    let analytics = serde_json::json!({ "name": "analytics", "ok": true, "instances": ["mounted"], "receivers": [] });
    assert_eq!(seen["groups"][0], analytics);
    let files = &seen["groups"][1]["receivers"][0];
    assert_eq!((&files["name"], &files["ok"]), (&"files".into(), &false.into()));
    assert!(files["error"]["message"].as_str().unwrap().contains("is a provider"), "{files}");
}

#[test]
fn check_warns_of_a_proxy_that_is_not_used() {
    let home = TestEnvironment::with_s3("https://sts.example.com", "");
    let run = home.run_with(&["check"], &[("HTTPS_PROXY", "http://user:canary@proxy:3128")]);
    assert!(run.stderr.contains("warning: HTTPS_PROXY is set and not used"), "{}", run.stderr);
    assert!(!run.stderr.contains("canary"), "{}", run.stderr);
    assert!(!home.run(&["check"]).stderr.contains("PROXY"));
    home.write("worker.toml", "[worker]\noutput = \"out\"\nstate = \"state\"\n");
    let run = home.run_with(&["check", "--config", "worker.toml"], &[("https_proxy", "http://user:canary@proxy:3128")]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stderr.contains("warning: https_proxy is set and not used"), "{}", run.stderr);
}
