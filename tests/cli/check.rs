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
fn check_leaves_credentials_to_the_service_that_has_them() {
    let home = TestEnvironment::with(&s3(ENDPOINT).replace("file = \"aws-key\"", "credential = \"aws-key\""));
    let checked = home.run(&["check"]);
    assert_eq!(checked.code, Some(0), "{}{}", checked.stdout, checked.stderr);
    assert!(checked.stdout.contains("aws-key (credential): not read: only the service has"), "{}", checked.stdout);
    let of_service = home.run_with(&["check"], &[("CREDENTIALS_DIRECTORY", home.path("none").to_str().unwrap())]);
    assert_eq!(of_service.code, Some(1), "{}", of_service.stdout);
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
    error: cannot read deputy.toml
      because No such file or directory (os error 2)
    hint: name the file with --config FILE or in DEPUTY_CONFIG; `deputy init` writes a new one
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
      [HOME]/s3-sts.wasm has the SHA-256 [SHA256], not [SHA256]: restore the file; if the change is yours, set `sha256`, or restart where it is not set

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
      deputy.toml:22: the component has no setting `regoin`; did you mean `region`?

    deputy.toml: 4 instances, 4 not ok
    ");
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
