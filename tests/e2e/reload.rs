//! Another configuration while the coordinator runs: a bad one changes nothing, a good one what it says.

use std::fs;

use deputy_test_harness::{RunningCoordinator, TestEnvironment, exit};
use deputy_test_servers::guest;

use crate::script::ScriptedServer;

/// Two instances that hold a lease, each of a component in a file of its own.
fn home(script: &ScriptedServer) -> TestEnvironment {
    let mut home = script.home();
    for name in ["first", "second"] {
        fs::copy(guest("benign-lifecycle").unwrap(), home.path(&format!("{name}.wasm"))).unwrap();
        let lines = script.lines(name, "revoke = { replaced = false }");
        home.append(&format!("[instances.{name}]\ncomponent = \"{name}.wasm\"\n{lines}"));
    }
    home
}

fn start<'h>(home: &'h TestEnvironment) -> RunningCoordinator<'h> {
    let running = RunningCoordinator::start(home);
    running.wait_until("leases", || revisions(&running) == (1, 1));
    running
}

fn revisions(running: &RunningCoordinator<'_>) -> (u64, u64) {
    (running.revision("first"), running.revision("second"))
}

#[test]
fn reload_of_an_invalid_file_changes_nothing() {
    let script = ScriptedServer::granting();
    let home = home(&script);
    let running = start(&home);
    home.edit("[instances.second]\n", "[instances.second]\nlifetme = \"1h\"\n");
    let config = fs::read_to_string(home.path("deputy.toml")).unwrap();
    let line = config.lines().position(|line| line.starts_with("lifetme")).unwrap() + 1;
    let place = format!("deputy.toml:{line}:1");

    let run = home.deputy(&["reload"]).ends_with(exit::MISCONFIGURED);
    assert!(run.stderr.contains(&place) && run.stderr.contains("lifetime"), "{}", run.stderr);
    assert!(run.stderr.contains("error: 1 error in ") && run.stderr.contains("nothing was changed"), "{}", run.stderr);
    let run = home.deputy(&["reload", "--json"]).ends_with(exit::MISCONFIGURED);
    assert!(run.json()["error"]["message"].as_str().unwrap().contains("nothing was changed"));
    running.signal("HUP");
    running.wait_until("the log", || running.log().contains(&place));

    fs::remove_file(home.path("deputy.toml")).unwrap();
    let run = home.deputy(&["reload", "--socket", home.socket().to_str().unwrap()]);
    assert!(run.stderr.contains("nothing was changed"), "{}", run.stderr);
    assert_eq!((run.code, revisions(&running)), (Some(exit::MISCONFIGURED), (1, 1)));
    assert_eq!((script.count("first", "obtain"), script.count("second", "obtain")), (1, 1));
}

#[test]
fn reload_restarts_only_what_changed() {
    let script = ScriptedServer::granting();
    let home = home(&script);
    let running = start(&home);
    home.edit("/first\"\n", "/first\"\nregion = \"elsewhere\"\n");
    let run = home.deputy(&["reload"]).ends_with(exit::OK);
    assert_eq!(run.stdout, "changed    first\nunchanged  1\n");
    running.wait_until("another lease", || revisions(&running) == (2, 1));

    // When a token is replaced changes no token.
    home.edit("[instances.second]\n", "[instances.second]\nrenew = { ratio = 0.5 }\n");
    let told = || running.log().matches("configuration reloaded").count();
    let before = told();
    running.signal("HUP");
    running.wait_until("the log", || told() > before);
    let run = home.deputy(&["reload", "--json"]).ends_with(exit::OK).json();
    assert_eq!(
        run,
        serde_json::json!({"schema": 1, "added": [], "changed": [], "removed": [], "unchanged": 2, "warnings": []})
    );
    assert_eq!(revisions(&running), (2, 1));
    assert_eq!((script.count("first", "obtain"), script.functions("second")), (2, vec!["obtain".to_owned()]));
}

#[test]
fn reload_reports_what_needs_a_restart() {
    let script = ScriptedServer::granting();
    let mut home = home(&script);
    home.append("[coordinator]\ncalls = 3\nshutdown = \"9s\"\n[upstreams.idle]\ncalls-per-minute = 1\nburst = 1");
    let running = start(&home);
    assert!(running.log().contains("the upstream `idle` is not used"), "{}", running.log());
    home.edit("calls = 3", "calls = 4");
    let unused = "the upstream `idle` is not used";
    let run = home.deputy(&["reload"]).ends_with(exit::OK);
    assert!(run.stderr.starts_with("warning: ") && run.stderr.contains(unused), "{}", run.stderr);
    assert_eq!((run.stderr.lines().count(), run.stdout.as_str()), (1, "unchanged  2\n"), "{}", run.stderr);
    home.edit("\"9s\"", "\"8s\"");
    let run = home.deputy(&["reload"]).ends_with(exit::OK);
    assert!(run.stderr.contains(
        "warning: changes to `audit`, [traces] and [coordinator], except `calls`, take effect at the next start"
    ));
}

#[test]
fn reload_notices_new_bytes_under_the_same_path() {
    let script = ScriptedServer::granting();
    let home = home(&script);
    let running = start(&home);
    // A section that means nothing.
    let mut component = fs::read(home.path("second.wasm")).unwrap();
    component.extend_from_slice(b"\x00\x07\x05extra!");
    fs::write(home.path("beside.wasm"), component).unwrap();
    fs::rename(home.path("beside.wasm"), home.path("second.wasm")).unwrap();
    let run = home.deputy(&["reload"]).ends_with(exit::OK);
    assert_eq!(run.stdout, "changed    second\nunchanged  1\n");
    running.wait_until("another lease", || revisions(&running) == (1, 2));
    assert_eq!(script.functions("first"), ["obtain"]);

    // One that is none changes nothing: the old one is still there, loaded.
    fs::write(home.path("second.wasm"), "no component").unwrap();
    let run = home.deputy(&["reload"]).ends_with(exit::MISCONFIGURED);
    assert!(run.stderr.contains("second: ") && run.stderr.contains("nothing was changed"), "{}", run.stderr);
    home.deputy(&["renew", "second"]).ends_with(exit::OK);
    running.wait_until("another lease", || revisions(&running) == (1, 3));
}

#[test]
fn reload_loads_a_component_missing_at_start() {
    let script = ScriptedServer::granting();
    let home = home(&script);
    fs::rename(home.path("second.wasm"), home.path("elsewhere.wasm")).unwrap();
    let running = RunningCoordinator::start(&home);
    running.wait_until("the other one", || running.revision("first") == 1);
    running.wait_until("the failure", || running.instance_status("second").trouble.is_some());
    let second = running.instance_status("second");
    assert_eq!((second.trouble.unwrap().kind.as_str(), second.ready), ("misconfigured", false));
    let shown = home.deputy(&["status", "second"]).ends_with(exit::OK).stdout;
    assert!(shown.contains("second.wasm") && shown.contains("No such file"), "{shown}");

    // What can't be loaded is no obstacle to what else is new.
    home.edit("/first\"\n", "/first\"\nregion = \"elsewhere\"\n");
    assert_eq!(home.deputy(&["reload"]).ends_with(exit::OK).stdout, "changed    first\nunchanged  1\n");
    running.wait_until("another lease", || running.revision("first") == 2);

    fs::rename(home.path("elsewhere.wasm"), home.path("second.wasm")).unwrap();
    assert_eq!(home.deputy(&["reload"]).ends_with(exit::OK).stdout, "changed    second\nunchanged  1\n");
    running.wait_until("a lease", || revisions(&running) == (2, 1));
    let status = running.printed_status();
    assert_eq!((status.ready, status.instances[1].failures), (true, 0), "{status:?}");
    assert_eq!(script.functions("second"), ["obtain"]);
}
