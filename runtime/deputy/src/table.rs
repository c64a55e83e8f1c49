//! Tables of texts.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::print::{HEADING, sanitize, styled};

/// Columns are not truncated below this width, so that their texts can be recognised.
const MIN_WIDTH: usize = 8;

/// Between two columns.
const GAP: usize = 2;

/// Rows of texts. Each column is as wide as its widest text.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(|cell| sanitize(&cell.into())).collect());
    }

    pub(crate) fn render(&self, indent: usize) -> String {
        self.render_columns(indent, &self.widths())
    }

    /// Truncates the widest columns so that rows fit into `width`.
    pub(crate) fn render_within(&self, width: Option<usize>) -> String {
        let mut widths = self.widths();
        let gaps = GAP * widths.len().saturating_sub(1);
        while let Some(width) = width
            && let Some(excess) = (widths.iter().sum::<usize>() + gaps).checked_sub(width).filter(|excess| *excess > 0)
            && let Some(widest) = widths.iter_mut().max().filter(|widest| **widest > MIN_WIDTH)
        {
            // In steps, so that another column that is the widest by then is truncated as well.
            *widest = widest.saturating_sub(excess.div_ceil(2)).max(MIN_WIDTH);
        }
        self.render_columns(0, &widths)
    }

    /// The same, with the first row as the heading.
    pub(crate) fn render_with_heading(&self, width: Option<usize>) -> String {
        let text = self.render_within(width);
        let (heading, rows) = text.split_once('\n').unwrap_or((&text, ""));
        format!("{}\n{rows}", styled(HEADING, heading))
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = Vec::new();
        for row in &self.rows {
            widths.resize(widths.len().max(row.len()), 0);
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.width().max(*width);
            }
        }
        widths
    }

    fn render_columns(&self, indent: usize, widths: &[usize]) -> String {
        let mut text = String::new();
        for row in &self.rows {
            let mut line = " ".repeat(indent);
            for (cell, width) in row.iter().zip(widths) {
                let cell = truncate(cell, *width);
                line.push_str(&cell);
                line.push_str(&" ".repeat(width.saturating_sub(cell.width()) + GAP));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
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
}
