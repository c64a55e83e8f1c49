//! Many instances at once: none waits for another, except for the budget of a service.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use deputy_coordinator::status::CoordinatorStatus;
use deputy_test_harness::{RunningCoordinator, TestEnvironment, exit};

use crate::script::{ScriptedServer, lease};

/// Long enough for a call that should not be made.
const A_WHILE: Duration = Duration::from_millis(700);

/// This many instances `i0`, `i1`, …
fn many(script: &ScriptedServer, count: usize, lines: &str) -> TestEnvironment {
    let mut home = script.home();
    for number in 0..count {
        let name = format!("i{number}");
        home = home.instance(&name, "benign-obtain", &script.lines(&name, lines));
    }
    home
}

#[test]
fn ten_slow_services_are_called_at_the_same_time() {
    let script = ScriptedServer::new(|call| {
        thread::sleep(Duration::from_secs(1));
        lease(call, Duration::from_secs(3600))
    });
    let home = many(&script, 10, "");
    let running = RunningCoordinator::start(&home);
    running.wait_until("all leases", || running.all_status().ready);
    let began: Vec<Instant> =
        (0..10).flat_map(|i| script.calls(&format!("i{i}"), "obtain")).map(|call| call.at).collect();
    assert_eq!(began.len(), 10);
    let spread = *began.iter().max().unwrap() - *began.iter().min().unwrap();
    // One after the other, the last would begin after nine seconds.
    assert!(spread < Duration::from_secs(5), "{spread:?}");
}

#[test]
fn parallel_hanging_instance_delays_no_other() {
    let script = ScriptedServer::new(|call| {
        if call.instance == "i7" {
            thread::sleep(Duration::from_secs(3600));
        }
        lease(call, Duration::from_secs(12))
    });
    let mut home = many(&script, 50, "renew = { ratio = 0.5 }\nretry = { floor = \"50ms\" }");
    home.append("[upstreams.default]\ncalls-per-minute = 60000\nburst = 1000\n[coordinator]\nshutdown = \"0s\"");
    let running = RunningCoordinator::start(&home);
    let others = |status: &CoordinatorStatus, least: u64| {
        let instances = status.instances.iter().filter(|instance| instance.name != "i7");
        let held: Vec<_> =
            instances.map(|instance| instance.lease.as_ref().map_or(0, |lease| lease.revision)).collect();
        assert_eq!(held.len(), 49);
        held.into_iter().all(|revision| revision >= least)
    };
    running.wait_until("two leases each", || others(&running.all_status(), 2));
    let hanging = running.instance_status("i7");
    assert!(hanging.reason.starts_with("no lease yet; obtain in progress for "), "{hanging:?}");
    assert_eq!((hanging.state.as_str(), script.count("i7", "obtain")), ("obtaining", 1), "{hanging:?}");
    let log = running.log();
    assert!(!log.contains("lease expired before it was replaced"), "{log}");
    assert_eq!(running.stop(), Some(exit::OK));
}

#[test]
fn parallel_restart_has_no_burst() {
    let script = ScriptedServer::granting();
    let mut home = many(&script, 4, "upstream = \"sts\"");
    home.append("[upstreams.sts]\ncalls-per-minute = 6\nburst = 3");
    let running = RunningCoordinator::start(&home);
    let held = |running: &RunningCoordinator<'_>| (0..4).filter(|i| running.revision(&format!("i{i}")) == 1).count();
    running.wait_until("the burst", || held(&running) == 3);
    let waiting = running.all_status().instances.into_iter().find(|instance| instance.state == "waiting");
    let reason = waiting.unwrap().reason;
    assert!(reason.starts_with("no lease yet; waiting for the rate limit of sts: "), "{reason}");
    let shown = home.deputy(&["status"]).ends_with(exit::OK).stdout;
    assert!(shown.ends_with("3 of 4 ready; 1 waits for sts\n"), "{shown}");
    running.kill();
    // An earlier process may have used it up a moment ago.
    let running = RunningCoordinator::start(&home);
    let calls = |i: usize| script.count(&format!("i{i}"), "obtain");
    let before: usize = (0..4).map(calls).sum();
    thread::sleep(A_WHILE);
    assert_eq!(((0..4).map(calls).sum::<usize>(), held(&running)), (before, 3));
    let log = fs::read_to_string(home.path("run.log")).unwrap();
    assert!(!log.contains("\"ERROR\""), "{log}");
}

#[test]
fn parallel_hanging_service_leaves_calls_to_another() {
    let script = ScriptedServer::new(|call| {
        if call.instance.starts_with("hangs") {
            thread::sleep(Duration::from_secs(3600));
        }
        lease(call, Duration::from_secs(8))
    });
    let mut home = script.home();
    for number in 0..30 {
        let name = format!("hangs-{number}");
        home = home.instance(&name, "benign-obtain", &script.lines(&name, "upstream = \"away\""));
    }
    for number in 0..5 {
        let name = format!("sound-{number}");
        let lines = "upstream = \"there\"\nrenew = { ratio = 0.5 }\nretry = { floor = \"50ms\" }";
        let lines = script.lines(&name, lines);
        home = home.instance(&name, "benign-obtain", &lines);
    }
    home.append(
        "[upstreams.away]\ncalls-per-minute = 60000\nburst = 1000\n\
         [upstreams.there]\ncalls-per-minute = 60000\nburst = 1000\n\
         [coordinator]\ncalls = 8\nshutdown = \"0s\"",
    );
    let running = RunningCoordinator::start(&home);
    let sound = |least: u64| (0..5).all(|number| running.revision(&format!("sound-{number}")) >= least);
    running.wait_until("the first leases", || sound(1));
    let hanging = (0..30).filter(|number| script.count(&format!("hangs-{number}"), "obtain") > 0).count();
    assert_eq!(hanging, 4, "half of the calls, and all of them hang");
    running.wait_until("the third leases", || sound(3));
    let log = running.log();
    assert!(!log.contains("lease expired before it was replaced"), "{log}");
    assert_eq!(running.stop(), Some(exit::OK));
}
