//! Makes texts of services safe for an operator's log.

/// At most `limit` characters of `text` on one line: control characters, line breaks and direction marks become
/// spaces, runs of spaces become one, and `…` marks a truncation.
#[must_use]
pub fn one_line(text: &str, limit: usize) -> String {
    let mut line = String::new();
    let mut length = 0;
    for word in text.split(is_break).filter(|word| !word.is_empty()) {
        for character in (length > 0).then_some(' ').into_iter().chain(word.chars()) {
            if length == limit {
                line.push('…');
                return line;
            }
            line.push(character);
            length += 1;
        }
    }
    line
}

fn is_break(character: char) -> bool {
    character == ' '
        || character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_on_one_line_cannot_forge_a_line_or_colour_a_terminal() {
        assert_eq!(one_line("a\r\n2026 INFO all is well\u{1b}[32m", 100), "a 2026 INFO all is well [32m");
        assert_eq!(one_line("user\u{202e}drowssap", 100), "user drowssap");
    }

    #[test]
    fn text_on_one_line_is_cut_between_characters() {
        assert_eq!(one_line("ééé", 2), "éé…");
        assert_eq!(one_line("ab", 2), "ab");
        assert_eq!(one_line("  a   b  ", 3), "a b");
        assert_eq!(one_line("a b", 1), "a…");
    }
}
