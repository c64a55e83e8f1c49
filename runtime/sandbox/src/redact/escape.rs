//! Characters that would make a line look like something else.

use std::fmt::Write as _;

use deputy_core::misleads;

/// Escapes control characters, line and paragraph separators, and characters that are not seen but change what is
/// (direction, joining, language tags), so that one line stays one line and reads as it is written.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            c if misleads(c) => {
                // Writing to a string can't fail.
                if write!(escaped, "\\u{{{:x}}}", u32::from(c)).is_err() {
                    escaped.push('\u{fffd}');
                }
            }
            c => escaped.push(c),
        }
    }
    escaped
}
