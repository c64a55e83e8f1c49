//! Columns under each other.

use crate::print::sanitize;

/// No column is cut below this, so that what it is about can be read.
const NARROWEST: usize = 8;

/// Rows of texts; each column is as wide as its widest text.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(|cell| sanitize(&cell.into())).collect());
    }

    /// The rows, no wider than that. The widest columns are cut first.
    pub(crate) fn render_within(&self, width: Option<usize>) -> String {
        let mut widths = self.widths();
        let gaps = 2 * widths.len().saturating_sub(1);
        while let Some(width) = width
            && let Some(excess) = (widths.iter().sum::<usize>() + gaps).checked_sub(width).filter(|excess| *excess > 0)
            && let Some(widest) = widths.iter_mut().max().filter(|widest| **widest > NARROWEST)
        {
            // In steps, so that another column that is the widest by then is cut as well.
            *widest = widest.saturating_sub(excess.div_ceil(2)).max(NARROWEST);
        }
        let rows = self.rows.iter().map(|row| row.iter().zip(&widths).map(|(cell, width)| cut(cell, *width)).collect());
        Self { rows: rows.collect() }.render(0)
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max();
        (0..columns).map(|column| width(column).unwrap_or_default()).collect()
    }

    /// The rows, each behind an indent.
    pub(crate) fn render(&self, indent: usize) -> String {
        let widths = self.widths();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = " ".repeat(indent);
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(&format!("{cell:width$}  "));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

fn cut(cell: &str, width: usize) -> String {
    if cell.chars().count() <= width {
        return cell.to_owned();
    }
    cell.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_text() {
        let mut table = Table::default();
        table.row(["a", "b", "c"]);
        table.row(["ßß", "", "d\u{1b}[2J"]);
        table.row(["only"]);
        assert_eq!(table.render(1), " a     b  c\n ßß       d\u{fffd}[2J\n only\n");
    }
}
