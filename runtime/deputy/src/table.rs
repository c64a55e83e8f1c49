//! Tables of texts.

use clap::builder::styling::Style;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::print::{HEADING, sanitize, styled};

/// Columns are not truncated below this width, so that their texts can be recognised.
const MIN_WIDTH: usize = 8;

/// Between two columns.
const GAP: usize = 2;

/// Rows of texts. Each column is as wide as its widest text.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<Cell>>,
    /// The columns that are left out if rows do not fit otherwise, the first one first.
    optional: Vec<usize>,
}

/// A text without control characters, in a style that the stream removes if it shows no colours.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    pub(crate) fn new(text: impl AsRef<str>) -> Self {
        Self { text: sanitize(text.as_ref()), style: Style::new() }
    }

    pub(crate) fn styled(self, style: Style) -> Self {
        Self { style, ..self }
    }
}

impl<S: AsRef<str>> From<S> for Cell {
    fn from(text: S) -> Self {
        Self::new(text)
    }
}

impl Table {
    /// Leaves these columns out, counted from 0, while rows do not fit otherwise: the first one first.
    pub(crate) fn with_optional(optional: &[usize]) -> Self {
        Self { optional: optional.to_vec(), ..Self::default() }
    }

    pub(crate) fn row<C: Into<Cell>>(&mut self, cells: impl IntoIterator<Item = C>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    pub(crate) fn render(&self, indent: usize) -> String {
        self.lines(indent, &self.widths()).concat()
    }

    /// Has rows fit into `width`: leaves optional columns out, and truncates the widest ones.
    pub(crate) fn render_within(&self, width: Option<usize>) -> String {
        self.lines(0, &self.widths_within(width)).concat()
    }

    /// The same, with the first row as the heading.
    pub(crate) fn render_with_heading(&self, width: Option<usize>) -> String {
        let lines = self.lines(0, &self.widths_within(width));
        let Some((heading, rows)) = lines.split_first() else { return String::new() };
        format!("{}\n{}", styled(HEADING, heading.trim_end()), rows.concat())
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = Vec::new();
        for row in &self.rows {
            widths.resize(widths.len().max(row.len()), 0);
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.text.width().max(*width);
            }
        }
        widths
    }

    /// A column of width 0 is left out.
    fn widths_within(&self, width: Option<usize>) -> Vec<usize> {
        let mut widths = self.widths();
        let Some(width) = width else { return widths };
        for column in &self.optional {
            let least: Vec<usize> = widths.iter().map(|width| (*width).min(MIN_WIDTH)).collect();
            if total(&least) <= width {
                break;
            }
            if let Some(column) = widths.get_mut(*column) {
                *column = 0;
            }
        }
        while let Some(excess) = total(&widths).checked_sub(width).filter(|excess| *excess > 0)
            && let Some(widest) = widths.iter_mut().max().filter(|widest| **widest > MIN_WIDTH)
        {
            // In steps, so that another column that is the widest by then is truncated as well.
            *widest = widest.saturating_sub(excess.div_ceil(2)).max(MIN_WIDTH);
        }
        widths
    }

    fn lines(&self, indent: usize, widths: &[usize]) -> Vec<String> {
        self.rows.iter().map(|row| line(indent, row, widths)).collect()
    }
}

fn line(indent: usize, row: &[Cell], widths: &[usize]) -> String {
    let mut line = " ".repeat(indent);
    // Spaces are written when a text follows them, so that no line ends with some.
    let mut spaces = 0;
    for (cell, width) in row.iter().zip(widths).filter(|(_, width)| **width > 0) {
        let text = truncate(&cell.text, *width);
        let used = text.width();
        if used > 0 {
            line.push_str(&" ".repeat(spaces));
            spaces = 0;
            line.push_str(&if cell.style == Style::new() { text } else { styled(cell.style, text) });
        }
        spaces += width.saturating_sub(used) + GAP;
    }
    line + "\n"
}

/// How wide rows are, with gaps between the columns that are not left out.
fn total(widths: &[usize]) -> usize {
    let shown = widths.iter().filter(|width| **width > 0).count();
    widths.iter().sum::<usize>() + GAP * shown.saturating_sub(1)
}

fn truncate(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut truncated = String::new();
    let mut left = width.saturating_sub(1);
    for c in text.chars() {
        let Some(rest) = left.checked_sub(c.width().unwrap_or_default()) else { break };
        left = rest;
        truncated.push(c);
    }
    truncated.push('…');
    truncated
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::print::ERROR;

    #[test]
    fn table_columns_are_as_wide_as_their_widest_text() {
        let mut table = Table::default();
        table.row(["a", "b", "c"]);
        table.row(["ßß", "", "d\u{1b}[2J"]);
        table.row(["only"]);
        assert_eq!(table.render(1), " a     b  c\n ßß       d\u{fffd}[2J\n only\n");
    }

    #[test]
    fn table_aligns_wide_and_combining_characters() {
        let mut table = Table::default();
        table.row(["日本", "x"]);
        table.row(["e\u{301}", "y"]);
        assert_eq!(table.render(0), "日本  x\ne\u{301}     y\n");
    }

    #[test]
    fn table_truncates_by_columns() {
        let mut table = Table::default();
        table.row(["日本語日本語日本語", "z"]);
        let text = table.render_within(Some(12));
        assert_eq!(text, "日本語日…  z\n");
        assert!(text.lines().all(|line| line.width() <= 12));
    }

    #[test]
    fn table_styles_do_not_count_as_width() {
        let mut table = Table::default();
        table.row([Cell::new("failed").styled(ERROR), Cell::new("x")]);
        table.row(["longer words", "y"]);
        let plain = anstream::adapter::strip_str(&table.render(0)).to_string();
        assert_eq!(plain, "failed        x\nlonger words  y\n");
        assert!(table.render(0).starts_with('\u{1b}'));
    }

    #[test]
    fn table_leaves_optional_columns_out_before_it_is_too_wide() {
        let mut table = Table::with_optional(&[1, 0]);
        table.row(["an optional text", "another text", "what has to stay"]);
        assert_eq!(table.render_within(Some(100)), "an optional text  another text  what has to stay\n");
        assert!(table.render_within(Some(30)).trim_end().width() <= 30);
        assert_eq!(table.render_within(Some(20)), "an optio…  what has…\n");
        assert_eq!(table.render_within(Some(10)), "what has …\n");
    }
}
