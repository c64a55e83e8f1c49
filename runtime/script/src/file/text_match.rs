//! What a text or a sequence of bytes has to be.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::json_match::match_json;
use super::pattern::Pattern;
use crate::mismatch::Mismatch;

/// What a text has to be: itself, or what a table says.
#[derive(Debug, Clone)]
pub(crate) enum TextMatch {
    Exactly(String),
    /// A regular expression that is found in it. The library takes linear time.
    Pattern(Pattern),
    /// It must not be there.
    Absent,
    Bytes(Vec<u8>),
    Json(serde_json::Value),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Table {
    regex: Option<String>,
    absent: Option<bool>,
    base64: Option<String>,
    json: Option<serde_json::Value>,
}

impl TextMatch {
    /// Compares a value that is there, or is not.
    pub(crate) fn check(&self, place: &str, found: Option<&[u8]>) -> Vec<Mismatch> {
        let Some(found) = found else {
            return match self {
                Self::Absent => Vec::new(),
                _ => vec![Mismatch::new(place, self, "nothing")],
            };
        };
        let text = String::from_utf8_lossy(found);
        let is_match = match self {
            Self::Exactly(expected) => expected.as_bytes() == found,
            Self::Pattern(pattern) => pattern.is_match(&text),
            Self::Absent => false,
            Self::Bytes(expected) => expected == found,
            Self::Json(expected) => match serde_json::from_slice(found) {
                Ok(found) => return match_json(place, expected, &found),
                Err(_) => false,
            },
        };
        if is_match { Vec::new() } else { vec![Mismatch::new(place, self, shown(found))] }
    }
}

/// Bytes as a text, or what they are in base64.
pub(crate) fn shown(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => format!("base64 {}", STANDARD.encode(bytes)),
    }
}

impl fmt::Display for TextMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(text) => f.write_str(text),
            Self::Pattern(pattern) => write!(f, "a match of /{}/", pattern.source()),
            Self::Absent => f.write_str("nothing"),
            Self::Bytes(bytes) => f.write_str(&shown(bytes)),
            Self::Json(value) => write!(f, "JSON {value}"),
        }
    }
}

impl<'de> Deserialize<'de> for TextMatch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = TextMatch;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, or a table with one of `regex`, `json`, `base64` and `absent`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<TextMatch, E> {
        Ok(TextMatch::Exactly(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TextMatch, A::Error> {
        match Table::deserialize(MapAccessDeserializer::new(map))? {
            Table { regex: Some(regex), absent: None, base64: None, json: None } => {
                Pattern::new(regex).map(TextMatch::Pattern).map_err(A::Error::custom)
            }
            Table { regex: None, absent: Some(true), base64: None, json: None } => Ok(TextMatch::Absent),
            Table { regex: None, absent: None, base64: Some(base64), json: None } => {
                STANDARD.decode(base64).map(TextMatch::Bytes).map_err(A::Error::custom)
            }
            Table { regex: None, absent: None, base64: None, json: Some(json) } => Ok(TextMatch::Json(json)),
            _ => Err(A::Error::custom("expected one of `regex`, `json`, `base64` and `absent = true`")),
        }
    }
}
