//! The policy of an instance: when its tokens are obtained, renewed, retried and revoked.

use deputy_core::Span;
use deputy_core::retry::RetryPolicy;
use deputy_core::schedule::{CallRate, ObtainMode, Policy, PreferredSource, Ratio, RevocationPolicy, Switch};

use crate::diagnostic::DiagnosticSink;
use crate::value::{Located, TableReader, optional};

pub(crate) const MAX_LIFETIME: Span = Span::secs(366 * 86_400);

/// How long tokens that are obtained on demand are kept without being used.
const UNUSED: Span = Span::secs(600);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Obtain {
    Always,
    OnDemand,
}

/// Reads the policy from the keys of an instance; `None` after an error.
pub(crate) fn read(sink: &mut DiagnosticSink, fields: &mut TableReader<'_>) -> Option<Policy> {
    let mode = mode(sink, fields);
    let lifetime_value = fields.optional("lifetime");
    let max_value = fields.optional("max-lifetime");
    let lifetime = optional(lifetime_value, |v| v.span(sink, "\"1h\"", Span::secs(1)..=MAX_LIFETIME));
    let max_lifetime = optional(max_value, |v| v.span(sink, "\"7d\"", Span::secs(1)..=MAX_LIFETIME));
    if let (Some(value), Some(Some(life)), Some(Some(most))) = (max_value, lifetime, max_lifetime)
        && most < life
    {
        let error = sink.error(value.at(), "`max-lifetime` is shorter than `lifetime`");
        error.expected(format!("at least {life}"));
        if let Some(written) = lifetime_value {
            error.also(written.at(), "the lifetime of each lease");
        }
        return None;
    }
    let renew = optional(fields.optional("renew"), |v| renew(sink, v));
    let retry = optional(fields.optional("retry"), |v| retry(sink, v, lifetime.flatten()));
    let revoke = optional(fields.optional("revoke"), |v| revoke(sink, v));
    let default = Policy::default();
    let renew = renew?.unwrap_or_default();
    Some(Policy {
        mode: mode?,
        ratio: renew.ratio,
        jitter: renew.jitter,
        calls: renew.calls,
        lifetime: lifetime?,
        max_lifetime: max_lifetime?,
        retry: retry?.unwrap_or_default(),
        revoke: revoke?.unwrap_or_default(),
        prefer: default.prefer,
    })
}

/// `prefer = "file"`, for an instance that has both.
pub(crate) fn prefer(sink: &mut DiagnosticSink, value: Located<'_>) -> Option<PreferredSource> {
    value.choice(sink, &[("component", PreferredSource::Component), ("file", PreferredSource::File)])
}

fn mode(sink: &mut DiagnosticSink, fields: &mut TableReader<'_>) -> Option<ObtainMode> {
    let obtain = match fields.optional("obtain") {
        Some(value) => value.choice(sink, &[("always", Obtain::Always), ("on-demand", Obtain::OnDemand)]),
        None => Some(Obtain::Always),
    };
    let written = fields.optional("unused");
    let unused = optional(written, |v| v.span(sink, "\"10m\"", Span::secs(1)..=MAX_LIFETIME));
    match (obtain?, written) {
        (Obtain::Always, Some(value)) => {
            sink.error(value.at(), "`unused` has no effect: tokens are obtained whether or not they are used")
                .expected("needs obtain = \"on-demand\"");
            None
        }
        (Obtain::Always, None) => Some(ObtainMode::Always),
        (Obtain::OnDemand, _) => Some(ObtainMode::OnDemand(unused?.unwrap_or(UNUSED))),
    }
}

/// `[instances.NAME.renew]`
struct Renew {
    ratio: Ratio,
    jitter: Ratio,
    calls: CallRate,
}

impl Default for Renew {
    fn default() -> Self {
        let Policy { ratio, jitter, calls, .. } = Policy::default();
        Self { ratio, jitter, calls }
    }
}

/// `renew = { ratio = 0.75, jitter = 0.1, interval = "1s", per-hour = 1000 }`
fn renew(sink: &mut DiagnosticSink, value: Located<'_>) -> Option<Renew> {
    let default = Renew::default();
    let mut fields = value.table(sink, "{ ratio = 0.75, jitter = 0.1 }")?;
    let bounds = Ratio::thousandths(100)..=Ratio::thousandths(950);
    let ratio = optional(fields.optional("ratio"), |v| v.ratio(sink, "0.75", bounds));
    let bounds = Ratio::thousandths(0)..=Ratio::thousandths(500);
    let jitter = optional(fields.optional("jitter"), |v| v.ratio(sink, "0.1", bounds));
    let interval = fields.optional("interval");
    let interval = optional(interval, |v| v.span(sink, "\"1s\"", Span::millis(10)..=Span::secs(3600)));
    let per_hour = optional(fields.optional("per-hour"), |v| v.number(sink, "1000", 1..=100_000));
    fields.finish(sink);
    let calls = CallRate {
        interval: interval?.unwrap_or(default.calls.interval),
        per_hour: per_hour?.unwrap_or(default.calls.per_hour),
    };
    Some(Renew { ratio: ratio?.unwrap_or(default.ratio), jitter: jitter?.unwrap_or(default.jitter), calls })
}

/// `retry = { floor = "1s", most = "5m", slow = "1m" }`
fn retry(sink: &mut DiagnosticSink, value: Located<'_>, lifetime: Option<Span>) -> Option<RetryPolicy> {
    let default = RetryPolicy::default();
    let day = Span::secs(86_400);
    let mut fields = value.table(sink, "{ floor = \"1s\", most = \"5m\", slow = \"1m\" }")?;
    let floor_value = fields.optional("floor");
    let most_value = fields.optional("most");
    let slow_value = fields.optional("slow");
    fields.finish(sink);
    let floor = optional(floor_value, |v| v.span(sink, "\"1s\"", Span::millis(10)..=Span::secs(3600)));
    let most = optional(most_value, |v| v.span(sink, "\"5m\"", Span::millis(10)..=day));
    let slow = optional(slow_value, |v| v.span(sink, "\"1m\"", Span::millis(10)..=day));

    let floor = floor?.unwrap_or(default.floor);
    let mut is_valid = true;
    for (key, value, span) in [("most", most_value, most), ("slow", slow_value, slow)] {
        if let (Some(value), Some(Some(span))) = (value, span)
            && span < floor
        {
            let error = sink.error(value.at(), format!("`{key}` is shorter than `floor`"));
            error.expected(format!("at least {floor}"));
            if let Some(floor) = floor_value {
                error.also(floor.at(), "the shortest delay");
            }
            is_valid = false;
        }
    }
    if let (Some(value), Some(Some(most)), Some(life)) = (most_value, most, lifetime)
        && most > life
    {
        sink.warning(value.at(), "the delay between retries can exceed the lifetime of a lease")
            .expected(format!("more than `lifetime`, which is {life}"));
    }
    // Unset delays are never shorter than the floor.
    let most = most?.unwrap_or(default.most.max(floor));
    let slow = slow?.unwrap_or(default.slow.max(floor));
    is_valid.then_some(RetryPolicy { floor, most, slow })
}

/// `revoke = { replaced = "5m", removed = "10m", shutdown = false }`
fn revoke(sink: &mut DiagnosticSink, value: Located<'_>) -> Option<RevocationPolicy> {
    let default = RevocationPolicy::default();
    let mut fields = value.table(sink, "{ replaced = \"5m\", removed = \"10m\", shutdown = false }")?;
    let replaced = fields.optional("replaced").map_or(Some(default.replaced), |v| replaced(sink, v));
    let removed = fields.optional("removed").map_or(Some(default.removed), |v| removed(sink, v));
    let shutdown = fields.optional("shutdown").map_or(Some(default.shutdown), |v| when(sink, v));
    fields.finish(sink);
    Some(RevocationPolicy { replaced: replaced?, removed: removed?, shutdown: shutdown? })
}

/// A time, or a flag: `true` is the default time.
fn removed(sink: &mut DiagnosticSink, value: Located<'_>) -> Option<Option<Span>> {
    if value.is_flag() {
        return Some(if value.flag(sink)? { RevocationPolicy::default().removed } else { None });
    }
    value.span(sink, "\"10m\", or false", Span::secs(0)..=Span::secs(30 * 86_400)).map(Some)
}

/// A time, or `false`.
fn replaced(sink: &mut DiagnosticSink, value: Located<'_>) -> Option<Option<Span>> {
    if !value.is_flag() {
        return value.span(sink, "\"5m\" or false", Span::secs(0)..=MAX_LIFETIME).map(Some);
    }
    if value.flag(sink)? {
        sink.error(value.at(), "`true` does not say how long after its replacement a lease is revoked")
            .expected("write \"5m\", or false");
        return None;
    }
    Some(None)
}

fn when(sink: &mut DiagnosticSink, value: Located<'_>) -> Option<Switch> {
    Some(if value.flag(sink)? { Switch::Revoke } else { Switch::Expire })
}
