//! What a scrape of a worker shows.

use deputy_audit::AuditOutcome;

use crate::{DeliveryMetrics, WorkerMetrics, WorkerSnapshot};

pub(crate) fn snapshot() -> WorkerSnapshot {
    let delivery = |instance: &str, applied| DeliveryMetrics {
        instance: instance.to_owned(),
        service: "s3".to_owned(),
        expiry: Some(1_800_000_000),
        obtained: 1_700_000_000,
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

/// One event of each kind.
pub(crate) fn counted_metrics() -> WorkerMetrics {
    let metrics = WorkerMetrics::default();
    metrics.record_delivery("prod");
    metrics.record_report("prod", AuditOutcome::Done);
    metrics.record_run("aws", "broken", 0.1);
    metrics.record_switch("aws");
    metrics.record_hook("aws", AuditOutcome::Failed);
    metrics
}

#[test]
fn metrics_of_a_worker_show_counts_and_its_snapshot() {
    let metrics = counted_metrics();
    let text = metrics.encode(&snapshot()).unwrap();
    for line in [
        "deputy_worker_connected 1",
        "deputy_worker_contact_age_seconds 3",
        "deputy_worker_ready 0",
        "deputy_worker_delivery_expiry_timestamp_seconds{instance=\"lab\",service=\"s3\"} 1800000000",
        "deputy_worker_delivery_obtained_timestamp_seconds{instance=\"lab\",service=\"s3\"} 1700000000",
        "deputy_worker_delivery_revision{instance=\"prod\",service=\"s3\"} 7",
        "deputy_worker_applied_revision{instance=\"prod\",service=\"s3\"} 7",
        "deputy_worker_failures_in_a_row{receiver=\"aws\"} 2",
        "deputy_worker_received_total{instance=\"prod\"} 1",
        "deputy_worker_reports_total{instance=\"prod\",outcome=\"done\"} 1",
        "deputy_worker_runs_total{receiver=\"aws\",outcome=\"broken\"} 1",
        "deputy_worker_switches_total{receiver=\"aws\"} 1",
        "deputy_worker_hooks_total{receiver=\"aws\",outcome=\"failed\"} 1",
    ] {
        assert!(text.lines().any(|actual| actual == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("applied_revision{instance=\"lab\""));
    let text = metrics.encode(&WorkerSnapshot::default()).unwrap();
    assert!(!text.contains("delivery_revision{") && !text.contains("failures_in_a_row{"));
    assert!(text.contains("deputy_worker_contact_age_seconds -1\n"));
}
