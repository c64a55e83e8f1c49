//! Characters that would make a line look like something else.

use std::fmt::Write as _;

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

/// Unicode's categories Cc, Cf, Zl and Zp, and the fillers and selectors that show nothing.
fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}'
            | '\u{8e2}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}'
            | '\u{13430}'..='\u{1345f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}
