//! `[instances.NAME.limits]`

use std::collections::BTreeMap;
use std::ops::Range;

use deputy_core::{ByteSize, Limit, Limits, Span};

use crate::diagnostic::Sink;
use crate::value::{Value, bounded};

/// Where a limit is kept, with the least and the greatest value that make sense.
enum Slot<'l> {
    Count(&'l mut u32, u32, u32),
    Size(&'l mut ByteSize, ByteSize, ByteSize),
    Time(&'l mut Span, Span, Span),
}

/// What ends first ends both: a limit beyond the one behind it is never reached.
const WITHIN: [(Limit, Limit); 8] = [
    (Limit::BetweenBytes, Limit::Exchange),
    (Limit::Connect, Limit::Exchange),
    (Limit::Cpu, Limit::Wall),
    (Limit::Exchange, Limit::Wall),
    (Limit::FirstByte, Limit::Exchange),
    (Limit::Headers, Limit::Received),
    (Limit::Response, Limit::Received),
    (Limit::Tls, Limit::Exchange),
];

/// Reads limits; `None` if an error was noted.
pub(crate) fn read(sink: &mut Sink, value: Value<'_>) -> Option<Limits> {
    let mut limits = Limits::default();
    let mut written = BTreeMap::new();
    let mut fields = value.table(sink, "[instances.NAME.limits]")?;
    let mut sound = true;
    for limit in Limit::ALL {
        if let Some(value) = fields.optional(limit.key()) {
            sound &= set(sink, &mut limits, limit, value).is_some();
            written.insert(limit, value.at());
        }
    }
    fields.finish(sink);
    if !sound {
        return None;
    }
    for (inner, outer) in WITHIN {
        within(sink, &mut limits, &written, inner, outer);
    }
    Some(limits)
}

fn set(sink: &mut Sink, limits: &mut Limits, limit: Limit, value: Value<'_>) -> Option<()> {
    let like = limits.shown(limit);
    match slot(limits, limit) {
        Slot::Count(slot, least, most) => {
            let count = value.count(sink, &like)?;
            *slot = bounded(sink, value.at(), count, least..=most)?;
        }
        Slot::Size(slot, least, most) => {
            let size = value.parsed(sink, &like)?;
            *slot = bounded(sink, value.at(), size, least..=most)?;
        }
        Slot::Time(slot, least, most) => {
            let time = value.parsed(sink, &like)?;
            *slot = bounded(sink, value.at(), time, least..=most)?;
        }
    }
    Some(())
}

fn within(sink: &mut Sink, limits: &mut Limits, written: &BTreeMap<Limit, Range<usize>>, inner: Limit, outer: Limit) {
    let Some(at) = written.get(&inner) else { return };
    let number = |limits: &mut Limits, limit| match slot(limits, limit) {
        Slot::Count(count, ..) => u64::from(*count),
        Slot::Size(size, ..) => size.as_u64(),
        Slot::Time(time, ..) => time.as_millis(),
    };
    if number(limits, inner) > number(limits, outer) {
        let warning = sink.warning(at.clone(), format!("`{inner}` is never reached: `{outer}` is less"));
        warning.expected(format!("`{outer}` is {}", limits.shown(outer)));
        if let Some(at) = written.get(&outer) {
            warning.also(at.clone(), "less");
        }
    }
}

/// The bounds: nothing is zero, and nothing is so large that one instance could exhaust a usual machine, or so large that
/// the engine has no room for it: a limit that is never reached would promise what nobody gets.
fn slot(limits: &mut Limits, limit: Limit) -> Slot<'_> {
    let count = |slot, most| Slot::Count(slot, 1, most);
    let size = |slot, most| Slot::Size(slot, ByteSize::bytes(1), most);
    let time = |slot| Slot::Time(slot, Span::millis(1), Span::secs(3600));
    match limit {
        Limit::Argument => size(&mut limits.argument, ByteSize::mib(64)),
        Limit::BetweenBytes => time(&mut limits.between_bytes),
        Limit::Connect => time(&mut limits.connect),
        Limit::Cpu => time(&mut limits.cpu),
        Limit::Exchange => time(&mut limits.exchange),
        Limit::FirstByte => time(&mut limits.first_byte),
        Limit::Handles => count(&mut limits.handles, 65_536),
        Limit::Headers => size(&mut limits.headers, ByteSize::mib(1)),
        Limit::Instances => count(&mut limits.instances, Limits::MOST_INSTANCES),
        Limit::LogBytes => size(&mut limits.log_bytes, ByteSize::mib(16)),
        Limit::LogLines => count(&mut limits.log_lines, 100_000),
        Limit::Memory => Slot::Size(&mut limits.memory, ByteSize::kib(64), Limits::MOST_MEMORY),
        Limit::OutputBytes => size(&mut limits.output_bytes, ByteSize::mib(64)),
        Limit::OutputFiles => count(&mut limits.output_files, 10_000),
        Limit::Payload => size(&mut limits.payload, ByteSize::mib(64)),
        Limit::Received => size(&mut limits.received, ByteSize::mib(1024)),
        Limit::Requests => count(&mut limits.requests, 10_000),
        Limit::Response => size(&mut limits.response, ByteSize::mib(256)),
        Limit::SecretOperations => count(&mut limits.secret_operations, 100_000),
        Limit::Sent => size(&mut limits.sent, ByteSize::mib(1024)),
        Limit::TableElements => count(&mut limits.table_elements, Limits::MOST_TABLE_ELEMENTS),
        Limit::Tls => time(&mut limits.tls),
        Limit::Url => size(&mut limits.url, ByteSize::kib(64)),
        Limit::Wall => time(&mut limits.wall),
    }
}
