//! Grants to sign JSON Web Tokens.
//!
//! What a grant lists, a token must have: an issuer, and an audience, a subject and further claims where the grant names
//! some. What a grant does not name, a token must not have: a verifier that trusts the key would act upon it.

use std::collections::{BTreeMap, BTreeSet};

use super::{ClaimGrant, ClaimName, ClaimValue, SecretGrantError, SignatureAlgorithm};
use crate::denial::DeniedClaim;
use crate::{PolicyDenial, SecretName, Span, Timestamp};

/// How far ahead of now a token may begin, because clocks differ. One that begins later would outlive what was granted.
const TOLERANCE: Span = Span::secs(60);

/// A grant to sign JSON Web Tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtGrant {
    algorithms: BTreeSet<SignatureAlgorithm>,
    issuers: BTreeSet<String>,
    audiences: BTreeSet<String>,
    subjects: BTreeSet<String>,
    claims: BTreeMap<ClaimName, ClaimGrant>,
    max_lifetime: Span,
}

/// The claims of a JSON Web Token that a grant restricts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtClaims {
    /// `iss`
    pub issuer: String,
    /// `aud`: none, one or several.
    pub audiences: Vec<String>,
    /// `sub`
    pub subject: Option<String>,
    /// `iat`, in seconds since 1970.
    pub issued_at: u64,
    /// `exp`, in seconds since 1970.
    pub expires_at: u64,
    /// All others but `jti` and `nbf`.
    pub further: BTreeMap<ClaimName, ClaimValue>,
}

/// A permit to sign one JSON Web Token.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct JwtPermit(SignatureAlgorithm);

impl JwtGrant {
    /// A grant for these algorithms and issuers, and for a time from `iat` to `exp` of at most `max_lifetime`. With no
    /// audiences, tokens must have none.
    ///
    /// # Errors
    /// If there is no algorithm or no issuer.
    pub fn new(
        algorithms: Vec<SignatureAlgorithm>,
        issuers: Vec<String>,
        audiences: Vec<String>,
        max_lifetime: Span,
    ) -> Result<Self, SecretGrantError> {
        for (is_empty, key) in [(algorithms.is_empty(), "algorithms"), (issuers.is_empty(), "issuers")] {
            if is_empty {
                return Err(SecretGrantError::Empty(key));
            }
        }
        Ok(Self {
            algorithms: algorithms.into_iter().collect(),
            issuers: issuers.into_iter().collect(),
            audiences: audiences.into_iter().collect(),
            subjects: BTreeSet::new(),
            claims: BTreeMap::new(),
            max_lifetime,
        })
    }

    /// The same for these subjects. With none, tokens must have no `sub`.
    #[must_use]
    pub fn with_subjects(self, subjects: Vec<String>) -> Self {
        Self { subjects: subjects.into_iter().collect(), ..self }
    }

    /// The same with these further claims, and no others.
    #[must_use]
    pub fn with_claims(self, claims: BTreeMap<ClaimName, ClaimGrant>) -> Self {
        Self { claims, ..self }
    }

    pub(super) fn permit(
        &self,
        name: &SecretName,
        algorithm: SignatureAlgorithm,
        claims: &JwtClaims,
        now: Timestamp,
    ) -> Result<JwtPermit, PolicyDenial> {
        if !self.algorithms.contains(&algorithm) {
            return Err(PolicyDenial::Algorithm { secret: name.clone(), algorithm });
        }
        if !self.issuers.contains(&claims.issuer) {
            return Err(PolicyDenial::Issuer { secret: name.clone(), issuer: claims.issuer.clone() });
        }
        let subject = claims.subject.as_slice();
        denied_text(&self.audiences, &claims.audiences)
            .map_err(|audience| PolicyDenial::Audience { secret: name.clone(), audience })?;
        denied_text(&self.subjects, subject)
            .map_err(|subject| PolicyDenial::Subject { secret: name.clone(), subject })?;
        self.check_further(&claims.further).map_err(|(claim, value)| PolicyDenial::Claim {
            secret: name.clone(),
            claim,
            value,
        })?;
        self.check_time(name, claims, now)?;
        Ok(JwtPermit(algorithm))
    }

    /// The first of the further claims that is not granted.
    fn check_further(&self, further: &BTreeMap<ClaimName, ClaimValue>) -> Result<(), (String, DeniedClaim)> {
        for (name, value) in further {
            let listed = match self.claims.get(name) {
                Some(ClaimGrant::Any) => continue,
                Some(ClaimGrant::OneOf(listed)) => Some(listed),
                None => None,
            };
            let denied = match value {
                ClaimValue::Texts(texts) if !texts.is_empty() => {
                    texts.iter().find(|text| !listed.is_some_and(|listed| listed.contains(*text)))
                }
                ClaimValue::Texts(_) | ClaimValue::Other => return Err((name.to_string(), DeniedClaim::Other)),
            };
            if let Some(text) = denied {
                return Err((name.to_string(), DeniedClaim::Text(text.clone())));
            }
        }
        let listed = self.claims.iter().filter(|(_, grant)| matches!(grant, ClaimGrant::OneOf(_)));
        match listed.map(|(name, _)| name).find(|name| !further.contains_key(*name)) {
            Some(missing) => Err((missing.to_string(), DeniedClaim::Missing)),
            None => Ok(()),
        }
    }

    fn check_time(&self, name: &SecretName, claims: &JwtClaims, now: Timestamp) -> Result<(), PolicyDenial> {
        let begins = Timestamp::from_millis(claims.issued_at.saturating_mul(1000));
        if begins.since(now) > TOLERANCE {
            return Err(PolicyDenial::Time { secret: name.clone(), time: begins, tolerance: TOLERANCE });
        }
        let seconds = claims.expires_at.saturating_sub(claims.issued_at);
        if seconds == 0 || seconds > self.max_lifetime.as_millis() / 1000 {
            return Err(PolicyDenial::Lifetime { secret: name.clone(), seconds });
        }
        Ok(())
    }

    /// The algorithms, in order.
    pub fn algorithms(&self) -> impl Iterator<Item = SignatureAlgorithm> {
        self.algorithms.iter().copied()
    }

    /// The issuers, in order.
    pub fn issuers(&self) -> impl Iterator<Item = &str> {
        self.issuers.iter().map(String::as_str)
    }

    /// The audiences, in order.
    pub fn audiences(&self) -> impl Iterator<Item = &str> {
        self.audiences.iter().map(String::as_str)
    }

    /// The subjects, in order.
    pub fn subjects(&self) -> impl Iterator<Item = &str> {
        self.subjects.iter().map(String::as_str)
    }

    /// The further claims, in order.
    pub fn claims(&self) -> &BTreeMap<ClaimName, ClaimGrant> {
        &self.claims
    }

    /// The longest time from `iat` to `exp`.
    pub fn max_lifetime(&self) -> Span {
        self.max_lifetime
    }
}

/// The part of a claim that is not granted: a text that the grant lacks, or `None` if the claim is missing although the
/// grant lists values.
fn denied_text(granted: &BTreeSet<String>, texts: &[String]) -> Result<(), Option<String>> {
    match texts.iter().find(|text| !granted.contains(*text)) {
        Some(text) => Err(Some(text.clone())),
        None if texts.is_empty() && !granted.is_empty() => Err(None),
        None => Ok(()),
    }
}

impl JwtPermit {
    /// The algorithm to sign with.
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.0
    }
}

#[cfg(test)]
mod tests;
