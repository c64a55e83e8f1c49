//! The messages of OTLP that are sent, as protocol buffers: `cargo xtask proto` generates them from `otlp.proto`.

#[allow(clippy::all, unreachable_pub, unused_qualifications, reason = "generated")]
mod generated;

pub use generated::any_value::AnyValueKind;
pub use generated::exported_span::SpanKind;
pub use generated::{AnyValue, ExportTraceServiceRequest, ExportTraceServiceResponse, ExportedSpan, SpanAttribute};
pub(crate) use generated::{
    ExportedResource, InstrumentationScope, ResourceSpans, ScopeSpans, SpanStatus, span_status::SpanStatusCode,
};

impl SpanAttribute {
    pub(crate) fn new(key: &str, value: AnyValueKind) -> Self {
        Self { key: key.to_owned(), value: Some(AnyValue { any_value_kind: Some(value) }) }
    }
}

#[cfg(test)]
mod tests {
    use deputy_support::sha256;

    #[test]
    fn message_types_are_generated_from_the_present_proto() {
        let digest = sha256(include_bytes!("../otlp.proto")).to_string();
        let generated = include_str!("message/generated.rs");
        assert!(generated.contains(&digest), "otlp.proto has changed: run `cargo xtask proto`");
    }
}
