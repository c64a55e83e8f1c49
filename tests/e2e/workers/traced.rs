//! Traces: what a collector gets of one lease from the coordinator and its workers, and that none of them waits for it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use deputy_test_harness::{CollectedSpan, TraceCollector, exit};
use deputy_test_servers::{free_ports, get, guest};

use super::site::{GROUP, TestSite};
use super::unit::{CANARY, now};
use crate::script::ScriptedServer;

/// A token of the collector.
const TOKEN: &str = "Bearer canary-of-a-collector";

/// A coordinator with an instance and a receiver, whose traces go to this collector.
fn site(script: &ScriptedServer, collector: &TraceCollector, health: u16) -> TestSite {
    let mut site = TestSite::new(&format!("health = \"127.0.0.1:{health}\""));
    let component = guest("benign-obtain").unwrap();
    site.home.append(&format!(
        "[instances.creds]\ncomponent = {component:?}\n{}",
        script.lines("creds", &format!("deliver-to = [\"{GROUP}\"]"))
    ));
    site.home.append(&traces(collector));
    site.home.put_secret("otlp", TOKEN);
    site.home.register_secret(TOKEN);
    site.receiver("app", &["creds"])
}

fn traces(collector: &TraceCollector) -> String {
    let url = collector.url();
    format!("[traces]\notlp = \"{url}\"\nheaders = {{ authorization = {{ file = \"secrets/otlp\" }} }}\n")
}

fn script() -> ScriptedServer {
    ScriptedServer::new(|call| {
        let until = (now() + Duration::from_secs(3600)).as_millis();
        format!("payload {CANARY} creds {} {until}\nvalid-until {until}\n", call.number)
    })
}

/// The value of a counter.
fn counter(port: u16, name: &str) -> u64 {
    let text = get(port, "/metrics").map(|answer| answer.body).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0, |value| value.parse().unwrap())
}

/// The only span of a name in a process.
fn only<'s>(spans: &'s [CollectedSpan], process: &str, name: &str) -> &'s CollectedSpan {
    let found: Vec<_> = spans.iter().filter(|span| span.name == name && id(span) == process).collect();
    assert_eq!(found.len(), 1, "{name} of {process}: {spans:#?}");
    found[0]
}

/// The worker; nothing for the coordinator.
fn id(span: &CollectedSpan) -> &str {
    span.process.get("service.instance.id").map_or("", String::as_str)
}

/// The root of the second lease.
fn is_second(span: &CollectedSpan) -> bool {
    span.name == "lease" && span.attributes.get("deputy.revision").is_some_and(|revision| revision == "2")
}

#[test]
fn traces_of_one_lease_have_coordinator_and_workers() {
    let collector = TraceCollector::start();
    let [health] = free_ports().unwrap();
    let script = script();
    let site = site(&script, &collector, health);
    let shown = site.home.deputy(&["check"]).ends_with(exit::OK).stdout;
    assert!(shown.contains(&format!("traces to {}/v1/traces: ok", collector.url())), "{shown}");
    let coordinator = site.coordinator();
    let hook = "[receivers.app]\non-change = { command = [\"/bin/true\"] }\n";
    let workers = ["one", "two"].map(|name| {
        site.configure(name, &(hook.to_owned() + &traces(&collector)));
        site.worker(name)
    });
    for worker in &workers {
        worker.wait_until_published("app", "creds", 1);
    }
    coordinator.wait_until("both have reported", || {
        let all = site.workers();
        all.len() == 2 && all.iter().all(|worker| worker.applied.iter().any(|applied| applied.revision == Some(1)))
    });
    site.home.deputy(&["renew", "creds"]).ends_with(exit::OK);
    for worker in &workers {
        worker.wait_until_published("app", "creds", 2);
    }
    // The last to end, in each of the processes.
    let of_second = |name: &str| {
        let spans = collector.spans();
        let root = spans.iter().find(|span| is_second(span))?;
        Some(spans.iter().filter(|span| span.trace == root.trace && span.name == name).count())
    };
    coordinator.wait_until("all spans", || of_second("hook") == Some(2) && of_second("apply") == Some(2));
    let spans = collector.spans();
    let root = spans.iter().find(|span| is_second(span)).unwrap();
    let spans: Vec<CollectedSpan> = spans.iter().filter(|span| span.trace == root.trace).cloned().collect();
    for span in &spans {
        assert_eq!(span.process["service.name"], "deputy");
        let role = if id(span).is_empty() { "coordinator" } else { "worker" };
        assert_eq!(span.process["deputy.role"], role);
        assert!(span.failure.is_none() && span.began <= span.ended, "{span:?}");
    }
    assert!(root.parent.is_empty());
    for (name, parent) in [("wait", "lease"), ("obtain", "lease"), ("save", "lease"), ("deliver", "lease")] {
        assert_eq!(only(&spans, "", name).parent, only(&spans, "", parent).id, "{name}");
    }
    let request = spans.iter().find(|span| span.attributes.contains_key("http.request.method")).unwrap();
    assert_eq!(request.parent, only(&spans, "", "obtain").id);
    assert_eq!(request.attributes["server.address"], "127.0.0.1");
    assert_eq!(request.attributes["http.response.status_code"], "200");
    let deliver = only(&spans, "", "deliver");
    assert_eq!(
        (deliver.attributes["deputy.workers"].as_str(), &*deliver.attributes["deputy.workers.applied"]),
        ("2", "2")
    );
    for worker in &workers {
        let worker = worker.id();
        let apply = only(&spans, &worker, "apply");
        assert_eq!(apply.parent, deliver.id);
        for part in ["cache", "receiver", "hook"] {
            assert_eq!(only(&spans, &worker, part).parent, apply.id, "{part}");
        }
        let acknowledged = |span: &&CollectedSpan| {
            span.name == "acknowledge" && span.parent == deliver.id && span.attributes["deputy.worker"] == worker
        };
        assert_eq!(spans.iter().filter(acknowledged).count(), 1);
    }
    assert!(root.began <= only(&spans, "", "wait").began && root.ended >= deliver.ended, "the root covers them");
    let received = collector.received();
    let text = String::from_utf8_lossy(&received);
    assert!(text.contains(&format!("authorization: {TOKEN}")), "the collector has its token");
    for secret in [CANARY, "/creds/"] {
        assert!(!text.contains(secret), "{secret}");
    }
    // Of a batch that was taken, the counters are there a moment later.
    coordinator.wait_until("counted", || counter(health, "deputy_trace_spans_exported_total") >= 6);
    assert_eq!(counter(health, "deputy_trace_spans_dropped_total"), 0);
}

#[test]
fn traces_are_sampled_by_lease_and_whole() {
    let collector = TraceCollector::start();
    let [health] = free_ports().unwrap();
    let script = script();
    let site = site(&script, &collector, health);
    // The worker has no share of its own: it traces what the coordinator does.
    site.configure("one", &traces(&collector));
    site.home.edit("[traces]\n", "[traces]\nsample = 0\n");
    let mut coordinator = site.coordinator();
    let worker = site.worker("one");
    worker.wait_until_published("app", "creds", 1);
    let mut newest = 1;
    let mut renew = |count: u64| {
        for _ in 0..count {
            newest += 1;
            site.home.deputy(&["renew", "creds"]).ends_with(exit::OK);
            worker.wait_until_published("app", "creds", newest);
            // Else the next lease takes its place before it is acknowledged.
            worker.wait_until("it has reported", || {
                site.only_worker().applied.iter().any(|applied| applied.revision == Some(newest))
            });
        }
    };
    renew(2);
    // Of 20, with chances of one to a million, some are traced and some are not.
    for (sample, leases) in [("0.5", 20), ("1", 2)] {
        let old = if sample == "1" { "sample = 0.5\n" } else { "sample = 0\n" };
        site.home.edit(old, &format!("sample = {sample}\n"));
        assert_eq!(coordinator.stop(), Some(exit::OK), "what it has traced is sent");
        coordinator = site.coordinator();
        coordinator.wait_until("the worker is back", || site.only_worker().connected);
        renew(leases);
    }
    assert_eq!((worker.stop(), coordinator.stop()), (Some(exit::OK), Some(exit::OK)));

    let spans = collector.spans();
    let traced: BTreeMap<u64, &[u8]> = (spans.iter().filter(|span| span.name == "lease"))
        .map(|span| (span.attributes["deputy.revision"].parse().unwrap(), span.trace.as_slice()))
        .collect();
    let (none, some, all) = (traced.range(..=3).count(), traced.range(4..=23).count(), traced.range(24..).count());
    assert!(none == 0 && (1..20).contains(&some) && all == 2, "{:?}", traced.keys());
    for trace in traced.values() {
        let of_trace: Vec<_> = spans.iter().filter(|span| span.trace == *trace).cloned().collect();
        let names: Vec<_> = of_trace.iter().map(|span| (id(span).is_empty(), span.name.as_str())).collect();
        for part in [(true, "obtain"), (true, "deliver"), (true, "acknowledge"), (false, "apply"), (false, "receiver")]
        {
            assert!(names.contains(&part), "{part:?}: {names:?}");
        }
    }
    assert!(spans.iter().all(|span| traced.values().any(|trace| span.trace == *trace)), "no part of another lease");
}

#[test]
fn traces_delay_no_lease_if_the_collector_is_silent() {
    let (silent, refusing) = (TraceCollector::silent(), TraceCollector::refusing());
    let [health, worker_health] = free_ports().unwrap();
    let script = script();
    let site = site(&script, &silent, health);
    let coordinator = site.coordinator();
    site.configure("one", &format!("health = \"127.0.0.1:{worker_health}\"\n{}", traces(&refusing)));
    let worker = site.worker("one");
    worker.wait_until_published("app", "creds", 1);
    for number in 2..5 {
        site.home.deputy(&["renew", "creds"]).ends_with(exit::OK);
        worker.wait_until_published("app", "creds", number);
    }
    coordinator.wait_until("spans are sent", || !silent.received().is_empty());
    assert!(silent.spans().is_empty());
    worker.wait_until("the worker counts them", || {
        counter(worker_health, "deputy_worker_trace_spans_dropped_total") >= 3
    });
    assert!(worker.log().contains("sending traces failed"), "{}", worker.log());
    let begun = Instant::now();
    assert_eq!((worker.stop(), coordinator.stop()), (Some(0), Some(0)));
    assert!(begun.elapsed() < Duration::from_secs(20), "the end waits a moment for what is queued");
}
