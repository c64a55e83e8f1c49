//! Line and column of a byte in a text.

/// The line and column of a byte, both counted from 1, columns in characters.
pub(crate) fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..text.floor_char_boundary(at)).unwrap_or(text);
    let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

/// Finds lines and columns of ascending bytes in one pass over the text.
pub(crate) struct Cursor {
    at: usize,
    line: usize,
    column: usize,
}

impl Default for Cursor {
    fn default() -> Self {
        Self { at: 0, line: 1, column: 1 }
    }
}

impl Cursor {
    pub(crate) fn line_and_column(&mut self, text: &str, at: usize) -> (usize, usize) {
        let at = text.floor_char_boundary(at);
        if at < self.at {
            *self = Self::default();
        }
        for c in text.get(self.at..at).unwrap_or_default().chars() {
            if c == '\n' {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += 1;
            }
        }
        self.at = at;
        (self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_counts_columns_in_characters() {
        let text = "a = 1\nü = \"ß\" x";
        assert_eq!(line_and_column(text, 0), (1, 1));
        assert_eq!(line_and_column(text, 5), (1, 6));
        assert_eq!(line_and_column(text, 6), (2, 1));
        assert_eq!(line_and_column(text, 7), (2, 1), "inside the ü");
        assert_eq!(line_and_column(text, 8), (2, 2));
        assert_eq!(line_and_column(text, text.len()), (2, 10));
        assert_eq!(line_and_column(text, 1000), (2, 10));
        assert_eq!(line_and_column("", 0), (1, 1));
        let mut cursor = Cursor::default();
        for at in (0..text.len() + 3).chain([1000, 2, 7]) {
            assert_eq!(cursor.line_and_column(text, at), line_and_column(text, at), "{at}");
        }
    }
}
