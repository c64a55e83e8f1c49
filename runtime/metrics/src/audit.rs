//! The state of the audit log.

use std::sync::atomic::Ordering;

use deputy_audit::AuditStatus;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use crate::table::{gauge_value, metrics_table};

metrics_table! {
    AuditMetrics {
        failing: Gauge, "audit_failing",
            "Whether audit events cannot be written now, so that what they would record is refused";
        lost: Counter, "audit_lost", "Audit events that could not be written";
        waiting: Gauge, "audit_waiting", "Audit events that wait to be written";
    }
}

impl AuditMetrics {
    pub(crate) fn set(&self, status: &AuditStatus) {
        self.failing.set(i64::from(status.trouble.is_some()));
        self.lost.inner().store(status.lost, Ordering::Relaxed);
        self.waiting.set(gauge_value(status.waiting as u64));
    }
}
