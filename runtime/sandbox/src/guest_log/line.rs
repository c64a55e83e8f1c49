//! Lines as a component wrote them: the unfinished one, the held ones, and the last ones.
//!
//! They are blanked when they are shown and not before, since the host may learn only later what in them is a secret. A
//! line is cut when it is taken, so that no call holds much; where it was cut, what may be the beginning of a secret is
//! not shown.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use zeroize::Zeroizing;

use crate::redact::{Redactor, bounded, escape};

/// Bytes of a line that are kept and shown.
pub(super) const MAX_LINE: usize = 4096;
/// Bytes of the tail.
const MAX_TAIL: usize = 4096;

/// The unfinished line of a stream. A secret may come in pieces.
#[derive(Default)]
pub(super) struct PendingLine {
    pub(super) raw: Zeroizing<Vec<u8>>,
    /// Whether bytes were dropped.
    pub(super) cut: bool,
}

impl PendingLine {
    /// Adds to the line, as much as is shown.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if bytes.is_empty() || self.cut {
            return;
        }
        let free = MAX_LINE.saturating_sub(self.raw.len());
        self.cut = bytes.len() > free;
        self.raw.extend_from_slice(bytes.get(..free).unwrap_or(bytes));
    }

    pub(super) fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    pub(super) fn raw(&self) -> &[u8] {
        &self.raw
    }
}

/// Lines that are blanked as a whole, since a secret may have several. Only the last one may be cut.
pub(super) struct LineBlock {
    raw: Zeroizing<Vec<u8>>,
    cut: bool,
}

impl LineBlock {
    pub(super) fn new(raw: &[u8], cut: bool) -> Self {
        Self { raw: Zeroizing::new(raw.to_vec()), cut }
    }

    /// The lines as they are shown: blanked, escaped and bounded.
    pub(super) fn lines(&self, redactor: &Redactor) -> Vec<String> {
        let blanked = if self.cut { redactor.blank_cut(&self.raw) } else { redactor.blank(&self.raw, self.raw.len()) };
        let last = newlines(&blanked);
        let lines = blanked.split(|byte| *byte == b'\n').enumerate();
        let shown = lines.map(|(number, line)| {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            bounded(escape(&String::from_utf8_lossy(line)), MAX_LINE, self.cut && number == last)
        });
        shown.collect()
    }
}

pub(super) fn newlines(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte == b'\n').count()
}

/// Gives each line of a text, cut where it is too long, with where it begins, until `take` breaks.
pub(super) fn each_line<'t>(text: &'t [u8], cut: bool, mut take: impl FnMut(LinePart<'t>) -> ControlFlow<()>) {
    let mut at = 0;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let newline = rest.iter().position(|byte| *byte == b'\n');
        let line = newline.and_then(|end| rest.get(..end)).unwrap_or(rest);
        let kept = line.get(..MAX_LINE).unwrap_or(line);
        let is_last = newline.is_none();
        let part = LinePart { at, kept, cut: kept.len() < line.len() || (is_last && cut), is_last };
        if take(part).is_break() || is_last {
            return;
        }
        at += line.len() + 1;
    }
}

/// A line of a text.
pub(super) struct LinePart<'t> {
    /// Where it begins.
    pub(super) at: usize,
    pub(super) kept: &'t [u8],
    pub(super) cut: bool,
    pub(super) is_last: bool,
}

/// The last lines.
#[derive(Default)]
pub(super) struct Tail {
    lines: VecDeque<TailLine>,
    bytes: usize,
}

struct TailLine {
    raw: Zeroizing<Vec<u8>>,
    cut: bool,
}

impl Tail {
    /// Adds the lines of a text. The last one may be cut.
    pub(super) fn push(&mut self, text: &[u8], cut: bool) {
        // Of a text of a megabyte the last few lines do.
        let mut begin = text.len();
        let mut bytes = 0;
        for line in text.rsplit(|byte| *byte == b'\n') {
            begin = begin.saturating_sub(line.len());
            bytes += line.len() + 1;
            if bytes > MAX_TAIL {
                break;
            }
            begin = begin.saturating_sub(1);
        }
        each_line(text.get(begin..).unwrap_or_default(), cut, |line| {
            self.add(TailLine { raw: Zeroizing::new(line.kept.to_vec()), cut: line.cut });
            ControlFlow::Continue(())
        });
    }

    fn add(&mut self, line: TailLine) {
        self.bytes += line.raw.len() + 1;
        self.lines.push_back(line);
        while self.bytes > MAX_TAIL && self.lines.len() > 1 {
            self.bytes -= self.lines.pop_front().map_or(0, |line| line.raw.len() + 1);
        }
    }

    /// The tail as a text of whole lines, with the unfinished line at its end.
    pub(super) fn text(&self, unfinished: &PendingLine, redactor: &Redactor) -> String {
        let unfinished = Some((unfinished.raw(), unfinished.cut)).filter(|(raw, _)| !raw.is_empty());
        let lines = self.lines.iter().map(|line| (line.raw.as_slice(), line.cut)).chain(unfinished);
        let mut shown: Vec<String> = Vec::new();
        let mut block: Option<Zeroizing<Vec<u8>>> = None;
        for (raw, cut) in lines {
            let joined = match block.take() {
                Some(before) => Zeroizing::new([&before, b"\n".as_slice(), raw].concat()),
                None => Zeroizing::new(raw.to_vec()),
            };
            if cut {
                shown.extend(LineBlock { raw: joined, cut }.lines(redactor));
            } else {
                block = Some(joined);
            }
        }
        shown.extend(block.into_iter().flat_map(|raw| LineBlock { raw, cut: false }.lines(redactor)));
        let text = shown.join("\n");
        let text = text.trim_end_matches('\n');
        text.get(text.ceil_char_boundary(text.len().saturating_sub(MAX_TAIL))..).unwrap_or_default().to_owned()
    }
}
