//! A lease from its first day to its last: obtained, renewed, tried again, and had on demand.

use std::fs;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use deputy_test_harness::{RunningCoordinator, exit};

use crate::script::{ScriptedCall, ScriptedServer, ending_at, endless, failure, lease, payload, throttled};

/// Long enough for a call that should not be made.
const A_WHILE: Duration = Duration::from_millis(700);

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The times between calls.
fn gaps(calls: &[ScriptedCall]) -> Vec<Duration> {
    calls.windows(2).map(|pair| pair[1].at - pair[0].at).collect()
}

#[test]
fn lifecycle_instance_without_tokens_is_ready() {
    let script = ScriptedServer::granting();
    let lines = script.lines("idle", "").replace(".settings]", ".settings]\nrequired = \"false\"");
    let home = script.home().instance("idle", "benign-lifecycle", &lines);
    let running = RunningCoordinator::start(&home);
    running.wait_until("its word", || running.instance_status("idle").state == "not-required");
    let idle = running.instance_status("idle");
    assert_eq!((idle.ready, &idle.lease), (true, &None), "{idle:?}");
    let run = home.deputy(&["get", "idle", "--wait", "0s"]).ends_with(exit::UNAVAILABLE);
    assert!(run.stderr.contains("the component needs no tokens"), "{}", run.stderr);
    assert_eq!(script.functions("idle"), [""; 0]);
}

#[test]
fn lifecycle_renews_to_the_longest_life_then_obtains() {
    let script = ScriptedServer::new(|call| lease(call, secs(4)));
    let lines = "max-lifetime = \"9s\"\nrenew = { ratio = 0.5 }\nretry = { floor = \"50ms\" }";
    let lines = script.lines("vault", lines);
    let home = script.home().instance("vault", "benign-lifecycle", &lines);
    let running = RunningCoordinator::start(&home);
    running.wait_until("the second one", || script.count("vault", "obtain") == 2);
    let functions = script.functions("vault");
    let renewals = functions.len() - 2;
    assert!(renewals >= 2 && functions[1..=renewals].iter().all(|function| function == "renew"), "{functions:?}");
    let given: Vec<_> = script.calls("vault", "renew").into_iter().map(|call| call.payload).collect();
    assert_eq!(given[0], payload("vault", "obtain", 1));
    assert_eq!(given[1], payload("vault", "renew", 1), "the newest one is renewed");
    let lives = gaps(&script.calls("vault", "obtain"));
    assert!(lives[0] < secs(9), "{lives:?}");
    running.wait_until("no gap", || running.instance_status("vault").ready);
    assert!(!running.log().contains("lease expired before it was replaced"), "{}", running.log());
}

#[test]
fn lifecycle_obtains_when_renewal_is_refused() {
    let script =
        ScriptedServer::new(|call| if call.function == "renew" { failure("denied") } else { lease(call, secs(40)) });
    let lines = script.lines("vault", "renew = { ratio = 0.1 }\nretry = { floor = \"50ms\" }");
    let home = script.home().instance("vault", "benign-lifecycle", &lines);
    let running = RunningCoordinator::start(&home);
    running.wait_until("the second one", || running.revision("vault") == 2);
    assert_eq!(script.functions("vault"), ["obtain", "renew", "obtain"]);
    assert_eq!(running.instance_status("vault").trouble, None);
}

#[test]
fn lifecycle_obtains_without_renewal_support() {
    let script = ScriptedServer::new(|call| lease(call, secs(1)));
    let lines = script.lines("sts", "retry = { floor = \"50ms\" }");
    let home = script.home().instance("sts", "benign-obtain", &lines);
    let running = RunningCoordinator::start(&home);
    running.wait_until("the third one", || running.revision("sts") >= 3);
    assert!(gaps(&script.calls("sts", "obtain")).iter().all(|gap| *gap > secs(1) / 2));
}

#[test]
fn lifecycle_lifetime_replaces_an_invalid_expiry() {
    let script = ScriptedServer::new(|call| match call.instance.as_str() {
        "past" => ending_at(call, 1000),
        "long" => lease(call, secs(86_400)),
        _ => endless(call),
    });
    let mut home = script.home();
    for name in ["silent", "past", "long"] {
        home = home.instance(name, "benign-lifecycle", &script.lines(name, "lifetime = \"30s\""));
    }
    let home = home.instance("short", "benign-obtain", &script.lines("short", "lifetime = \"1s\""));
    let running = RunningCoordinator::start(&home);
    for name in ["silent", "past", "long"] {
        running.wait_until("a lease", || running.revision(name) == 1);
        let left = running.instance_status(name).lease.unwrap().valid_for_ms.unwrap();
        assert!((20_000..=30_000).contains(&left), "{name}: {left}");
    }
    running.wait_until("the third one", || running.revision("short") >= 3);
    assert!(gaps(&script.calls("short", "obtain")).iter().all(|gap| *gap > secs(1) / 2), "a hot loop");
    for name in ["silent", "past", "long"] {
        assert_eq!(script.functions(name), ["obtain"], "{name}");
    }
    assert!(running.log().contains("an expiry in the past"), "{}", running.log());
}

#[test]
fn lifecycle_throttling_pauses_the_whole_upstream() {
    let script = ScriptedServer::new(|call| match (call.instance.as_str(), call.number) {
        ("first", 2) => throttled(1500),
        _ => lease(call, secs(3600)),
    });
    let mut home = script.home();
    for name in ["first", "second"] {
        home = home.instance(name, "benign-obtain", &script.lines(name, "retry = { floor = \"50ms\" }"));
    }
    let running = RunningCoordinator::start(&home);
    running.wait_until("both", || running.revision("first") == 1 && running.revision("second") == 1);
    home.deputy(&["renew", "first"]).ends_with(exit::OK);
    running.wait_until("the answer", || running.instance_status("first").failures == 1);
    // Nothing is searched here: what it looks at lasts for a second and a half.
    home.run_unchecked(&["renew", "second"]).ends_with(exit::OK);
    let (first, second) = (running.instance_status("first"), running.instance_status("second"));
    assert_eq!((first.state.as_str(), first.ready), ("retrying", true), "{first:?}");
    assert_eq!(first.trouble.unwrap().kind, "throttled");
    assert_eq!((second.state.as_str(), second.ready), ("waiting", true), "{second:?}");
    assert!(second.reason.contains("waiting for the rate limit of hostile"), "{second:?}");
    running.wait_until("another one", || running.revision("first") == 2 && running.revision("second") == 2);
    let told = script.calls("first", "obtain")[1].at;
    for name in ["first", "second"] {
        let waited = script.calls(name, "obtain").last().unwrap().at - told;
        assert!(waited >= Duration::from_millis(1500), "{name}: {waited:?}");
    }
    assert_eq!((script.count("first", "obtain"), script.count("second", "obtain")), (3, 2));
}

#[test]
fn lifecycle_denied_call_is_retried_slowly() {
    let script = ScriptedServer::new(|call| if call.number == 1 { failure("denied") } else { lease(call, secs(3600)) });
    let lines = script.lines("s3", "retry = { floor = \"10ms\", slow = \"4s\" }");
    let home = script.home().instance("s3", "benign-obtain", &lines);
    let running = RunningCoordinator::start(&home);
    running.wait_until("the answer", || running.instance_status("s3").failures == 1);
    let shown = home.deputy(&["status"]).ends_with(exit::OK).stdout;
    let why = "no lease yet; denied once: the service is denied";
    assert!(shown.contains("retrying") && shown.contains(why) && shown.contains("0 of 1 ready"), "{shown}");
    let story = home.deputy(&["status", "s3"]).ends_with(exit::OK).stdout;
    assert!(story.contains("last failure  denied: the service is denied\n"), "{story}");
    assert!(story.contains("failed calls  1 since the last success\n"), "{story}");
    assert!(running.log().contains("a configuration change is needed"), "{}", running.log());
    running.wait_until("a lease", || running.revision("s3") == 1);
    assert!(gaps(&script.calls("s3", "obtain"))[0] >= secs(4));
    let after = running.instance_status("s3");
    assert_eq!((&after.trouble, after.failures), (&None, 0), "{after:?}");
}

#[test]
fn lifecycle_on_demand_obtains_on_use_and_revokes_idle() {
    let script = ScriptedServer::granting();
    let lines = script.lines("lab", "obtain = \"on-demand\"\nunused = \"2s\"\nretry = { floor = \"50ms\" }");
    let home = script.home().instance("lab", "benign-lifecycle", &lines);
    let running = RunningCoordinator::start(&home);
    thread::sleep(A_WHILE);
    let lab = running.instance_status("lab");
    assert_eq!((lab.state.as_str(), lab.ready), ("unused", true), "{lab:?}");
    assert_eq!(script.functions("lab"), [""; 0], "no lease was requested");

    let asked = Instant::now();
    for _ in 0..2 {
        home.run_unchecked(&["get", "lab", "--out", "secrets/given"]).ends_with(exit::OK);
        assert_eq!(fs::read_to_string(home.path("secrets/given")).unwrap(), payload("lab", "obtain", 1));
    }
    assert_eq!(script.functions("lab"), ["obtain"], "a valid lease is not obtained again");
    running.wait_until("its end", || running.instance_status("lab").state == "unused");
    assert!(asked.elapsed() >= secs(2));
    running.wait_until("its revocation", || script.count("lab", "revoke") == 1);
    assert_eq!(script.calls("lab", "revoke")[0].payload, payload("lab", "obtain", 1));
    assert_eq!(running.instance_status("lab").lease, None);

    home.deputy(&["get", "lab", "--out", "secrets/given"]).ends_with(exit::OK);
    assert_eq!(fs::read_to_string(home.path("secrets/given")).unwrap(), payload("lab", "obtain", 2));
}

#[test]
fn expiry_in_the_past_is_a_failed_obtain() {
    let script = ScriptedServer::new(|call| match call.number {
        1 => ending_at(call, 1000),
        _ => lease(call, secs(3600)),
    });
    let home = script.home().instance("sts", "benign-obtain", &script.lines("sts", "retry = { floor = \"2s\" }"));
    let running = RunningCoordinator::start(&home);
    running.wait_until("the failure", || running.instance_status("sts").failures == 1);
    let status = running.instance_status("sts");
    let failure = status.trouble.unwrap();
    assert_eq!((status.ready, failure.kind.as_str()), (false, "broken"));
    let message = failure.message;
    assert!(message.contains("1970-01-01T00:00:01.000Z") && message.contains("`lifetime`"), "{message}");
    running.wait_until("a lease", || running.revision("sts") == 1);
    assert!(running.instance_status("sts").ready);
}

#[test]
fn retry_after_an_outage_that_outlasts_the_lease_is_prompt() {
    const LIFE: Duration = Duration::from_secs(3);
    let first = Arc::new(OnceLock::<Instant>::new());
    let began = Arc::clone(&first);
    let script = ScriptedServer::new(move |call| {
        let since = call.at.duration_since(*began.get_or_init(|| call.at));
        let away = call.number > 1 && since < LIFE + secs(2);
        if away { failure("unavailable") } else { lease(call, LIFE) }
    });
    let home = script.home().instance("sts", "benign-obtain", &script.lines("sts", "retry = { floor = \"50ms\" }"));
    let running = RunningCoordinator::start(&home);
    running.wait_until("a second lease", || running.revision("sts") == 2);
    let calls = script.calls("sts", "obtain");
    let back = *first.get().unwrap() + LIFE + secs(2);
    let next = calls.iter().find(|call| call.at >= back).unwrap();
    let failed = calls.iter().filter(|call| call.at < back).count() - 1;
    assert!(failed >= 6, "{failed} hurried tries");
    assert!(next.at - back <= LIFE + secs(1), "{:?} after the outage", next.at - back);
}

#[test]
fn throttled_for_an_hour_costs_no_other_instance_its_lease() {
    let script = ScriptedServer::new(|call| match (call.instance.as_str(), call.number) {
        ("i0", 2) => throttled(3_600_000),
        _ => lease(call, secs(12)),
    });
    let mut home = script.home();
    // The throttled one is called again with a third of 8.4 s left, the others earlier.
    for name in ["i0", "i1", "i2", "i3"] {
        let lines = script.lines(name, "renew = { ratio = 0.3 }\nretry = { floor = \"50ms\" }");
        home = home.instance(name, "benign-obtain", &lines);
    }
    let running = RunningCoordinator::start(&home);
    running.wait_until("the answer", || script.count("i0", "obtain") >= 2);
    let all = |least: u64| ["i0", "i1", "i2", "i3"].iter().all(|name| running.revision(name) >= least);
    running.wait_until("the third leases", || all(3));
    let log = running.log();
    assert!(!log.contains("lease expired before it was replaced"), "{log}");
}
