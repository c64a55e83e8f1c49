//! `deputy components`, and components by their names

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use deputy_test_servers::guest;
use insta::assert_snapshot;
use serde_json::Value;

use crate::home::TestEnvironment;

const BY_NAME: &str = r#"[components]
folder = "parts"

[instances.s3]
component = "s3-sts"
enabled = true

[instances.s3.settings]
region = "eu-west-1"
role-arn = "arn:aws:iam::123456789012:role/worker"

[instances.s3.secrets.aws-key]
file = "aws-key"
sigv4 = { services = ["sts"], regions = ["eu-west-1"] }

[[instances.s3.http]]
allow = "https://sts.eu-west-1.amazonaws.com"
methods = ["POST"]
"#;

/// With a provider and a receiver in a folder of components, and this configuration.
fn with_parts(config: &str) -> TestEnvironment {
    let home = TestEnvironment::with(config);
    fs::create_dir(home.path("parts")).unwrap();
    for name in ["s3-sts", "aws-credentials"] {
        fs::copy(guest(name).unwrap(), home.path(&format!("parts/{name}.wasm"))).unwrap();
    }
    home
}

#[test]
fn components_lists_what_is_installed() {
    let home = with_parts(BY_NAME);
    let run = home.run(&["components"]);
    let lines: Vec<Vec<&str>> = run.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    assert_eq!(lines[0], ["NAME", "KIND", "CONTRACT", "PAYLOADS", "SHA256", "PATH"]);
    assert_eq!(lines[1][..4], ["aws-credentials", "receiver", "0.2.0", "aws-credential-process/1"]);
    assert_eq!(lines[2][..4], ["s3-sts", "provider", "0.2.0", "aws-credential-process/1"]);
    assert_eq!(lines.len(), 3, "{}", run.stdout);

    let run = home.run(&["components", "--json"]);
    let seen: Value = serde_json::from_str(&run.stdout).unwrap();
    let folder = fs::canonicalize(home.path("parts")).unwrap();
    assert_eq!(seen["folders"][0], folder.to_str().unwrap());
    assert_eq!(seen["components"][1]["name"], "s3-sts");
    assert_eq!(seen["components"][1]["service"], "s3");
    assert_eq!(seen["components"][1]["path"], folder.join("s3-sts.wasm").to_str().unwrap());
    assert_eq!(seen["components"][1]["sha256"].as_str().unwrap().len(), 64);

    // What is no component is listed with the reason.
    home.write("parts/text.wasm", "no component");
    let run = home.run(&["components"]);
    assert_eq!(run.code, Some(1));
    assert!(run.stdout.contains("text: "), "{}", run.stdout);
}

#[test]
fn component_by_name_is_used_by_each_command() {
    let home = with_parts(BY_NAME);
    let run = home.run(&["check"]);
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    let run = home.run(&["inspect", "s3-sts", "--json"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    home.write(
        "worker.toml",
        r#"[worker]
output = "out"
[components]
folder = "parts"
[receivers.aws]
component = "aws-credentials"
instances = ["s3"]
"#,
    );
    let run = home.run(&["check", "--config", "worker.toml"]);
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    // The environment's folder precedes that of the configuration.
    fs::create_dir(home.path("empty")).unwrap();
    fs::rename(home.path("parts"), home.path("others")).unwrap();
    let run = home.run_with(&["inspect", "aws-credentials"], &[("DEPUTY_COMPONENTS", "others")]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
}

#[test]
fn component_that_is_not_installed_is_explained() {
    let home = with_parts(&BY_NAME.replace("\"s3-sts\"", "\"s3\""));
    let run = home.run(&["obtain", "s3"]);
    assert_eq!(run.code, Some(2));
    let (folder, beside) = (home.path("parts"), std::path::Path::new(env!("CARGO_BIN_EXE_deputy")));
    for part in [
        "no component `s3` is installed in ",
        folder.to_str().unwrap(),
        beside.with_file_name("components").to_str().unwrap(),
        "install it there, or write one of `aws-credentials`, `s3-sts`, or a path with / or .wasm",
    ] {
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
    let home = TestEnvironment::with(&BY_NAME.replace("\"s3-sts\"", "\"S3_sts\""));
    assert_snapshot!(home.snapshot(&["check"]), @r#"
    exit code 2
    ----- stderr
    error: "S3_sts" is not a component
     --> deputy.toml:5:13
      |
    5 | component = "S3_sts"
      |             ^^^^^^^^ write the name of an installed one, or a path that contains / or ends in .wasm

    error: 1 error in deputy.toml: nothing was started
    "#);
}

#[test]
fn component_that_another_user_could_replace_is_refused() {
    let home = with_parts(BY_NAME);
    fs::set_permissions(home.path("parts"), fs::Permissions::from_mode(0o777)).unwrap();
    let run = home.run(&["obtain", "s3"]);
    assert_eq!(run.code, Some(2));
    let expected = "parts/s3-sts.wasm is not used, because another user could have replaced it";
    assert!(run.stderr.contains(expected), "{}", run.stderr);
    assert!(run.stderr.contains("chmod go-w"), "{}", run.stderr);
}
