//! What all spans of a process say about it.

use crate::message::{AnyValueKind, ExportedResource, SpanAttribute};

/// The process that sends spans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// `coordinator` or `worker`
    pub role: &'static str,
    /// The worker's id, or nothing.
    pub instance: String,
    /// The worker's group, or nothing.
    pub group: String,
    /// The name of the machine.
    pub host: String,
}

impl Resource {
    pub(crate) fn message(&self) -> ExportedResource {
        let texts = [
            ("service.name", "deputy"),
            ("service.version", env!("CARGO_PKG_VERSION")),
            ("service.instance.id", &self.instance),
            ("host.name", &self.host),
            ("deputy.role", self.role),
            ("deputy.group", &self.group),
        ];
        let texts = texts.into_iter().filter(|(_, value)| !value.is_empty());
        let attributes = texts.map(|(key, value)| SpanAttribute::new(key, AnyValueKind::StringValue(value.to_owned())));
        ExportedResource { attributes: attributes.collect() }
    }
}
