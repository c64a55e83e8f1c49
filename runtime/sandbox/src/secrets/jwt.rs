//! JSON Web Tokens (RFC 7519) in compact form.
//!
//! A component's header and claims are parsed, checked against the grant, and serialised again, so that exactly the checked
//! claims are signed. What two verifiers could read in two ways is rejected: a name that occurs twice, one that differs from
//! a registered one in case only, one with spaces or NUL in it.

mod claims;
mod header;
mod json_object;

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use deputy_core::grant::{JwtPermit, SecretGrant, SignatureAlgorithm};
use deputy_core::{PolicyDenial, SecretBytes, SecretName, Timestamp};

use super::key::{SigningKey, SigningKeyError};
use claims::{ClaimsError, JwtPayload};
use header::{HeaderError, JwtHeader};

/// A token that a component requests.
#[derive(Debug)]
pub(super) struct JwtRequest {
    header: JwtHeader,
    payload: JwtPayload,
}

/// A token that may be signed.
pub(super) struct UnsignedJwt {
    permit: JwtPermit,
    signed_part: String,
}

/// Why texts are not the parts of a token. Never quotes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum JwtRequestError {
    #[error(transparent)]
    Claims(#[from] ClaimsError),
    #[error(transparent)]
    Header(#[from] HeaderError),
}

impl JwtRequest {
    /// Reads header and claims.
    pub(super) fn read(header: &str, claims: &str) -> Result<Self, JwtRequestError> {
        Ok(Self { header: JwtHeader::read(header)?, payload: JwtPayload::read(claims)? })
    }

    /// The scope for the audit log: issuer and audiences.
    pub(super) fn scope(&self) -> String {
        self.payload.scope()
    }

    /// The members of the header, for the audit log.
    pub(super) fn header_texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.header.texts()
    }

    /// The claims that are not in the scope, for the audit log; the most important ones first.
    pub(super) fn claim_texts(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        self.payload.texts()
    }

    /// Checks the request against the grant.
    pub(super) fn permit(
        self,
        grant: &SecretGrant,
        name: &SecretName,
        algorithm: SignatureAlgorithm,
        now: Timestamp,
    ) -> Result<UnsignedJwt, PolicyDenial> {
        let permit = grant.permit_jwt(name, algorithm, self.payload.claims(), now)?;
        let header = URL_SAFE_NO_PAD.encode(self.header.signed_with(permit.algorithm()));
        let signed_part = format!("{header}.{}", URL_SAFE_NO_PAD.encode(self.payload.into_json()));
        Ok(UnsignedJwt { permit, signed_part })
    }
}

impl UnsignedJwt {
    pub(super) fn sign(self, value: &SecretBytes) -> Result<String, SigningKeyError> {
        let signature = SigningKey::read(value, self.permit.algorithm())?.sign(self.signed_part.as_bytes())?;
        Ok(format!("{}.{}", self.signed_part, URL_SAFE_NO_PAD.encode(signature)))
    }
}

#[cfg(test)]
mod tests;
