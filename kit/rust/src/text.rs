//! Text from outside, made fit for an operator's log.

/// At most `limit` characters of `text` on one line: control characters, line breaks and the marks that turn the
/// direction of writing become spaces, runs of spaces become one, and `…` marks what was cut.
#[must_use]
pub fn one_line(text: &str, limit: usize) -> String {
    let mut line = String::new();
    let mut length = 0;
    for word in text.split(is_break).filter(|word| !word.is_empty()) {
        for letter in (length > 0).then_some(' ').into_iter().chain(word.chars()) {
            if length == limit {
                line.push('…');
                return line;
            }
            line.push(letter);
            length += 1;
        }
    }
    line
}

fn is_break(letter: char) -> bool {
    letter == ' '
        || letter.is_control()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_cannot_forge_a_line_or_colour_the_terminal() {
        assert_eq!(one_line("a\r\n2026 INFO all is well\u{1b}[32m", 100), "a 2026 INFO all is well [32m");
        assert_eq!(one_line("user\u{202e}drowssap", 100), "user drowssap");
    }

    #[test]
    fn long_text_is_cut_between_letters() {
        assert_eq!(one_line("ééé", 2), "éé…");
        assert_eq!(one_line("ab", 2), "ab");
        assert_eq!(one_line("  a   b  ", 3), "a b");
        assert_eq!(one_line("a b", 1), "a…");
    }
}
