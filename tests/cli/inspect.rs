//! `deputy inspect`

use deputy_test_servers::{contract_text, synthetic_component, wit_package};
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
      title     Credentials for S3 from AWS STS or a service with its API
      version   0.1.0
      kind      provider
      service   s3
      payloads  aws-credential-process/1
      renews    no
      revokes   no
      size      [N] KiB
      sha256    [SHA256]

    Settings
      operation          the call of STS
                         default: assume-role if role-arn is set, else get-session-token; type: assume-role | assume-role-with-web-identity | get-session-token
      region             the region, which is a part of the signature
                         needed except for a web identity with an endpoint; type: text
      endpoint           the server of STS, or of a service with its API; the default is right in every partition of AWS
                         default: that of AWS in the region; type: url
      role-arn           the role to assume
                         needed without endpoint, unless it is a session; type: text
      role-session-name  the name of the session, which appears in CloudTrail
                         default: deputy; type: text
      external-id        the external id of the role, for assume-role alone
                         type: text
      policy             a session policy in JSON, which narrows the role's
                         type: text
      policy-arns        up to ten managed policies, with commas between
                         type: list
      duration           how long credentials live: of AWS 15m to 12h for roles, to 36h for sessions
                         default: the service's: 1h for roles, 12h for sessions; type: duration
      secret             the secret that signs
                         default: aws-key; type: secret
      access-key-id      the key's id, if the secret is the secret key alone
                         type: text

    Wants, without settings (add --set NAME=VALUE)
      unknown: setting `region`: missing; set `region` or `endpoint`

    Can, where the operator grants it
      sign AWS requests (SigV4) with a secret
      make HTTP requests

    Can
      read the time

    Cannot, whatever it is granted
      read a secret's value
      sign JSON Web Tokens with a secret
      log in by SCRAM with a secret
      compute an HMAC-SHA256 of any data with a secret
      derive keys from a secret with PBKDF2
      sign any data with a secret
      keep state from one call to the next
      open Kerberos contexts with services
      open TCP connections
      look up host names
      send UDP datagrams
      read or write files
      read environment variables
      read standard input
      write log lines
      read random numbers
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
    let secrets = imports.iter().find(|import| import["interface"] == "delegation:tokens/secrets@0.2.0").unwrap();
    assert_eq!(secrets["functions"], serde_json::json!(["[method]secret.sigv4", "open"]));
}

#[test]
fn inspect_says_what_depends_on_settings() {
    let home = TestEnvironment::with("");
    std::fs::copy(deputy_test_servers::guest("refresh-token").unwrap(), home.path("refresh-token.wasm")).unwrap();
    let run = home.run(&["inspect", "refresh-token.wasm"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    for line in ["  service   depends on settings\n", "  payloads  depends on settings\n"] {
        assert!(run.stdout.contains(line), "{}", run.stdout);
    }
    let seen: Value = serde_json::from_str(&home.run(&["inspect", "refresh-token.wasm", "--json"]).stdout).unwrap();
    assert_eq!((&seen["service"], &seen["kinds"]), (&Value::Null, &Value::Null));
    assert!(seen["can_if_granted"].as_array().unwrap().contains(&"state".into()), "{seen}");
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
      title     S3 credentials in the files that AWS tools and SDKs read
      version   0.1.0
      kind      receiver
      payloads  aws-credential-process/1
      size      [N] KiB
      sha256    [SHA256]

    Settings
      profile.*   the profile of an instance: profile.INSTANCE
                  default: the instance's name; type: text
      default     the instance that is the default profile as well
                  type: text
      region      the region of all profiles in the config file
                  type: text
      region.*    the region of one instance's profile: region.INSTANCE
                  type: text
      endpoint.*  the URL of an instance's S3, if it is not that of AWS: endpoint.INSTANCE
                  type: url
      process     the command that prints the credentials of {instance}, for programs that read them again, or none
                  default: prints this receiver's file, where its directory is known; type: text

    Can
      publish files for the workload

    Cannot
      read a secret's value
      sign AWS requests (SigV4) with a secret
      sign JSON Web Tokens with a secret
      log in by SCRAM with a secret
      compute an HMAC-SHA256 of any data with a secret
      derive keys from a secret with PBKDF2
      sign any data with a secret
      keep state from one call to the next
      open Kerberos contexts with services
      make HTTP requests
      open TCP connections
      look up host names
      send UDP datagrams
      read or write files
      read environment variables
      read standard input
      write log lines
      read the time
      read random numbers
    ");
    let run = home.run(&["inspect", "files.wasm", "--json"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let seen: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&seen["kind"], &seen["service"]), (&"receiver".into(), &Value::Null));
    assert_eq!(seen["kinds"], serde_json::json!(["*"]));
    assert_eq!(
        (&seen["can"], &seen["can_if_granted"]),
        (&serde_json::json!(["outputs", "logs"]), &serde_json::json!([]))
    );
    assert!(home.run(&["inspect", "files.wasm"]).stdout.contains("payloads  of all kinds\n"));
}

#[test]
fn inspect_refuses_a_file_that_is_not_a_component() {
    let home = TestEnvironment::with("");
    home.write("text.wasm", "not a component");
    assert_snapshot!(home.snapshot(&["inspect", "text.wasm"]), @"
    exit code 2
    ----- stderr
    error: text.wasm is text, not a component in its binary form
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

/// The contract's text with replacements; each must apply.
fn changed_contract(changes: &[(&str, &str)]) -> String {
    changes.iter().fold(contract_text(), |text, (from, to)| {
        assert!(text.contains(from), "the contract has no {from:?}");
        text.replace(from, to)
    })
}

/// A folder with `synthetic.wasm`, of a world of this text and these packages.
fn synthetic(packages: &[&str], world: &str) -> TestEnvironment {
    let home = TestEnvironment::with("");
    let world = format!("package test:synthetic; world synthetic {{ {world} }}");
    let packages: Vec<&str> = packages.iter().copied().chain([world.as_str()]).collect();
    std::fs::write(home.path("synthetic.wasm"), synthetic_component(&packages, "synthetic")).unwrap();
    home
}

const RENEWING: &str = "include delegation:tokens/token-provider@0.2.0; include delegation:tokens/renews-tokens@0.2.0;";

#[test]
fn inspect_refuses_an_export_of_another_type() {
    for (from, to) in [
        ("renew: func(settings: settings, tokens: tokens)", "renew: func(settings: settings, tokens: tokens, x: bool)"),
        ("tokens: tokens) -> result<tokens, failure>", "tokens: tokens) -> result<tokens, string>"),
        ("renew: func(settings: settings, tokens: tokens)", "renew: func(settings: settings)"),
        ("renew: func", "renew: async func"),
    ] {
        let home = synthetic(&[&changed_contract(&[(from, to)])], RENEWING);
        let run = home.run(&["inspect", "synthetic.wasm"]);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{to}: {}", run.stderr);
        assert!(run.stderr.contains("renew") || run.stderr.contains("synchronous"), "{to}: {}", run.stderr);
    }
    let parameter =
        ("renew: func(settings: settings, tokens: tokens)", "renew: func(settings: settings, tokens: tokens, x: bool)");
    let home = synthetic(&[&changed_contract(&[parameter])], RENEWING);
    assert_snapshot!(home.snapshot(&["inspect", "synthetic.wasm"]), @"
    exit code 2
    ----- stderr
    error: synthetic.wasm does not implement the contract
      because `renew` of delegation:tokens/renewal@0.2.0 has another type than in this deputy's contract, delegation:tokens@0.2.0
      because expected 2-tuple, found 3-tuple
    ");
    // A record is compared field by field, wherever it is used.
    let field = ("handle: list<u8>,", "handle: list<u8>, more: string,");
    let home = synthetic(&[&changed_contract(&[field])], RENEWING);
    assert_snapshot!(home.snapshot(&["inspect", "synthetic.wasm"]), @"
    exit code 2
    ----- stderr
    error: synthetic.wasm does not implement the contract
      because `obtain` of delegation:tokens/provider@0.2.0 has another type than in this deputy's contract, delegation:tokens@0.2.0
      because expected record of 7 fields, found 8 fields
    ");
}

#[test]
fn check_refuses_an_export_of_another_type() {
    let parameter = ("revoke: func(settings: settings,", "revoke: func(settings: settings, force: bool,");
    let revoking = "include delegation:tokens/token-provider@0.2.0; include delegation:tokens/revokes-tokens@0.2.0;";
    let home = synthetic(&[&changed_contract(&[parameter])], revoking);
    home.write("deputy.toml", "[instances.mine]\ncomponent = \"synthetic.wasm\"\n");
    assert_snapshot!(home.snapshot(&["check"]), @"
    exit code 1
    ----- stdout
    mine: not ok
      component  [HOME]/synthetic.wasm
      [HOME]/synthetic.wasm does not implement the contract
        because `revoke` of delegation:tokens/revocation@0.2.0 has another type than in this deputy's contract, delegation:tokens@0.2.0
        because expected 2-tuple, found 3-tuple

    deputy.toml: 1 instance, 1 not ok
    ");
}

#[test]
fn inspect_refuses_an_export_of_another_track() {
    for version in ["0.1.0", "0.9.0", "1.0.0", "0.2.0-rc.1"] {
        let later =
            changed_contract(&[("package delegation:tokens@0.2.0", &format!("package delegation:tokens@{version}"))])
                .replace(
                    "delegation:tokens/token-provider@0.2.0",
                    &format!("delegation:tokens/token-provider@{version}"),
                );
        let world = format!(
            "include delegation:tokens/token-provider@0.2.0; include delegation:tokens/renews-tokens@{version};"
        );
        let home = synthetic(&[&contract_text(), &later], &world);
        let run = home.run(&["inspect", "synthetic.wasm"]);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{}", run.stderr);
        for part in
            [format!("delegation:tokens/renewal@{version} (renew)"), "delegation:tokens/renewal@0.2.0".to_owned()]
        {
            assert!(run.stderr.contains(&part), "{}", run.stderr);
        }
    }
}

#[test]
fn inspect_accepts_a_later_patch_version_of_the_contract() {
    let later = contract_text().replace("@0.2.0", "@0.2.7");
    let home = synthetic(&[&later], &RENEWING.replace("@0.2.0", "@0.2.7"));
    let run = home.run(&["inspect", "synthetic.wasm", "--json"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let seen: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&seen["service"], &seen["exports"]["renewal"]), (&"synthetic".into(), &true.into()));
    assert_eq!((&seen["missing_imports"], &seen["other_exports"]), (&serde_json::json!([]), &serde_json::json!([])));
}

#[test]
fn inspect_names_every_import_that_nothing_provides() {
    let contract = contract_text().replace("@0.2.0", "@0.2.7").replace(
        "log: func(level: level, message: string);",
        "log: func(level: level, message: string); flush: func();",
    );
    let other = "package other:host@1.0.0; interface backdoor { open: func(); } interface gpu { resource buffer; }";
    let wasi = "package wasi:cli@0.3.0; interface stdout { write: func(); }";
    let home = synthetic(
        &[&contract, other, wasi],
        "include delegation:tokens/token-provider@0.2.7; include delegation:tokens/uses-logging@0.2.7;
         import other:host/backdoor@1.0.0; import other:host/gpu@1.0.0; import wasi:cli/stdout@0.3.0;",
    );
    assert_snapshot!(home.snapshot(&["inspect", "synthetic.wasm"]), @"
    exit code 2
    ----- stdout
    synthetic.wasm
      kind      provider
      service   unknown: the component cannot run here
      payloads  unknown: the component cannot run here
      renews    no
      revokes   no
      size      [N] KiB
      sha256    [SHA256]

    Can
      write log lines

    Cannot, whatever it is granted
      read a secret's value
      sign AWS requests (SigV4) with a secret
      sign JSON Web Tokens with a secret
      log in by SCRAM with a secret
      compute an HMAC-SHA256 of any data with a secret
      derive keys from a secret with PBKDF2
      sign any data with a secret
      keep state from one call to the next
      open Kerberos contexts with services
      make HTTP requests
      open TCP connections
      look up host names
      send UDP datagrams
      read or write files
      read environment variables
      read standard input
      read the time
      read random numbers

    Imports that nothing provides here
      other:host/backdoor@1.0.0
      other:host/gpu@1.0.0
      wasi:cli/stdout@0.3.0
      delegation:tokens/logging@0.2.7#flush (this version of deputy has delegation:tokens/logging@0.2.0)

    ----- stderr
    error: synthetic.wasm cannot run here: nothing provides other:host/backdoor@1.0.0, other:host/gpu@1.0.0, wasi:cli/stdout@0.3.0, delegation:tokens/logging@0.2.7#flush (this version of deputy has delegation:tokens/logging@0.2.0); synchronous WASI 0.2 is needed
    ");
    let run = home.run(&["inspect", "synthetic.wasm", "--json"]);
    let seen: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((run.code, seen["missing_imports"].as_array().unwrap().len()), (Some(2), 4), "{}", run.stderr);
    home.write("deputy.toml", "[instances.mine]\ncomponent = \"synthetic.wasm\"\n");
    let check = home.run(&["check"]);
    assert_eq!(check.code, Some(1));
    assert!(check.stdout.contains("cannot run here: nothing provides "), "{}", check.stdout);
}

#[test]
fn inspect_lists_exports_beside_the_contract() {
    let mine = "package mine:kit@2.0.0; interface tools { version: func() -> string; }";
    let world = "include delegation:tokens/token-provider@0.2.0; export mine:kit/tools@2.0.0; export debug: func();";
    let home = synthetic(&[&contract_text(), mine], world);
    let run = home.run(&["inspect", "synthetic.wasm"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let listed = run.stdout.split("\nExports beside the contract\n").nth(1).expect("a section");
    assert_eq!(listed.lines().map(str::trim).collect::<Vec<_>>(), ["debug", "mine:kit/tools@2.0.0"]);
    let run = home.run(&["inspect", "synthetic.wasm", "--json"]);
    let seen: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(seen["other_exports"], serde_json::json!(["debug", "mine:kit/tools@2.0.0"]));
}

#[test]
fn inspect_names_what_is_not_a_connector() {
    let wasi = "package wasi:cli@0.2.6; interface run { run: func() -> result; } world command { export run; }";
    let http = "package wasi:http@0.2.6; interface incoming-handler { handle: func(); } world proxy { export incoming-handler; }";
    let p3 = "package wasi:cli@0.3.0; interface run { run: async func() -> result; } world command { export run; }";
    let files: [(&str, Vec<u8>); 8] = [
        ("async.wasm", synthetic_component(&[p3], "command")),
        ("command.wasm", synthetic_component(&[wasi], "command")),
        ("core.wasm", b"\0asm\x01\0\0\0".to_vec()),
        ("empty.wasm", Vec::new()),
        ("proxy.wasm", synthetic_component(&[http], "proxy")),
        ("text.wasm", b"not a component".to_vec()),
        ("wat.wasm", b"(component)".to_vec()),
        ("wit.wasm", wit_package(&contract_text())),
    ];
    let home = TestEnvironment::with("");
    let mut seen = String::new();
    for (name, bytes) in files {
        std::fs::write(home.path(name), bytes).unwrap();
        let run = home.run(&["inspect", name]);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{}", run.stderr);
        seen.push_str(&run.stderr);
    }
    assert_snapshot!(seen, @"
    error: async.wasm is an async component: synchronous WASI 0.2 is needed, without async functions
    error: command.wasm is a WASI command (it exports wasi:cli/run), not a connector: export delegation:tokens/provider or delegation:tokens/receiver
    error: core.wasm is a core module, not a component: make it a component with `wasm-tools component new`
    error: empty.wasm is an empty file, not a component
    error: proxy.wasm is an HTTP proxy (it exports wasi:http/incoming-handler), not a connector: export delegation:tokens/provider or delegation:tokens/receiver
    error: text.wasm is text, not a component in its binary form
    error: wat.wasm is WebAssembly text, not a component in its binary form: convert it with `wasm-tools parse`
    error: wit.wasm is a WIT package, which has types and no code: build a component that implements it
    ");
}

#[test]
fn inspect_does_not_read_wasmtimes_variables() {
    let home = TestEnvironment::with("");
    let state = home.path("state").display().to_string();
    for details in ["0", "1"] {
        let variables = [("DEPUTY_STATE", state.as_str()), ("WASMTIME_BACKTRACE_DETAILS", details)];
        let run = home.run_with(&["inspect", "s3-sts.wasm"], &variables);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    }
}
