//! `deputy inspect`

use insta::assert_snapshot;
use serde_json::Value;

use crate::home::TestEnvironment;

#[test]
fn inspect_describes_a_component_in_plain_words() {
    let home = TestEnvironment::with("");
    assert_snapshot!(home.snapshot(&["inspect", "s3-sts.wasm"]), @"
    exit code 0
    ----- stdout
    s3-sts.wasm
      kind     provider
      service  s3
      renews   no
      revokes  no
      size     [N] KiB
      sha256   [SHA256]

    Can, where the operator grants it
      sign AWS requests (SigV4) with a secret
      make HTTP requests

    Can
      read the time

    Never, whatever it is granted
      cannot read a secret's value
      cannot sign JSON Web Tokens with a secret
      cannot compute an HMAC-SHA256 of any data with a secret
      cannot derive keys from a secret with PBKDF2
      cannot sign any data with a secret
      cannot open TCP connections
      cannot look up host names
      cannot send UDP datagrams
      cannot read or write files
      cannot read environment variables
      cannot read standard input
      cannot write log lines
      cannot read random numbers
    ");
}

#[test]
fn inspect_json_describes_a_component() {
    let home = TestEnvironment::with("");
    let run = home.run(&["inspect", "s3-sts.wasm", "--json"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let seen: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&seen["schema"], &seen["service"], &seen["kind"]), (&1.into(), &"s3".into(), &"provider".into()));
    assert_eq!(seen["exports"], serde_json::json!({ "renewal": false, "revocation": false }));
    assert_eq!(seen["size"], std::fs::metadata(home.path("s3-sts.wasm")).unwrap().len());
    assert_eq!(seen["can_if_granted"], serde_json::json!(["sigv4", "http"]));
    for never in ["reveal", "tcp", "files", "environment"] {
        assert!(seen["cannot"].as_array().unwrap().contains(&never.into()), "{never}");
    }
    let imports = seen["imports"].as_array().unwrap();
    let secrets = imports.iter().find(|import| import["interface"] == "delegation:tokens/secrets@0.1.0").unwrap();
    assert_eq!(secrets["functions"], serde_json::json!(["[method]secret.sigv4", "open"]));
}

#[test]
fn inspect_shows_what_a_receiver_accepts() {
    let home = TestEnvironment::with("");
    for receiver in ["aws-credentials", "files"] {
        std::fs::copy(deputy_test_servers::guest(receiver).unwrap(), home.path(&format!("{receiver}.wasm"))).unwrap();
    }
    assert_snapshot!(home.snapshot(&["inspect", "aws-credentials.wasm"]), @"
    exit code 0
    ----- stdout
    aws-credentials.wasm
      kind      receiver
      services  s3
      size      [N] KiB
      sha256    [SHA256]

    Can
      publish files for the workload

    Never
      cannot read a secret's value
      cannot sign AWS requests (SigV4) with a secret
      cannot sign JSON Web Tokens with a secret
      cannot compute an HMAC-SHA256 of any data with a secret
      cannot derive keys from a secret with PBKDF2
      cannot sign any data with a secret
      cannot make HTTP requests
      cannot open TCP connections
      cannot look up host names
      cannot send UDP datagrams
      cannot read or write files
      cannot read environment variables
      cannot read standard input
      cannot write log lines
      cannot read the time
      cannot read random numbers
    ");
    let run = home.run(&["inspect", "files.wasm", "--json"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let seen: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&seen["kind"], &seen["service"]), (&"receiver".into(), &Value::Null));
    assert_eq!(seen["services"], serde_json::json!(["*"]));
    assert_eq!(
        (&seen["can"], &seen["can_if_granted"]),
        (&serde_json::json!(["outputs", "logs"]), &serde_json::json!([]))
    );
    assert!(home.run(&["inspect", "files.wasm"]).stdout.contains("services  all\n"));
}

#[test]
fn inspect_refuses_a_file_that_is_not_a_component() {
    let home = TestEnvironment::with("");
    home.write("text.wasm", "not a component");
    assert_snapshot!(home.snapshot(&["inspect", "text.wasm"]), @"
    exit code 2
    ----- stderr
    error: cannot compile text.wasm
      because not a component that deputy can run: failed to parse WebAssembly module: magic header not detected: bad magic number - expected=[     0x0,     0x61,     0x73,     0x6d, ] actual=[     0x6e,     0x6f,     0x74,     0x20, ] (at offset 0x0)
    ");
    assert_snapshot!(home.snapshot(&["inspect", "nowhere.wasm", "--json"]), @r#"
    exit code 2
    ----- stdout
    {"schema":1,"error":{"kind":"misconfigured","exit_code":2,"message":"cannot read the component nowhere.wasm","causes":["No such file or directory (os error 2)"]}}

    ----- stderr
    error: cannot read the component nowhere.wasm
      because No such file or directory (os error 2)
    "#);
}

#[test]
fn inspect_reads_only_a_named_configuration() {
    let home = TestEnvironment::with("nonsense");
    assert_eq!(home.run(&["inspect", "s3-sts.wasm"]).code, Some(0));
    assert_eq!(home.run(&["inspect", "s3-sts.wasm", "--config", "deputy.toml"]).code, Some(2));
    assert_eq!(home.run_with(&["inspect", "s3-sts.wasm"], &[("DEPUTY_CONFIG", "deputy.toml")]).code, Some(2));
}

#[test]
fn inspect_uses_the_state_directory_of_the_file() {
    let home = TestEnvironment::with("state = \"own\"");
    let run = home.run_with(&["inspect", "s3-sts.wasm", "--config", "deputy.toml"], &[("DEPUTY_STATE", "")]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    assert_eq!(home.mode("own"), 0o700);
    assert_eq!(std::fs::read_dir(home.path("own/components")).unwrap().count(), 1, "what was compiled");
    assert!(!home.path(".local").exists());
}

#[test]
fn state_that_others_can_read_is_not_used() {
    let home = TestEnvironment::with("");
    std::fs::create_dir(home.path("state")).unwrap();
    std::fs::set_permissions(home.path("state"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    assert_snapshot!(home.snapshot(&["inspect", "s3-sts.wasm", "--state", "state"]), @"
    exit code 2
    ----- stderr
    error: cannot read the master key
      because state is open to other users (mode 0755): `chmod 700 state`
    ");
}

#[test]
fn inspect_without_state_explains_how_to_name_it() {
    let home = TestEnvironment::with("");
    let run = home.run_with(&["inspect", "s3-sts.wasm"], &[("DEPUTY_STATE", ""), ("HOME", "")]);
    assert_snapshot!(home.masked_output(&run), @"
    exit code 2
    ----- stderr
    error: no state directory
    hint: name one with --state DIR, in DEPUTY_STATE, or as `state` in the configuration
    ");
    let run = home.run_with(&["inspect", "s3-sts.wasm"], &[("DEPUTY_STATE", "")]);
    assert_eq!(run.code, Some(0));
    assert_eq!(home.mode(".local/state/deputy"), 0o700);
}
