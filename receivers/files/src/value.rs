//! What is delivered, and how a placeholder names a part of it.

use deputy_kit::encode::{base64, json};
use serde_json::Value;
use std::collections::BTreeMap;

/// The payloads of one call, by instance.
pub(crate) struct Payloads(BTreeMap<String, Vec<u8>>);

/// A part of a payload: `s3-prod.payload`, or `s3-prod.keys.0.token` with filters behind it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) instance: String,
    part: Part,
    filters: Vec<Filter>,
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    /// All of it.
    Payload,
    /// A field of its JSON, by the names on the way to it.
    Field(Vec<String>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filter {
    /// Base64 of the bytes.
    Base64,
    /// A JSON string, or the JSON of a field that is none.
    Json,
}

impl Payloads {
    pub(crate) fn new(payloads: impl Iterator<Item = (String, Vec<u8>)>) -> Self {
        Self(payloads.collect())
    }

    /// Whether something of an instance was delivered.
    pub(crate) fn have(&self, instance: &str) -> bool {
        self.0.contains_key(instance)
    }

    /// Each instance and its payload.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(instance, payload)| (instance.as_str(), payload.as_slice()))
    }
}

impl Reference {
    /// Reads what stands between the braces. The error completes the sentence "setting x: …".
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut words = text.split('|').map(str::trim);
        let path = words.next().unwrap_or_default();
        let mut names = path.split('.').map(str::to_owned);
        let instance = names.next().unwrap_or_default();
        let fields: Vec<String> = names.collect();
        let is_name = |name: &String| !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == '{');
        if fields.is_empty() || !is_name(&instance) || !fields.iter().all(is_name) {
            return Err("between `{{` and `}}` stands INSTANCE.payload or INSTANCE.FIELD".to_owned());
        }
        let part = if fields == ["payload"] { Part::Payload } else { Part::Field(fields) };
        Ok(Self { instance, part, filters: words.map(Filter::parse).collect::<Result<_, _>>()? })
    }

    /// The part's text. The error completes the sentence "instance x: …".
    pub(crate) fn of(&self, payloads: &Payloads) -> Result<Vec<u8>, String> {
        let payload = payloads.0.get(&self.instance).ok_or("nothing of it is delivered")?;
        let mut bytes = match &self.part {
            Part::Payload => payload.clone(),
            Part::Field(names) => return self.field(payload, names),
        };
        for filter in &self.filters {
            bytes = filter.apply(bytes)?;
        }
        Ok(bytes)
    }

    fn field(&self, payload: &[u8], names: &[String]) -> Result<Vec<u8>, String> {
        // The parser's own words hold pieces of what it parsed.
        let json: Value = serde_json::from_slice(payload).map_err(|_| "its payload is not JSON".to_owned())?;
        let step = |value: Option<Value>, name: &String| match value? {
            Value::Object(mut fields) => fields.remove(name),
            Value::Array(mut items) => {
                name.parse().ok().filter(|at| *at < items.len()).map(|at: usize| items.remove(at))
            }
            _ => None,
        };
        let path = names.join(".");
        let found = names.iter().fold(Some(json), step);
        let found = found.ok_or_else(|| format!("its payload has no field `{path}`"))?;
        let (mut bytes, mut filters) = match (found, self.filters.as_slice()) {
            (Value::String(text), filters) => (text.into_bytes(), filters),
            (other, [Filter::Json, filters @ ..]) => (other.to_string().into_bytes(), filters),
            (Value::Null | Value::Array(_) | Value::Object(_), _) => {
                return Err(format!("field `{path}` of its payload is no text: add `| json`"));
            }
            (other, filters) => (other.to_string().into_bytes(), filters),
        };
        while let [filter, rest @ ..] = filters {
            (bytes, filters) = (filter.apply(bytes)?, rest);
        }
        Ok(bytes)
    }
}

impl Filter {
    fn parse(name: &str) -> Result<Self, String> {
        match name {
            "base64" => Ok(Self::Base64),
            "json" => Ok(Self::Json),
            _ => Err("behind a `|` stands base64 or json".to_owned()),
        }
    }

    fn apply(self, bytes: Vec<u8>) -> Result<Vec<u8>, String> {
        match self {
            Self::Base64 => Ok(base64(&bytes).into_bytes()),
            Self::Json => {
                let text = String::from_utf8(bytes);
                text.map(|text| json(&text).into_bytes())
                    .map_err(|_| "its payload is no text: use `| base64`".to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NESTED: &str =
        r#"{"token":"a\"b","n":7,"yes":true,"none":null,"keys":[{"id":"k1"},{"id":"k2"}],"payload":"inner"}"#;

    fn of(reference: &str) -> Result<String, String> {
        let payloads = [("api", NESTED.as_bytes()), ("raw", &[0xff, b'a']), ("text", b"line\none")];
        let payloads = payloads.into_iter().map(|(name, payload)| (name.to_owned(), payload.to_vec()));
        let bytes = Reference::parse(reference).unwrap().of(&Payloads::new(payloads))?;
        Ok(String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn a_field_is_found_by_the_names_on_the_way_to_it() {
        for (reference, text) in [
            ("api.token", "a\"b"),
            (" api.n ", "7"),
            ("api.yes", "true"),
            ("api.keys.1.id", "k2"),
            ("api.payload", NESTED),
        ] {
            assert_eq!(of(reference).unwrap(), text, "{reference}");
        }
    }

    #[test]
    fn filters_quote_and_encode_one_after_the_other() {
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
            assert_eq!(of(reference).unwrap(), text, "{reference}");
        }
    }

    #[test]
    fn what_is_not_there_is_named_and_nothing_of_the_payload_is() {
        for (reference, problem) in [
            ("s3.payload", "nothing of it is delivered"),
            ("api.secret", "its payload has no field `secret`"),
            ("api.token.x", "its payload has no field `token.x`"),
            ("api.keys.2.id", "its payload has no field `keys.2.id`"),
            ("api.keys.-1", "its payload has no field `keys.-1`"),
            ("api.keys", "field `keys` of its payload is no text: add `| json`"),
            ("api.none", "field `none` of its payload is no text: add `| json`"),
            ("api.keys | base64", "field `keys` of its payload is no text: add `| json`"),
            ("text.token", "its payload is not JSON"),
            ("raw.payload | json", "its payload is no text: use `| base64`"),
        ] {
            assert_eq!(of(reference), Err(problem.to_owned()), "{reference}");
        }
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for text in
            ["", " ", "api", "api.", ".payload", "api..x", "api.a b", "{api.x", "api.x | upper", "api.x |", "| json"]
        {
            assert!(Reference::parse(text).is_err(), "{text:?}");
        }
    }
}
