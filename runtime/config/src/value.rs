//! Reading values of the expected kind, with an error at its place for every other.

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

/// A value and its place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Located<'t>(&'t Spanned<DeValue<'t>>);

/// A key and its place.
#[derive(Debug, Clone)]
pub(crate) struct Key<'t> {
    pub(crate) name: &'t str,
    pub(crate) at: Range<usize>,
}

/// A table whose keys are asked for one by one; what is left over in the end is unknown.
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

    /// A string. `like` says what could stand there, for the error: `"64MiB"`.
    pub(crate) fn text(self, sink: &mut DiagnosticSink, like: &str) -> Option<&'t str> {
        match self.0.get_ref() {
            DeValue::String(text) => Some(text),
            _ => self.wrong(sink, "a string", like),
        }
    }

    /// A string that is read into a value.
    pub(crate) fn parsed<T: FromStr<Err: Display>>(self, sink: &mut DiagnosticSink, like: &str) -> Option<T> {
        let text = self.text(sink, like)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => self.invalid(sink, &error),
        }
    }

    /// A value that was read and is refused, with the reason as `deputy-core` gives it: `what is wrong: what to write`.
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

    /// A share within these bounds: `0.75`, also as a string.
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
        let text = self.text(sink, &format!("one of {}", listed(&words)))?;
        if let Some((_, choice)) = choices.iter().find(|(word, _)| *word == text) {
            return Some(*choice);
        }
        let error = sink.error(self.at(), format!("`{}` is none of {}", shown(text), listed(&words)));
        match nearest(text, words.iter().copied()) {
            Some(meant) => error.expected(format!("did you mean `{meant}`?")),
            None => error.expected(format!("one of {}", listed(&words))),
        };
        None
    }

    /// A path, relative to the folder of the configuration.
    pub(crate) fn path(self, sink: &mut DiagnosticSink, base: &Path) -> Option<PathBuf> {
        let text = self.text(sink, "\"/path/to/file\"")?;
        if text.is_empty() || text.contains('\0') {
            sink.error(self.at(), "not a path").expected("the path of a file, relative to this one");
            return None;
        }
        Some(base.join(text))
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

    /// A list of strings that are read into values, each once.
    pub(crate) fn several<T>(self, sink: &mut DiagnosticSink, like: &str) -> Option<Vec<T>>
    where
        T: FromStr<Err: Display> + PartialEq,
    {
        let mut values = Some(Vec::new());
        for element in self.list(sink, like)? {
            let value = element.parsed::<T>(sink, like.trim_matches(['[', ']']));
            if let (Some(value), Some(values)) = (&value, &values)
                && values.contains(value)
            {
                sink.warning(element.at(), "this element is in the list already").expected("once");
            }
            values = values.zip(value).map(|(mut values, value)| {
                values.push(value);
                values
            });
        }
        values
    }

    /// A list of strings that are read into names, each with its place. A name that comes twice is an error.
    pub(crate) fn distinct<T>(self, sink: &mut DiagnosticSink, like: &str) -> Option<Vec<(T, Range<usize>)>>
    where
        T: FromStr<Err: Display> + PartialEq,
    {
        let mut values: Vec<(T, Range<usize>)> = Vec::new();
        let mut sound = true;
        for element in self.list(sink, like)? {
            let Some(value) = element.parsed::<T>(sink, like.trim_matches(['[', ']'])) else {
                sound = false;
                continue;
            };
            match values.iter().find(|(other, _)| *other == value) {
                Some((_, first)) => {
                    sink.error(element.at(), "this name is in the list already")
                        .expected("once")
                        .also(first.clone(), "the first");
                    sound = false;
                }
                None => values.push((value, element.at())),
            }
        }
        sound.then_some(values)
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

    /// A value that is no string, list or table, as it would stand in a string.
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
        sink.error(self.at(), format!("{kind} was expected here, not {found}")).expected(format!("write {like}"));
        None
    }
}

/// Reads a value that may be left out: `None` if it is wrong, `Some(None)` if it is not there.
pub(crate) fn optional<'t, T>(
    value: Option<Located<'t>>,
    read: impl FnOnce(Located<'t>) -> Option<T>,
) -> Option<Option<T>> {
    match value {
        Some(value) => read(value).map(Some),
        None => Some(None),
    }
}

/// The value, if it lies within the bounds.
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

/// An error of `deputy-core` at its place: what stands behind the last colon says what to write.
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

    /// The key, read into a name.
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

    /// The place of the table, or of its header.
    pub(crate) fn at(&self) -> Range<usize> {
        self.at.clone()
    }

    pub(crate) fn optional(&mut self, key: &'static str) -> Option<Located<'t>> {
        self.known.push(key);
        self.table.iter().find(|(own, _)| own.get_ref() == key).map(|(_, value)| Located(value))
    }

    pub(crate) fn required(&mut self, sink: &mut DiagnosticSink, key: &'static str, like: &str) -> Option<Located<'t>> {
        let value = self.optional(key);
        if value.is_none() {
            sink.error(self.at(), format!("`{key}` is missing")).expected(format!("needs {key} = {like}"));
        }
        value
    }

    /// The place of a key, if it is there.
    pub(crate) fn key(&self, key: &str) -> Option<Range<usize>> {
        self.table.iter().find(|(own, _)| own.get_ref() == key).map(|(key, _)| key.span())
    }

    /// Reports the keys that nobody asked for and returns their values.
    pub(crate) fn finish(self, sink: &mut DiagnosticSink) -> Vec<Located<'t>> {
        let mut unknown = Vec::new();
        for (key, value) in self.table.iter().filter(|(key, _)| !self.known.contains(&key.get_ref().as_ref())) {
            let written = key.get_ref().as_ref();
            let mut known = self.known.clone();
            known.sort_unstable();
            known.dedup();
            let error = sink.error(key.span(), format!("unknown key `{}`", shown(written)));
            match nearest(written, known.iter().copied()) {
                Some(meant) => error.expected(format!("did you mean `{meant}`?")),
                None => error.expected("not a key of this table"),
            };
            error.hint(format!("the keys here are {}", listed(&known)));
            unknown.push(Located(value));
        }
        unknown
    }
}

/// A text of the file inside a message: not longer than a line bears.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(80).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

/// `a`, `b` and `c`
pub(crate) fn listed(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}
