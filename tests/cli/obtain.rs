//! `deputy obtain`

use std::os::unix::fs::symlink;

use deputy_test_servers::{contract_text, synthetic_component};
use insta::assert_snapshot;
use serde_json::Value;

use crate::home::{TestEnvironment, s3};
use crate::service::{SESSION, answering, failing, granting};

#[test]
fn obtain_hides_the_payload_by_default() {
    let home = TestEnvironment::with_s3(&granting(), "");
    assert_snapshot!(home.snapshot(&["obtain", "s3"]), @"
    exit code 0
    ----- stdout
    instance     s3
    service      s3
    kind         aws-credential-process/1
    valid until  2100-01-01T00:00:00.000Z, in [SPAN]
    payload      165 bytes, not shown: --reveal prints them, --out FILE writes them to a file
    usage        memory 1.1 MiB of 64MiB, cpu [N] ms of 10s

    ----- stderr
    audit [TIME] s3 done      call tokens-required, [N] ms
    audit [TIME] s3 done      call kinds, [N] ms
    audit [TIME] s3 done      secret aws-key: open
    audit [TIME] s3 done      secret aws-key: sigv4 for sts/eu-west-1, at [TIME]
    audit [TIME] s3 done      POST http://127.0.0.1:[PORT]/ at 127.0.0.1, status 200, sent 41 B, received 321 B
    audit [TIME] s3 done      call obtain, [N] ms
    ");
}

#[test]
fn obtain_reveal_prints_only_the_payload() {
    let home = TestEnvironment::with_s3(&granting(), "");
    let run = home.run(&["obtain", "s3", "--reveal"]);
    assert_eq!(run.code, Some(0));
    let payload: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(payload["SessionToken"], SESSION);
    assert!(!run.stdout.ends_with('\n'), "the payload is printed as it is");
}

#[test]
fn obtain_writes_files_only_the_owner_can_read() {
    let home = TestEnvironment::with_s3(&granting(), "");
    home.write("credentials.json", "old");
    assert_snapshot!(home.snapshot(&["obtain", "s3", "--out", "credentials.json"]), @"
    exit code 0
    ----- stdout
    instance     s3
    service      s3
    kind         aws-credential-process/1
    valid until  2100-01-01T00:00:00.000Z, in [SPAN]
    payload      165 bytes, in credentials.json
    usage        memory 1.1 MiB of 64MiB, cpu [N] ms of 10s

    ----- stderr
    audit [TIME] s3 done      call tokens-required, [N] ms
    audit [TIME] s3 done      call kinds, [N] ms
    audit [TIME] s3 done      secret aws-key: open
    audit [TIME] s3 done      secret aws-key: sigv4 for sts/eu-west-1, at [TIME]
    audit [TIME] s3 done      POST http://127.0.0.1:[PORT]/ at 127.0.0.1, status 200, sent 41 B, received 321 B
    audit [TIME] s3 done      call obtain, [N] ms
    ");
    assert_eq!(home.mode("credentials.json"), 0o600);
    assert!(home.read("credentials.json").contains(SESSION));
    // No other file is left.
    let mut names: Vec<_> = std::fs::read_dir(home.path("")).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["aws-key", "credentials.json", "deputy.toml", "s3-sts.wasm"]);
}

#[test]
fn obtain_makes_no_call_if_the_output_cannot_be_written() {
    let home = TestEnvironment::with_s3(&granting(), "");
    symlink(home.path("elsewhere"), home.path("link")).unwrap();
    assert_snapshot!(home.snapshot(&["obtain", "s3", "--out", "link"]), @"
    exit code 1
    ----- stderr
    error: link is a symbolic link, not a regular file: give the path of a file
    ");
    assert_snapshot!(home.snapshot(&["obtain", "s3", "--out", "no/such/folder"]), @"
    exit code 1
    ----- stderr
    error: cannot write no/such/folder
      because No such file or directory (os error 2)
    ");
    assert!(!home.path("elsewhere").exists());
}

#[test]
fn obtain_that_fails_writes_nothing() {
    let home = TestEnvironment::with_s3(&failing(403, "", "AccessDenied"), "");
    home.write("credentials.json", "old");
    assert_eq!(home.run(&["obtain", "s3", "--out", "credentials.json"]).code, Some(3));
    assert_eq!(home.read("credentials.json"), "old");
}

#[test]
fn obtain_json_is_one_object() {
    let home = TestEnvironment::with_s3(&granting(), "");
    let run = home.run(&["obtain", "s3", "--json", "--out", "credentials.json"]);
    assert_eq!(run.code, Some(0));
    let seen: Value = serde_json::from_str(&run.stdout).unwrap();
    let length = home.read("credentials.json").len();
    assert_eq!(
        seen,
        serde_json::json!({
            "schema": 1,
            "instance": "s3",
            "service": "s3",
            "call": 3,
            "tokens_required": true,
            "kind": "aws-credential-process/1",
            "valid_until": "2100-01-01T00:00:00.000Z",
            "payload_bytes": length,
            "out": "credentials.json",
            "usage": {
                "requests": 1,
                "secret_operations": seen["usage"]["secret_operations"],
                "bytes_sent": seen["usage"]["bytes_sent"],
                "bytes_received": seen["usage"]["bytes_received"],
                "memory_bytes": seen["usage"]["memory_bytes"],
                "cpu_ms": seen["usage"]["cpu_ms"],
            },
            "refusals": [],
        })
    );
    assert!(seen["usage"]["bytes_received"].as_u64() > Some(100));
}

#[test]
fn obtain_shows_the_lines_that_would_permit_a_denial() {
    let endpoint = granting();
    let config = s3(&endpoint).replace("[[instances.s3.http]]", "[[instances.s3.http]]\nmethods = [\"GET\"]");
    let home = TestEnvironment::with(&config);
    assert_snapshot!(home.snapshot(&["obtain", "s3"]), @r#"
    exit code 5
    ----- stderr
    audit [TIME] s3 done      call tokens-required, [N] ms
    audit [TIME] s3 done      call kinds, [N] ms
    audit [TIME] s3 done      secret aws-key: open
    audit [TIME] s3 done      secret aws-key: sigv4 for sts/eu-west-1, at [TIME]
    audit [TIME] s3 refused   POST http://127.0.0.1:[PORT]/ [method-not-granted]
    audit [TIME] s3 failed    call obtain, [N] ms [misconfigured]
    error: s3: misconfigured: no http rule of this instance allows POST http://127.0.0.1:[PORT]/; the host's log says what would
    denied by policy: POST to http://127.0.0.1:[PORT] is not granted [method-not-granted]
    hint: to permit it, change deputy.toml:

        # in this existing rule, number 1 of [[instances.s3.http]]:
        [[instances.s3.http]]
        allow = "http://127.0.0.1:[PORT]"
        methods = ["GET", "POST"]

    hint: `deputy grant s3 --http http://127.0.0.1:[PORT]/ --method POST` shows that change, and writes it after a yes
    "#);
    let run = home.run(&["obtain", "s3", "--json"]);
    let seen: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&seen["error"]["kind"], &seen["error"]["exit_code"]), (&"refused".into(), &5.into()));
    assert_eq!(seen["refusals"][0]["code"], "method-not-granted");
    assert!(seen["refusals"][0]["fix"].as_str().unwrap().contains("methods = [\"GET\", \"POST\"]"));
}

#[test]
fn obtain_denied_by_the_service_exits_denied() {
    let home = TestEnvironment::with_s3(&failing(403, "", "AccessDenied"), "");
    assert_snapshot!(home.snapshot(&["obtain", "s3"]), @"
    exit code 3
    ----- stderr
    audit [TIME] s3 done      call tokens-required, [N] ms
    audit [TIME] s3 done      call kinds, [N] ms
    audit [TIME] s3 done      secret aws-key: open
    audit [TIME] s3 done      secret aws-key: sigv4 for sts/eu-west-1, at [TIME]
    audit [TIME] s3 done      POST http://127.0.0.1:[PORT]/ at 127.0.0.1, status 403, sent 41 B, received 101 B
    audit [TIME] s3 failed    call obtain, [N] ms [denied]
    error: s3: denied: GetSessionToken: 403 AccessDenied: told by STS
    ");
}

#[test]
fn obtain_throttled_shows_when_to_retry() {
    let home = TestEnvironment::with_s3(&failing(400, "retry-after: 7\r\n", "Throttling"), "");
    assert_snapshot!(home.snapshot(&["obtain", "s3"]), @"
    exit code 4
    ----- stderr
    audit [TIME] s3 done      call tokens-required, [N] ms
    audit [TIME] s3 done      call kinds, [N] ms
    audit [TIME] s3 done      secret aws-key: open
    audit [TIME] s3 done      secret aws-key: sigv4 for sts/eu-west-1, at [TIME]
    audit [TIME] s3 done      POST http://127.0.0.1:[PORT]/ at 127.0.0.1, status 400, sent 41 B, received 99 B
    audit [TIME] s3 failed    call obtain, [N] ms [throttled]
    error: s3: throttled: GetSessionToken: 400 Throttling: told by STS
    hint: try again in 7s
    ");
    let seen: Value = serde_json::from_str(&home.run(&["obtain", "s3", "--json"]).stdout).unwrap();
    assert_eq!((&seen["error"]["kind"], &seen["error"]["retry_after_ms"]), (&"unavailable".into(), &7000.into()));
}

#[test]
fn obtain_of_a_failing_service_exits_unavailable() {
    let home = TestEnvironment::with_s3(&answering(503, "", "<html>"), "");
    assert_eq!(home.run(&["obtain", "s3"]).code, Some(4));
}

#[test]
fn obtain_names_the_limit_that_ended_the_call() {
    let home = TestEnvironment::with_s3(&granting(), "[instances.s3.limits]\nresponse = \"10B\"\n");
    assert_snapshot!(home.snapshot(&["obtain", "s3"]), @r#"
    exit code 6
    ----- stderr
    audit [TIME] s3 done      call tokens-required, [N] ms
    audit [TIME] s3 done      call kinds, [N] ms
    audit [TIME] s3 done      secret aws-key: open
    audit [TIME] s3 done      secret aws-key: sigv4 for sts/eu-west-1, at [TIME]
    audit [TIME] s3 refused   POST http://127.0.0.1:[PORT]/ at 127.0.0.1, status 200, sent 41 B, received 0 B [over-limit:response]
    audit [TIME] s3 failed    call obtain, [N] ms [unavailable]
    error: s3: unavailable: http://127.0.0.1:[PORT]/: the response is larger than allowed
    denied by policy: over the limit `response` [over-limit]
    hint: to permit it, change deputy.toml:

        # in this table, replacing its current lines:
        [instances.s3.limits]
        response = "20B" # "10B" now

    hint: with these lines in FILE, `deputy grant s3 --hint FILE` shows that change, and writes it after a yes
    "#);
}

#[test]
fn secret_that_is_no_key_is_misconfigured_and_told() {
    let home = TestEnvironment::with_s3(&granting(), "");
    home.write("aws-key", "two words");
    let run = home.run(&["obtain", "s3"]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    let told = "error: s3: misconfigured: secret aws-key: the secret is not an AWS secret access key";
    assert!(run.stderr.contains(told), "{}", run.stderr);
}

#[test]
fn secret_of_a_header_that_cannot_be_read_is_told() {
    let lines = "[instances.s3.secrets.token]\nfile = \"token\"\n";
    let config = s3(&granting()).replace(
        "networks = [\"loopback\"]",
        "networks = [\"loopback\"]\nheaders = { x-token = { secret = \"token\" } }",
    );
    let home = TestEnvironment::with(&format!("{config}\n{lines}"));
    let run = home.run(&["obtain", "s3"]);
    assert_eq!(run.code, Some(4), "{}", run.stderr);
    assert!(run.stderr.contains("error: s3: unavailable: secret token: "), "{}", run.stderr);
    assert!(run.stderr.contains("cannot read"), "{}", run.stderr);
    home.write("token", "a\nb");
    home.restrict_mode("token");
    let run = home.run(&["obtain", "s3"]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert!(run.stderr.contains("secret token cannot be a header"), "{}", run.stderr);
}

#[test]
fn settings_that_the_provider_finds_wrong_are_misconfigured() {
    let home = TestEnvironment::with(&s3(&granting()).replace("region = \"eu-west-1\"", "regoin = \"eu-west-1\""));
    assert_snapshot!(home.snapshot(&["obtain", "s3"]), @"
    exit code 2
    ----- stderr
    audit [TIME] s3 failed    call tokens-required, [N] ms [misconfigured]
    error: s3: deputy.toml:3: misconfigured: setting `regoin`: no such setting here; there are: operation, region, endpoint, role-arn, role-session-name, external-id, policy, policy-arns, duration, secret, access-key-id
    ");
}

#[test]
fn obtain_of_an_unknown_instance_exits_misconfigured() {
    let home = TestEnvironment::with_s3(&granting(), "");
    assert_snapshot!(home.snapshot(&["obtain", "s4"]), @r#"
    exit code 2
    ----- stderr
    error: deputy.toml has no instance "s4"
    hint: the instances are s3
    "#);
    assert_snapshot!(TestEnvironment::with("").snapshot(&["obtain", "s4"]), @r#"
    exit code 2
    ----- stderr
    error: deputy.toml has no instance "s4"
    hint: the configuration has no instance: add [instances.NAME]
    "#);
}

#[test]
fn obtain_of_a_file_instance_exits_misconfigured() {
    let home = TestEnvironment::with(
        "[instances.hdfs]\nservice = \"hdfs\"\nkind = \"aws-credential-process/1\"\nfile = { path = \"token\", lifetime = \"1h\" }\n",
    );
    assert_snapshot!(home.snapshot(&["obtain", "hdfs"]), @"
    exit code 2
    ----- stderr
    error: hdfs has no component to call
    hint: its tokens are in [HOME]/token, which another program maintains
    ");
}

#[test]
fn obtain_calls_a_disabled_instance_by_name() {
    let home = TestEnvironment::with(&s3(&granting()).replace("component =", "enabled = false\ncomponent ="));
    let run = home.run(&["obtain", "s3"]);
    assert_eq!(run.code, Some(0));
    assert!(run.stderr.starts_with("warning: s3 is not enabled"), "{}", run.stderr);
}

#[test]
fn audit_goes_where_file_or_flag_says() {
    let home = TestEnvironment::with(&format!("audit = \"trail.jsonl\"\n{}", s3(&granting())));
    let events = |name: &str| -> Vec<Value> {
        home.read(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    for count in 1..=2 {
        assert_eq!(home.run(&["obtain", "s3"]).code, Some(0));
        let kept = events("trail.jsonl");
        assert_eq!(kept.iter().filter(|event| event["function"] == "obtain").count(), count);
        assert!(kept.iter().all(|event| event["instance"] == "s3"));
    }
    assert_eq!(home.mode("trail.jsonl"), 0o600);
    assert_eq!(home.run(&["obtain", "s3", "--audit", "other.jsonl"]).code, Some(0));
    let kinds: Vec<_> = events("other.jsonl").iter().map(|event| event["event"].to_string()).collect();
    // The request is recorded before it leaves, and once more with its end.
    assert_eq!(kinds, ["\"call\"", "\"call\"", "\"secret\"", "\"secret\"", "\"http\"", "\"http\"", "\"call\""]);
    assert_eq!(events("trail.jsonl").len(), 14);
}

#[test]
fn audit_can_be_the_only_output_of_obtain() {
    let home = TestEnvironment::with_s3(&granting(), "");
    let run = home.run(&["obtain", "s3", "--audit", "-"]);
    assert_eq!(run.code, Some(0));
    let events: Vec<Value> = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), 7);
    assert_snapshot!(home.snapshot(&["obtain", "s3", "--audit", "-", "--reveal"]), @"
    exit code 2
    ----- stderr
    error: --audit - cannot be used with --json or --reveal: both write to stdout
    hint: use --audit FILE
    ");
    assert_eq!(home.run(&["obtain", "s3", "--audit", "no/such/folder"]).code, Some(1));
}

#[test]
fn core_dumps_are_off_in_every_process() {
    let config = s3(&granting()).replace("file = \"aws-key\"", "command = [\"./limit\"]");
    let home = TestEnvironment::with(&config);
    let folder = home.path("");
    let script =
        format!("cd {}; ulimit -c > core-limit; ulimit -Hc >> core-limit; exec /bin/cat aws-key", folder.display());
    home.write("limit", &format!("#!/bin/sh\n{script}\n"));
    std::fs::set_permissions(home.path("limit"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let run = home.run(&["obtain", "s3"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(home.read("core-limit"), "0\n0\n");
}

/// A provider among the hostile components, as the instance `t` with these settings.
fn hostile(guest: &str, settings: &str) -> TestEnvironment {
    let home =
        TestEnvironment::with(&format!("[instances.t]\ncomponent = \"t.wasm\"\n[instances.t.settings]\n{settings}\n"));
    std::fs::copy(deputy_test_servers::guest(guest).unwrap(), home.path("t.wasm")).unwrap();
    home
}

#[test]
fn obtain_asks_first_whether_tokens_are_required() {
    let home = TestEnvironment::with("[instances.none]\ncomponent = \"none.wasm\"\n");
    let world = "package a:b; world none { include delegation:tokens/token-provider@0.2.0; }";
    std::fs::write(home.path("none.wasm"), synthetic_component(&[&contract_text(), world], "none")).unwrap();
    home.write("credentials.json", "old");
    assert_snapshot!(home.snapshot(&["obtain", "none", "--out", "credentials.json"]), @"
    exit code 0
    ----- stderr
    audit [TIME] none done      call tokens-required, [N] ms
    warning: none: no tokens are required with these settings; nothing was obtained
    ");
    assert_eq!(home.read("credentials.json"), "old");
    let seen: Value = serde_json::from_str(&home.run(&["obtain", "none", "--json"]).stdout).unwrap();
    assert_eq!((&seen["tokens_required"], &seen["payload_bytes"]), (&false.into(), &Value::Null));
    assert!(home.run(&["obtain", "none", "--reveal"]).stdout.is_empty());
}

#[test]
fn obtain_shows_what_the_call_used_of_its_limits() {
    let home = TestEnvironment::with_s3(&granting(), "[instances.s3.limits]\nmemory = \"8MiB\"\n");
    let shown = home.run(&["obtain", "s3"]).stdout;
    let usage = shown.lines().find_map(|line| line.strip_prefix("usage ")).expect("a line").trim();
    assert!(usage.starts_with("memory 1.") && usage.contains(" MiB of 8MiB, cpu "), "{usage}");
    let seen: Value = serde_json::from_str(&home.run(&["obtain", "s3", "--json"]).stdout).unwrap();
    let memory = seen["usage"]["memory_bytes"].as_u64().unwrap();
    assert!((1 << 20..8 << 20).contains(&memory), "{memory}");
    assert!((1..2000).contains(&seen["usage"]["cpu_ms"].as_u64().unwrap()));
    // The limit of what was used suffices, and less does not.
    for (limit, code) in [(memory, 0), (memory - 1, 6)] {
        let home = TestEnvironment::with_s3(&granting(), &format!("[instances.s3.limits]\nmemory = \"{limit}B\"\n"));
        assert_eq!(home.run(&["obtain", "s3"]).code, Some(code), "{limit}");
    }
}

#[test]
fn obtain_logs_a_backtrace_of_a_trap_at_debug_alone() {
    let home = hostile("trap-panic", "url = \"hunter2\"");
    let quiet = home.run(&["obtain", "t"]);
    assert_eq!(quiet.code, Some(7));
    assert!(!quiet.stderr.contains("frame"), "{}", quiet.stderr);
    let loud = home.run(&["--log", "debug", "obtain", "t"]);
    assert_eq!(loud.code, Some(7));
    let frames: Vec<&str> = loud.stderr.lines().filter(|line| line.contains(" DEBUG ")).collect();
    assert!(!frames.is_empty() && frames.len() <= 20, "{}", loud.stderr);
    for part in ["the component trapped", "instance=t", "call=3", "frame=", "offset=", "function="] {
        assert!(frames.iter().all(|line| line.contains(part)), "{part}: {frames:?}");
    }
    assert!(!loud.stderr.contains("hunter2"), "{}", loud.stderr);
}

#[test]
fn obtain_blanks_a_setting_that_looks_like_a_secret() {
    let home = hostile("error-text-for-ever", "db-password = \"hunter2\"\nmessage = \"hunter2 is wrong\"");
    let run = home.run(&["obtain", "t"]);
    assert_eq!(run.code, Some(4));
    assert!(run.stderr.contains("[secret db-password] is wrong"), "{}", run.stderr);
    assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
    let check = home.run(&["check"]);
    assert_eq!(check.code, Some(0), "{}", check.stderr);
    assert!(check.stderr.contains("the setting `db-password` looks like a secret"), "{}", check.stderr);
    assert!(
        check.stderr.contains("[instances.t.secrets.NAME]") && !check.stderr.contains("hunter2"),
        "{}",
        check.stderr
    );
}
