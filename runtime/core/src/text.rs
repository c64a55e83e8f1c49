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

/// A text as a TOML string, which it cannot end.
pub fn toml_string(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
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
    }
}
