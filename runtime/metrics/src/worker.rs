//! What a worker counts.

use std::sync::Mutex;

use deputy_audit::{AuditOutcome, AuditStatus};
use deputy_support::LockUnpoisoned as _;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::audit::AuditMetrics;
use crate::labels::{InstanceLabels, ReceiverLabels, ReceiverOutcomeLabels, ReportLabels};
use crate::table::{duration_histogram, metrics_table};
use crate::traces::TraceMetrics;
use crate::worker_snapshot::{HeldDeliveries, WorkerSnapshot};

/// All metrics of a worker.
#[derive(Debug)]
pub struct WorkerMetrics {
    registry: Registry,
    counts: WorkerCounts,
    audit: AuditMetrics,
    traces: TraceMetrics,
    held: Mutex<HeldDeliveries>,
}

metrics_table! {
    WorkerCounts {
        received: Family<InstanceLabels, Counter>, "received", "Deliveries received";
        reports: Family<ReportLabels, Counter>, "reports", "Delivery reports sent to the coordinator, by result";
        runs: Family<ReceiverOutcomeLabels, Counter>, "runs", "Receiver runs, publication included, by outcome";
        run_duration: Family<ReceiverLabels, Histogram> = Family::new_with_constructor(duration_histogram),
            "run_duration_seconds", "Duration of receiver runs";
        switches: Family<ReceiverLabels, Counter>, "switches", "Units published or withdrawn";
        hooks: Family<ReceiverOutcomeLabels, Counter>, "hooks", "Hook runs by outcome";
    }
}

impl Default for WorkerMetrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("deputy_worker");
        let counts = WorkerCounts::register(&mut registry);
        let audit = AuditMetrics::register(&mut registry);
        let traces = TraceMetrics::register(&mut registry);
        let held = Mutex::new(HeldDeliveries::register(&mut registry));
        Self { registry, counts, audit, traces, held }
    }
}

impl WorkerMetrics {
    pub fn record_delivery(&self, instance: &str) {
        self.counts.received.get_or_create(&InstanceLabels { instance: instance.to_owned() }).inc();
    }

    /// Counts a report to the coordinator.
    pub fn record_report(&self, instance: &str, outcome: AuditOutcome) {
        let labels = ReportLabels { instance: instance.to_owned(), outcome: outcome.as_str().to_owned() };
        self.counts.reports.get_or_create(&labels).inc();
    }

    /// Counts a run of a receiver; `outcome` is `done` or the kind of failure.
    pub fn record_run(&self, receiver: &str, outcome: &str, seconds: f64) {
        self.counts.run_duration.get_or_create(&ReceiverLabels { receiver: receiver.to_owned() }).observe(seconds);
        let labels = ReceiverOutcomeLabels { receiver: receiver.to_owned(), outcome: outcome.to_owned() };
        self.counts.runs.get_or_create(&labels).inc();
    }

    /// Counts a unit that was published or withdrawn.
    pub fn record_switch(&self, receiver: &str) {
        self.counts.switches.get_or_create(&ReceiverLabels { receiver: receiver.to_owned() }).inc();
    }

    pub fn record_hook(&self, receiver: &str, outcome: AuditOutcome) {
        let labels = ReceiverOutcomeLabels { receiver: receiver.to_owned(), outcome: outcome.as_str().to_owned() };
        self.counts.hooks.get_or_create(&labels).inc();
    }

    pub fn set_audit_status(&self, status: &AuditStatus) {
        self.audit.set(status);
    }

    /// Sets how many spans were sent and dropped since the start.
    pub fn set_traces(&self, exported: u64, dropped: u64) {
        self.traces.set(exported, dropped);
    }

    /// All metrics as text, with the given snapshot.
    ///
    /// # Errors
    /// If a label cannot be encoded.
    pub fn encode(&self, snapshot: &WorkerSnapshot) -> Result<String, std::fmt::Error> {
        // Held until the text is complete, so that two scrapes do not mix their snapshots.
        let held = self.held.lock_unpoisoned();
        held.set(snapshot);
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

#[cfg(test)]
pub(crate) mod tests;
