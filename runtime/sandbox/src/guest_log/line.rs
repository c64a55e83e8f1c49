//! Buffered lines: the unfinished one, and the last ones.

use std::collections::VecDeque;

use zeroize::Zeroizing;

use crate::redact::{Redactor, bounded, escape};

/// Bytes of a line that are shown.
pub(super) const MAX_LINE: usize = 4096;
/// Bytes of the tail.
const MAX_TAIL: usize = 4096;

/// The unfinished line of a stream, as the component wrote it: it is blanked when complete, since a secret may come in
/// pieces.
#[derive(Default)]
pub(super) struct PendingLine {
    pub(super) raw: Zeroizing<Vec<u8>>,
    /// Whether bytes were dropped.
    pub(super) cut: bool,
}

impl PendingLine {
    /// Adds to the line and keeps as much as is shown, and the whole of a secret that begins there.
    pub(super) fn push(&mut self, bytes: &[u8], redactor: &Redactor) {
        if bytes.is_empty() || self.cut {
            return;
        }
        let free = (MAX_LINE + redactor.longest()).saturating_sub(self.raw.len());
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

/// The last lines, as they were written: most are never shown, so they are blanked when they are.
#[derive(Default)]
pub(super) struct Tail {
    lines: VecDeque<Zeroizing<Vec<u8>>>,
    bytes: usize,
}

impl Tail {
    /// Adds the lines of a block.
    pub(super) fn push(&mut self, block: &[u8], upto: usize, redactor: &Redactor) {
        if upto < block.len() {
            self.add(&redactor.blank(block, upto));
            return;
        }
        // Of a block of a megabyte the last few lines do.
        let mut last = Vec::new();
        let mut bytes = 0;
        for line in block.rsplit(|byte| *byte == b'\n') {
            last.push(line);
            bytes += line.len() + 1;
            if bytes > MAX_TAIL {
                break;
            }
        }
        for line in last.into_iter().rev() {
            let most = MAX_LINE + redactor.longest();
            match line.get(..most) {
                Some(_) => self.add(&redactor.blank(line.get(..most).unwrap_or(line), MAX_LINE)),
                None => self.add(line),
            }
        }
    }

    fn add(&mut self, line: &[u8]) {
        self.bytes += line.len() + 1;
        self.lines.push_back(Zeroizing::new(line.to_vec()));
        while self.bytes > MAX_TAIL && self.lines.len() > 1 {
            self.bytes -= self.lines.pop_front().map_or(0, |line| line.len() + 1);
        }
    }

    /// The tail as a text of whole lines, with the unfinished line at its end.
    pub(super) fn text(&self, unfinished: &[u8], redactor: &Redactor) -> String {
        if self.lines.is_empty() && unfinished.is_empty() {
            return String::new(); // most calls print nothing, and what is looked for need not be prepared
        }
        let mut raw = Zeroizing::new(Vec::new());
        for line in
            self.lines.iter().map(|line| line.as_slice()).chain([unfinished].into_iter().filter(|u| !u.is_empty()))
        {
            raw.extend_from_slice(line);
            raw.push(b'\n');
        }
        let blanked = redactor.blank(&raw, raw.len());
        let lines = blanked.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let lines: Vec<_> =
            lines.map(|line| bounded(escape(&String::from_utf8_lossy(line)), MAX_LINE, false)).collect();
        let text = lines.join("\n");
        let text = text.trim_end_matches('\n');
        text.get(text.ceil_char_boundary(text.len().saturating_sub(MAX_TAIL))..).unwrap_or_default().to_owned()
    }
}
