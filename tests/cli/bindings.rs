//! `deputy check` of groups and of what their receivers are bound to, with the components that come with Deputy: what is wrong
//! is found before anything is obtained, and named with its line.

use deputy_test_servers::guest;
use insta::assert_snapshot;
use serde_json::Value;

use crate::home::{CommandOutput, TestEnvironment};

/// The S3 provider as an instance of a group, a token in a file as another, and a receiver of both.
fn bound(receiver: &str, settings: &str) -> TestEnvironment {
    let component = guest(receiver).unwrap();
    TestEnvironment::with(&format!(
        r#"[coordinator]
listen = "127.0.0.1:8271"

[instances.s3]
component = "s3-sts.wasm"
settings = {{ region = "eu-west-1" }}
deliver-to = ["web"]

[instances.s3.secrets.aws-key]
file = "aws-key"
sigv4 = {{ services = ["sts"], regions = ["eu-west-1"] }}

[[instances.s3.http]]
allow = "https://sts.eu-west-1.amazonaws.com"

[instances.api]
service = "api"
kind = "bearer-token/1"
file = {{ path = "deputy.toml", lifetime = "1h" }}
deliver-to = ["web"]

[groups.web.receivers.out]
component = {component:?}
instances = ["api", "s3"]

[groups.web.receivers.out.settings]
{settings}
"#
    ))
}

/// The line on which the settings of the receiver begin.
const SETTINGS: usize = 27;

#[track_caller]
fn failure(run: &CommandOutput) -> Value {
    assert_eq!(run.code, Some(1), "{}{}", run.stdout, run.stderr);
    let seen: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&seen["ok"], &seen["groups"][0]["ok"]), (&false.into(), &false.into()), "{seen}");
    assert!(seen["instances"].as_array().unwrap().iter().all(|instance| instance["ok"] == true), "{seen}");
    seen["groups"][0]["receivers"][0]["error"].clone()
}

#[test]
fn check_finds_a_receiver_that_does_not_take_a_kind() {
    let home = bound("aws-credentials", "");
    let text = "instance api obtains bearer-token/1, and the receiver takes only aws-credential-process/1: unbind the \
                instance, or use another receiver";
    let run = home.run(&["check"]);
    assert!(run.stdout.contains(&format!("  out: {text}\n")), "{}", run.stdout);
    let error = failure(&home.run(&["check", "--json"]));
    assert_eq!((&error["message"], &error["kind"]), (&text.into(), &"misconfigured".into()));
    assert_eq!(bound("files", "").run(&["check"]).code, Some(0), "it takes all kinds");
}

#[test]
fn check_finds_a_field_that_the_payload_does_not_have() {
    let lines = "\"template.good\" = \"{{ s3.AccessKeyId }} {{ api.payload }}\"\n\
                 \"template.bad\" = \"{{ s3.AccesKeyId }}\"";
    let home = bound("files", lines);
    let place = format!("deputy.toml:{}: ", SETTINGS + 1);
    let text = "the receiver rejects its configuration: misconfigured: setting `template.bad`: instance `s3`: its payload \
                has no field `AccesKeyId`";
    let run = home.run(&["check"]);
    assert!(run.stdout.contains(&format!("  out: {place}{text}")), "{}", run.stdout);
    let error = failure(&home.run(&["check", "--json"]));
    assert!(error["message"].as_str().unwrap().starts_with(&(place + text)), "{error}");
    let at = serde_json::json!({ "setting": "template.bad", "file": "deputy.toml", "line": SETTINGS + 1 });
    assert_eq!(error["at"], at);
    let fixed = bound("files", &lines.replace("AccesKeyId", "AccessKeyId"));
    assert_eq!(fixed.run(&["check"]).code, Some(0));
}

#[test]
fn check_finds_an_instance_that_is_not_bound() {
    for (line, column) in [("\"path.s4\" = \"a\"", "path.s4"), ("\"env.a\" = \"A={{ s4.payload }}\"", "env.a")] {
        let error = failure(&bound("files", line).run(&["check", "--json"]));
        assert_eq!((&error["at"]["setting"], &error["at"]["line"]), (&column.into(), &SETTINGS.into()), "{error}");
        assert!(error["message"].as_str().unwrap().contains("no instance `s4` is bound"), "{error}");
    }
}

/// A worker does not know what its instances obtain, so kinds and fields are for the coordinator's check.
#[test]
fn check_of_a_worker_finds_an_instance_that_is_not_bound() {
    let home = TestEnvironment::empty();
    let component = guest("files").unwrap();
    let worker = |template: &str| {
        format!(
            "[worker]\noutput = \"out\"\nstate = \"state\"\n[receivers.env]\ncomponent = {component:?}\n\
             instances = [\"s3\"]\n[receivers.env.settings]\n# a comment\n\"template.a\" = \"{{{{ {template} }}}}\"\n"
        )
    };
    home.write("worker.toml", &worker("s4.AccessKeyId"));
    let run = home.run(&["check", "--config", "worker.toml"]);
    let text = "worker.toml:9: the receiver rejects its configuration: misconfigured: setting `template.a`: no instance \
                `s4` is bound to this receiver";
    assert!(run.code == Some(1) && run.stdout.contains(text), "{}", run.stdout);
    let run = home.run(&["check", "--config", "worker.toml", "--json"]);
    let seen: Value = serde_json::from_str(&run.stdout).unwrap();
    let at = serde_json::json!({ "setting": "template.a", "file": "worker.toml", "line": 9 });
    assert_eq!(seen["receivers"][0]["at"], at, "{seen}");
    home.write("worker.toml", &worker("s3.AccesKeyId"));
    assert_eq!(home.run(&["check", "--config", "worker.toml"]).code, Some(0));
}

#[test]
fn check_and_obtain_name_the_line_of_a_provider_s_setting() {
    let home = bound("files", "");
    let text = home.read("deputy.toml").replace("{ region = \"eu-west-1\" }", "{ regoin = \"eu-west-1\" }");
    home.write("deputy.toml", &text);
    let run = home.run(&["check"]);
    assert!(
        run.code == Some(1)
            && run.stdout.contains("deputy.toml:6: the component has no setting `regoin`; did you mean `region`?"),
        "{}",
        run.stdout
    );
    let run = home.run(&["check", "--json"]);
    let seen: Value = serde_json::from_str(&run.stdout).unwrap();
    let s3 = seen["instances"].as_array().unwrap().iter().find(|instance| instance["name"] == "s3").unwrap();
    assert_eq!((&s3["error"]["at"]["line"], &s3["loaded"]), (&6.into(), &Value::Null), "{s3}");
    let run = home.run(&["obtain", "s3"]);
    assert!(run.stderr.contains("error: s3: deputy.toml:6: misconfigured: "), "{}", run.stderr);
    let run = home.run(&["obtain", "s3", "--json"]);
    let seen: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&seen["error"]["at"]["line"], &seen["error"]["at"]["file"]), (&6.into(), &"deputy.toml".into()));
    assert!(seen["error"]["message"].as_str().unwrap().starts_with("deputy.toml:6: misconfigured: "), "{seen}");
}

#[test]
fn groups_show_what_their_workers_get() {
    let home = TestEnvironment::with_s3(
        "http://127.0.0.1:1",
        r#"
[instances.mounted]
service = "hdfs"
kind = "aws-credential-process/1"
file = { path = "deputy.toml", lifetime = "1h" }
deliver-to = ["analytics", "etl"]

[coordinator]
listen = "127.0.0.1:8271"
advertise = ["other.example:8271", "deputy.example:8271"]

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

    deputy.toml: 2 instances, 2 groups, workers connect to deputy.example:8271, other.example:8271, 1 not ok
    ");
    let run = home.run(&["check", "--json"]);
    let seen: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((run.code, &seen["ok"]), (Some(1), &false.into()));
    let addresses = ["deputy.example:8271", "other.example:8271"];
    let workers = serde_json::json!({ "listen": "127.0.0.1:8271", "advertise": addresses[0], "addresses": addresses });
    assert_eq!(seen["workers"], workers);
    assert_eq!(seen["instances"][0]["deliver_to"], serde_json::json!(["analytics", "etl"]));
    let analytics = serde_json::json!({ "name": "analytics", "ok": true, "instances": ["mounted"], "receivers": [] });
    assert_eq!(seen["groups"][0], analytics);
    let files = &seen["groups"][1]["receivers"][0];
    assert_eq!((&files["name"], &files["ok"]), (&"files".into(), &false.into()));
    assert!(files["error"]["message"].as_str().unwrap().contains("is a provider"), "{files}");
}
