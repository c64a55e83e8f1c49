//! From a byte in a text to its line and column.

/// The line and column of a byte, both counted from 1, columns in characters.
pub(crate) fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..floor(text, at)).unwrap_or(text);
    let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
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
        assert_eq!((floor(text, 7), ceiling(text, 7), ceiling(text, 99)), (6, 8, text.len()));
    }
}
