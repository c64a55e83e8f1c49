//! From a byte in a text to its line and column.

/// The line and column of a byte, both counted from 1, columns in characters.
pub(crate) fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..floor(text, at)).unwrap_or(text);
    let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

/// Finds one place after another: in their order, the whole text is looked through once.
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
    /// The same as [`place`].
    pub(crate) fn place(&mut self, text: &str, at: usize) -> (usize, usize) {
        let at = floor(text, at);
        if at < self.at {
            *self = Self::default();
        }
        for c in text.get(self.at..at).unwrap_or_default().chars() {
            (self.line, self.column) = if c == '\n' { (self.line + 1, 1) } else { (self.line, self.column + 1) };
        }
        self.at = at;
        (self.line, self.column)
    }
}

/// The nearest boundary between two characters at or before a byte.
pub(crate) fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default()
}

/// The nearest boundary between two characters at or after a byte.
pub(crate) fn ceiling(text: &str, at: usize) -> usize {
    (at..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_counted_in_characters() {
        let text = "a = 1\nü = \"ß\" x";
        assert_eq!(place(text, 0), (1, 1));
        assert_eq!(place(text, 5), (1, 6));
        assert_eq!(place(text, 6), (2, 1));
        assert_eq!(place(text, 7), (2, 1), "inside the ü");
        assert_eq!(place(text, 8), (2, 2));
        assert_eq!(place(text, text.len()), (2, 10));
        assert_eq!(place(text, 1000), (2, 10));
        assert_eq!(place("", 0), (1, 1));
        let mut cursor = Cursor::default();
        for at in (0..text.len() + 3).chain([1000, 2, 7]) {
            assert_eq!(cursor.place(text, at), place(text, at), "{at}");
        }
        assert_eq!((floor(text, 7), ceiling(text, 7), ceiling(text, 99)), (6, 8, text.len()));
    }
}
