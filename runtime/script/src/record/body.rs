//! The body of an answer as far as its values have names: JSON, XML, a form, or a text.

use serde_json::Value;

use super::markup;
use super::mocks::Mocks;

/// A body.
#[derive(Debug, Clone)]
pub(super) enum AnswerBody {
    Json(Value),
    Form(Vec<(String, String)>),
    Xml(String),
    Text(String),
}

impl AnswerBody {
    pub(super) fn read(text: &str, content_type: &str) -> Self {
        if let Ok(value @ (Value::Object(_) | Value::Array(_) | Value::String(_))) = serde_json::from_str(text) {
            return Self::Json(value);
        }
        if text.trim_start().starts_with('<') {
            return Self::Xml(text.to_owned());
        }
        let is_form = content_type.starts_with("application/x-www-form-urlencoded");
        // Some servers name no type.
        if is_form || text.split('&').all(is_field) {
            return Self::Form(form_urlencoded::parse(text.as_bytes()).into_owned().collect());
        }
        Self::Text(text.to_owned())
    }

    pub(super) fn has_names(&self) -> bool {
        !matches!(self, Self::Text(_))
    }

    /// Every text and number with its name.
    pub(super) fn each(&self, seen: &mut impl FnMut(&str, &str)) {
        match self {
            Self::Json(value) => each_json("", value, seen),
            Self::Form(fields) => fields.iter().for_each(|(name, value)| seen(name, value)),
            Self::Xml(document) => {
                for text in markup::texts(document) {
                    if text.is_escaped {
                        seen(text.name, &markup::unescape(text.raw))
                    } else {
                        seen(text.name, text.raw)
                    }
                }
            }
            Self::Text(text) => text.split_whitespace().for_each(|word| seen("", word)),
        }
    }

    /// Every name that the server chose: it may be a value as well.
    pub(super) fn each_name(&self, seen: &mut impl FnMut(&str)) {
        match self {
            Self::Json(value) => each_json_name(value, seen),
            Self::Form(fields) => fields.iter().for_each(|(name, _)| seen(name)),
            Self::Xml(_) | Self::Text(_) => {}
        }
    }

    /// The body with what stands for each real value.
    pub(super) fn replaced(&self, mocks: &Mocks) -> String {
        match self {
            Self::Json(value) => {
                let value = replaced_json(value, mocks);
                serde_json::to_string_pretty(&value).unwrap_or_default()
            }
            Self::Form(fields) => {
                let mut form = form_urlencoded::Serializer::new(String::new());
                for (name, value) in fields {
                    form.append_pair(&mocks.replaced(name), &mocks.replaced(value));
                }
                form.finish()
            }
            // In its tags as well.
            Self::Xml(document) => mocks.replaced(&replaced_markup(document, mocks)),
            Self::Text(text) => mocks.replaced(text),
        }
    }
}

/// Whether a text is `name=value`, and not a token that ends like base64.
fn is_field(text: &str) -> bool {
    let Some((name, value)) = text.split_once('=') else { return false };
    (1..=40).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
        && !value.is_empty()
        && !value.contains(['=', ' ', '\n'])
}

fn replaced_markup(document: &str, mocks: &Mocks) -> String {
    let mut replaced = String::with_capacity(document.len());
    let mut at = 0;
    for text in markup::texts(document) {
        replaced.push_str(document.get(at..text.range.start).unwrap_or_default());
        let plain = if text.is_escaped { markup::unescape(text.raw) } else { text.raw.to_owned() };
        let mock = mocks.replaced(&plain);
        if mock == plain {
            replaced.push_str(text.raw);
        } else if text.is_escaped {
            replaced.push_str(&markup::escape(&mock));
        } else {
            replaced.push_str(&mock);
        }
        at = text.range.end;
    }
    replaced.push_str(document.get(at..).unwrap_or_default());
    replaced
}

/// The reader of JSON has bounded how deep this goes.
fn each_json(name: &str, value: &Value, seen: &mut impl FnMut(&str, &str)) {
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| each_json(name, value, seen)),
        Value::Array(values) => values.iter().for_each(|value| each_json(name, value, seen)),
        Value::String(text) => seen(name, text),
        Value::Number(number) => seen(name, &number.to_string()),
        Value::Null | Value::Bool(_) => {}
    }
}

fn each_json_name(value: &Value, seen: &mut impl FnMut(&str)) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                seen(name);
                each_json_name(value, seen);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| each_json_name(value, seen)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn replaced_json(value: &Value, mocks: &Mocks) -> Value {
    match value {
        Value::Object(members) => {
            members.iter().map(|(name, value)| (mocks.replaced(name), replaced_json(value, mocks))).collect()
        }
        Value::Array(values) => values.iter().map(|value| replaced_json(value, mocks)).collect(),
        Value::String(text) => Value::from(mocks.replaced(text)),
        Value::Number(number) => {
            let text = number.to_string();
            match mocks.replaced(&text) {
                same if same == text => value.clone(),
                mock => serde_json::from_str(&mock).unwrap_or(Value::from(mock)),
            }
        }
        Value::Null | Value::Bool(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::mocks::Replacement;

    #[test]
    fn record_reads_each_form_of_a_body() {
        for (text, kind, expected) in [
            (r#"{"a":{"b":["x","y"]},"c":1}"#, "", vec![("b", "x"), ("b", "y"), ("c", "1")]),
            ("\"x\"", "", vec![("", "x")]),
            ("<r><a>x</a><n:b c=\"d\"> y </n:b></r>", "", vec![("a", "x"), ("c", "d"), ("n:b", "y")]),
            ("a=x&b=y%20z", "", vec![("a", "x"), ("b", "y z")]),
            ("x y", "text/plain", vec![("", "x"), ("", "y")]),
            ("dG9rZW4=", "text/plain", vec![("", "dG9rZW4=")]),
        ] {
            let mut seen = Vec::new();
            AnswerBody::read(text, kind).each(&mut |name, text| seen.push((name.to_owned(), text.to_owned())));
            let seen: Vec<_> = seen.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
            assert_eq!(seen, expected, "{text}");
        }
    }

    #[test]
    fn record_replaces_values_wherever_they_stand() {
        let mut mocks = Mocks::new(Replacement::Likely, &std::collections::BTreeMap::new());
        mocks.set("swordfish", "mock");
        mocks.set("pin", "mock-2");
        mocks.set("123456", "100001");
        for (text, expected) in [
            (r#"["pin","swordfish!",123456]"#, "[\n  \"mock-2\",\n  \"mock!\",\n  100001\n]"),
            ("<a>pin</a><b c=\"swordfish\"> swordfish </b>", "<a>mock-2</a><b c=\"mock\"> mock </b>"),
            ("<a>x<b/>sword&#102;ish</a><c d='pin'/>", "<a>x<b/>mock</a><c d='mock-2'/>"),
            ("<a><![CDATA[pin]]></a>", "<a><![CDATA[mock-2]]></a>"),
            ("a=pin&b=swordfish", "a=mock-2&b=mock"),
            ("opinion: swordfish", "opinion: mock"),
        ] {
            assert_eq!(AnswerBody::read(text, "").replaced(&mocks), expected);
        }
    }
}
