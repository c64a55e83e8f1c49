//! What the TOML parser reports, in our words.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, Error};

use crate::diagnostic::DiagnosticSink;
use crate::position::{floor, place};
use crate::value::shown;

/// The document, if it can be read. A key that is written twice is an error, but hides no others.
pub(crate) fn parse<'t>(sink: &mut DiagnosticSink, text: &'t str) -> Option<Spanned<DeTable<'t>>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut readable = true;
    let mut lines = Vec::new();
    for error in errors {
        let at = error.span().unwrap_or_default();
        if error.message() == "duplicate key" {
            let key = text.get(at.clone()).unwrap_or_default();
            sink.error(at, format!("`{}` is written twice", shown(key)))
                .expected("a key, a table or an instance is written once");
            continue;
        }
        readable = false;
        // What follows an error in its line is more often its echo than another one.
        let (line, _) = place(text, at.start);
        if !lines.contains(&line) {
            lines.push(line);
            report(sink, text, &error);
        }
    }
    readable.then_some(table)
}

/// As much of the document as can be read.
pub(crate) fn recovered(text: &str) -> Spanned<DeTable<'_>> {
    DeTable::parse_recoverable(text).0
}

fn report(sink: &mut DiagnosticSink, text: &str, error: &Error) {
    let at = error.span().unwrap_or_default();
    if let Some(value) = unquoted_secret(text, at.start) {
        sink.mask(value);
    }
    let (message, expected) = match error.message().split_once(", expected ") {
        Some((message, expected)) => (message, Some(expected)),
        None => (error.message(), None),
    };
    let finding = sink.error(at, format!("not TOML: {message}"));
    if let Some(expected) = expected {
        finding.expected(match expected {
            "literal string" => "needs quotes around it".to_owned(),
            expected => format!("expected {expected}"),
        });
    }
}

/// The rest of the line behind its first equals sign, if the place lies under a header, or in a line, of secrets, of the key
/// of a state or of a worker's join string: what stands there may be a value, written down by mistake.
fn unquoted_secret(text: &str, at: usize) -> Option<Range<usize>> {
    let (before, after) = text.split_at_checked(floor(text, at))?;
    let header = before.lines().rev().find(|line| line.trim_start().starts_with('[')).unwrap_or_default();
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = before.get(start..).unwrap_or_default();
    let names = |word: &str| header.contains(word) || line.contains(word);
    let may_be_one = names("secrets")
        || (names("coordinator") && names("key"))
        || (names("worker") && (names("join") || names("key")));
    let end = before.len() + after.find('\n').unwrap_or(after.len());
    let equals = text.get(start..end)?.find('=').map_or(0, |at| at + 1);
    may_be_one.then_some(start + equals..end)
}
