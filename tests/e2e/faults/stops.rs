//! Signals while calls are under way, and a server that hangs.

use std::thread;
use std::time::{Duration, Instant};

use deputy_test_harness::{RunningCoordinator, exit};
use deputy_test_servers::Moto;

use super::fleet::Fleet;
use super::log;
use super::samples::while_asking;
use super::stand_in::{Answer, CANARY, StandIn};

/// Two instances; the server may be slow to one of them.
fn fleet(server: &StandIn, shutdown: &str) -> Fleet {
    let coordinator = format!("shutdown = \"{shutdown}\"");
    let fleet = Fleet::new(6000, 20, &coordinator).with("slow", 1, &server.endpoint(), "lifetime = \"1h\"");
    let fleet = fleet.with("web", 1, &server.endpoint(), "lifetime = \"1h\"");
    fleet.home.register_secret(CANARY);
    fleet
}

/// Starts, and ends with two signals while `slow-000` is called. Gives how long the end took.
fn stopped_during_a_call(fleet: &Fleet, server: &StandIn) -> Duration {
    let running = RunningCoordinator::start(&fleet.home);
    running.wait_until("the call", || server.calls_of("slow-000").len() == 1);
    running.wait_until("the other lease", || running.revision("web-000") == 1);
    fleet.metrics();
    let begun = Instant::now();
    running.signal("TERM");
    thread::sleep(Duration::from_millis(300));
    assert_eq!(running.stop(), Some(exit::OK));
    begun.elapsed()
}

#[test]
fn stop_saves_the_result_of_a_running_call() {
    let server = StandIn::deciding(|_, name| match name {
        "slow-000" => Answer::Late(Duration::from_secs(3)),
        _ => Answer::Credentials,
    });
    let fleet = fleet(&server, "30s");
    let took = stopped_during_a_call(&fleet, &server);
    assert!(took < Duration::from_secs(20), "it waited for more than the call: {took:?}");
    let running = RunningCoordinator::start(&fleet.home);
    assert!(log::lines(&running).iter().all(|line| line.message != "call cancelled by shutdown"));
    for name in ["slow-000", "web-000"] {
        assert_eq!(fleet.issued(name).revision, 1, "{name}");
    }
    assert_eq!(server.calls().len(), 2);
    fleet.metrics();
    assert_eq!(running.stop(), Some(exit::OK));
    fleet.assert_no_secret_leaked();
}

#[test]
fn stop_aborts_a_hanging_call_at_the_deadline() {
    let server = StandIn::deciding(|calls, name| {
        let first = calls.iter().all(|call| call.caller != name);
        if name == "slow-000" && first { Answer::Nothing } else { Answer::Credentials }
    });
    let fleet = fleet(&server, "1s");
    let took = stopped_during_a_call(&fleet, &server);
    assert!((Duration::from_secs(1)..Duration::from_secs(15)).contains(&took), "{took:?}");
    let running = RunningCoordinator::start(&fleet.home);
    let cut: Vec<_> =
        log::lines(&running).into_iter().filter(|line| line.message == "call cancelled by shutdown").collect();
    assert!(matches!(&cut[..], [line] if line.instance() == "slow-000"), "{cut:?}");
    fleet.wait_until_ready(&running);
    assert_eq!(server.calls_of("web-000").len(), 1, "its lease was kept");
    assert_eq!(server.calls_of("slow-000").len(), 2, "it had none");
    assert_eq!(running.stop(), Some(exit::OK));
    fleet.assert_no_secret_leaked();
}

/// The server's process is stopped, so its port takes connections and no answer comes.
#[test]
fn paused_server_delays_no_other_upstream() {
    const OTHERS: usize = 19;
    let (server, hanging) = (StandIn::generous(), Moto::start().unwrap());
    let policy = "lifetime = \"8s\"\nrenew = { ratio = 0.2 }\nretry = { floor = \"100ms\", most = \"1s\" }";
    let limits = "lifetime = \"2s\"\nretry = { floor = \"100ms\", most = \"1s\" }\nlimits = { first-byte = \"3s\" }";
    let fleet = Fleet::new(6000, 40, "calls = 4").with("web", OTHERS, &server.endpoint(), policy);
    let fleet = fleet.with("hanging", 1, &hanging.endpoint(), limits);
    fleet.home.register_secret(CANARY);
    let running = RunningCoordinator::start(&fleet.home);
    fleet.wait_until_ready(&running);

    hanging.server().signal("STOP").unwrap();
    let before = server.calls().len();
    let ((), samples) = while_asking(&fleet, Duration::from_millis(100), || thread::sleep(Duration::from_secs(8)));
    let calls = server.calls().len() - before;
    assert!(calls >= OTHERS * 2, "only {calls} calls in eight seconds, of {OTHERS} instances that want one each 1.6 s");
    let mut least = i64::MAX;
    for sample in &samples {
        for (name, good) in sample.leases().filter(|(name, _)| name.starts_with("web")) {
            let good = good.unwrap_or_else(|| panic!("{name} has no lease"));
            assert!(good > 0, "{name} ended {} ms ago", -good);
            least = least.min(good);
        }
    }
    assert!(samples.len() >= 20, "only {} answers", samples.len());
    eprintln!("{calls} calls beside one that hangs; the oldest lease had {least} ms left");

    let hangs = running.printed_instance("hanging-000");
    assert!(!hangs.ready && hangs.failures >= 1, "{hangs:?}");
    fleet.metrics();
    hanging.server().signal("CONT").unwrap();
    fleet.wait_until_ready(&running);
    assert_eq!(running.stop(), Some(exit::OK));
    fleet.assert_no_secret_leaked();
}
