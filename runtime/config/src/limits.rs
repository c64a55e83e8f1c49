//! `limits` of an instance or a receiver.

use std::collections::BTreeMap;
use std::ops::Range;

use deputy_core::{ByteSize, Limit, LimitOverrides, LimitValue, Limits, Span};

use crate::diagnostic::DiagnosticSink;
use crate::value::{Located, bounded};

/// Where limits come from that are not set here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnsetLimits {
    Default,
    /// The coordinator sets them: they are unknown here.
    Coordinator,
}

/// Each first limit ends within the second one: if it is larger, it is never reached.
const NESTED: [(Limit, Limit); 8] = [
    (Limit::BetweenBytes, Limit::Exchange),
    (Limit::Connect, Limit::Exchange),
    (Limit::Cpu, Limit::Wall),
    (Limit::Exchange, Limit::Wall),
    (Limit::FirstByte, Limit::Exchange),
    (Limit::Headers, Limit::Received),
    (Limit::Response, Limit::Received),
    (Limit::Tls, Limit::Exchange),
];

/// Reads limits; `None` after an error.
pub(crate) fn read(
    sink: &mut DiagnosticSink,
    value: Located<'_>,
    like: &str,
    unset: UnsetLimits,
) -> Option<LimitOverrides> {
    let mut limits = LimitOverrides::default();
    let mut written = BTreeMap::new();
    let mut fields = value.table(sink, like)?;
    let mut is_valid = true;
    for limit in Limit::ALL {
        if let Some(value) = fields.optional(limit.key()) {
            is_valid &= set(sink, &mut limits, limit, value).is_some();
            written.insert(limit, value.at());
        }
    }
    fields.finish(sink);
    if !is_valid {
        return None;
    }
    let known = Limits::default().with(&limits);
    for (inner, outer) in NESTED {
        if unset == UnsetLimits::Default || limits.sets(outer) {
            check_nested(sink, &known, &written, inner, outer);
        }
    }
    Some(limits)
}

/// A payload that the state cannot take would be obtained and never published.
pub(crate) fn check_payload(
    sink: &mut DiagnosticSink,
    value: Located<'_>,
    limits: LimitOverrides,
    largest: ByteSize,
) -> Option<LimitOverrides> {
    if limits.sets(Limit::Payload) && Limits::default().with(&limits).payload > largest {
        sink.error(value.at(), "a payload of this size does not fit the state in etcd")
            .expected(format!("at most payload = \"{largest}\""));
        return None;
    }
    Some(limits)
}

fn set(sink: &mut DiagnosticSink, limits: &mut LimitOverrides, limit: Limit, value: Located<'_>) -> Option<()> {
    let default = Limits::default();
    let (least, most) = limit.bounds().into_inner();
    let like = default.toml_value(limit);
    let number = match default.value(limit) {
        LimitValue::Count(_) => {
            let count = value.count(sink, &like)?;
            bounded(sink, value.at(), u64::from(count), least..=most)?
        }
        LimitValue::Size(_) => {
            let size = value.parsed(sink, &like)?;
            bounded(sink, value.at(), size, ByteSize::bytes(least)..=ByteSize::bytes(most))?.as_u64()
        }
        LimitValue::Time(_) => value.span(sink, &like, Span::millis(least)..=Span::millis(most))?.as_millis(),
    };
    match limits.set(limit, number) {
        Ok(()) => Some(()),
        Err(error) => value.invalid(sink, &error),
    }
}

fn check_nested(
    sink: &mut DiagnosticSink,
    limits: &Limits,
    written: &BTreeMap<Limit, Range<usize>>,
    inner: Limit,
    outer: Limit,
) {
    let Some(at) = written.get(&inner) else { return };
    if limits.value(inner).number() > limits.value(outer).number() {
        let warning = sink.warning(at.clone(), format!("`{inner}` is never reached: `{outer}` is smaller"));
        warning.expected(format!("`{outer}` is {}", limits.toml_value(outer)));
        if let Some(at) = written.get(&outer) {
            warning.also(at.clone(), "smaller");
        }
    }
}
