//! Traces of leases, as OpenTelemetry has them.
//!
//! A [`Tracer`] begins spans, an [`OpenSpan`] is sent when it is dropped, and a [`TraceExporter`] posts what was sent to a
//! collector in batches, over OTLP with HTTP. Without a configured collector, spans are empty and cost nothing.
//!
//! The collector is a stranger, and may be slow, full or away. So nothing waits for it: a span that finds the queue full is
//! dropped and counted, and so is a batch that the collector did not take after a few attempts.
//!
//! **Never** holds a secret, a payload, a query or a text of a component or server, delays what it traces, or begins a trace
//! by itself.

mod collected;
mod collector;
mod export_error;
mod exporter;
mod message;
mod resource;
mod span;
mod span_data;
mod tracer;

pub use collected::CollectedSpans;
pub use collector::Collector;
pub use export_error::CollectorError;
pub use exporter::TraceExporter;
pub use message::{
    AnyValue, AnyValueKind, ExportTraceServiceRequest, ExportTraceServiceResponse, ExportedSpan, SpanAttribute,
    SpanKind,
};
pub use resource::Resource;
pub use span::OpenSpan;
pub use tracer::{TraceCounts, Tracer};
