//! The worker's answers to health probes and to Prometheus.

use std::sync::Arc;

use bytes::Bytes;
use deputy_audit::Audit;
use deputy_http_server::{HealthCheck, HttpHandler, probe};
use deputy_metrics::WorkerMetrics;
use deputy_support::single_line;
use deputy_traces::Tracer;
use http::{Request, Response};

use crate::connection::ConnectionPhase;
use crate::handle::{WorkerHandle, WorkerRequest};
use crate::status::WorkerReport;

pub struct WorkerHealth {
    handle: WorkerHandle,
    metrics: Arc<WorkerMetrics>,
    audit: Arc<Audit>,
    tracer: Tracer,
}

impl WorkerHealth {
    pub fn new(handle: WorkerHandle, metrics: Arc<WorkerMetrics>, audit: Arc<Audit>) -> Self {
        Self { handle, metrics, audit, tracer: Tracer::default() }
    }

    /// Has the counts of these traces in the metrics.
    #[must_use]
    pub fn with_traces(self, tracer: Tracer) -> Self {
        Self { tracer, ..self }
    }
}

impl HealthCheck for WorkerHealth {
    async fn alive(&self) -> Result<(), String> {
        self.handle.ask(WorkerRequest::Alive).await.map_err(|error| format!("{error}\n"))
    }

    /// An audit log that cannot be written makes a worker unready too: no receiver runs without it.
    async fn ready(&self) -> Result<String, String> {
        let status = self.handle.status().await.map_err(|error| format!("{error}\n"))?;
        let audit_failure = self.audit.status().trouble;
        if status.ready && audit_failure.is_none() {
            return Ok(format!("ready\n{}", failed_hooks(&status)));
        }
        let audit = audit_failure.map(|failure| format!("not ready: {}\n", single_line(&failure)));
        Err(audit.unwrap_or_default() + &unready_reasons(&status))
    }

    async fn metrics(&self) -> Result<String, String> {
        let snapshot = self.handle.ask(WorkerRequest::Metrics).await.map_err(|error| format!("{error}\n"))?;
        self.metrics.set_audit_status(&self.audit.status());
        if let Some(counts) = self.tracer.counts() {
            self.metrics.set_traces(counts.exported(), counts.dropped());
        }
        self.metrics.encode(&snapshot).map_err(|_| "cannot encode the metrics\n".to_owned())
    }
}

/// A line for each workload that cannot be notified although its files are there.
fn failed_hooks(status: &WorkerReport) -> String {
    let failed = status.receivers.iter().filter_map(|receiver| {
        let error = receiver.hook.as_ref()?.error.as_ref()?;
        Some(format!("{}: hook failed: {}\n", receiver.name, single_line(error)))
    });
    failed.collect()
}

/// A line for each reason not to be ready.
pub fn unready_reasons(status: &WorkerReport) -> String {
    let mut text = String::new();
    if status.connection.state == ConnectionPhase::Out.word() {
        let error = status.connection.error.as_deref().unwrap_or_default();
        text.push_str(&format!("not ready: the coordinator does not admit this worker: {}\n", single_line(error)));
    }
    if !status.complete {
        text.push_str("not ready: the coordinator's snapshot is incomplete\n");
    }
    if status.group_is_empty {
        let group = &status.connection.group;
        text.push_str(&format!("not ready: no instance has the group {group} in `deliver-to` at the coordinator\n"));
    }
    for absent in &status.absent {
        text.push_str(&format!("{} not ready: {}\n", absent.name, absent.message));
    }
    for name in &status.missing {
        text.push_str(&format!("{name} not ready: the coordinator cannot load this receiver; see its log\n"));
    }
    for receiver in status.receivers.iter().filter(|receiver| !receiver.ready) {
        let reason = receiver.reason.as_deref().unwrap_or_default();
        text.push_str(&format!("{} not ready: {} {}\n", receiver.name, receiver.state, single_line(reason)));
    }
    for instance in status.instances.iter().filter(|instance| instance.valid_for_ms.is_some_and(|left| left <= 0)) {
        text.push_str(&format!("{} not ready: its lease expired at {}\n", instance.name, instance.valid_until));
    }
    text
}

impl HttpHandler for WorkerHealth {
    async fn answer(&self, request: Request<()>) -> Response<Bytes> {
        probe(self, &request).await
    }
}
