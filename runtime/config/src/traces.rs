//! `[traces]`: the collector of traces, in both files.

use std::path::Path;

use deputy_core::grant::{Host, Scheme};
use deputy_core::schedule::Ratio;
use deputy_core::{CollectorUrl, SecretSource, TracePlan};

use crate::diagnostic::DiagnosticSink;
use crate::inject;
use crate::secret;
use crate::value::{Located, optional};

/// Headers that the exporter sets itself.
const OWN: [&str; 2] = ["content-type", "user-agent"];

/// Whose file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TracedSide {
    /// It decides which leases are traced.
    Coordinator,
    Worker,
}

/// Reads `[traces]`; `None` after an error.
pub(crate) fn read(sink: &mut DiagnosticSink, base: &Path, side: TracedSide, value: Located<'_>) -> Option<TracePlan> {
    let mut fields = value.table(sink, "[traces]")?;
    let written = fields.required(sink, "otlp", "\"https://collector.example:4318\"");
    if let Some(value) = written.filter(|value| value.contains('@')) {
        sink.mask(value.at());
    }
    let collector = written.and_then(|v| v.parsed::<CollectorUrl>(sink, "\"https://collector.example:4318\""));
    let roots_written = fields.optional("roots");
    let roots = optional(roots_written, |v| v.path(sink, base));
    let headers_written = fields.optional("headers");
    let headers = headers_written.map_or(Some(Vec::new()), |v| headers(sink, base, v));
    let sample = match side {
        TracedSide::Coordinator => optional(fields.optional("sample"), |v| {
            v.ratio(sink, "0.1", Ratio::thousandths(0)..=Ratio::thousandths(1000))
        }),
        TracedSide::Worker => Some(None),
    };
    fields.finish(sink);
    let collector = collector?;
    if collector.target().scheme() == Scheme::Http {
        if let Some(value) = roots_written {
            sink.error(value.at(), "a collector at http:// has no TLS").expected("needs an https:// URL");
            return None;
        }
        if let Some(value) = headers_written.filter(|_| !is_loopback(collector.target().host())) {
            sink.error(value.at(), "the headers would be sent unencrypted")
                .expected("needs `otlp` at https://, or on this machine");
            return None;
        }
    }
    let sample = sample?.unwrap_or(Ratio::thousandths(1000));
    Some(TracePlan { collector, roots: roots?, headers: headers?, sample })
}

/// `headers = { authorization = { file = "otlp-authorization" } }`
fn headers(sink: &mut DiagnosticSink, base: &Path, value: Located<'_>) -> Option<Vec<(String, SecretSource)>> {
    let mut headers: Vec<(String, SecretSource)> = Vec::new();
    let mut is_valid = true;
    for (key, value) in value.entries(sink, "{ authorization = { file = \"otlp-authorization\" } }") {
        let name = inject::header(sink, &key);
        let source = secret::source_table(sink, base, value, "{ file = \"otlp-authorization\" }");
        let (Some(name), Some(source)) = (name, source) else {
            is_valid = false;
            continue;
        };
        if OWN.contains(&name.as_str()) {
            sink.error(key.at, format!("the header `{name}` is reserved")).expected("set by Deputy itself");
            is_valid = false;
        } else if headers.iter().any(|(other, _)| *other == name) {
            sink.error(key.at, format!("the header `{name}` is set twice"))
                .expected("names of headers are case-insensitive");
            is_valid = false;
        } else {
            headers.push((name, source));
        }
    }
    is_valid.then_some(headers)
}

fn is_loopback(host: &Host) -> bool {
    match host {
        Host::Address(address) => address.to_canonical().is_loopback(),
        Host::Name(name) => name == "localhost",
    }
}
