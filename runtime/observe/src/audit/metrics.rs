//! How the audit log is, as metrics.

use std::sync::atomic::Ordering;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::AuditStatus;

/// What is shown of the audit log.
#[derive(Debug)]
pub(crate) struct AuditMetrics {
    failing: Gauge,
    lost: Counter,
    waiting: Gauge,
}

impl AuditMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let this = Self { failing: Gauge::default(), lost: Counter::default(), waiting: Gauge::default() };
        let failing = "Whether audit events cannot be written now, so that what they would record is refused";
        registry.register("audit_failing", failing, this.failing.clone());
        registry.register("audit_lost", "Audit events that could not be written", this.lost.clone());
        registry.register("audit_waiting", "Audit events that wait to be written", this.waiting.clone());
        this
    }

    pub(crate) fn show(&self, status: &AuditStatus) {
        self.failing.set(i64::from(status.trouble.is_some()));
        self.lost.inner().store(status.lost, Ordering::Relaxed);
        self.waiting.set(i64::try_from(status.waiting).unwrap_or(i64::MAX));
    }
}
