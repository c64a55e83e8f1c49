//! Placeholders: a part of a payload, and its encoding.

use crate::payloads::Payloads;
use deputy_kit::encode::{base64, json};
use deputy_kit::settings::wrong_setting;
use deputy_kit::types::Failure;
use serde_json::Value;

/// A placeholder's contents: `s3-prod.payload` or `s3-prod.keys.0.token`, with filters after it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) instance: String,
    part: PayloadPart,
    filters: Vec<Filter>,
}

#[derive(Debug, PartialEq, Eq)]
enum PayloadPart {
    /// A field of its JSON, by the path to it.
    Field(Vec<String>),
    Whole,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filter {
    Base64,
    /// As a JSON string; of a field that is not a string, its JSON.
    Json,
}

impl Reference {
    /// Parses the text between the braces. The error is the problem of a setting.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = text.split('|').map(str::trim);
        let path = pieces.next().unwrap_or_default();
        let mut names = path.split('.').map(str::to_owned);
        let instance = names.next().unwrap_or_default();
        let fields: Vec<String> = names.collect();
        if fields.is_empty() || !is_name(&instance) || !fields.iter().all(|field| is_name(field)) {
            return Err("a placeholder must be {{ INSTANCE.payload }} or {{ INSTANCE.FIELD }}".to_owned());
        }
        let part = if fields == ["payload"] { PayloadPart::Whole } else { PayloadPart::Field(fields) };
        Ok(Self { instance, part, filters: pieces.map(Filter::parse).collect::<Result<_, _>>()? })
    }

    /// The path to a field, if it is one and not the whole payload.
    pub(crate) fn field_path(&self) -> Option<&[String]> {
        match &self.part {
            PayloadPart::Field(names) => Some(names),
            PayloadPart::Whole => None,
        }
    }

    /// The value to fill in. The error is the problem of the instance.
    pub(crate) fn resolve(&self, payloads: &Payloads) -> Result<Vec<u8>, String> {
        let payload = payloads.get(&self.instance).ok_or("no lease of it is delivered")?;
        match &self.part {
            PayloadPart::Whole => self.filters.iter().try_fold(payload.to_vec(), |bytes, filter| filter.apply(bytes)),
            PayloadPart::Field(names) => self.field(payload, names),
        }
    }

    /// The failure for a payload that lacks what a setting needs of it.
    pub(crate) fn unusable(&self, setting: &str, problem: &str) -> Failure {
        wrong_setting(setting, &format!("instance `{}`: {problem}", self.instance))
    }

    fn field(&self, payload: &[u8], names: &[String]) -> Result<Vec<u8>, String> {
        // The parser's message would quote the payload.
        let json: Value = serde_json::from_slice(payload).map_err(|_| "its payload is not JSON".to_owned())?;
        let path = names.join(".");
        let field = names.iter().try_fold(json, member).ok_or_else(|| format!("its payload has no field `{path}`"))?;
        let mut filters = self.filters.as_slice();
        let text = match field {
            Value::String(text) => text,
            Value::Null | Value::Array(_) | Value::Object(_) if filters.first() != Some(&Filter::Json) => {
                return Err(format!("field `{path}` of its payload is not a string or number: add `| json`"));
            }
            other => {
                // It is JSON already.
                filters = filters.strip_prefix(&[Filter::Json]).unwrap_or(filters);
                other.to_string()
            }
        };
        filters.iter().try_fold(text.into_bytes(), |bytes, filter| filter.apply(bytes))
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c == '{')
}

/// The member of an object by its name, or the item of an array by its index.
fn member(value: Value, name: &String) -> Option<Value> {
    match value {
        Value::Object(mut members) => members.remove(name),
        Value::Array(mut items) => {
            let index: usize = name.parse().ok()?;
            (index < items.len()).then(|| items.swap_remove(index))
        }
        _ => None,
    }
}

impl Filter {
    fn parse(name: &str) -> Result<Self, String> {
        match name {
            "base64" => Ok(Self::Base64),
            "json" => Ok(Self::Json),
            _ => Err("the filter after `|` must be base64 or json".to_owned()),
        }
    }

    fn apply(self, bytes: Vec<u8>) -> Result<Vec<u8>, String> {
        match self {
            Self::Base64 => Ok(base64(&bytes).into_bytes()),
            Self::Json => String::from_utf8(bytes)
                .map(|text| json(&text).into_bytes())
                .map_err(|_| "its payload is not valid UTF-8: use `| base64`".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NESTED: &str =
        r#"{"token":"a\"b","n":7,"yes":true,"none":null,"keys":[{"id":"k1"},{"id":"k2"}],"payload":"inner"}"#;

    fn resolve(reference: &str) -> Result<String, String> {
        let payloads = [("api", NESTED.as_bytes()), ("raw", &[0xff, b'a']), ("text", b"line\none")];
        let payloads = payloads.into_iter().map(|(name, payload)| (name.to_owned(), payload.to_vec()));
        let bytes = Reference::parse(reference).unwrap().resolve(&Payloads::new(payloads))?;
        Ok(String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn reference_finds_a_field_by_its_path() {
        for (reference, text) in [
            ("api.token", "a\"b"),
            (" api.n ", "7"),
            ("api.yes", "true"),
            ("api.keys.1.id", "k2"),
            ("api.payload", NESTED),
        ] {
            assert_eq!(resolve(reference).unwrap(), text, "{reference}");
        }
    }

    #[test]
    fn reference_applies_filters_in_order() {
        for (reference, text) in [
            ("api.token | json", r#""a\"b""#),
            ("api.token|base64", "YSJi"),
            ("api.token | base64 | json", "\"YSJi\""),
            ("api.token | json | base64", "ImFcImIi"),
            ("api.keys | json", r#"[{"id":"k1"},{"id":"k2"}]"#),
            ("api.keys.0 | json | base64", "eyJpZCI6ImsxIn0="),
            ("api.none | json", "null"),
            ("api.n | json", "7"),
            ("raw.payload | base64", "/2E="),
            ("text.payload | json", "\"line\\u000aone\""),
        ] {
            assert_eq!(resolve(reference).unwrap(), text, "{reference}");
        }
    }

    #[test]
    fn reference_error_names_the_field_and_no_value() {
        for (reference, problem) in [
            ("s3.payload", "no lease of it is delivered"),
            ("api.secret", "its payload has no field `secret`"),
            ("api.token.x", "its payload has no field `token.x`"),
            ("api.keys.2.id", "its payload has no field `keys.2.id`"),
            ("api.keys.-1", "its payload has no field `keys.-1`"),
            ("api.keys", "field `keys` of its payload is not a string or number: add `| json`"),
            ("api.none", "field `none` of its payload is not a string or number: add `| json`"),
            ("api.keys | base64", "field `keys` of its payload is not a string or number: add `| json`"),
            ("text.token", "its payload is not JSON"),
            ("raw.payload | json", "its payload is not valid UTF-8: use `| base64`"),
        ] {
            assert_eq!(resolve(reference), Err(problem.to_owned()), "{reference}");
        }
    }

    #[test]
    fn reference_refuses_malformed_text() {
        for text in
            ["", " ", "api", "api.", ".payload", "api..x", "api.a b", "{api.x", "api.x | upper", "api.x |", "| json"]
        {
            assert!(Reference::parse(text).is_err(), "{text:?}");
        }
    }
}
