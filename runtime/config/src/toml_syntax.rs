//! Parsing TOML, with the parser's errors in the words of this crate.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, Error};

use crate::diagnostic::DiagnosticSink;
use crate::position::line_and_column;
use crate::value::truncated;

/// The document, if it can be parsed. A duplicate key is an error, but hides no others.
pub(crate) fn parse<'t>(sink: &mut DiagnosticSink, text: &'t str) -> Option<Spanned<DeTable<'t>>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut is_readable = true;
    let mut lines = Vec::new();
    for error in errors {
        let at = error.span().unwrap_or_default();
        if error.message() == "duplicate key" {
            let key = text.get(at.clone()).unwrap_or_default();
            sink.error(at, format!("`{}` is defined twice", truncated(key))).expected("define it once");
            continue;
        }
        is_readable = false;
        // Further errors in a line are mostly consequences of the first.
        let (line, _) = line_and_column(text, at.start);
        if !lines.contains(&line) {
            lines.push(line);
            report(sink, text, &error);
        }
    }
    is_readable.then_some(table)
}

/// As much of the document as can be parsed.
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
    let finding = sink.error(at, format!("invalid TOML: {message}"));
    if let Some(expected) = expected {
        finding.expected(match expected {
            "literal string" => "needs quotes around it".to_owned(),
            expected => format!("expected {expected}"),
        });
    }
}

/// The rest of the line after its first equals sign, if the line or its header is about secrets, the key of a state or a
/// worker's join string: it may be a secret that was written there by mistake.
fn unquoted_secret(text: &str, at: usize) -> Option<Range<usize>> {
    let (before, after) = text.split_at_checked(text.floor_char_boundary(at))?;
    let header = before.lines().rev().find(|line| line.trim_start().starts_with('[')).unwrap_or_default();
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = before.get(start..).unwrap_or_default();
    let mentions = |word: &str| header.contains(word) || line.contains(word);
    let may_be_secret = mentions("secrets")
        || (mentions("coordinator") && mentions("key"))
        || (mentions("worker") && (mentions("join") || mentions("key")));
    let end = before.len() + after.find('\n').unwrap_or(after.len());
    let equals = text.get(start..end)?.find('=').map_or(0, |at| at + 1);
    may_be_secret.then_some(start + equals..end)
}
