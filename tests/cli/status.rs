//! `deputy status`, and its siblings without a coordinator.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use insta::assert_snapshot;
use serde_json::Value;

use crate::coordinator::{Coordinator, beside, state};
use crate::home::{CommandOutput, TestEnvironment};
use crate::service::{failing, granting};

/// A home whose leases live an hour.
fn home() -> TestEnvironment {
    TestEnvironment::with(&crate::home::s3(&granting()).replace("component =", "lifetime = \"1h\"\ncomponent ="))
}

/// The run as one text, without what differs from run to run; the widths of columns do.
fn shown(home: &TestEnvironment, run: &CommandOutput) -> String {
    let mask = |word: &str| {
        let bare = word.trim_end_matches([',', '.']);
        let rest = &word[bare.len()..];
        let is_span = bare.starts_with(|c: char| c.is_ascii_digit())
            && bare.ends_with(['m', 's'])
            && bare.chars().all(|c| c.is_ascii_digit() || "ms".contains(c));
        let is_digest = bare.len() == 8 && bare.bytes().all(|b| b.is_ascii_hexdigit());
        let is_time = bare.len() == 24 && bare.starts_with("20") && bare.ends_with('Z');
        match (is_span, is_digest, is_time) {
            (true, ..) => format!("[SPAN]{rest}"),
            (_, true, _) => format!("[DIGEST]{rest}"),
            (.., true) => format!("[TIME]{rest}"),
            _ => word.to_owned(),
        }
    };
    let text = home.masked_output(run);
    let cell = |cell: &str| cell.trim_start().split(' ').map(mask).collect::<Vec<_>>().join(" ");
    let cells = |line: &str| line.split("  ").filter(|cell| !cell.is_empty()).map(cell).collect::<Vec<_>>();
    let line = |line: &str| cells(line).join("  ") + "\n";
    text.lines().map(line).collect()
}

#[test]
fn commands_without_a_coordinator_name_socket_and_fix() {
    let home = home();
    let socket = state(&home).join("control.sock");
    for arguments in
        [&["status"][..], &["status", "s3"], &["renew", "s3"], &["revoke", "s3"], &["reload"], &["get", "s3"]]
    {
        let run = beside(&home, arguments);
        assert_eq!((run.code, run.stdout.as_str()), (Some(4), ""), "{arguments:?}");
        let told = format!("no coordinator is listening at {}: start one with `deputy run`", socket.display());
        assert!(run.stderr.contains(&told), "{arguments:?}: {}", run.stderr);
    }
    let run = beside(&home, &["status", "--json"]);
    let error: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((run.code, &error["error"]["exit_code"]), (Some(4), &4.into()));
    let run = home.run_with(&["status", "--socket", "elsewhere.sock"], &[("DEPUTY_SOCKET", "nowhere.sock")]);
    assert!(run.stderr.contains("listening at elsewhere.sock"), "{}", run.stderr);
    let run = home.run_with(&["status"], &[("DEPUTY_SOCKET", "nowhere.sock")]);
    assert!(run.stderr.contains("listening at nowhere.sock"), "{}", run.stderr);
}

#[test]
fn status_shows_a_lease_in_the_table_and_in_detail() {
    let home = home();
    let coordinator = Coordinator::start(&home);
    coordinator.until_ready();
    assert_snapshot!(shown(&home, &coordinator.run(&["status"])), @"
    exit code 0
    ----- stdout
    INSTANCE  SERVICE  STATE  REVISION  VALID FOR  NEXT IN  WHY
    s3  s3  holding  1  [SPAN]  [SPAN]  held
    1 of 1 ready
    ");
    assert_snapshot!(shown(&home, &coordinator.run(&["status", "s3"])), @"
    exit code 0
    ----- stdout
    instance  s3
    service  s3
    state  holding
    ready  yes
    why  held
    revision  1, from the component
    payload  aws-credential-process/1, 165 bytes: see `deputy get`
    obtained at  [TIME]
    valid until  [TIME], in [SPAN]
    next call  [TIME], in [SPAN]
    last success  [TIME]
    upstream  s3 [DIGEST] http://127.0.0.1:[PORT]
    supports  obtain
    ");
}

#[test]
fn status_shows_a_failure_with_its_reason() {
    let home = TestEnvironment::with_s3(&failing(403, "", "AccessDenied"), "");
    let coordinator = Coordinator::start(&home);
    coordinator.until("the answer", || coordinator.run(&["status"]).stdout.contains("denied"));
    assert_snapshot!(shown(&home, &coordinator.run(&["status"])), @"
    exit code 0
    ----- stdout
    INSTANCE  SERVICE  STATE  REVISION  VALID FOR  NEXT IN  WHY
    s3  s3  retrying  -  -  [SPAN]  no lease yet; denied once: GetSessionToken: 403 AccessDenied: told by STS
    0 of 1 ready
    ");
    assert_snapshot!(shown(&home, &coordinator.run(&["status", "s3"])), @"
    exit code 0
    ----- stdout
    instance  s3
    service  s3
    state  retrying
    ready  no
    why  no lease yet; denied once: GetSessionToken: 403 AccessDenied: told by STS
    lease  none
    next call  [TIME], in [SPAN]
    last success  none since the start
    last failure  denied: GetSessionToken: 403 AccessDenied: told by STS
    failed at  [TIME]
    failed calls  1 since the last success
    upstream  s3 [DIGEST] http://127.0.0.1:[PORT]
    supports  obtain
    ");
}

#[test]
fn status_json_has_no_payload() {
    let home = home();
    let coordinator = Coordinator::start(&home);
    coordinator.until_ready();
    let status: Value = serde_json::from_str(&coordinator.run(&["status", "--json"]).stdout).unwrap();
    assert_eq!((&status["schema"], &status["ready"]), (&1.into(), &true.into()), "{status}");
    assert_eq!(status["pid"], coordinator.pid());
    let of_all = &status["instances"][0];
    let keys: Vec<&str> = of_all.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "component",
        "failures",
        "file_trouble",
        "last_success",
        "lease",
        "name",
        "next",
        "next_in_ms",
        "not_revoked",
        "ready",
        "reason",
        "renews",
        "revokes",
        "service",
        "state",
        "to_revoke",
        "trouble",
        "unsaved",
        "upstream",
        "users",
    ];
    assert_eq!(keys, expected, "`schema` grows when a field goes");
    let lease: Vec<&str> = of_all["lease"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(lease, ["bytes", "kind", "obtained_at", "origin", "revision", "valid_for_ms", "valid_until"]);
    let one: Value = serde_json::from_str(&coordinator.run(&["status", "s3", "--json"]).stdout).unwrap();
    assert_eq!((&one["name"], &one["lease"]["valid_until"]), (&"s3".into(), &of_all["lease"]["valid_until"]));
}

/// An instance of a file that does not exist.
fn file_instance(name: &str) -> String {
    format!(
        "[instances.{name}]\nservice = \"x\"\nkind = \"x/1\"\nfile = {{ path = \"{name}.token\", lifetime = \"1h\" }}\n"
    )
}

#[test]
fn status_of_many_instances_comes_in_pages() {
    let many: String = (0..1200).map(|number| file_instance(&format!("many-{number:04}"))).collect();
    let home = TestEnvironment::with(&many);
    let coordinator = Coordinator::start(&home);
    let count = |arguments: &[&str]| -> (usize, String) {
        let run = coordinator.run(&[&["status"], arguments].concat());
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let names: Vec<&str> = run.stdout.lines().filter(|line| line.starts_with("many-")).collect();
        assert!(names.is_sorted_by(|one, other| one[..9] < other[..9]), "{}", run.stdout);
        (names.len(), run.stdout.lines().last().unwrap().to_owned())
    };
    assert_eq!(count(&[]), (1200, "0 of 1200 ready".to_owned()));
    assert_eq!(count(&["--not-ready", "--limit", "1100"]), (1100, "0 of 1200 ready; 1100 listed".to_owned()));
    assert_eq!(count(&["--prefix", "many-07"]), (100, "0 of 1200 ready; 100 listed".to_owned()));
    assert_eq!(count(&["--prefix", "other"]), (0, "0 of 1200 ready; 0 listed".to_owned()));
    let all: Value = serde_json::from_str(&coordinator.run(&["status", "--json"]).stdout).unwrap();
    assert_eq!((all["instances"].as_array().unwrap().len(), all.get("next")), (1200, None));
    let some: Value = serde_json::from_str(&coordinator.run(&["status", "--json", "--limit", "5"]).stdout).unwrap();
    assert_eq!((some["instances"].as_array().unwrap().len(), &some["next"]), (5, &"many-0004".into()));
    for wrong in [&["--limit", "0"][..], &["many-0000", "--limit", "5"], &["many-0000", "--not-ready"]] {
        assert_eq!(coordinator.run(&[&["status"], wrong].concat()).code, Some(2), "{wrong:?}");
    }
}

#[test]
fn status_of_an_unknown_instance_exits_misconfigured() {
    let home = home();
    let coordinator = Coordinator::start(&home);
    for command in ["status", "renew", "revoke", "get"] {
        let run = coordinator.run(&[command, "s4"]);
        let told = "error: there is no instance \"s4\": `deputy status` lists those that are enabled\n";
        assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (Some(2), "", told), "{command}");
        // Nothing in a name leads to another path.
        let run = coordinator.run(&[command, "../status?x=\u{1b}"]);
        assert!(run.code == Some(2) && !run.stderr.contains('\u{1b}'), "{command}: {}", run.stderr);
    }
}

#[test]
fn status_watch_has_no_escape_codes_in_a_pipe() {
    let home = home();
    let coordinator = Coordinator::start(&home);
    coordinator.until_ready();
    let state = state(&home);
    for (arguments, marks) in
        [(&["status", "--watch"][..], "INSTANCE "), (&["status", "--watch", "--json"], "{\"schema\"")]
    {
        let mut command = home.command(&[("DEPUTY_STATE", state.to_str().unwrap())]);
        let mut watch = command.args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut seen = 0;
        while seen < 2 {
            let line = lines.next().expect("it goes on");
            assert!(!line.contains('\u{1b}'), "{line:?}");
            seen += usize::from(line.starts_with(marks));
        }
        watch.kill().unwrap();
        watch.wait().unwrap();
    }
    let coloured = coordinator.run(&["status", "--color", "always"]);
    assert!(coloured.stdout.contains('\u{1b}'), "where they are asked for");
}

/// `deputy status` that watches, and what it prints.
fn watching(home: &TestEnvironment, arguments: &[&str]) -> (Child, impl Iterator<Item = String> + use<>) {
    let state = state(home);
    let mut command = home.command(&[("DEPUTY_STATE", state.to_str().unwrap())]);
    command.args(["status", "--watch"]).args(arguments).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut watch = command.spawn().unwrap();
    let lines = BufReader::new(watch.stdout.take().unwrap()).lines().map_while(Result::ok);
    (watch, lines)
}

/// Waits until it ends by itself.
#[track_caller]
fn ended(mut watch: Child) -> Option<i32> {
    let begun = Instant::now();
    loop {
        if let Some(status) = watch.try_wait().unwrap() {
            return status.code();
        }
        if begun.elapsed() > Duration::from_secs(30) {
            watch.kill().unwrap();
            watch.wait().unwrap();
            panic!("it goes on without a reader");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn status_that_is_watched_ends_with_its_reader() {
    let home = home();
    let coordinator = Coordinator::start(&home);
    for arguments in [&[][..], &["--json"], &["s3"]] {
        let (watch, mut lines) = watching(&home, arguments);
        lines.next().unwrap();
        drop(lines);
        assert_eq!(ended(watch), Some(0), "{arguments:?}");
    }
    let (watch, mut lines) = watching(&home, &["--json"]);
    lines.next().unwrap();
    coordinator.kill();
    drop(lines);
    assert_eq!(ended(watch), Some(0), "while the coordinator is away");
}

#[test]
fn status_that_is_watched_survives_a_restart() {
    let home = home();
    let coordinator = Coordinator::start(&home);
    let (mut watch, mut lines) = watching(&home, &["--json"]);
    let mut pid = || serde_json::from_str::<Value>(&lines.next().expect("it goes on")).unwrap()["pid"].clone();
    assert_eq!(pid(), coordinator.pid());
    coordinator.kill();
    let again = Coordinator::start(&home);
    while pid() != again.pid() {}
    watch.kill().unwrap();
    watch.wait().unwrap();
}
