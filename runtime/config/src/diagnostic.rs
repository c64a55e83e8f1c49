//! What is wrong with a configuration, and how it is shown.

use std::fmt;
use std::io;
use std::iter;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::Serialize;

use crate::position::{Cursor, ceiling, floor, place};

/// More findings than these are counted and not shown.
const SHOWN: usize = 50;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigErrors {
    /// The file can't be read.
    #[error("cannot read the configuration {}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What it says is wrong.
    #[error("the configuration {} is not valid", _0.path().display())]
    Invalid(Diagnostics),
}

/// Whether to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Text alone.
    Never,
    /// With the escape sequences of a terminal.
    Always,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Nothing starts with it.
    Error,
    /// It has no effect, or another one than it seems.
    Warning,
}

/// Findings about one file, in the order of the file.
#[derive(Debug, Clone)]
pub struct Diagnostics {
    path: PathBuf,
    text: String,
    list: Vec<Diagnostic>,
}

/// One finding, for a program to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// In which file.
    pub file: String,
    /// In which line, from 1.
    pub line: usize,
    /// At which character of the line, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What may help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// One finding by its place in the text.
#[derive(Debug, Clone)]
pub(crate) struct Diagnostic {
    severity: Severity,
    at: Range<usize>,
    message: String,
    expected: Option<String>,
    also: Vec<(Range<usize>, String)>,
    hint: Option<String>,
}

/// Where findings go while a file is read.
#[derive(Debug, Default)]
pub(crate) struct DiagnosticSink {
    list: Vec<Diagnostic>,
    masked: Vec<Range<usize>>,
}

impl DiagnosticSink {
    /// Notes an error. The returned finding can be told more.
    pub(crate) fn error(&mut self, at: Range<usize>, message: impl Into<String>) -> &mut Diagnostic {
        self.note(Severity::Error, at, message.into())
    }

    /// Notes a warning.
    pub(crate) fn warning(&mut self, at: Range<usize>, message: impl Into<String>) -> &mut Diagnostic {
        self.note(Severity::Warning, at, message.into())
    }

    /// Keeps a piece of the file from being shown: it may be a secret that was written there by mistake.
    pub(crate) fn mask(&mut self, at: Range<usize>) {
        self.masked.push(at);
    }

    /// Whether an error was noted.
    pub(crate) fn failed(&self) -> bool {
        self.list.iter().any(|d| d.severity == Severity::Error)
    }

    /// What was noted, in the order of the file. Beside errors no warnings: those may be their echo.
    pub(crate) fn close(mut self, path: &Path, text: &str) -> Diagnostics {
        if self.failed() {
            self.list.retain(|d| d.severity == Severity::Error);
        }
        let at = |range: &Range<usize>| floor(text, range.start)..ceiling(text, range.end.max(range.start));
        self.list.sort_by_key(|d| (d.at.start, d.at.end));
        for diagnostic in &mut self.list {
            diagnostic.at = at(&diagnostic.at);
            for (also, _) in &mut diagnostic.also {
                *also = at(also);
            }
            diagnostic.message = diagnostic.message.chars().map(harmless).collect();
            diagnostic.expected = diagnostic.expected.take().map(|text| text.chars().map(harmless).collect());
        }
        let masked = |index: usize| self.masked.iter().any(|range| range.contains(&index));
        // Byte for byte, so that every place stays where it is.
        let hide = |(index, c): (usize, char)| match masked(index) && c != '\n' {
            true => iter::repeat_n('*', c.len_utf8()),
            false => iter::repeat_n(harmless(c), 1),
        };
        let text = text.char_indices().flat_map(hide).collect();
        Diagnostics { path: path.to_owned(), text, list: self.list }
    }

    fn note(&mut self, severity: Severity, at: Range<usize>, message: String) -> &mut Diagnostic {
        self.list.push_mut(Diagnostic { severity, at, message, expected: None, also: Vec::new(), hint: None })
    }
}

/// The second block of control characters begins escape sequences, too, and the renderer lets it pass.
fn harmless(c: char) -> char {
    if ('\u{80}'..'\u{a0}').contains(&c) { '·' } else { c }
}

impl Diagnostic {
    /// What would be right; shown at the caret.
    pub(crate) fn expected(&mut self, text: impl Into<String>) -> &mut Self {
        self.expected = Some(text.into());
        self
    }

    /// Another place that has to do with it.
    pub(crate) fn also(&mut self, at: Range<usize>, label: impl Into<String>) -> &mut Self {
        self.also.push((at, label.into()));
        self
    }

    /// What may help.
    pub(crate) fn hint(&mut self, text: impl Into<String>) -> &mut Self {
        self.hint = Some(text.into());
        self
    }
}

impl Diagnostics {
    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many findings there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Each finding, for a program to read.
    pub fn findings(&self) -> impl Iterator<Item = Finding> + '_ {
        let mut cursor = Cursor::default();
        self.list.iter().map(move |diagnostic| {
            let (line, column) = cursor.place(&self.text, diagnostic.at.start);
            Finding {
                severity: diagnostic.severity,
                file: self.path.display().to_string(),
                line,
                column,
                message: diagnostic.message.clone(),
                expected: diagnostic.expected.clone(),
                hint: diagnostic.hint.clone(),
            }
        })
    }

    /// Each finding with the user's line and a caret, for a person to read. Ends with a line break, unless empty.
    pub fn render(&self, colour: Colour) -> String {
        let renderer = match colour {
            Colour::Never => Renderer::plain(),
            Colour::Always => Renderer::styled(),
        };
        let path = self.path.display().to_string();
        let mut shown: Vec<String> =
            self.list.iter().take(SHOWN).map(|d| renderer.render(&[d.group(&path, &self.text)]) + "\n").collect();
        if let Some(more) = self.list.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            shown.push(format!("and {more} more\n"));
        }
        shown.join("\n")
    }
}

impl Diagnostic {
    fn group<'a>(&'a self, path: &'a str, text: &'a str) -> annotate_snippets::Group<'a> {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        // Of a long file only the lines between the places are looked at.
        let places = || iter::once(&self.at).chain(self.also.iter().map(|(at, _)| at));
        let first = places().map(|at| at.start).min().unwrap_or_default();
        let last = places().map(|at| at.end).max().unwrap_or_default();
        let start = text.get(..first).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
        let end = text.get(last..).and_then(|after| after.find('\n')).map_or(text.len(), |at| last + at + 1);
        let within = |at: &Range<usize>| at.start - start..at.end - start;

        let here = AnnotationKind::Primary.span(within(&self.at)).label(self.expected.as_deref());
        let others = self.also.iter().map(|(at, label)| AnnotationKind::Context.span(within(at)).label(label));
        let source = Snippet::source(text.get(start..end).unwrap_or_default()).line_start(place(text, start).0);
        let snippet = source.path(path).annotation(here).annotations(others);
        let group = level.primary_title(self.message.as_str()).element(snippet);
        match &self.hint {
            Some(hint) => group.element(Level::HELP.message(hint.as_str())),
            None => group,
        }
    }
}

impl ConfigErrors {
    /// For a person to read: the findings, or the one reason. Ends with a line break.
    pub fn render(&self, colour: Colour) -> String {
        match self {
            Self::Invalid(diagnostics) => diagnostics.render(colour),
            Self::Unreadable { source, .. } => format!("{self}: {source}\n"),
        }
    }

    /// For a program to read.
    pub fn findings(&self) -> Vec<Finding> {
        match self {
            Self::Invalid(diagnostics) => diagnostics.findings().collect(),
            Self::Unreadable { path, source } => vec![Finding {
                severity: Severity::Error,
                file: path.display().to_string(),
                line: 1,
                column: 1,
                message: format!("{self}: {source}"),
                expected: None,
                hint: None,
            }],
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}
