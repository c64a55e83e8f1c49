//! Health: what probes and scrapers receive, and that no client keeps another one waiting.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use deputy_test_harness::{RunningCoordinator, TestEnvironment, exit};
use deputy_test_servers::free_ports;

use crate::script::{ScriptedServer, failure, lease, throttled};

/// What a server answered.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

/// A home whose coordinator tells of its health at this port.
fn with_health(mut home: TestEnvironment) -> (TestEnvironment, u16) {
    let port = free_ports::<1>().unwrap()[0];
    home.append(&format!("[coordinator]\nhealth = \"127.0.0.1:{port}\""));
    (home, port)
}

fn ask(port: u16, method: &str, path: &str) -> Answer {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nhost: deputy\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

/// The values by name and labels.
fn metrics(port: u16) -> BTreeMap<String, f64> {
    let text = ask(port, "GET", "/metrics").body;
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

#[test]
fn readiness_has_a_reason_for_each_instance() {
    let script = ScriptedServer::new(|call| match (call.instance.as_str(), call.number) {
        ("bad", 1) => failure("denied"),
        _ => lease(call, Duration::from_secs(3600)),
    });
    let lines = script.lines("bad", "retry = { floor = \"10ms\", slow = \"15s\" }");
    let home = script.home().instance("bad", "benign-obtain", &lines);
    let home = home.instance("good", "benign-obtain", &script.lines("good", ""));
    let (home, port) = with_health(home);
    let running = RunningCoordinator::start(&home);
    running.wait_until("the answers", || {
        running.instance_status("good").ready && running.instance_status("bad").failures == 1
    });
    let answer = ask(port, "GET", "/readyz");
    let reasons = "bad not ready: no lease yet; denied once: the service is denied\ngood ready: held\n";
    assert_eq!((answer.status, answer.body.as_str()), (503, reasons));
    running.wait_until("the other", || ask(port, "GET", "/readyz").status == 200);
    assert_eq!(ask(port, "GET", "/readyz").body, "bad ready: held\ngood ready: held\n");

    for (method, path, status, body) in [
        ("GET", "/livez", 200, "ok\n"),
        ("HEAD", "/livez", 200, ""),
        ("GET", "/", 421, "only requests for this coordinator are served here: its name is 127.0.0.1 or localhost\n"),
        ("POST", "/livez", 405, "only GET is supported\n"),
    ] {
        let answer = ask(port, method, path);
        assert_eq!((answer.status, answer.body.as_str()), (status, body), "{method} {path}");
    }
}

#[test]
fn metrics_count_what_happened_by_instance_and_kind() {
    let script = ScriptedServer::new(|call| match (call.instance.as_str(), call.function.as_str(), call.number) {
        ("vault", "obtain", 1) => failure("unavailable"),
        ("vault", "obtain", 2) => throttled(100),
        ("vault", "revoke", _) => String::new(),
        _ => lease(call, Duration::from_secs(1000)),
    });
    let lines = script.lines("vault", "retry = { floor = \"50ms\" }\nrevoke = { replaced = \"0s\" }");
    let home = script.home().instance("vault", "benign-lifecycle", &lines);
    let lines = script.lines("lost", "retry = { floor = \"50ms\", slow = \"1h\" }");
    let home = home.instance(
        "lost",
        "benign-obtain",
        &lines.replace("allow = \"http://127.0.0.1", "allow = \"http://127.0.0.2"),
    );
    let home = home.instance("tiny", "benign-obtain", &script.lines("tiny", "limits = { response = \"1B\" }"));
    let mut home = home.instance("long", "benign-obtain", &script.lines("long", "limits = { payload = \"16B\" }"));
    home.append("[upstreams.default]\ncalls-per-minute = 600\nburst = 1");
    let (home, port) = with_health(home);
    let running = RunningCoordinator::start(&home);
    running.wait_until("a lease", || running.revision("vault") == 1);
    home.deputy(&["renew", "vault"]).ends_with(exit::OK);
    running.wait_until("another", || running.revision("vault") == 2 && running.instance_status("vault").to_revoke == 0);
    running.wait_until("the failures", || {
        ["lost", "tiny", "long"].iter().all(|name| running.instance_status(name).failures != 0)
    });
    let answer = ask(port, "GET", "/metrics");
    let media = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert!(answer.head.contains(media) && answer.body.ends_with("# EOF\n"), "{}\n{}", answer.head, answer.body);
    assert!(!answer.body.contains("canary"), "{}", answer.body);
    let metrics = metrics(port);
    let is = |name: &str, value: f64| assert_eq!(metrics.get(name), Some(&value), "{name} in {metrics:#?}");
    let vault = |name: &str, labels: &str| format!("deputy_{name}{{instance=\"vault\",{labels}}}");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let about = |name: &str, value: f64| {
        let found = metrics[&vault(name, "service=\"lifecycle\"")];
        assert!((found - value).abs() < 30.0, "{name}: {found}, not {value}");
    };
    about("lease_expiry_timestamp_seconds", now + 1000.0);
    about("lease_obtained_timestamp_seconds", now);
    about("last_success_timestamp_seconds", now);
    about("lease_age_seconds", 0.0);
    for (name, value) in
        [("lease_revision", 2.0), ("failures_in_a_row", 0.0), ("ready", 1.0), ("leases_to_revoke", 0.0)]
    {
        is(&vault(name, "service=\"lifecycle\""), value);
    }
    is(&vault("calls_total", "function=\"obtain\",outcome=\"unavailable\""), 1.0);
    is(&vault("calls_total", "function=\"obtain\",outcome=\"throttled\""), 1.0);
    is(&vault("calls_total", "function=\"obtain\",outcome=\"done\""), 2.0);
    is(&vault("calls_total", "function=\"revoke\",outcome=\"done\""), 1.0);
    is(&vault("capability_uses_total", "capability=\"http\",outcome=\"done\""), 5.0);
    is("deputy_retries_total{instance=\"vault\"}", 2.0);
    is("deputy_call_duration_seconds_count{function=\"revoke\"}", 1.0);
    is("deputy_saves_total{outcome=\"done\"}", 3.0);
    is("deputy_clock_jumps_total", 0.0);
    is("deputy_ready{instance=\"lost\",service=\"hostile\"}", 0.0);
    is("deputy_calls_total{instance=\"lost\",function=\"obtain\",outcome=\"refused\"}", 1.0);
    is("deputy_refusals_total{instance=\"lost\",code=\"host-not-granted\"}", 1.0);
    is("deputy_capability_uses_total{instance=\"lost\",capability=\"http\",outcome=\"refused\"}", 1.0);
    let some = |start: &str| {
        assert!(metrics.iter().any(|(name, value)| name.starts_with(start) && *value > 0.0), "{start} in {metrics:#?}")
    };
    some("deputy_sandbox_calls_total{function=\"obtain\"}");
    is("deputy_refusals_total{instance=\"tiny\",code=\"over-limit:response\"}", 1.0);
    is("deputy_sandbox_limits_total{limit=\"payload\"}", 1.0);
    some("deputy_budget_waits_total{upstream=\"hostile ");
    assert!(metrics.keys().any(|name| name.starts_with("deputy_upstream_waiting{")), "{metrics:#?}");
}

#[test]
fn slow_clients_keep_no_probe_waiting() {
    let script = ScriptedServer::granting();
    let (home, port) = with_health(script.home());
    let _running = RunningCoordinator::start(&home);
    // More than there are places, each with half a request.
    let slow: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
            stream.write_all(b"GET /livez HTTP/1.1\r\nhost: dep").unwrap();
            stream
        })
        .collect();
    thread::sleep(Duration::from_millis(100));
    let begun = Instant::now();
    for _ in 0..3 {
        assert_eq!(ask(port, "GET", "/livez").status, 200);
    }
    // One that asks nothing would be given five seconds.
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    drop(slow);
}

#[test]
fn nothing_listens_that_nobody_asked_for() {
    let script = ScriptedServer::granting();
    let home = script.home().instance("lab", "benign-lifecycle", &script.lines("lab", ""));
    let running = RunningCoordinator::start(&home);
    running.wait_until("a lease", || running.revision("lab") == 1);
    assert!(!running.log().contains("/livez"), "{}", running.log());
}
