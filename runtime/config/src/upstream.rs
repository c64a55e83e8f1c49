//! `[upstreams.NAME]`: how many calls each upstream permits.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use deputy_core::schedule::{Budget, UpstreamName};

use crate::diagnostic::DiagnosticSink;
use crate::suggest::nearest;
use crate::value::{Key, Located, join_quoted, truncated};

/// The budget of each service and endpoint without one of its own. It is not shared.
const DEFAULT: &str = "default";

/// All budgets, including invalid ones, so that a reference to one is not a second error.
#[derive(Debug, Default)]
pub(crate) struct Upstreams {
    default: Option<Budget>,
    list: Vec<UpstreamEntry>,
}

#[derive(Debug)]
struct UpstreamEntry {
    at: Range<usize>,
    written: String,
    name: Option<UpstreamName>,
    budget: Option<Budget>,
}

impl Upstreams {
    pub(crate) fn read(sink: &mut DiagnosticSink, value: Located<'_>) -> Self {
        let mut upstreams = Self::default();
        for (key, value) in value.entries(sink, "[upstreams.NAME]") {
            if key.name == DEFAULT {
                upstreams.default = budget(sink, &key, value);
                continue;
            }
            upstreams.list.push(UpstreamEntry {
                name: key.parsed(sink),
                budget: budget(sink, &key, value),
                written: key.name.to_owned(),
                at: key.at,
            });
        }
        upstreams
    }

    /// The upstream of an instance.
    pub(crate) fn named(&self, sink: &mut DiagnosticSink, value: Located<'_>) -> Option<UpstreamName> {
        let text = value.text(sink, "\"NAME\"")?;
        if let Some(upstream) = self.list.iter().find(|upstream| upstream.written == text) {
            return upstream.name.clone();
        }
        if text == DEFAULT {
            sink.error(value.at(), format!("`{DEFAULT}` cannot be used here"))
                .expected("remove `upstream`")
                .hint("`default` is the budget of each service and endpoint without one of its own; it is not shared");
            return None;
        }
        let known: Vec<_> = self.list.iter().map(|upstream| upstream.written.as_str()).collect();
        let error = sink.error(value.at(), format!("there is no upstream `{}`", truncated(text)));
        match (nearest(text, known.iter().copied()), known.as_slice()) {
            (Some(meant), _) => error.expected(format!("did you mean `{meant}`?")),
            (None, []) => error.expected("define it under [upstreams.NAME]"),
            (None, known) => error.expected(format!("one of {}", truncated(&join_quoted(known)))),
        };
        None
    }

    /// Warns of unused upstreams, when all uses are known.
    pub(crate) fn check(&self, sink: &mut DiagnosticSink, used: &BTreeSet<UpstreamName>) {
        for upstream in &self.list {
            if upstream.name.as_ref().is_some_and(|name| !used.contains(name)) {
                sink.warning(upstream.at.clone(), format!("the upstream `{}` is not used", upstream.written))
                    .expected("no instance refers to it");
            }
        }
    }

    /// The default budget, and the others.
    pub(crate) fn into_parts(self) -> (Budget, BTreeMap<UpstreamName, Budget>) {
        let budgets = self.list.into_iter().filter_map(|upstream| upstream.name.zip(upstream.budget)).collect();
        (self.default.unwrap_or(Budget::DEFAULT), budgets)
    }
}

/// Both numbers are required: neither follows from the other.
fn budget(sink: &mut DiagnosticSink, key: &Key<'_>, value: Located<'_>) -> Option<Budget> {
    let mut fields = value.table(sink, &format!("[upstreams.{}]", truncated(key.name)))?;
    let per_minute = fields.required(sink, "calls-per-minute", "600");
    let per_minute = per_minute.and_then(|v| v.number(sink, "600", 1..=1_000_000));
    let burst = fields.required(sink, "burst", "100").and_then(|v| v.number(sink, "100", 1..=100_000));
    fields.finish(sink);
    Some(Budget { per_minute: per_minute?, burst: burst? })
}
