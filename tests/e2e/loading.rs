//! Components are loaded by themselves, from compiled code that no other program wrote.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use deputy_test_harness::{RunningCoordinator, TestEnvironment, exit};

use crate::script::{ScriptedServer, lease};

#[path = "../hostile/tangled.rs"]
mod tangled;

/// Adds an instance whose component takes two minutes to be refused.
fn with_slow(home: TestEnvironment, script: &ScriptedServer) -> TestEnvironment {
    let bomb = tangled::holding(&tangled::tangled_functions(64, 4_000));
    fs::write(home.path("slow.wasm"), bomb).unwrap();
    let component = home.path("slow.wasm");
    let mut home = home;
    home.append(&format!("[instances.slow]\ncomponent = {component:?}\n{}", script.lines("slow", "")));
    home
}

#[test]
fn loading_a_slow_component_delays_no_other_instance() {
    let script = ScriptedServer::new(|call| lease(call, Duration::from_secs(4)));
    let home = script.home().instance("quick", "benign-obtain", &script.lines("quick", "retry = { floor = \"50ms\" }"));
    let home = with_slow(home, &script);
    let running = RunningCoordinator::start_unseen(&home);
    let loading = || {
        let slow = running.instance_status("slow");
        slow.is_loading() && !slow.ready
    };
    running.wait_until("it answers", || running.answers());
    running.wait_until("renewals", || running.revision("quick") >= 3);
    assert!(loading(), "{:?}", running.instance_status("slow"));
    let run = home.deputy(&["renew", "slow"]).ends_with(exit::UNAVAILABLE);
    assert!(run.stderr.contains("is being loaded"), "{}", run.stderr);

    // A configuration without it need not wait for it either.
    home.edit("[instances.slow]\n", "[instances.slow]\nenabled = false\n");
    let run = home.deputy(&["reload"]).ends_with(exit::OK);
    assert_eq!(run.stdout, "unchanged  1\n");
    running.wait_until("another renewal", || running.revision("quick") >= 5);
    assert_eq!(running.stop(), Some(exit::OK));
}

#[test]
fn loading_ends_with_the_process_that_was_killed() {
    let script = ScriptedServer::granting();
    let home = with_slow(script.home(), &script);
    let running = RunningCoordinator::start_unseen(&home);
    let mut children = Vec::new();
    running.wait_until("a compiler", || {
        children = compilers(running.pid());
        !children.is_empty()
    });
    running.kill();
    let begun = std::time::Instant::now();
    while children.iter().any(|child| runs(*child)) {
        assert!(begun.elapsed() < Duration::from_secs(20), "a compiler outlives its parent");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn loading_sets_damaged_code_aside_and_compiles_again() {
    let script = ScriptedServer::granting();
    let home = script.home().instance("first", "benign-obtain", &script.lines("first", ""));
    let running = RunningCoordinator::start(&home);
    running.wait_until("a lease", || running.revision("first") == 1);
    assert_eq!(running.stop(), Some(exit::OK));

    let damages: [fn(&Path); 3] = [
        |file| File::options().write(true).open(file).unwrap().write_all_at(&[0xff; 4096], 8192).unwrap(),
        |file| File::options().write(true).open(file).unwrap().set_len(10_000).unwrap(),
        |file| File::options().write(true).open(file).unwrap().set_len(0).unwrap(),
    ];
    for (number, damage) in (2..).zip(damages) {
        for file in code(&home, ".cwasm") {
            damage(&file);
        }
        let running = RunningCoordinator::start(&home);
        home.deputy(&["renew", "first"]).ends_with(exit::OK);
        running.wait_until("a lease", || running.revision("first") == number);
        assert!(running.log().contains("failed authentication"), "{}", running.log());
        assert_eq!(running.stop(), Some(exit::OK));
        assert_eq!(code(&home, ".damaged").len(), 1, "damaged code that was in use is kept for an investigation");
    }
    // What was compiled again is used at the next start.
    fs::remove_file(&code(&home, ".damaged")[0]).unwrap();
    let running = RunningCoordinator::start(&home);
    home.deputy(&["renew", "first"]).ends_with(exit::OK);
    running.wait_until("a lease", || running.revision("first") == 5);
    assert_eq!(running.stop(), Some(exit::OK));
    assert!(code(&home, ".damaged").is_empty());
}

/// The files of compiled code whose names end like this.
fn code(home: &TestEnvironment, end: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(home.state().join("components")).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.to_str().unwrap().ends_with(end)).collect()
}

/// The compile children of a process.
fn compilers(parent: u32) -> Vec<u32> {
    let processes =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let of_parent = |process: &u32| {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        fields.get(1) == Some(&parent.to_string().as_str())
    };
    processes.filter(of_parent).collect()
}

/// Whether a process is there and has not ended.
fn runs(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().unwrap_or_default().trim_start().chars().next();
    state.is_some_and(|state| !"ZX".contains(state))
}
