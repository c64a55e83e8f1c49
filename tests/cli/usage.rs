//! Wrong usage, help and versions.

use insta::assert_snapshot;

use crate::home::TestEnvironment;

#[test]
fn usage_without_a_command_shows_help() {
    let run = TestEnvironment::empty().run(&[]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""));
    assert!(run.stderr.contains("Usage: deputy [OPTIONS] <COMMAND>") && run.stderr.contains("Examples:"));
}

#[test]
fn help_and_version_are_data() {
    let home = TestEnvironment::empty();
    assert_snapshot!(home.snapshot(&["--version"]), @"
    exit code 0
    ----- stdout
    deputy 0.1.0
    ");
    for arguments in [&["help"][..], &["--help"], &["help", "exit-codes"], &["obtain", "-h"]] {
        let run = home.run(arguments);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{arguments:?}");
        assert!(run.stdout.contains("Examples:"), "{arguments:?}");
    }
}

#[test]
fn usage_errors_exit_misconfigured() {
    let home = TestEnvironment::empty();
    assert_snapshot!(home.snapshot(&["obtian"]), @"
    exit code 2
    ----- stderr
    error: unrecognized subcommand 'obtian'

      tip: a similar subcommand exists: 'obtain'

    Usage: deputy [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
    assert_snapshot!(home.snapshot(&["obtain", "s3", "--json", "--reveal"]), @"
    exit code 2
    ----- stderr
    error: the argument '--json' cannot be used with '--reveal'

    Usage: deputy obtain --json <INSTANCE>

    For more information, try '--help'.
    ");
    assert_snapshot!(home.snapshot(&["check", "--color", "sometimes"]), @"
    exit code 2
    ----- stderr
    error: invalid value 'sometimes' for '--color <WHEN>'
      [possible values: always, auto, never]

    For more information, try '--help'.
    ");
}

#[test]
fn exit_codes_are_explained() {
    let home = TestEnvironment::empty();
    assert_snapshot!(home.snapshot(&["exit-codes"]), @"
    exit code 0
    ----- stdout
    0   done           the command succeeded
    1   failed         a check found a fault, a person stopped it, or a file could not be written
    2   misconfigured  the command line, the configuration or a setting is wrong
    3   denied         the service denied the request
    4   unavailable    the service, coordinator or worker did not answer, or asked to wait: try again
    5   refused        the sandbox denied something that the component tried
    6   over-limit     the component exceeded one of its limits
    7   broken         the component crashed, or returned an invalid result
    70  internal       a bug in deputy: please report it
    ");
    let run = home.run(&["exit-codes", "--json"]);
    let codes: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(codes["codes"][5]["word"], "refused");
}

#[test]
fn colours_are_used_when_asked_for_and_never_in_json() {
    let home = TestEnvironment::with("[instances.a]\ncomponent = 1\n");
    let coloured = |arguments: &[&str]| {
        let run = home.run(arguments);
        (run.stdout.contains('\u{1b}'), run.stderr.contains('\u{1b}'))
    };
    assert_eq!(coloured(&["check"]), (false, false));
    assert_eq!(coloured(&["check", "--color", "always"]), (false, true));
    assert_eq!(coloured(&["check", "--color", "always", "--json"]), (false, true));
    assert_eq!(coloured(&["check", "--color", "never"]), (false, false));
    assert_eq!(coloured(&["--color=always", "--nonsense"]), (false, true));
}

#[test]
fn log_level_that_is_unknown_exits_misconfigured() {
    let home = TestEnvironment::empty();
    let run = home.run_with(&["exit-codes"], &[("DEPUTY_LOG", "loud")]);
    assert_snapshot!(home.masked_output(&run), @r#"
    exit code 2
    ----- stderr
    error: the environment variable DEPUTY_LOG has the unknown log level "loud"
    hint: use off, error, warn, info, debug or trace
    "#);
    assert_eq!(home.run_with(&["exit-codes", "--log", "off"], &[("DEPUTY_LOG", "loud")]).code, Some(0));
    assert_eq!(home.run_with(&["exit-codes"], &[("DEPUTY_LOG", "INFO")]).code, Some(0));
}

#[test]
fn compile_child_refuses_to_run_without_limits() {
    assert_eq!(TestEnvironment::empty().run(&["compile-component"]).code, Some(2));
    assert!(!TestEnvironment::empty().run(&["help"]).stdout.contains("compile-component"));
}
