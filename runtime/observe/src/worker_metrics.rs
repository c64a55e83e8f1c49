//! A worker's metrics, as [`Metrics`](crate::Metrics) are the coordinator's: counted where it happens, and a snapshot of
//! what is held.

use std::sync::{Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::AuditOutcome;
use crate::audit::{AuditMetrics, AuditStatus};
use crate::metrics::{histogram, word};

/// All metrics of a worker.
#[derive(Debug)]
pub struct WorkerMetrics {
    registry: Registry,
    received: Family<InstanceLabels, Counter>,
    reports: Family<ReportLabels, Counter>,
    runs: Family<RunLabels, Counter>,
    run_duration: Family<ReceiverLabels, Histogram>,
    switches: Family<ReceiverLabels, Counter>,
    hooks: Family<RunLabels, Counter>,
    audit: AuditMetrics,
    held: Mutex<Held>,
}

/// What a snapshot fills.
#[derive(Debug)]
struct Held {
    connected: Gauge,
    contact_age: Gauge,
    ready: Gauge,
    expiry: Family<DeliveryLabels, Gauge>,
    revision: Family<DeliveryLabels, Gauge>,
    applied: Family<DeliveryLabels, Gauge>,
    failures: Family<ReceiverLabels, Gauge>,
}

/// A worker at one moment.
#[derive(Debug, Clone, Default)]
pub struct WorkerSnapshot {
    /// Whether it is connected to the coordinator: 1, or 0.
    pub connected: u8,
    /// How long ago it last heard of the coordinator, in seconds, if it ever did.
    pub contact_age: Option<u64>,
    /// Whether the workload has all that it should have, and newer can come: 1, or 0.
    pub ready: u8,
    /// What it holds.
    pub deliveries: Vec<DeliveryMetrics>,
    /// Its receivers, and how often each failed in a row.
    pub failures: Vec<(String, u32)>,
}

/// What is held of one instance.
#[derive(Debug, Clone, Default)]
pub struct DeliveryMetrics {
    /// The instance.
    pub instance: String,
    /// Its service.
    pub service: String,
    /// When the lease ends, in seconds since 1970.
    pub expiry: u64,
    /// Its revision.
    pub revision: u64,
    /// Its revision, if it is applied.
    pub applied: Option<u64>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DeliveryLabels {
    instance: String,
    service: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct InstanceLabels {
    instance: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReceiverLabels {
    receiver: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReportLabels {
    instance: String,
    outcome: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RunLabels {
    receiver: String,
    outcome: String,
}

impl Default for WorkerMetrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("deputy_worker");
        let received = Family::default();
        registry.register("received", "Deliveries received", received.clone());
        let reports = Family::default();
        registry.register("reports", "Delivery reports sent to the coordinator, by result", reports.clone());
        let runs = Family::default();
        registry.register("runs", "Receiver runs, publication included, by outcome", runs.clone());
        let run_duration = Family::new_with_constructor(histogram as fn() -> Histogram);
        registry.register("run_duration_seconds", "Duration of receiver runs", run_duration.clone());
        let switches = Family::default();
        registry.register("switches", "Units published or withdrawn", switches.clone());
        let hooks = Family::default();
        registry.register("hooks", "Hook runs by outcome", hooks.clone());
        let audit = AuditMetrics::register(&mut registry);
        let held = Mutex::new(Held::new(&mut registry));
        Self { registry, received, reports, runs, run_duration, switches, hooks, audit, held }
    }
}

impl WorkerMetrics {
    /// A delivery came.
    pub fn received(&self, instance: &str) {
        self.received.get_or_create(&InstanceLabels { instance: instance.to_owned() }).inc();
    }

    /// The coordinator was told of a delivery.
    pub fn reported(&self, instance: &str, outcome: AuditOutcome) {
        let labels = ReportLabels { instance: instance.to_owned(), outcome: word(outcome).to_owned() };
        self.reports.get_or_create(&labels).inc();
    }

    /// A run of a receiver ended; `outcome` is `done` or the kind of failure.
    pub fn ran(&self, receiver: &str, outcome: &str, seconds: f64) {
        self.run_duration.get_or_create(&ReceiverLabels { receiver: receiver.to_owned() }).observe(seconds);
        self.runs.get_or_create(&RunLabels { receiver: receiver.to_owned(), outcome: outcome.to_owned() }).inc();
    }

    /// Something else is published.
    pub fn switched(&self, receiver: &str) {
        self.switches.get_or_create(&ReceiverLabels { receiver: receiver.to_owned() }).inc();
    }

    /// The workload was told, or could not be.
    pub fn told(&self, receiver: &str, outcome: AuditOutcome) {
        let labels = RunLabels { receiver: receiver.to_owned(), outcome: word(outcome).to_owned() };
        self.hooks.get_or_create(&labels).inc();
    }

    /// Shows how the audit log is.
    pub fn audit(&self, status: &AuditStatus) {
        self.audit.show(status);
    }

    /// All of it as text, with what is held now.
    ///
    /// # Errors
    /// If the text can't be made.
    pub fn text(&self, now: &WorkerSnapshot) -> Result<String, std::fmt::Error> {
        // The snapshot belongs to one reader at a time.
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.fill(now);
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Held {
    fn new(registry: &mut Registry) -> Self {
        let mut gauge = |name, help| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let connected = gauge("connected", "Whether the worker is connected to the coordinator");
        let contact_age =
            gauge("contact_age_seconds", "Time since the last message from the coordinator, or -1 before the first");
        let ready = gauge("ready", "Whether everything for this worker is published and the link is up");
        let mut family = |name, help| {
            let family: Family<DeliveryLabels, Gauge> = Family::default();
            registry.register(name, help, family.clone());
            family
        };
        let expiry = family("delivery_expiry_timestamp_seconds", "Expiry of the held lease");
        let revision = family("delivery_revision", "Revision of the held lease");
        let applied = family("applied_revision", "Revision of the held lease, if applied");
        let failures = Family::default();
        registry.register("failures_in_a_row", "Consecutive failed receiver runs", failures.clone());
        Self { connected, contact_age, ready, expiry, revision, applied, failures }
    }

    fn fill(&self, now: &WorkerSnapshot) {
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.connected.set(now.connected.into());
        self.contact_age.set(now.contact_age.map_or(-1, number));
        self.ready.set(now.ready.into());
        for family in [&self.expiry, &self.revision, &self.applied] {
            family.clear();
        }
        self.failures.clear();
        for delivery in &now.deliveries {
            let labels = DeliveryLabels { instance: delivery.instance.clone(), service: delivery.service.clone() };
            self.expiry.get_or_create(&labels).set(number(delivery.expiry));
            self.revision.get_or_create(&labels).set(number(delivery.revision));
            if let Some(applied) = delivery.applied {
                self.applied.get_or_create(&labels).set(number(applied));
            }
        }
        for (receiver, count) in &now.failures {
            self.failures.get_or_create(&ReceiverLabels { receiver: receiver.clone() }).set((*count).into());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const OPERATIONS: &str = include_str!("../../../docs/operations.md");

    fn full() -> WorkerSnapshot {
        let delivery = |instance: &str, applied| DeliveryMetrics {
            instance: instance.to_owned(),
            service: "s3".to_owned(),
            expiry: 1_800_000_000,
            revision: 7,
            applied,
        };
        WorkerSnapshot {
            connected: 1,
            contact_age: Some(3),
            ready: 0,
            deliveries: vec![delivery("lab", None), delivery("prod", Some(7))],
            failures: vec![("aws".to_owned(), 2)],
        }
    }

    /// With one of each.
    fn counted() -> WorkerMetrics {
        let metrics = WorkerMetrics::default();
        metrics.received("prod");
        metrics.reported("prod", AuditOutcome::Done);
        metrics.ran("aws", "broken", 0.1);
        metrics.switched("aws");
        metrics.told("aws", AuditOutcome::Failed);
        metrics
    }

    #[test]
    fn what_is_held_and_what_happened_is_there_and_gone_when_it_is_gone() {
        let metrics = counted();
        let text = metrics.text(&full()).unwrap();
        for line in [
            "deputy_worker_connected 1",
            "deputy_worker_contact_age_seconds 3",
            "deputy_worker_ready 0",
            "deputy_worker_delivery_expiry_timestamp_seconds{instance=\"lab\",service=\"s3\"} 1800000000",
            "deputy_worker_delivery_revision{instance=\"prod\",service=\"s3\"} 7",
            "deputy_worker_applied_revision{instance=\"prod\",service=\"s3\"} 7",
            "deputy_worker_failures_in_a_row{receiver=\"aws\"} 2",
            "deputy_worker_received_total{instance=\"prod\"} 1",
            "deputy_worker_reports_total{instance=\"prod\",outcome=\"done\"} 1",
            "deputy_worker_runs_total{receiver=\"aws\",outcome=\"broken\"} 1",
            "deputy_worker_switches_total{receiver=\"aws\"} 1",
            "deputy_worker_hooks_total{receiver=\"aws\",outcome=\"failed\"} 1",
        ] {
            assert!(text.lines().any(|own| own == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("applied_revision{instance=\"lab\""));
        let text = metrics.text(&WorkerSnapshot::default()).unwrap();
        assert!(!text.contains("delivery_revision{") && !text.contains("failures_in_a_row{"));
        assert!(text.contains("deputy_worker_contact_age_seconds -1\n"));
    }

    #[test]
    fn the_page_for_operators_has_every_metric_of_a_worker_and_no_other() {
        let text = counted().text(&full()).unwrap();
        let told = text.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' '));
        let rows = told.map(|(name, help)| {
            let kind = text.lines().find_map(|line| line.strip_prefix(&format!("# TYPE {name} "))).unwrap();
            let name = if kind == "counter" { format!("{name}_total") } else { name.to_owned() };
            format!("`{name}`|{kind}|{}", help.trim_end_matches('.'))
        });
        let rows: BTreeSet<String> = rows.collect();
        let page = OPERATIONS.lines().filter(|line| line.starts_with("| `deputy_worker_"));
        let cells = |line: &str| line.split('|').skip(1).take(3).map(str::trim).collect::<Vec<_>>().join("|");
        assert_eq!(page.map(cells).collect::<BTreeSet<_>>(), rows);
    }
}
