//! The clock on the wall is set while `deputy run` goes on: libfaketime does it for that process alone.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use deputy_test_harness::{RunningCoordinator, exit};
use deputy_test_servers::tool;

use super::fleet::Fleet;
use super::log;
use super::stand_in::{CANARY, StandIn, most_within};

const INSTANCES: usize = 40;
const PER_SECOND: usize = 10;
const BURST: usize = 10;

/// How many are called at once.
const CALLS: usize = 4;

fn fleet(server: &StandIn, lifetime: &str) -> Fleet {
    let coordinator = format!("calls = {CALLS}");
    let fleet = Fleet::new(u32::try_from(PER_SECOND * 60).unwrap(), u32::try_from(BURST).unwrap(), &coordinator);
    let fleet = fleet.with("web", INSTANCES, &server.endpoint(), &format!("lifetime = \"{lifetime}\""));
    fleet.home.register_secret(CANARY);
    fleet
}

/// Starts it with a clock that can be set, and waits until all have a lease.
fn start(fleet: &Fleet) -> RunningCoordinator<'_> {
    set(fleet, 0);
    let mut command = fleet.home.command();
    command.env("LD_PRELOAD", tool("libfaketime.so").unwrap()).env("FAKETIME_TIMESTAMP_FILE", offset(fleet));
    command.env("FAKETIME_NO_CACHE", "1").env("DONT_FAKE_MONOTONIC", "1");
    let running = RunningCoordinator::start_as(&fleet.home, command);
    running.wait_until("it has started", || fleet.has_started());
    fleet.wait_until_ready(&running);
    running
}

/// Sets its clock this number of seconds from ours, at once.
fn set(fleet: &Fleet, seconds: i32) {
    let whole = fleet.home.path("offset.new");
    fs::write(&whole, format!("{seconds:+}\n")).unwrap();
    fs::rename(whole, offset(fleet)).unwrap();
}

fn offset(fleet: &Fleet) -> impl AsRef<Path> + AsRef<std::ffi::OsStr> {
    fleet.home.path("offset")
}

/// Whether these jumps were told, in seconds, and no others. The clocks are read one after the other.
fn told(running: &RunningCoordinator<'_>, jumps: &[i64]) -> bool {
    let lines = log::lines(running).into_iter().filter(|line| line.message.starts_with("clock jump detected"));
    let told: Vec<i64> = lines.map(|line| line.number("seconds")).collect();
    assert!(told.len() <= jumps.len(), "{told:?}");
    told.len() == jumps.len() && told.iter().zip(jumps).all(|(told, jump)| told.abs_diff(*jump) <= 1)
}

/// Within no time more calls were made than the budget has, and those that were under way.
fn budget_was_held(server: &StandIn) {
    for seconds in [1, 2, 3] {
        let most = most_within(&server.calls(), Duration::from_secs(seconds));
        let budget = BURST + PER_SECOND * usize::try_from(seconds).unwrap();
        assert!(most <= budget + CALLS, "{most} calls within {seconds} s, of {budget}");
    }
}

#[test]
fn clock_two_hours_ahead_obtains_each_lease_once() {
    let server = StandIn::generous();
    let fleet = fleet(&server, "1h");
    let running = start(&fleet);
    assert_eq!(server.calls().len(), INSTANCES);
    let before = fleet.status().now;

    set(&fleet, 7200);
    let begun = Instant::now();
    running.wait_until("the jump is reported", || told(&running, &[7200]));
    let now = fleet.status().now;
    assert!(log::millis_between(&before, &now) >= 7_200_000, "{before} {now}");
    fleet.wait_until_ready(&running);
    let took = begun.elapsed();
    // No instance is called twice.
    thread::sleep(Duration::from_secs(3));
    assert_eq!(server.calls().len(), 2 * INSTANCES);
    budget_was_held(&server);
    for name in fleet.names() {
        assert_eq!(server.calls_of(name).len(), 2, "{name}");
    }
    eprintln!("two hours later: {INSTANCES} leases again after {took:?}");
    assert!(fleet.metrics().contains("clock"), "the metrics count jumps");
    assert_eq!(running.stop(), Some(exit::OK));
    fleet.assert_no_secret_leaked();
}

#[test]
fn clock_an_hour_behind_delays_no_renewal() {
    let server = StandIn::generous();
    let fleet = fleet(&server, "20s");
    let running = start(&fleet);
    set(&fleet, -3600);
    running.wait_until("the jump is reported", || told(&running, &[-3600]));
    running.wait_until("each was called again", || fleet.names().all(|name| server.calls_of(name).len() >= 2));
    let mut latest = Duration::ZERO;
    for name in fleet.names() {
        let calls = server.calls_of(name);
        latest = latest.max(calls[1].at.duration_since(calls[0].at));
    }
    // Three quarters of its life after it was obtained, at the latest, then the queue of all others, and seconds to spare.
    let queue = Duration::from_secs((INSTANCES / PER_SECOND).try_into().unwrap());
    assert!(latest <= Duration::from_secs(20) + queue, "{latest:?}");
    fleet.wait_until_ready(&running);

    let calls = server.calls().len();
    set(&fleet, 0);
    running.wait_until("that jump is reported", || told(&running, &[-3600, 3600]));
    running.wait_until("each is called again", || server.calls().len() >= calls + INSTANCES);
    fleet.wait_until_ready(&running);
    let again = server.calls().len() - calls;
    assert!((INSTANCES..=2 * INSTANCES).contains(&again), "{again} calls");
    budget_was_held(&server);
    eprintln!("an hour earlier: each renewed after {latest:?} at the latest; set right again: {again} calls");
    fleet.metrics();
    assert_eq!(running.stop(), Some(exit::OK));
    fleet.assert_no_secret_leaked();
}
