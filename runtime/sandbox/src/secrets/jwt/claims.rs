//! The claims of a token (RFC 7519, section 4), read for a grant and serialised again.

use std::borrow::Cow;
use std::collections::BTreeMap;

use deputy_core::Timestamp;
use deputy_core::grant::{ClaimName, ClaimNameError, ClaimValue, JwtClaims};
use serde_json::{Map, Value};

use super::json_object::JsonObject;

/// Bytes of claims.
const MAX_CLAIMS: usize = 16 << 10;
/// Claims that are not registered. More could not be recorded.
const MAX_FURTHER: usize = 32;
/// The registered claims that are not in the scope of an audit event, the most important ones first.
const RECORDED: [&str; 5] = ["sub", "exp", "iat", "nbf", "jti"];

/// The claims that a component requests.
#[derive(Debug)]
pub(super) struct JwtPayload {
    members: Map<String, Value>,
    claims: JwtClaims,
}

/// Why a text is not a set of claims. Never quotes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::secrets) enum ClaimsError {
    #[error("`aud` must be a string or an array of one or more strings")]
    Audience,
    #[error("more than {MAX_FURTHER} claims beside the registered ones")]
    Count,
    #[error("`iss` must be a string")]
    Issuer,
    /// The name of a claim.
    #[error(transparent)]
    Name(#[from] ClaimNameError),
    /// Not a JSON object.
    #[error("claims must be a JSON object of at most {MAX_CLAIMS} bytes, with each name once")]
    Object,
    /// Another claim that is a text.
    #[error("`{0}` must be a string")]
    Text(&'static str),
    #[error("`{0}` must be a whole number of seconds since 1970")]
    Time(&'static str),
}

impl JwtPayload {
    pub(super) fn read(text: &str) -> Result<Self, ClaimsError> {
        let JsonObject(members) = JsonObject::read(text, MAX_CLAIMS).ok_or(ClaimsError::Object)?;
        optional(&members, "jti", Value::as_str).ok_or(ClaimsError::Text("jti"))?;
        optional(&members, "nbf", Value::as_u64).ok_or(ClaimsError::Time("nbf"))?;
        let claims = JwtClaims {
            issuer: members.get("iss").and_then(Value::as_str).ok_or(ClaimsError::Issuer)?.to_owned(),
            audiences: optional(&members, "aud", texts).ok_or(ClaimsError::Audience)?.unwrap_or_default(),
            subject: optional(&members, "sub", Value::as_str).ok_or(ClaimsError::Text("sub"))?.map(str::to_owned),
            issued_at: time(&members, "iat")?,
            expires_at: time(&members, "exp")?,
            further: further(&members)?,
        };
        Ok(Self { members, claims })
    }

    pub(super) fn claims(&self) -> &JwtClaims {
        &self.claims
    }

    pub(super) fn scope(&self) -> String {
        match self.claims.audiences.as_slice() {
            [] => self.claims.issuer.clone(),
            audiences => format!("{} for {}", self.claims.issuer, audiences.join(", ")),
        }
    }

    /// All other claims as texts, the most important ones first.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let registered = RECORDED.into_iter().filter_map(|name| Some((name, self.members.get(name)?)));
        let further = self.claims.further.keys();
        let further = further.filter_map(|name| Some((name.as_str(), self.members.get(name.as_str())?)));
        registered.chain(further).map(|(name, value)| (name, shown(name, value)))
    }

    /// The claims as JSON: exactly those that were read.
    pub(super) fn into_json(self) -> String {
        Value::Object(self.members).to_string()
    }
}

/// A member that may be missing. `None` if it is not what `read` takes.
fn optional<'m, T>(
    members: &'m Map<String, Value>,
    name: &str,
    read: impl FnOnce(&'m Value) -> Option<T>,
) -> Option<Option<T>> {
    match members.get(name) {
        Some(value) => read(value).map(Some),
        None => Some(None),
    }
}

fn time(members: &Map<String, Value>, name: &'static str) -> Result<u64, ClaimsError> {
    members.get(name).and_then(Value::as_u64).ok_or(ClaimsError::Time(name))
}

/// A text, or a list of one or more.
fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(one) => Some(vec![one.clone()]),
        Value::Array(several) if !several.is_empty() => {
            several.iter().map(|one| one.as_str().map(str::to_owned)).collect()
        }
        _ => None,
    }
}

/// All claims that are not registered.
fn further(members: &Map<String, Value>) -> Result<BTreeMap<ClaimName, ClaimValue>, ClaimsError> {
    let mut further = BTreeMap::new();
    for (name, value) in members {
        match name.parse() {
            Ok(name) => drop(further.insert(name, texts(value).map_or(ClaimValue::Other, ClaimValue::Texts))),
            Err(ClaimNameError::Registered { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if further.len() > MAX_FURTHER { Err(ClaimsError::Count) } else { Ok(further) }
}

/// A claim for people: times as times, texts without quotes.
fn shown<'v>(name: &str, value: &'v Value) -> Cow<'v, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Number(number) if RECORDED.contains(&name) => {
            let seconds = number.as_u64().unwrap_or_default();
            Cow::Owned(Timestamp::from_millis(seconds.saturating_mul(1000)).to_string())
        }
        other => Cow::Owned(other.to_string()),
    }
}
