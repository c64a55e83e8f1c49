//! Reading values of the expected kind, with an error at the position of every other.

use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use deputy_core::Span;
use deputy_core::schedule::Ratio;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::{Diagnostic, DiagnosticSink};
use crate::suggest::nearest;

/// A value with its position.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Located<'t>(&'t Spanned<DeValue<'t>>);

/// A key with its position.
#[derive(Debug, Clone)]
pub(crate) struct Key<'t> {
    pub(crate) name: &'t str,
    pub(crate) at: Range<usize>,
}

/// A table whose keys are read one by one; the keys that remain in the end are unknown.
#[derive(Debug)]
#[must_use]
pub(crate) struct TableReader<'t> {
    table: &'t DeTable<'t>,
    at: Range<usize>,
    known: Vec<&'static str>,
}

impl<'t> Located<'t> {
    pub(crate) fn at(self) -> Range<usize> {
        self.0.span()
    }

    /// A string. `like` is an example for the error: `"64MiB"`.
    pub(crate) fn text(self, sink: &mut DiagnosticSink, like: &str) -> Option<&'t str> {
        match self.0.get_ref() {
            DeValue::String(text) => Some(text),
            _ => self.wrong(sink, "a string", like),
        }
    }

    /// A string, parsed into a value.
    pub(crate) fn parsed<T: FromStr<Err: Display>>(self, sink: &mut DiagnosticSink, like: &str) -> Option<T> {
        let text = self.text(sink, like)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => self.invalid(sink, &error),
        }
    }

    /// Reports an error of `deputy-core`, in the form `what is wrong: what to write`.
    pub(crate) fn invalid<T>(self, sink: &mut DiagnosticSink, error: &dyn Display) -> Option<T> {
        invalid(sink, self.at(), error);
        None
    }

    pub(crate) fn flag(self, sink: &mut DiagnosticSink) -> Option<bool> {
        match self.0.get_ref() {
            DeValue::Boolean(flag) => Some(*flag),
            _ => self.wrong(sink, "true or false", "true"),
        }
    }

    pub(crate) fn count(self, sink: &mut DiagnosticSink, like: &str) -> Option<u32> {
        match self.0.get_ref() {
            DeValue::Integer(integer) => {
                let count = u32::from_str_radix(integer.as_str(), integer.radix()).ok();
                if count.is_none() {
                    sink.error(self.at(), "this number is out of range").expected(format!("such as {like}"));
                }
                count
            }
            _ => self.wrong(sink, "a whole number", like),
        }
    }

    /// A number within these bounds.
    pub(crate) fn number(self, sink: &mut DiagnosticSink, like: &str, bounds: RangeInclusive<u32>) -> Option<u32> {
        let count = self.count(sink, like)?;
        bounded(sink, self.at(), count, bounds)
    }

    /// A duration within these bounds.
    pub(crate) fn span(self, sink: &mut DiagnosticSink, like: &str, bounds: RangeInclusive<Span>) -> Option<Span> {
        let span = self.parsed(sink, like)?;
        bounded(sink, self.at(), span, bounds)
    }

    /// A fraction within these bounds: `0.75`, also as a string.
    pub(crate) fn ratio(self, sink: &mut DiagnosticSink, like: &str, bounds: RangeInclusive<Ratio>) -> Option<Ratio> {
        let ratio = match self.0.get_ref() {
            DeValue::String(text) => text.parse(),
            DeValue::Integer(_) | DeValue::Float(_) => self.literal()?.parse(),
            _ => return self.wrong(sink, "a number", like),
        };
        match ratio {
            Ok(ratio) => bounded(sink, self.at(), ratio, bounds),
            Err(error) => self.invalid(sink, &error),
        }
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(self, sink: &mut DiagnosticSink, choices: &[(&'static str, T)]) -> Option<T> {
        let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
        let text = self.text(sink, &format!("one of {}", join_quoted(&words)))?;
        if let Some((_, choice)) = choices.iter().find(|(word, _)| *word == text) {
            return Some(*choice);
        }
        let error = sink.error(self.at(), format!("`{}` is not one of {}", truncated(text), join_quoted(&words)));
        match nearest(text, words.iter().copied()) {
            Some(meant) => error.expected(format!("did you mean `{meant}`?")),
            None => error.expected(format!("one of {}", join_quoted(&words))),
        };
        None
    }

    /// A path, relative to the directory of the configuration.
    pub(crate) fn path(self, sink: &mut DiagnosticSink, base: &Path) -> Option<PathBuf> {
        let text = self.text(sink, "\"/path/to/file\"")?;
        if text.is_empty() || text.contains('\0') {
            sink.error(self.at(), "not a valid path").expected("a path, relative to the directory of this file");
            return None;
        }
        Some(base.join(text))
    }

    pub(crate) fn is_list(self) -> bool {
        matches!(self.0.get_ref(), DeValue::Array(_))
    }

    /// A list with at least one element.
    pub(crate) fn list(self, sink: &mut DiagnosticSink, like: &str) -> Option<Vec<Located<'t>>> {
        match self.0.get_ref() {
            DeValue::Array(array) if array.is_empty() => {
                sink.error(self.at(), "this list is empty").expected(format!("at least one element, such as {like}"));
                None
            }
            DeValue::Array(array) => Some(array.iter().map(Located).collect()),
            _ => self.wrong(sink, "a list", like),
        }
    }

    /// A list of strings, parsed into values. A duplicate is a warning.
    pub(crate) fn parsed_list<T>(self, sink: &mut DiagnosticSink, like: &str) -> Option<Vec<T>>
    where
        T: FromStr<Err: Display> + PartialEq,
    {
        let mut values = Some(Vec::new());
        for element in self.list(sink, like)? {
            let value = element.parsed::<T>(sink, like.trim_matches(['[', ']']));
            if let (Some(value), Some(values)) = (&value, &values)
                && values.contains(value)
            {
                sink.warning(element.at(), "duplicate element").expected("remove it");
            }
            values = values.zip(value).map(|(mut values, value)| {
                values.push(value);
                values
            });
        }
        values
    }

    /// A list of strings, parsed into names, each with its position. A duplicate is an error.
    pub(crate) fn unique_list<T>(self, sink: &mut DiagnosticSink, like: &str) -> Option<Vec<(T, Range<usize>)>>
    where
        T: FromStr<Err: Display> + PartialEq,
    {
        let mut values: Vec<(T, Range<usize>)> = Vec::new();
        let mut is_valid = true;
        for element in self.list(sink, like)? {
            let Some(value) = element.parsed::<T>(sink, like.trim_matches(['[', ']'])) else {
                is_valid = false;
                continue;
            };
            match values.iter().find(|(other, _)| *other == value) {
                Some((_, first)) => {
                    sink.error(element.at(), "duplicate name").expected("remove it").also(first.clone(), "the first");
                    is_valid = false;
                }
                None => values.push((value, element.at())),
            }
        }
        is_valid.then_some(values)
    }

    /// A list of tables, `[[…]]`.
    pub(crate) fn tables(self, sink: &mut DiagnosticSink, like: &str) -> Vec<TableReader<'t>> {
        match self.0.get_ref() {
            DeValue::Array(array) => array.iter().filter_map(|value| Located(value).table(sink, like)).collect(),
            _ => {
                self.wrong::<()>(sink, "a list of tables", like);
                Vec::new()
            }
        }
    }

    pub(crate) fn table(self, sink: &mut DiagnosticSink, like: &str) -> Option<TableReader<'t>> {
        match self.0.get_ref() {
            DeValue::Table(table) => Some(TableReader::new(table, self.at())),
            _ => self.wrong(sink, "a table", like),
        }
    }

    /// All entries of a table whose keys the operator chooses, in the order of the file.
    pub(crate) fn entries(self, sink: &mut DiagnosticSink, like: &str) -> Vec<(Key<'t>, Located<'t>)> {
        match self.0.get_ref() {
            DeValue::Table(table) => {
                let entry = |(key, value): (&'t Spanned<_>, _)| (Key::new(key), Located(value));
                let mut entries: Vec<_> = table.iter().map(entry).collect();
                entries.sort_by_key(|(key, _)| key.at.start);
                entries
            }
            _ => {
                self.wrong::<()>(sink, "a table", like);
                Vec::new()
            }
        }
    }

    pub(crate) fn is_flag(self) -> bool {
        self.0.get_ref().is_bool()
    }

    pub(crate) fn is_number(self) -> bool {
        matches!(self.0.get_ref(), DeValue::Integer(_))
    }

    pub(crate) fn is_table(self) -> bool {
        self.0.get_ref().is_table()
    }

    /// Whether it is a string with this character in it.
    pub(crate) fn contains(self, c: char) -> bool {
        self.0.get_ref().as_str().is_some_and(|text| text.contains(c))
    }

    /// A value that is no string, list or table, as text.
    pub(crate) fn literal(self) -> Option<String> {
        match self.0.get_ref() {
            DeValue::Integer(integer) => Some(integer.to_string()),
            DeValue::Float(float) => Some(float.to_string()),
            DeValue::Boolean(flag) => Some(flag.to_string()),
            DeValue::Datetime(date) => Some(date.to_string()),
            DeValue::String(_) | DeValue::Array(_) | DeValue::Table(_) => None,
        }
    }

    fn wrong<T>(self, sink: &mut DiagnosticSink, kind: &str, like: &str) -> Option<T> {
        let found = match self.0.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        sink.error(self.at(), format!("expected {kind}, found {found}")).expected(format!("write {like}"));
        None
    }
}

/// Reads an optional value: `None` after an error, `Some(None)` if it is absent.
pub(crate) fn optional<'t, T>(
    value: Option<Located<'t>>,
    read: impl FnOnce(Located<'t>) -> Option<T>,
) -> Option<Option<T>> {
    match value {
        Some(value) => read(value).map(Some),
        None => Some(None),
    }
}

/// The value, if it is within the bounds.
pub(crate) fn bounded<T>(sink: &mut DiagnosticSink, at: Range<usize>, value: T, bounds: RangeInclusive<T>) -> Option<T>
where
    T: PartialOrd + Display,
{
    if bounds.contains(&value) {
        return Some(value);
    }
    let (least, most) = bounds.into_inner();
    let side = if value < least { "small" } else { "large" };
    sink.error(at, format!("{value} is too {side}")).expected(format!("from {least} to {most}"));
    None
}

/// Reports an error of `deputy-core` at its position. What follows the colon says what to write, which is where all its texts
/// have it: `cargo xtask tidy` finds one with two colons.
pub(crate) fn invalid<'s>(sink: &'s mut DiagnosticSink, at: Range<usize>, error: &dyn Display) -> &'s mut Diagnostic {
    let text = error.to_string();
    match text.rsplit_once(": ") {
        Some((wrong, right)) => sink.error(at, wrong).expected(right),
        None => sink.error(at, text),
    }
}

impl<'t> Key<'t> {
    fn new(key: &'t Spanned<std::borrow::Cow<'t, str>>) -> Self {
        Self { name: key.get_ref(), at: key.span() }
    }

    pub(crate) fn parsed<T: FromStr<Err: Display>>(&self, sink: &mut DiagnosticSink) -> Option<T> {
        match self.name.parse() {
            Ok(name) => Some(name),
            Err(error) => {
                invalid(sink, self.at.clone(), &error);
                None
            }
        }
    }
}

impl<'t> TableReader<'t> {
    pub(crate) fn new(table: &'t DeTable<'t>, at: Range<usize>) -> Self {
        Self { table, at, known: Vec::new() }
    }

    /// The position of the table, or of its header.
    pub(crate) fn at(&self) -> Range<usize> {
        self.at.clone()
    }

    pub(crate) fn optional(&mut self, key: &'static str) -> Option<Located<'t>> {
        self.known.push(key);
        self.table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| Located(value))
    }

    pub(crate) fn required(&mut self, sink: &mut DiagnosticSink, key: &'static str, like: &str) -> Option<Located<'t>> {
        let value = self.optional(key);
        if value.is_none() {
            sink.error(self.at(), format!("`{key}` is missing")).expected(format!("needs {key} = {like}"));
        }
        value
    }

    /// The position of a key, if it is present.
    pub(crate) fn key(&self, key: &str) -> Option<Range<usize>> {
        self.table.iter().find(|(name, _)| name.get_ref() == key).map(|(key, _)| key.span())
    }

    /// Reports the keys that were not read, and returns their values.
    pub(crate) fn finish(self, sink: &mut DiagnosticSink) -> Vec<Located<'t>> {
        let mut unknown = Vec::new();
        for (key, value) in self.table.iter().filter(|(key, _)| !self.known.contains(&key.get_ref().as_ref())) {
            let written = key.get_ref().as_ref();
            let mut known = self.known.clone();
            known.sort_unstable();
            known.dedup();
            let error = sink.error(key.span(), format!("unknown key `{}`", truncated(written)));
            match nearest(written, known.iter().copied()) {
                Some(meant) => error.expected(format!("did you mean `{meant}`?")),
                None => error.expected("not a key of this table"),
            };
            error.hint(format!("known keys: {}", join_quoted(&known)));
            unknown.push(Located(value));
        }
        unknown
    }
}

/// A text of the file, short enough for a message.
pub(crate) fn truncated(text: &str) -> String {
    deputy_core::truncated(text, 80)
}

/// `a`, `b` and `c`
pub(crate) fn join_quoted(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}
