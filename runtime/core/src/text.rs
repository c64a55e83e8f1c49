//! Text from elsewhere, made fit for an error or a configuration.

/// The first `max` characters of a text, for an error.
pub fn excerpt(text: &str, max: usize) -> String {
    text.chars().take(max).collect()
}

/// The first `max` characters of a text, and `…` if there are more.
pub fn truncated(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Whether a character would make a text look like another one: Unicode's categories Cc, Cf, Zl and Zp, and the fillers and
/// selectors that show nothing.
pub fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}'
            | '\u{8e2}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}'
            | '\u{13430}'..='\u{1345f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// A text as a TOML string, which it cannot end.
pub fn toml_string(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if misleads(c) => {
                let (number, is_short) = (u32::from(c), u32::from(c) <= 0xffff);
                quoted.push_str(&if is_short { format!("\\u{number:04x}") } else { format!("\\U{number:08x}") });
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_truncated_between_characters_and_marked() {
        assert_eq!(truncated("äöü", 3), "äöü");
        assert_eq!(truncated("äöüß", 3), "äöü…");
        assert_eq!(excerpt("äöüß", 3), "äöü");
        assert_eq!(truncated("", 0), "");
    }

    #[test]
    fn text_as_a_toml_string_cannot_end_it() {
        assert_eq!(toml_string("a\"b\\c\nd\u{7f}é"), r#""a\"b\\c\u000ad\u007fé""#);
        assert_eq!(toml_string("\u{202e}\u{e0001}"), r#""\u202e\U000e0001""#);
    }
}
