//! Tokens, with their times.

use deputy_core::{Span, Timestamp, TokenExpiry, Tokens};

use crate::file::Expect;
use crate::mismatch::Mismatch;

/// What the expectation of tokens needs beside them.
pub(crate) struct ExpectedTokens<'a> {
    /// The wall clock of the call.
    pub(crate) now: Timestamp,
    /// When the coordinator would replace them; `None`: never.
    pub(crate) replaced_in: &'a dyn Fn(&Tokens) -> Option<Span>,
}

impl Expect {
    /// Whether it expects something that only tokens have.
    pub(super) fn names_tokens(&self) -> bool {
        self.kind.is_some()
            || self.payload.is_some()
            || self.handle.is_some()
            || self.expiry.is_some()
            || self.expires_in.is_some()
            || self.next_in.is_some()
            || self.renewable_for.is_some()
            || self.replaced_in.is_some()
    }
}

impl ExpectedTokens<'_> {
    pub(super) fn judge(&self, expect: &Expect, tokens: &Tokens) -> Vec<Mismatch> {
        let mut wrong = Vec::new();
        if let Some(kind) = expect.kind.as_ref().filter(|kind| *kind != tokens.kind.as_str()) {
            wrong.push(Mismatch::new("kind", kind, &tokens.kind));
        }
        wrong.extend(expect.payload.iter().flat_map(|text| text.check("payload", Some(tokens.payload.expose()))));
        wrong.extend(expect.handle.iter().flat_map(|text| text.check("handle", Some(tokens.handle.expose()))));
        if let Some(expected) = &expect.expiry {
            let found = match tokens.expiry {
                TokenExpiry::Unknown => "unknown".to_owned(),
                TokenExpiry::Never => "never".to_owned(),
                TokenExpiry::At(at) => at.to_string(),
            };
            let same = found == *expected || found.strip_suffix(".000Z") == expected.strip_suffix('Z');
            wrong.extend((!same).then(|| Mismatch::new("expiry", expected, found)));
        }
        let expiry = match tokens.expiry {
            TokenExpiry::At(at) => Some(at),
            TokenExpiry::Unknown | TokenExpiry::Never => None,
        };
        let spans = [
            ("expires in", expect.expires_in, expiry.map(|at| at.since(self.now))),
            ("next in", expect.next_in, tokens.next_at.map(|at| at.since(self.now))),
            ("renewable for", expect.renewable_for, tokens.renewable_until.map(|at| at.since(self.now))),
        ];
        wrong.extend(spans.into_iter().filter_map(|(place, expected, found)| span(place, expected?.0, found)));
        if let Some(expected) = expect.replaced_in {
            wrong.extend(span("replaced in", expected.0, (self.replaced_in)(tokens)));
        }
        for (name, expected) in &expect.facts {
            let found = tokens.facts.iter().find(|fact| fact.name == *name).map(|fact| fact.value.as_bytes());
            wrong.extend(expected.check(&format!("fact {name}"), found));
        }
        wrong
    }
}

fn span(place: &str, expected: Span, found: Option<Span>) -> Option<Mismatch> {
    let shown = found.map_or_else(|| "nothing".to_owned(), |span| span.to_string());
    (found != Some(expected)).then(|| Mismatch::new(place, expected, shown))
}
