//! `deputy exec`

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use insta::assert_snapshot;

use crate::coordinator::{Coordinator, state};
use crate::home::TestEnvironment;
use crate::service::{SESSION, failing, granting};
use crate::worker::Worker;

/// A session token of another identity.
const STRAY: (&str, &str) = ("AWS_SESSION_TOKEN", "of-another-identity");

fn home() -> TestEnvironment {
    TestEnvironment::with_s3(&granting(), "")
}

/// `deputy exec` with these options, calling a shell with this script.
fn shell(home: &TestEnvironment, options: &[&str], script: &str) -> Command {
    let state = state(home);
    let mut command = home.command(&[("DEPUTY_STATE", state.to_str().unwrap()), ("PATH", "/usr/bin:/bin"), STRAY]);
    command.arg("exec").args(options).args(["--", "/bin/sh", "-c", script]);
    command
}

#[track_caller]
fn printed(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn credentials_are_in_the_variables_that_awss_libraries_read() {
    let home = home();
    let coordinator = Coordinator::start(&home);
    coordinator.until_ready();
    let script = "echo $AWS_ACCESS_KEY_ID $AWS_SECRET_ACCESS_KEY $AWS_SESSION_TOKEN $AWS_CREDENTIAL_EXPIRATION";
    let expected = format!("ASIAEXAMPLE secret-{SESSION} {SESSION} 2100-01-01T00:00:00Z\n");
    assert_eq!(printed(shell(&home, &["s3"], script)), expected);
}

/// A program that says as whom it would act, in the order in which AWS's libraries look: a profile that is named first.
const CANARY: &str = "if [ -n \"$AWS_PROFILE$AWS_DEFAULT_PROFILE\" ]; then echo a profile; \
     elif [ -n \"$AWS_ACCESS_KEY_ID\" ]; then echo $AWS_ACCESS_KEY_ID; else echo none; fi; env";

#[test]
fn exec_leaves_no_other_identity_for_aws() {
    let home = home();
    let coordinator = Coordinator::start(&home);
    coordinator.until_ready();
    const OTHERS: [&str; 13] = [
        "AWS_PROFILE",
        "AWS_DEFAULT_PROFILE",
        "AWS_CONFIG_FILE",
        "AWS_SHARED_CREDENTIALS_FILE",
        "AWS_ROLE_ARN",
        "AWS_ROLE_SESSION_NAME",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        "AWS_ACCOUNT_ID",
        "AWS_BEARER_TOKEN_BEDROCK",
    ];
    let mut command = shell(&home, &["s3"], CANARY);
    command.envs(OTHERS.map(|name| (name, "canary-of-another-identity"))).env("AWS_REGION", "eu-west-1");
    let seen = printed(command);
    assert!(seen.starts_with("ASIAEXAMPLE\n"), "{seen}");
    assert!(!seen.contains("canary-of-another-identity"), "{seen}");
    assert!(seen.contains("AWS_REGION=eu-west-1\n"), "{seen}");
}

#[test]
fn exec_puts_no_payload_on_a_command_line() {
    let home = TestEnvironment::empty();
    let _worker = Worker::start(&home, &[("s3", "s3", "hunter2"), ("hdfs", "hdfs", "hunter3")]);
    let options = ["s3", "hdfs", "--env", "A=s3", "--file-env", "B=hdfs", "--config", "worker.toml"];
    let seen = printed(shell(&home, &options, "tr '\\0' ' ' < /proc/$$/cmdline; echo; echo $A; cat $B"));
    let (line, rest) = seen.split_once('\n').unwrap();
    assert!(!line.contains("hunter"), "{line}");
    assert_eq!(rest, "hunter2\nhunter3");
}

#[test]
fn exec_memory_file_serves_the_program_and_its_children() {
    let home = TestEnvironment::empty();
    let _worker = Worker::start(&home, &[("hdfs", "hdfs", "binary\u{1}payload")]);
    let options = ["hdfs", "--file-env", "TOKEN", "--config", "worker.toml"];
    // A Python that closes what it did not open, as it does for those whom it calls.
    let script = "cat $TOKEN; echo; python3 -c 'import subprocess, os; \
                  subprocess.run([\"cat\", os.environ[\"TOKEN\"]], close_fds=True)'; stat -L -c %a $TOKEN";
    assert_eq!(printed(shell(&home, &options, script)), "binary\u{1}payload\nbinary\u{1}payload400\n");
}

#[test]
fn exit_code_and_signals_and_process_are_the_programs_own() {
    let home = TestEnvironment::empty();
    let _worker = Worker::start(&home, &[("hdfs", "hdfs", "payload")]);
    let options = ["hdfs", "--env", "TOKEN", "--config", "worker.toml"];
    assert_eq!(shell(&home, &options, "exit 42").status().unwrap().code(), Some(42));
    assert_eq!(shell(&home, &options, "kill -TERM $$").status().unwrap().signal(), Some(15));
    let child = shell(&home, &options, "echo $$").stdout(Stdio::piped()).spawn().unwrap();
    let pid = child.id().to_string();
    assert_eq!(String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap().trim(), pid);
}

#[test]
fn exec_starts_no_program_without_its_credentials() {
    let home = TestEnvironment::with_s3(&failing(403, "", "AccessDenied"), "");
    let coordinator = Coordinator::start(&home);
    coordinator.until("the answer", || coordinator.run(&["status"]).stdout.contains("denied"));
    let run = coordinator.run(&["exec", "s3", "--wait", "100ms", "--", "/bin/sh", "-c", "echo called"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(3), ""), "{}", run.stderr);
    assert!(run.stderr.contains("s3 is not ready"), "{}", run.stderr);
}

#[test]
fn exec_reports_payloads_that_fit_no_variable() {
    let home = TestEnvironment::empty();
    let _worker = Worker::start(&home, &[("s3", "s3", "hunter2"), ("hdfs", "hdfs", "hunter2\0")]);
    let told = |arguments: &[&str]| {
        let run = home.run(&[&["exec", "--config", "worker.toml"], arguments, &["--", "/bin/echo", "called"]].concat());
        assert!(!run.stderr.contains("hunter2"));
        home.masked_output(&run)
    };
    assert_snapshot!(told(&["hdfs"]), @"
    exit code 2
    ----- stderr
    error: `deputy exec` has no default variables for the service hdfs of hdfs
    hint: --env NAME puts the payload into a variable, --file-env NAME into a file
    ");
    assert_snapshot!(told(&["hdfs", "--env", "TOKEN"]), @"
    exit code 2
    ----- stderr
    error: the payload of hdfs cannot be put into variables: it has a NUL byte; --file-env puts it into a file
    ");
    assert_snapshot!(told(&["s3"]), @"
    exit code 2
    ----- stderr
    error: the payload of s3 cannot be put into variables: it is not the JSON of a credential_process: an object with AccessKeyId and SecretAccessKey
    ");
    assert_snapshot!(told(&["s3", "hdfs", "--env", "TOKEN"]), @"
    exit code 2
    ----- stderr
    error: several instances are named: write TOKEN=INSTANCE
    ");
    assert_snapshot!(told(&["s3", "hdfs", "--env", "A=s3", "--file-env", "A=hdfs"]), @"
    exit code 2
    ----- stderr
    error: the variable A would be set by s3 and by hdfs
    hint: --env NAME=INSTANCE chooses another variable
    ");
    let missing = home.run(&["exec", "--config", "worker.toml", "s3", "--env", "A", "--", "/nowhere/program"]);
    assert_snapshot!(home.masked_output(&missing), @r#"
    exit code 2
    ----- stderr
    error: cannot run the program
      because No such file or directory (os error 2)
    hint: the program is "/nowhere/program"
    "#);
}
