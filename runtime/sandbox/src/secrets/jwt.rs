//! JSON Web Tokens (RFC 7519) in compact form.
//!
//! A component's claims are parsed, checked against the grant, and serialised anew, so that exactly the checked claims are
//! signed: of a duplicate name one remains, and a name that some verifiers would take for another (Go's compares without
//! case) is rejected.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use deputy_core::grant::{JwtClaims, JwtPermit, SecretGrant, SignatureAlgorithm};
use deputy_core::{PolicyDenial, SecretBytes, SecretName, Timestamp};
use serde_json::{Map, Value};

use super::key::{SigningKey, SigningKeyError};

/// Bytes of claims.
const MAX_CLAIMS: usize = 16 << 10;
/// Bytes of a header.
const MAX_HEADER: usize = 2 << 10;
/// The members of a header that a component may set. They name the key and the token's type, and change nothing else about
/// how a verifier reads the token.
const HEADER_MEMBERS: [&str; 4] = ["kid", "typ", "x5t", "x5t#S256"];
/// The claims of RFC 7519, which a verifier acts upon.
const REGISTERED: [&str; 7] = ["aud", "exp", "iat", "iss", "jti", "nbf", "sub"];

/// A token that a component requests.
#[derive(Debug)]
pub(super) struct JwtRequest {
    claims: JwtClaims,
    payload: String,
    header: Map<String, Value>,
}

/// A token that may be signed.
pub(super) struct UnsignedJwt {
    permit: JwtPermit,
    signed_part: String,
}

/// Why a text is not a set of claims. Never quotes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ClaimsError {
    /// The audience.
    #[error("`aud` must be a string or an array of strings")]
    Audience,
    /// The issuer.
    #[error("`iss` must be a string")]
    Issuer,
    /// The header.
    #[error(
        "the header must be a JSON object of at most {MAX_HEADER} bytes, whose members are strings and among `kid`, `typ`, \
         `x5t` and `x5t#S256`"
    )]
    Header,
    /// A key that only looks like a registered one.
    #[error("a claim's name differs from `{0}` in case only: verifiers disagree about such names")]
    Lookalike(&'static str),
    /// Not a JSON object.
    #[error("claims must be a JSON object of at most {MAX_CLAIMS} bytes")]
    Object,
    /// A time.
    #[error("`{0}` must be a whole number of seconds since 1970")]
    Time(&'static str),
}

impl JwtRequest {
    /// Reads header and claims.
    pub(super) fn read(header: &str, claims: &str) -> Result<Self, ClaimsError> {
        let header = read_header(header)?;
        if claims.len() > MAX_CLAIMS {
            return Err(ClaimsError::Object);
        }
        let object: Map<String, Value> = serde_json::from_str(claims).map_err(|_| ClaimsError::Object)?;
        for name in object.keys() {
            if let Some(registered) = REGISTERED.into_iter().find(|r| name != r && folded(name) == *r) {
                return Err(ClaimsError::Lookalike(registered));
            }
        }
        let time = |name: &'static str| object.get(name).and_then(Value::as_u64).ok_or(ClaimsError::Time(name));
        if object.contains_key("nbf") {
            time("nbf")?;
        }
        let claims = JwtClaims {
            issuer: object.get("iss").and_then(Value::as_str).ok_or(ClaimsError::Issuer)?.to_owned(),
            audiences: audiences(object.get("aud")).ok_or(ClaimsError::Audience)?,
            issued_at: time("iat")?,
            expires_at: time("exp")?,
        };
        Ok(Self { claims, payload: Value::Object(object).to_string(), header })
    }

    /// The scope for the audit log.
    pub(super) fn scope(&self) -> String {
        format!("{} for {}", self.claims.issuer, self.claims.audiences.join(", "))
    }

    /// Checks the request against the grant.
    pub(super) fn permit(
        self,
        grant: &SecretGrant,
        name: &SecretName,
        algorithm: SignatureAlgorithm,
        now: Timestamp,
    ) -> Result<UnsignedJwt, PolicyDenial> {
        let permit = grant.permit_jwt(name, algorithm, &self.claims, now)?;
        let mut header = self.header;
        header.insert("alg".to_owned(), permit.algorithm().name().into());
        header.entry("typ").or_insert_with(|| "JWT".into());
        let header = URL_SAFE_NO_PAD.encode(Value::Object(header).to_string());
        let signed_part = format!("{header}.{}", URL_SAFE_NO_PAD.encode(self.payload));
        Ok(UnsignedJwt { permit, signed_part })
    }
}

impl UnsignedJwt {
    pub(super) fn sign(self, value: &SecretBytes) -> Result<String, SigningKeyError> {
        let signature = SigningKey::read(value, self.permit.algorithm())?.sign(self.signed_part.as_bytes())?;
        Ok(format!("{}.{}", self.signed_part, URL_SAFE_NO_PAD.encode(signature)))
    }
}

fn read_header(text: &str) -> Result<Map<String, Value>, ClaimsError> {
    if text.len() > MAX_HEADER {
        return Err(ClaimsError::Header);
    }
    let header: Map<String, Value> = serde_json::from_str(text).map_err(|_| ClaimsError::Header)?;
    let is_known = header.iter().all(|(name, value)| HEADER_MEMBERS.contains(&name.as_str()) && value.is_string());
    is_known.then_some(header).ok_or(ClaimsError::Header)
}

fn audiences(value: Option<&Value>) -> Option<Vec<String>> {
    match value? {
        Value::String(one) => Some(vec![one.clone()]),
        Value::Array(several) => several.iter().map(|one| one.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

/// A name without case: through upper case first, which also folds letters such as `ſ` and `ı`.
fn folded(name: &str) -> String {
    name.to_uppercase().to_lowercase()
}

#[cfg(test)]
mod tests;
