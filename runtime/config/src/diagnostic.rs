//! What is wrong with a configuration, and how it is rendered.

use std::fmt;
use std::io;
use std::iter;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use deputy_core::misleads;
use schemars::JsonSchema;
use serde::Serialize;

use crate::position::{Cursor, line_and_column};

/// Findings that are rendered; the rest are counted.
const MAX_RENDERED: usize = 50;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigErrors {
    #[error("cannot read {}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("the configuration {} is not valid", _0.path().display())]
    Invalid(Diagnostics),
}

/// Whether to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    Never,
    /// With the escape sequences of a terminal.
    Always,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The program does not start.
    Error,
    /// A setting has no effect, or another effect than it seems.
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Finding {
    pub severity: Severity,
    pub file: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    pub message: String,
    /// What to write instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// One finding, with byte ranges of the text.
#[derive(Debug, Clone)]
pub(crate) struct Diagnostic {
    severity: Severity,
    at: Range<usize>,
    message: String,
    expected: Option<String>,
    also: Vec<(Range<usize>, String)>,
    hint: Option<String>,
}

/// Collects findings while a file is read.
#[derive(Debug, Default)]
pub(crate) struct DiagnosticSink {
    list: Vec<Diagnostic>,
    masked: Vec<Range<usize>>,
}

impl DiagnosticSink {
    /// Adds an error, to which more can be added.
    pub(crate) fn error(&mut self, at: Range<usize>, message: impl Into<String>) -> &mut Diagnostic {
        self.add(Severity::Error, at, message.into())
    }

    pub(crate) fn warning(&mut self, at: Range<usize>, message: impl Into<String>) -> &mut Diagnostic {
        self.add(Severity::Warning, at, message.into())
    }

    /// Hides a range of the file: it may be a secret that was written there by mistake.
    pub(crate) fn mask(&mut self, at: Range<usize>) {
        self.masked.push(at);
    }

    pub(crate) fn failed(&self) -> bool {
        self.list.iter().any(|d| d.severity == Severity::Error)
    }

    /// The findings in the order of the file. With errors, warnings are left out: an error may have caused them.
    pub(crate) fn close(mut self, path: &Path, text: &str) -> Diagnostics {
        if self.failed() {
            self.list.retain(|d| d.severity == Severity::Error);
        }
        self.list.sort_by_key(|d| (d.at.start, d.at.end));
        for diagnostic in &mut self.list {
            diagnostic.at = whole_characters(text, &diagnostic.at);
            for (also, _) in &mut diagnostic.also {
                *also = whole_characters(text, also);
            }
            diagnostic.message = diagnostic.message.chars().map(printable).collect();
            diagnostic.expected = diagnostic.expected.take().map(|text| text.chars().map(printable).collect());
        }
        Diagnostics { path: path.to_owned(), text: self.masked_text(text), list: self.list }
    }

    /// The text with masked ranges replaced byte for byte, so that every position stays the same.
    fn masked_text(&self, text: &str) -> String {
        let is_masked = |index: usize| self.masked.iter().any(|range| range.contains(&index));
        text.char_indices()
            .flat_map(|(index, c)| match is_masked(index) && c != '\n' {
                true => iter::repeat_n('*', c.len_utf8()),
                false => iter::repeat_n(printable(c), 1),
            })
            .collect()
    }

    fn add(&mut self, severity: Severity, at: Range<usize>, message: String) -> &mut Diagnostic {
        let message = shown(&message);
        self.list.push_mut(Diagnostic { severity, at, message, expected: None, also: Vec::new(), hint: None })
    }
}

fn whole_characters(text: &str, range: &Range<usize>) -> Range<usize> {
    text.floor_char_boundary(range.start)..text.ceil_char_boundary(range.end.max(range.start))
}

/// Characters of the second block of control characters can begin escape sequences, and the renderer passes them on.
fn printable(c: char) -> char {
    if ('\u{80}'..'\u{a0}').contains(&c) { '·' } else { c }
}

/// What a file says, in the text of a finding.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c != '\n' && misleads(c) { '·' } else { c }).collect()
}

impl Diagnostic {
    /// What to write instead; rendered at the caret.
    pub(crate) fn expected(&mut self, text: impl Into<String>) -> &mut Self {
        self.expected = Some(shown(&text.into()));
        self
    }

    /// Another range that the finding is about.
    pub(crate) fn also(&mut self, at: Range<usize>, label: impl Into<String>) -> &mut Self {
        self.also.push((at, shown(&label.into())));
        self
    }

    pub(crate) fn hint(&mut self, text: impl Into<String>) -> &mut Self {
        self.hint = Some(shown(&text.into()));
        self
    }
}

impl Diagnostics {
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The findings, for a program to read.
    pub fn findings(&self) -> impl Iterator<Item = Finding> + '_ {
        let mut cursor = Cursor::default();
        self.list.iter().map(move |diagnostic| {
            let (line, column) = cursor.line_and_column(&self.text, diagnostic.at.start);
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

    /// The findings with the operator's lines and carets, for a person to read. Ends with a newline, unless empty.
    pub fn render(&self, colour: Colour) -> String {
        let renderer = match colour {
            Colour::Never => Renderer::plain(),
            Colour::Always => Renderer::styled(),
        };
        let path = self.path.display().to_string();
        let mut rendered: Vec<String> = self
            .list
            .iter()
            .take(MAX_RENDERED)
            .map(|d| renderer.render(&[d.group(&path, &self.text)]) + "\n")
            .collect();
        if let Some(more) = self.list.len().checked_sub(MAX_RENDERED).filter(|more| *more > 0) {
            rendered.push(format!("and {more} more\n"));
        }
        rendered.join("\n")
    }
}

impl Diagnostic {
    fn group<'a>(&'a self, path: &'a str, text: &'a str) -> annotate_snippets::Group<'a> {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        // The renderer gets only the lines that the finding is about: a file may be long.
        let ranges = || iter::once(&self.at).chain(self.also.iter().map(|(at, _)| at));
        let first = ranges().map(|at| at.start).min().unwrap_or_default();
        let last = ranges().map(|at| at.end).max().unwrap_or_default();
        let start = text.get(..first).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
        let end = text.get(last..).and_then(|after| after.find('\n')).map_or(text.len(), |at| last + at + 1);
        let in_snippet = |at: &Range<usize>| at.start - start..at.end - start;

        let primary = AnnotationKind::Primary.span(in_snippet(&self.at)).label(self.expected.as_deref());
        let others = self.also.iter().map(|(at, label)| AnnotationKind::Context.span(in_snippet(at)).label(label));
        let source =
            Snippet::source(text.get(start..end).unwrap_or_default()).line_start(line_and_column(text, start).0);
        let snippet = source.path(path).annotation(primary).annotations(others);
        let group = level.primary_title(self.message.as_str()).element(snippet);
        match &self.hint {
            Some(hint) => group.element(Level::HELP.message(hint.as_str())),
            None => group,
        }
    }
}

impl ConfigErrors {
    /// For a person to read. Ends with a newline.
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
