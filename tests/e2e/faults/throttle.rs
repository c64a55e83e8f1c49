//! A thousand instances that all begin at once, and a server that throttles.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use deputy_test_harness::{PATIENCE, RunningCoordinator, exit};

use super::fleet::Fleet;
use super::stand_in::{Answer, CANARY, Call, StandIn, most_within};

const INSTANCES: usize = 1000;

/// How many are called at once.
const CALLS: usize = 32;

/// A server that bears a number of calls a second, and throttles callers for a second beyond it.
fn bearing(per_second: usize) -> StandIn {
    StandIn::deciding(move |calls, _| {
        let now = Instant::now();
        let of_last_second = calls.iter().rev().take_while(|call| now.duration_since(call.at) < Duration::from_secs(1));
        let borne = of_last_second.filter(|call| call.answer == Answer::Credentials).count();
        if borne < per_second { Answer::Credentials } else { Answer::Throttled(1) }
    })
}

/// Starts them all, and gives all calls, and how long it took until everyone had a lease.
fn started(server: &StandIn, per_minute: u32, burst: u32) -> (Vec<Call>, Duration) {
    let lines = "lifetime = \"1h\"";
    let fleet = Fleet::new(per_minute, burst, &format!("calls = {CALLS}"));
    let fleet = fleet.with("web", INSTANCES, &server.endpoint(), lines);
    fleet.home.register_secret(CANARY);
    let running = RunningCoordinator::start_unseen(&fleet.home);
    running.wait_until("the first call", || !server.calls().is_empty());
    let begun = Instant::now();
    let mut waited = false;
    running.wait_until("all are ready", || {
        // An answer is long, and takes a while.
        thread::sleep(Duration::from_millis(200));
        let status = fleet.status();
        waited |= status.upstreams.first().is_some_and(|upstream| upstream.waiting > 0);
        status.ready
    });
    let took = begun.elapsed();
    assert!(waited, "no status shows an instance that waits");
    let metrics = fleet.metrics();
    for part in ["deputy_", "web-000", "web-999"] {
        assert!(metrics.contains(part), "{part} is not in the metrics");
    }
    assert_eq!(running.stop(), Some(exit::OK));
    fleet.assert_no_secret_leaked();
    let calls = server.calls();
    let served: BTreeSet<&str> = served(&calls).map(|call| call.caller.as_str()).collect();
    assert_eq!((served.len(), served_count(&calls)), (INSTANCES, INSTANCES), "each of them once");
    (calls, took)
}

fn served(calls: &[Call]) -> impl Iterator<Item = &Call> {
    calls.iter().filter(|call| call.answer == Answer::Credentials)
}

fn served_count(calls: &[Call]) -> usize {
    served(calls).count()
}

#[test]
fn throttle_thousand_instances_stay_within_the_budget() {
    const PER_SECOND: usize = 80;
    const BURST: usize = 20;
    let server = bearing(2 * PER_SECOND);
    let (calls, took) = started(&server, u32::try_from(PER_SECOND * 60).unwrap(), u32::try_from(BURST).unwrap());
    assert_eq!(calls.len(), INSTANCES, "none was throttled");
    // What was under way before a time may come within it.
    let mut told = String::new();
    for seconds in [1, 2, 5] {
        let most = most_within(&calls, Duration::from_secs(seconds));
        let budget = BURST + PER_SECOND * usize::try_from(seconds).unwrap();
        assert!(most <= budget + CALLS, "{most} calls within {seconds} s, of {budget}");
        told.push_str(&format!("; {most} within {seconds} s of {budget}"));
    }
    let expected = Duration::from_secs((INSTANCES / PER_SECOND).try_into().unwrap());
    assert!(took + Duration::from_secs(1) > expected && took < PATIENCE, "{took:?}");
    eprintln!("{INSTANCES} leases after {took:?}, at {PER_SECOND} a second{told}");
}

#[test]
fn throttle_by_the_service_loses_no_instance() {
    const BEARS: usize = 120;
    let server = bearing(BEARS);
    let (calls, took) = started(&server, 60_000, 1000);
    let throttled = calls.len() - INSTANCES;
    // Each time, those that were under way; then everybody waits for the second that the server asked for.
    let times = usize::try_from(took.as_secs()).unwrap() + 1;
    assert!(throttled > 0, "the server's limit was never seen");
    assert!(throttled <= times * CALLS, "{throttled} calls were throttled in {took:?}");
    assert!(throttled < INSTANCES / 2, "{throttled} calls were throttled");
    eprintln!(
        "{INSTANCES} leases after {took:?}, of a server that bears {BEARS} a second; {throttled} throttled calls"
    );
}
