//! The header of a token (RFC 7515, section 4.1), as far as a component may choose it.

use deputy_core::grant::SignatureAlgorithm;
use serde_json::{Map, Value};

use super::json_object::JsonObject;

/// Bytes of a header.
const MAX_HEADER: usize = 2 << 10;
/// Bytes of a member.
const MAX_MEMBER: usize = 256;
/// The members that a component may set. They name the key and the token's type. All others are refused: `alg` is the host's,
/// `jwk`, `jku`, `x5c` and `x5u` bring a key along, and `crit` and `b64` change how a verifier reads the token.
const PERMITTED: [&str; 4] = ["kid", "typ", "x5t", "x5t#S256"];

/// The header that a component requests.
#[derive(Debug)]
pub(super) struct JwtHeader(Map<String, Value>);

/// A text is no header. Never quotes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the header must be a JSON object of at most {MAX_HEADER} bytes, with no members but `kid`, `typ`, `x5t` and `x5t#S256`, \
     each once: strings of 1 to {MAX_MEMBER} bytes without control characters"
)]
pub(in crate::secrets) struct HeaderError;

impl JwtHeader {
    pub(super) fn read(text: &str) -> Result<Self, HeaderError> {
        let JsonObject(members) = JsonObject::read(text, MAX_HEADER).ok_or(HeaderError)?;
        let are_permitted = members.iter().all(|(name, value)| PERMITTED.contains(&name.as_str()) && is_plain(value));
        are_permitted.then_some(Self(members)).ok_or(HeaderError)
    }

    /// The members as texts.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
    }

    /// The header of a token that is signed with this algorithm, as JSON.
    pub(super) fn signed_with(mut self, algorithm: SignatureAlgorithm) -> String {
        self.0.insert("alg".to_owned(), algorithm.name().into());
        self.0.entry("typ").or_insert_with(|| "JWT".into());
        Value::Object(self.0).to_string()
    }
}

fn is_plain(value: &Value) -> bool {
    value.as_str().is_some_and(|text| (1..=MAX_MEMBER).contains(&text.len()) && !text.contains(char::is_control))
}
