//! A span as it is sent.

use deputy_core::TraceContext;

use crate::message::{AnyValueKind, ExportedSpan, SpanAttribute, SpanKind, SpanStatus, SpanStatusCode};

#[derive(Debug)]
pub(crate) struct SpanData {
    pub(crate) context: TraceContext,
    /// `None` for the root of a trace.
    pub(crate) parent: Option<u64>,
    pub(crate) name: &'static str,
    pub(crate) kind: SpanKind,
    /// Nanoseconds since 1970.
    pub(crate) began: u64,
    pub(crate) ended: u64,
    pub(crate) attributes: Vec<(&'static str, AnyValueKind)>,
    /// A word for why it failed.
    pub(crate) failure: Option<String>,
}

impl From<SpanData> for ExportedSpan {
    fn from(data: SpanData) -> Self {
        Self {
            trace_id: data.context.trace.to_be_bytes().to_vec(),
            span_id: data.context.span.to_be_bytes().to_vec(),
            parent_span_id: data.parent.map(|parent| parent.to_be_bytes().to_vec()).unwrap_or_default(),
            name: data.name.to_owned(),
            kind: data.kind.into(),
            start_time_unix_nano: data.began,
            // The clock may have been set meanwhile.
            end_time_unix_nano: data.ended.max(data.began),
            attributes: data.attributes.into_iter().map(|(key, value)| SpanAttribute::new(key, value)).collect(),
            status: data.failure.map(|message| SpanStatus { message, code: SpanStatusCode::Error.into() }),
        }
    }
}
