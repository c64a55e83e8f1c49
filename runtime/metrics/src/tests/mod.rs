//! Every metric of the program, and what names them: the page for operators, the alert rules and the dashboard.

mod expression;
mod monitoring;
mod page;

use std::collections::{BTreeMap, BTreeSet};

use deputy_audit::{AuditAction, AuditEvent, AuditOutcome, AuditSubject, CallId};

use crate::audit::AuditMetrics;
use crate::coordinator::CoordinatorCounts;
use crate::leases::HeldLeases;
use crate::logins::HeldLogins;
use crate::traces::TraceMetrics;
use crate::worker::WorkerCounts;
use crate::worker::tests::{counted_metrics, snapshot};
use crate::worker_snapshot::HeldDeliveries;
use crate::{CoordinatorMetrics, CoordinatorSnapshot, LeaseMetrics, LoginMetrics, UpstreamMetrics};

/// A metric as a scrape describes it.
struct Metric {
    kind: String,
    help: String,
    labels: BTreeSet<String>,
}

/// The metrics of both processes by the names of their samples: `deputy_calls_total`, `deputy_call_duration_seconds_bucket`.
fn all_metrics() -> BTreeMap<String, Metric> {
    let (coordinator, worker) = (coordinator_text(), counted_metrics().encode(&snapshot()).unwrap());
    assert_complete(
        &coordinator,
        "deputy_",
        &[CoordinatorCounts::NAMES, AuditMetrics::NAMES, TraceMetrics::NAMES, HeldLeases::NAMES, HeldLogins::NAMES],
    );
    assert_complete(
        &worker,
        "deputy_worker_",
        &[WorkerCounts::NAMES, AuditMetrics::NAMES, TraceMetrics::NAMES, HeldDeliveries::NAMES],
    );
    [coordinator, worker].iter().flat_map(|text| metrics_in(text)).collect()
}

#[track_caller]
fn assert_complete(text: &str, prefix: &str, names: &[&[&str]]) {
    for name in names.concat() {
        assert!(
            text.contains(&format!("# HELP {prefix}{name} ")),
            "no sample of {prefix}{name}: have the test count one"
        );
    }
}

fn metrics_in(text: &str) -> BTreeMap<String, Metric> {
    let about = |what: &str, name: &str| {
        let start = format!("# {what} {name} ");
        text.lines().find_map(|line| line.strip_prefix(&start)).map(str::to_owned)
    };
    let mut metrics: BTreeMap<String, Metric> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (sample, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = sample.trim_end_matches('}').split_once('{').unwrap_or((sample, ""));
        let family = ["_total", "_bucket", "_count", "_sum"].into_iter().find_map(|end| name.strip_suffix(end));
        let family = family.filter(|family| about("TYPE", family).is_some()).unwrap_or(name);
        let metric = metrics.entry(name.to_owned()).or_insert_with(|| Metric {
            kind: about("TYPE", family).unwrap(),
            help: about("HELP", family).unwrap().trim_end_matches('.').to_owned(),
            labels: BTreeSet::new(),
        });
        let labels = labels.split("\",").filter_map(|label| label.split_once('='));
        metric.labels.extend(labels.map(|(label, _)| label.to_owned()));
    }
    metrics
}

/// A scrape of a coordinator in which everything happened once.
fn coordinator_text() -> String {
    let metrics = CoordinatorMetrics::default();
    metrics.record_call("s3", "obtain", "done", 0.1);
    metrics.record_retry("s3");
    metrics.record_not_revoked("s3", "ended");
    metrics.record_report("s3", AuditOutcome::Done);
    metrics.record_suppressed("join");
    let name = || AuditAction::Name { host: "example.com".into() };
    let join = AuditAction::Worker { operation: "join", group: "etl".into(), instance: None, address: None };
    let call = AuditAction::Call { function: "obtain", millis: 3 };
    let subject = |subject: &str| match subject {
        "receiver" => AuditSubject::Receiver("aws".parse().unwrap()),
        "worker" => AuditSubject::Worker("9f31c07a52d84e66".to_owned()),
        _ => AuditSubject::Instance("s3".parse().unwrap()),
    };
    for (of, action, outcome, code) in [
        ("instance", name(), AuditOutcome::Done, None),
        ("instance", name(), AuditOutcome::Refused, Some("host-not-granted")),
        ("receiver", name(), AuditOutcome::Refused, Some("host-not-granted")),
        ("instance", call, AuditOutcome::Refused, Some("over-limit:memory")),
        ("worker", join, AuditOutcome::Done, None),
    ] {
        let (time, code) = ("2026-01-01T00:00:00.000Z".to_owned(), code.map(str::to_owned));
        metrics.record_event(&AuditEvent { time, subject: subject(of), call: CallId(1), action, outcome, code });
    }
    metrics.encode(&coordinator_snapshot()).unwrap()
}

fn coordinator_snapshot() -> CoordinatorSnapshot {
    CoordinatorSnapshot {
        is_leading: true,
        is_state_failing: false,
        has_other_configuration: false,
        leases: vec![LeaseMetrics {
            instance: "s3".into(),
            service: "s3".into(),
            expiry: Some(1),
            obtained: Some(1),
            age: Some(1),
            revision: Some(1),
            last_success: Some(1),
            ..LeaseMetrics::default()
        }],
        upstreams: vec![UpstreamMetrics { name: "sts".into(), waiting: 1, waits: 1 }],
        logins: vec![LoginMetrics {
            login: "etl".into(),
            principal: "etl@EXAMPLE.COM".into(),
            expiry: Some(1),
            last_login: Some(1),
            fault: Some("locked".into()),
            ..LoginMetrics::default()
        }],
        behind: [("s3".parse().unwrap(), 1)].into(),
    }
}
