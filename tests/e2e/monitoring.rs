//! The alert rules and the dashboard in a real Prometheus, which scrapes a real coordinator and a real worker.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deputy_test_harness::exit;
use deputy_test_servers::{Prometheus, free_ports, guest, promtool};
use rustix::fs::{CWD, FileType, mknodat};
use serde_json::Value;
use tempfile::TempDir;

use crate::script::{ScriptedServer, failure, lease};
use crate::workers::site::{RunningWorker, TestSite};

const ALERTS: &str = include_str!("../../monitoring/alerts.yml");
const DASHBOARD: &str = include_str!("../../monitoring/dashboard.json");

/// The folder of the rules.
fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../monitoring"))
}

/// The queries of the dashboard, as Grafana sends them.
fn queries() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    let expressions = targets.map(|target| target["expr"].as_str().unwrap().replace("$__rate_interval", "5s"));
    expressions
        .map(|text| ["$coordinator", "$lease", "$worker"].iter().fold(text, |text, it| text.replace(it, ".*")))
        .collect()
}

#[test]
fn monitoring_rules_pass_promtool() {
    for arguments in [
        &["check", "rules", "alerts.yml"][..],
        &["test", "rules", "alerts.test.yml"],
        &["check", "config", "prometheus.yml"],
    ] {
        let said = promtool(folder(), arguments).unwrap();
        assert!(said.contains("SUCCESS"), "{said}");
    }
    // A rule that is wrong is found.
    let wrong = tempfile::tempdir().unwrap();
    let broken = |text: &str, old: &str, new: &str| {
        assert!(text.contains(old), "{old}");
        text.replacen(old, new, 1)
    };
    fs::copy(folder().join("alerts.test.yml"), wrong.path().join("alerts.test.yml")).unwrap();
    fs::write(wrong.path().join("alerts.yml"), broken(ALERTS, "deputy_ready == 0", "deputy_ready == 1")).unwrap();
    let error = promtool(wrong.path(), &["test", "rules", "alerts.test.yml"]).unwrap_err().to_string();
    assert!(error.contains("DeputyInstanceNotReady"), "{error}");
    // Each query of the dashboard is one that Prometheus can parse.
    let rules: String = queries()
        .iter()
        .enumerate()
        .map(|(number, query)| format!("  - record: query:{number}\n    expr: {}\n", Value::from(query.as_str())))
        .collect();
    fs::write(wrong.path().join("queries.yml"), format!("groups:\n- name: dashboard\n  rules:\n{rules}")).unwrap();
    promtool(wrong.path(), &["check", "rules", "queries.yml"]).unwrap();
}

/// The rules with times that a test can wait for. That they hold as they are is what `promtool test rules` shows.
fn hurried(rules: &str) -> String {
    let mut text = rules.to_owned();
    for time in ["1m", "2m", "5m", "10m", "15m", "1h"] {
        text = text.replace(&format!("for: {time}\n"), "for: 250ms\n");
    }
    for time in ["10m", "1h"] {
        text = text.replace(&format!("[{time}]"), "[2s]").replace(&format!("offset {time}"), "offset 2s");
    }
    // What was there before the target went away.
    text.replace("[6h]", "[10m]")
}

/// A coordinator, a worker and their Prometheus.
struct Monitored<'s> {
    worker: &'s RunningWorker<'s>,
    prometheus: Prometheus,
}

impl Monitored<'_> {
    /// What fires: the alert, with what it is about.
    fn firing(&self) -> BTreeSet<String> {
        let alerts: Value = serde_json::from_str(&self.prometheus.alerts().unwrap()).unwrap();
        let firing = alerts["data"]["alerts"].as_array().unwrap().iter().filter(|alert| alert["state"] == "firing");
        let named = firing.map(|alert| {
            let labels = &alert["labels"];
            let about = labels["exported_instance"].as_str().or(labels["job"].as_str()).unwrap_or_default();
            format!("{} {about}", labels["alertname"].as_str().unwrap())
        });
        named.collect()
    }

    #[track_caller]
    fn wait_for(&self, alerts: &[&str]) {
        self.worker.wait_until(&format!("{alerts:?} fire, not {:?}", self.firing()), || {
            let firing = self.firing();
            alerts.iter().all(|alert| firing.contains(*alert))
        });
    }

    #[track_caller]
    fn wait_until_none(&self) {
        self.worker.wait_until(&format!("no alert fires, not {:?}", self.firing()), || self.firing().is_empty());
    }

    /// The samples of a query.
    fn samples(&self, query: &str) -> Vec<Value> {
        let answer: Value = serde_json::from_str(&self.prometheus.query(query).unwrap()).unwrap();
        answer["data"]["result"].as_array().unwrap().clone()
    }
}

/// A pipe for an audit log, outside the folders that are searched, and what reads it.
struct AuditPipe(TempDir);

impl AuditPipe {
    fn new() -> Self {
        let pipe = Self(tempfile::tempdir().unwrap());
        mknodat(CWD, pipe.path("pipe"), FileType::Fifo, 0o600.into(), 0).unwrap();
        pipe
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self) -> Child {
        let log = File::options().create(true).append(true).open(self.path("log")).unwrap();
        Command::new("cat").arg(self.path("pipe")).stdout(log).spawn().unwrap()
    }
}

#[test]
fn alerts_fire_and_recover_in_prometheus() {
    let is_failing = Arc::new(AtomicBool::new(false));
    let fails = Arc::clone(&is_failing);
    let script = ScriptedServer::new(move |call| match (call.function.as_str(), fails.load(Ordering::Relaxed)) {
        ("revoke", _) => String::new(),
        (_, true) => failure("unavailable"),
        (_, false) => lease(call, Duration::from_secs(3600)),
    });
    let [coordinator_port, worker_port] = free_ports().unwrap();
    let mut site = TestSite::standard(&format!("health = \"127.0.0.1:{coordinator_port}\""));
    let pipe = AuditPipe::new();
    site.home.replace("audit = \"audit.jsonl\"", &format!("audit = {:?}", pipe.path("pipe")));
    let mut reader = pipe.read();
    let component = guest("benign-lifecycle").unwrap();
    let lines = script
        .lines("api", "retry = { floor = \"50ms\", slow = \"1s\", most = \"1s\" }\nrevoke = { replaced = \"0s\" }");
    site.home.append(&format!("[instances.api]\ncomponent = {component:?}\n{lines}"));
    let coordinator = site.coordinator();
    site.configure("worker", &format!("health = \"127.0.0.1:{worker_port}\""));
    let worker = site.worker("worker");
    let prometheus =
        Prometheus::start(&hurried(ALERTS), &[("deputy", coordinator_port), ("deputy-worker", worker_port)]).unwrap();
    let monitored = Monitored { worker: &worker, prometheus };

    // All is well, and the dashboard shows it.
    worker.wait_until("a lease is applied", || {
        monitored.samples("deputy_worker_applied_revision == 1 and on (job, instance) deputy_worker_ready == 1").len()
            == 1
    });
    monitored.wait_until_none();
    // A rate has a sample after the second scrape.
    worker.wait_until("30 queries have samples", || {
        queries().iter().filter(|query| !monitored.samples(query).is_empty()).count() >= 30
    });
    let names: BTreeSet<String> = monitored
        .samples("deputy_ready")
        .iter()
        .map(|sample| sample["metric"]["exported_instance"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["api", "creds"].map(str::to_owned).into());

    // The service fails.
    is_failing.store(true, Ordering::Relaxed);
    assert_eq!(site.run_command(&["revoke", "api"]).code, Some(exit::OK));
    monitored.wait_for(&["DeputyInstanceNotReady api", "DeputyRenewalsFailing api"]);
    is_failing.store(false, Ordering::Relaxed);
    monitored.wait_until_none();

    // The worker hangs while there is a newer lease.
    worker.signal("STOP");
    site.publish_numbered("creds", 2);
    monitored.wait_for(&["DeputyWorkersBehind creds", "DeputyWorkerDown deputy-worker"]);
    worker.signal("CONT");
    monitored.wait_until_none();
    assert_eq!(worker.published_number("app", "creds"), 2);

    // Nothing takes what the audit log has to record.
    reader.kill().unwrap();
    reader.wait().unwrap();
    drop(site.run_command(&["renew", "api"]));
    monitored.wait_for(&["DeputyAuditNotWritten deputy"]);
    let mut reader = pipe.read();
    monitored.wait_until_none();

    // The coordinator is gone, and with it what it wrote to.
    assert_eq!(coordinator.stop(), Some(exit::OK));
    reader.wait().unwrap();
    monitored.wait_for(&["DeputyCoordinatorDown deputy", "DeputyWorkerDisconnected deputy-worker"]);
    let mut reader = pipe.read();
    let coordinator = site.coordinator();
    monitored.wait_until_none();
    assert_eq!(coordinator.stop(), Some(exit::OK));
    reader.wait().unwrap();
}
