//! The tracer of a process, and the task that sends its spans.

use std::sync::Arc;

use deputy_core::TracePlan;
use deputy_traces::{Collector, CollectorError, Resource, TraceExporter, Tracer};

use crate::error::ProcessError;
use crate::platform::Platform;

/// A tracer without a task if no collector is configured.
pub(crate) async fn open(
    plan: Option<&TracePlan>,
    resource: Resource,
    platform: &Platform,
) -> Result<(Tracer, Option<TraceExporter>), ProcessError> {
    let Some(plan) = plan else { return Ok((Tracer::default(), None)) };
    let collector = Collector::open(plan, Arc::clone(&platform.sources)).await;
    let collector = collector.map_err(ProcessError::Traces)?;
    let (tracer, exporter) = TraceExporter::new(collector, resource, plan.sample, platform.seed()?);
    tracing::info!(collector = %plan.collector, sample = %plan.sample, "sending traces");
    Ok((tracer, Some(exporter)))
}

/// Checks what can be checked without a connection.
///
/// # Errors
/// If the certificates of the collector or a header cannot be read.
pub async fn check(plan: &TracePlan, platform: &Platform) -> Result<(), CollectorError> {
    Collector::open(plan, Arc::clone(&platform.sources)).await?.check().await
}

pub(crate) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
