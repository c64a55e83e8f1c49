//! What a coordinator counts.

use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use deputy_audit::{AuditAction, AuditEvent, AuditOutcome, AuditStatus};
use deputy_support::LockUnpoisoned as _;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::audit::AuditMetrics;
use crate::labels::{
    CallLabels, CapabilityLabels, DenialLabels, FunctionLabels, InstanceFunctionLabels, InstanceLabels, LimitLabels,
    NotRevokedLabels, OperationLabels, OperationOutcomeLabels, OutcomeLabels, ReportLabels, SubjectLabel,
};
use crate::leases::{CoordinatorSnapshot, HeldLeases};
use crate::logins::HeldLogins;
use crate::table::{duration_histogram, gauge_value, metrics_table};
use crate::traces::TraceMetrics;

/// All metrics of a coordinator.
#[derive(Debug)]
pub struct CoordinatorMetrics {
    registry: Registry,
    counts: CoordinatorCounts,
    audit: AuditMetrics,
    traces: TraceMetrics,
    held: Mutex<(HeldLeases, HeldLogins)>,
}

metrics_table! {
    CoordinatorCounts {
        calls: Family<CallLabels, Counter>, "calls", "Provider calls by outcome";
        call_duration: Family<FunctionLabels, Histogram> = Family::new_with_constructor(duration_histogram),
            "call_duration_seconds", "Duration of provider calls";
        call_seconds: Family<InstanceFunctionLabels, Counter<f64, AtomicU64>>, "call_seconds",
            "Total time spent in provider calls";
        retries: Family<InstanceLabels, Counter>, "retries", "Provider calls that were retries";
        saves: Family<OutcomeLabels, Counter>, "saves", "Writes of lease records by outcome";
        clock_jumps: Counter, "clock_jumps", "Clock jumps detected (clock set, or machine suspended)";
        not_revoked: Family<NotRevokedLabels, Counter>, "leases_not_revoked",
            "Leases that should have been revoked and were left to expire, by reason";
        capability_uses: Family<CapabilityLabels, Counter>, "capability_uses",
            "Capability uses by components, by outcome";
        denials: Family<DenialLabels, Counter>, "refusals", "Capability uses denied by policy, by code";
        sandbox_calls: Family<FunctionLabels, Counter>, "sandbox_calls", "Calls into components, by function";
        sandbox_limits: Family<LimitLabels, Counter>, "sandbox_limits", "Calls ended by a sandbox limit";
        link_events: Family<OperationOutcomeLabels, Counter>, "link_events", "Worker requests by operation and outcome";
        link_reports: Family<ReportLabels, Counter>, "link_reports", "Lease reports received from workers, by result";
        link_faults: Counter, "link_faults", "Worker connections closed for breaking the protocol";
        link_suppressed: Family<OperationLabels, Counter>, "link_suppressed",
            "Requests and reports of workers that were not recorded, because there were too many like them";
        workers: Gauge, "workers", "Connected workers";
    }
}

impl Default for CoordinatorMetrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("deputy");
        let counts = CoordinatorCounts::register(&mut registry);
        let audit = AuditMetrics::register(&mut registry);
        let traces = TraceMetrics::register(&mut registry);
        let held = Mutex::new((HeldLeases::register(&mut registry), HeldLogins::register(&mut registry)));
        // From zero on, so that the first failure is an increase.
        for outcome in [AuditOutcome::Done, AuditOutcome::Failed] {
            drop(counts.saves.get_or_create(&outcome.into()));
        }
        Self { registry, counts, audit, traces, held }
    }
}

impl CoordinatorMetrics {
    /// Counts a provider call; `outcome` is `done` or the kind of failure.
    pub fn record_call(&self, instance: &str, function: &str, outcome: &str, seconds: f64) {
        let instance = instance.to_owned();
        let function = function.to_owned();
        self.counts.call_duration.get_or_create(&FunctionLabels { function: function.clone() }).observe(seconds);
        let labels = InstanceFunctionLabels { instance: instance.clone(), function: function.clone() };
        self.counts.call_seconds.get_or_create(&labels).inc_by(seconds);
        self.counts.calls.get_or_create(&CallLabels { instance, function, outcome: outcome.to_owned() }).inc();
    }

    pub fn record_retry(&self, instance: &str) {
        self.counts.retries.get_or_create(&InstanceLabels { instance: instance.to_owned() }).inc();
    }

    pub fn record_save(&self, outcome: AuditOutcome) {
        self.counts.saves.get_or_create(&outcome.into()).inc();
    }

    pub fn record_clock_jump(&self) {
        self.counts.clock_jumps.inc();
    }

    /// Counts a lease that should have been revoked and is left to expire.
    pub fn record_not_revoked(&self, instance: &str, reason: &'static str) {
        let labels = NotRevokedLabels { instance: instance.to_owned(), reason };
        self.counts.not_revoked.get_or_create(&labels).inc();
    }

    /// Counts a worker's report that it applied a lease, or could not.
    pub fn record_report(&self, instance: &str, outcome: AuditOutcome) {
        let labels = ReportLabels { instance: instance.to_owned(), outcome: outcome.as_str().to_owned() };
        self.counts.link_reports.get_or_create(&labels).inc();
    }

    /// Counts a worker connection that was closed for breaking the protocol.
    pub fn record_link_fault(&self) {
        self.counts.link_faults.inc();
    }

    /// Counts a worker's request or report that is neither logged nor audited, since there were too many.
    pub fn record_suppressed(&self, operation: &str) {
        self.counts.link_suppressed.get_or_create(&OperationLabels { operation: operation.to_owned() }).inc();
    }

    pub fn set_connected_workers(&self, workers: usize) {
        self.counts.workers.set(gauge_value(workers as u64));
    }

    pub fn set_audit_status(&self, status: &AuditStatus) {
        self.audit.set(status);
    }

    /// Sets how many spans were sent and dropped since the start.
    pub fn set_traces(&self, exported: u64, dropped: u64) {
        self.traces.set(exported, dropped);
    }

    /// Counts what an audit event records. [`AuditOutcome::Begun`] is not counted: another event follows it.
    pub fn record_event(&self, event: &AuditEvent) {
        if event.outcome == AuditOutcome::Begun {
            return;
        }
        match &event.action {
            AuditAction::Accept { .. } => self.record_sandbox_call("accept", event),
            AuditAction::Call { function, .. } => self.record_sandbox_call(function, event),
            AuditAction::Dropped { .. } => {}
            AuditAction::Http { .. } => self.record_capability("http", event),
            AuditAction::Kerberos { .. } => self.record_capability("kerberos", event),
            AuditAction::Name { .. } => self.record_capability("name", event),
            AuditAction::Output { .. } => self.record_capability("output", event),
            AuditAction::Secret { .. } => self.record_capability("secret", event),
            AuditAction::Tcp { .. } => self.record_capability("tcp", event),
            AuditAction::State { .. } => self.record_capability("state", event),
            AuditAction::Wasi { .. } => self.record_capability("wasi", event),
            AuditAction::Worker { operation, .. } => {
                let operation = (*operation).to_owned();
                let labels = OperationOutcomeLabels { operation, outcome: event.outcome.as_str().to_owned() };
                self.counts.link_events.get_or_create(&labels).inc();
            }
        }
    }

    fn record_sandbox_call(&self, function: &str, event: &AuditEvent) {
        self.counts.sandbox_calls.get_or_create(&FunctionLabels { function: function.to_owned() }).inc();
        if let Some(limit) = event.code.as_deref().and_then(|code| code.strip_prefix("over-limit:")) {
            self.counts.sandbox_limits.get_or_create(&LimitLabels { limit: limit.to_owned() }).inc();
        }
    }

    fn record_capability(&self, capability: &str, event: &AuditEvent) {
        let subject = SubjectLabel(event.subject.clone());
        if let (AuditOutcome::Refused, Some(code)) = (event.outcome, &event.code) {
            let labels = DenialLabels { subject: subject.clone(), code: code.clone() };
            self.counts.denials.get_or_create(&labels).inc();
        }
        let outcome = event.outcome.as_str().to_owned();
        let labels = CapabilityLabels { subject, capability: capability.to_owned(), outcome };
        self.counts.capability_uses.get_or_create(&labels).inc();
    }

    /// All metrics as text, with the given snapshot.
    ///
    /// # Errors
    /// If a label cannot be encoded.
    pub fn encode(&self, snapshot: &CoordinatorSnapshot) -> Result<String, std::fmt::Error> {
        // Held until the text is complete, so that two scrapes do not mix their snapshots.
        let held = self.held.lock_unpoisoned();
        held.0.set(snapshot);
        held.1.set(&snapshot.logins);
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests;
