//! Values as TOML writes them. What a server or a component chose is escaped, so that a text stays a text and looks like one.

use deputy_core::{misleads, toml_string};
use serde_json::Value as Json;
use toml::Value;

use crate::file::MAX_JSON_DEPTH;

/// A string of TOML, on several lines where that can be read.
pub(super) fn body(text: &str) -> String {
    let is_plain = !text.chars().any(|c| c != '\n' && misleads(c)) && !text.contains("'''") && !text.ends_with('\'');
    if text.contains('\n') && is_plain { format!("'''\n{text}'''") } else { toml_string(text) }
}

pub(super) fn key(name: &str) -> String {
    let is_bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if is_bare { name.to_owned() } else { toml_string(name) }
}

/// An inline table.
pub(super) fn table(entries: impl IntoIterator<Item = (String, String)>) -> String {
    let entries: Vec<_> = entries.into_iter().map(|(name, value)| format!("{} = {value}", key(&name))).collect();
    if entries.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", entries.join(", ")) }
}

pub(super) fn list(values: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", values.into_iter().collect::<Vec<_>>().join(", "))
}

/// A value on one line, with its strings changed.
pub(super) fn inline(value: &Value, change: &dyn Fn(&str) -> String) -> String {
    match value {
        Value::String(text) => toml_string(&change(text)),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => format!("{number:?}"),
        Value::Boolean(is) => is.to_string(),
        Value::Datetime(time) => time.to_string(),
        Value::Array(values) => list(values.iter().map(|value| inline(value, change))),
        Value::Table(entries) => table(entries.iter().map(|(name, value)| (name.clone(), inline(value, change)))),
    }
}

/// Whatever is there.
pub(super) const ANY_JSON: &str = "{ \"$any\" = true }";

/// What a JSON value is expected to be, on one line. What TOML or the script cannot say may be anything.
pub(super) fn expected_json(value: &Json) -> String {
    expected(value, MAX_JSON_DEPTH)
}

fn expected(value: &Json, depth: usize) -> String {
    let Some(depth) = depth.checked_sub(1) else { return ANY_JSON.to_owned() };
    match value {
        Json::Null => "{ \"$null\" = true }".to_owned(),
        Json::Bool(is) => is.to_string(),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => number.to_string(),
            (None, Some(float)) if number.is_f64() => format!("{float:?}"),
            _ => ANY_JSON.to_owned(),
        },
        Json::String(text) => toml_string(text),
        Json::Array(values) => list(values.iter().map(|value| expected(value, depth))),
        Json::Object(members) if members.len() == 1 && members.keys().all(|name| name.starts_with('$')) => {
            ANY_JSON.to_owned()
        }
        Json::Object(members) => table(members.iter().map(|(name, value)| (name.clone(), expected(value, depth)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_writes_toml_that_reads_back() {
        let texts =
            ["", "plain", "a\"b\\c", "line\nline\r\n\t", "\u{1b}[2J\u{202e}\u{7f}é", "'''\n", "it's\nso'", "a\nb"];
        for text in texts {
            for written in [toml_string(text), body(text)] {
                assert!(!written.contains(['\u{1b}', '\u{202e}', '\u{7f}', '\r']), "{written}");
                let read: toml::Table = toml::from_str(&format!("{} = {written}", key(text))).unwrap();
                assert_eq!(read.get(text).and_then(Value::as_str), Some(text), "{written}");
            }
        }
    }

    #[test]
    fn record_writes_json_as_what_is_expected() {
        let value = serde_json::json!({ "a": [1, -2.5, null, true], "b c": { "$x": 1 }, "d": u64::MAX, "e": {} });
        assert_eq!(
            expected_json(&value),
            r#"{ a = [1, -2.5, { "$null" = true }, true], "b c" = { "$any" = true }, d = { "$any" = true }, e = {} }"#
        );
    }

    #[test]
    fn record_changes_the_strings_of_a_value() {
        let value: toml::Table = toml::from_str("a = { b = [\"x\", 1], c = true }").unwrap();
        let written = inline(&Value::Table(value), &|text| text.to_uppercase());
        assert_eq!(written, "{ a = { b = [\"X\", 1], c = true } }");
    }
}
