//! How an instance's tokens are kept: when they are obtained, renewed, tried again and revoked.

use deputy_core::Span;
use deputy_core::retry::RetryPolicy;
use deputy_core::schedule::{CallRate, ObtainMode, Policy, PreferredSource, Ratio, RevocationPolicy, Switch};

use crate::diagnostic::DiagnosticSink;
use crate::value::{Located, TableReader, optional};

/// No token is short-lived that lives for longer.
pub(crate) const LONGEST: Span = Span::secs(366 * 86_400);

/// For how long what is obtained on demand is kept when nobody uses it.
const UNUSED: Span = Span::secs(600);

/// Whether tokens are wanted at any time, or when somebody asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Obtain {
    Always,
    OnDemand,
}

/// Reads the policy from the keys of an instance; `None` if an error was noted.
pub(crate) fn read(sink: &mut DiagnosticSink, fields: &mut TableReader<'_>) -> Option<Policy> {
    let mode = mode(sink, fields);
    let (written, longest) = (fields.optional("lifetime"), fields.optional("max-lifetime"));
    let lifetime = optional(written, |v| v.span(sink, "\"1h\"", Span::secs(1)..=LONGEST));
    let max_lifetime = optional(longest, |v| v.span(sink, "\"7d\"", Span::secs(1)..=LONGEST));
    if let (Some(value), Some(Some(life)), Some(Some(most))) = (longest, lifetime, max_lifetime)
        && most < life
    {
        let error = sink.error(value.at(), "`max-lifetime` is less than `lifetime`");
        error.expected(format!("at least {life}"));
        if let Some(written) = written {
            error.also(written.at(), "the life of each lease");
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
    let unused = optional(written, |v| v.span(sink, "\"10m\"", Span::secs(1)..=LONGEST));
    match (obtain?, written) {
        (Obtain::Always, Some(value)) => {
            sink.error(value.at(), "`unused` has no effect: this instance is always kept")
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
    let longest = Span::secs(86_400);
    let mut fields = value.table(sink, "{ floor = \"1s\", most = \"5m\", slow = \"1m\" }")?;
    let (written, most_written) = (fields.optional("floor"), fields.optional("most"));
    let slow_written = fields.optional("slow");
    fields.finish(sink);
    let floor = optional(written, |v| v.span(sink, "\"1s\"", Span::millis(10)..=Span::secs(3600)));
    let most = optional(most_written, |v| v.span(sink, "\"5m\"", Span::millis(10)..=longest));
    let slow = optional(slow_written, |v| v.span(sink, "\"1m\"", Span::millis(10)..=longest));

    let floor = floor?.unwrap_or(default.floor);
    let mut sound = true;
    for (key, value, span) in [("most", most_written, most), ("slow", slow_written, slow)] {
        if let (Some(value), Some(Some(span))) = (value, span)
            && span < floor
        {
            let error = sink.error(value.at(), format!("`{key}` is less than `floor`"));
            error.expected(format!("at least {floor}"));
            if let Some(floor) = written {
                error.also(floor.at(), "the least delay");
            }
            sound = false;
        }
    }
    if let (Some(value), Some(Some(most)), Some(life)) = (most_written, most, lifetime)
        && most > life
    {
        sink.warning(value.at(), "tries can lie further apart than a lease lives")
            .expected(format!("more than `lifetime`, which is {life}"));
    }
    // What is not written follows the floor.
    let (most, slow) = (most?.unwrap_or(default.most.max(floor)), slow?.unwrap_or(default.slow.max(floor)));
    sound.then_some(RetryPolicy { floor, most, slow })
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
        return value.span(sink, "\"5m\" or false", Span::secs(0)..=LONGEST).map(Some);
    }
    if value.flag(sink)? {
        sink.error(value.at(), "how long after its replacement is a lease revoked?").expected("write \"5m\", or false");
        return None;
    }
    Some(None)
}

fn when(sink: &mut DiagnosticSink, value: Located<'_>) -> Option<Switch> {
    Some(if value.flag(sink)? { Switch::Revoke } else { Switch::Expire })
}
