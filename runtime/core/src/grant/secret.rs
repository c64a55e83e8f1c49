//! What may be done with a secret. An operation is a purpose, and the grant narrows it.
//!
//! A secret serves one purpose: if a component could also take a bare HMAC or signature with a signing key, the key would
//! sign anything. A request is parsed into a value ([`StringToSign`], [`JwtClaims`]), the grant turns the value into a permit,
//! and only permits are signed.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::time::CivilDate;
use crate::{PolicyDenial, SecretName, Span, Timestamp};

/// What one instance may do with one secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecretGrant {
    purpose: Option<SecretPurpose>,
    reveal: bool,
}

/// The one purpose that a secret serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretPurpose {
    /// Bare HMAC-SHA256.
    HmacSha256,
    /// JSON Web Tokens.
    Jwt(JwtGrant),
    /// Bare PBKDF2-HMAC-SHA256.
    Pbkdf2,
    /// Bare signatures.
    Sign(Vec<SignatureAlgorithm>),
    /// AWS Signature Version 4.
    Sigv4(Sigv4Grant),
}

/// An operation of the contract's `secrets` and `secret-values`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretOperation {
    /// `secret.hmac-sha256`
    HmacSha256,
    /// `secret.jwt`
    Jwt,
    /// `secret.pbkdf2-hmac-sha256`
    Pbkdf2,
    /// `secret-values.reveal`
    Reveal,
    /// `secret.sign`
    Sign,
    /// `secret.sigv4`
    Sigv4,
}

/// A signature algorithm by its JOSE name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SignatureAlgorithm {
    /// Ed25519.
    EdDsa,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
}

/// Why a grant makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretGrantError {
    /// Two purposes.
    #[error(
        "a secret serves one purpose, not {0} and {1}: what {1} yields could be used to get around what limits {0}"
    )]
    Purposes(SecretOperation, SecretOperation),
    /// A purpose that allows nothing.
    #[error("`{0}` is empty, so nothing could be signed: name at least one")]
    Empty(&'static str),
}

/// For which services and regions requests may be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sigv4Grant {
    services: BTreeSet<String>,
    regions: BTreeSet<String>,
}

/// A SigV4 string to sign, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StringToSign {
    text: String,
    day: String,
    region: String,
    service: String,
}

/// Leave to sign one string to sign.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Sigv4Permit(StringToSign);

/// Which JSON Web Tokens may be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtGrant {
    algorithms: BTreeSet<SignatureAlgorithm>,
    issuers: BTreeSet<String>,
    audiences: BTreeSet<String>,
    max_lifetime: Span,
}

/// The claims of a JSON Web Token that a grant is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtClaims {
    /// `iss`
    pub issuer: String,
    /// `aud`, one or several.
    pub audiences: Vec<String>,
    /// `iat`, in seconds since 1970.
    pub issued_at: u64,
    /// `exp`, in seconds since 1970.
    pub expires_at: u64,
}

/// Leave to sign one JSON Web Token.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct JwtPermit(SignatureAlgorithm);

impl SecretGrant {
    /// A grant for one purpose, or for none: then only the host uses the secret, to add it to requests.
    pub fn new(purpose: Option<SecretPurpose>, reveal: bool) -> Self {
        Self { purpose, reveal }
    }

    /// The purpose.
    pub fn purpose(&self) -> Option<&SecretPurpose> {
        self.purpose.as_ref()
    }

    /// Whether the component may read the value.
    pub fn reveals(&self) -> bool {
        self.reveal
    }

    /// Whether the component may open the secret at all.
    pub fn opens(&self) -> bool {
        self.purpose.is_some() || self.reveal
    }

    /// Leave to sign a request.
    ///
    /// # Errors
    /// If the operation, the service, the region or the day is not granted.
    pub fn permit_sigv4(
        &self,
        name: &SecretName,
        text: StringToSign,
        now: Timestamp,
    ) -> Result<Sigv4Permit, PolicyDenial> {
        let Some(SecretPurpose::Sigv4(grant)) = &self.purpose else {
            return Err(PolicyDenial::Operation { secret: name.clone(), operation: SecretOperation::Sigv4 });
        };
        if !grant.services.contains(&text.service) {
            return Err(PolicyDenial::Service { secret: name.clone(), service: text.service });
        }
        if !grant.regions.contains(&text.region) {
            return Err(PolicyDenial::Region { secret: name.clone(), region: text.region });
        }
        if !near(&text.day, now) {
            return Err(PolicyDenial::Day { secret: name.clone(), day: text.day });
        }
        Ok(Sigv4Permit(text))
    }

    /// Leave to sign a JSON Web Token.
    ///
    /// # Errors
    /// If the operation, the algorithm, the issuer, one of the audiences or the lifetime is not granted.
    pub fn permit_jwt(
        &self,
        name: &SecretName,
        algorithm: SignatureAlgorithm,
        claims: &JwtClaims,
        now: Timestamp,
    ) -> Result<JwtPermit, PolicyDenial> {
        let secret = name.clone();
        let Some(SecretPurpose::Jwt(grant)) = &self.purpose else {
            return Err(PolicyDenial::Operation { secret, operation: SecretOperation::Jwt });
        };
        if !grant.algorithms.contains(&algorithm) {
            return Err(PolicyDenial::Algorithm { secret, algorithm });
        }
        if !grant.issuers.contains(&claims.issuer) {
            return Err(PolicyDenial::Issuer { secret, issuer: claims.issuer.clone() });
        }
        if let Some(audience) = claims.audiences.iter().find(|a| !grant.audiences.contains(*a)) {
            return Err(PolicyDenial::Audience { secret, audience: audience.clone() });
        }
        if claims.audiences.is_empty() {
            return Err(PolicyDenial::Audience { secret, audience: String::new() });
        }
        // A token that begins later than now (clocks differ by a minute) would outlive what was granted.
        let lifetime = claims.expires_at.saturating_sub(claims.issued_at);
        let late = claims.issued_at > now.as_secs().saturating_add(60);
        if late || claims.expires_at <= claims.issued_at || lifetime > grant.max_lifetime.as_millis() / 1000 {
            return Err(PolicyDenial::Lifetime { secret, seconds: lifetime });
        }
        Ok(JwtPermit(algorithm))
    }

    /// Checks one of the bare operations.
    ///
    /// # Errors
    /// [`PolicyDenial::Operation`] if it is not granted.
    pub fn permit_bare(&self, name: &SecretName, operation: SecretOperation) -> Result<(), PolicyDenial> {
        let granted = match operation {
            SecretOperation::HmacSha256 => self.purpose == Some(SecretPurpose::HmacSha256),
            SecretOperation::Pbkdf2 => self.purpose == Some(SecretPurpose::Pbkdf2),
            SecretOperation::Reveal => self.reveal,
            SecretOperation::Jwt | SecretOperation::Sign | SecretOperation::Sigv4 => false, // these have a permit of their own
        };
        if granted { Ok(()) } else { Err(PolicyDenial::Operation { secret: name.clone(), operation }) }
    }

    /// Checks a bare signature.
    ///
    /// # Errors
    /// If the operation or the algorithm is not granted.
    pub fn permit_sign(&self, name: &SecretName, algorithm: SignatureAlgorithm) -> Result<(), PolicyDenial> {
        match &self.purpose {
            Some(SecretPurpose::Sign(algorithms)) if algorithms.contains(&algorithm) => Ok(()),
            Some(SecretPurpose::Sign(_)) => Err(PolicyDenial::Algorithm { secret: name.clone(), algorithm }),
            _ => Err(PolicyDenial::Operation { secret: name.clone(), operation: SecretOperation::Sign }),
        }
    }
}

impl SecretPurpose {
    /// The one purpose among those that an operator wrote.
    ///
    /// # Errors
    /// If there are two.
    pub fn only(mut purposes: Vec<Self>) -> Result<Option<Self>, SecretGrantError> {
        match purposes.as_slice() {
            [first, second, ..] => Err(SecretGrantError::Purposes(first.operation(), second.operation())),
            _ => Ok(purposes.pop()),
        }
    }

    /// The operation that serves it.
    pub fn operation(&self) -> SecretOperation {
        match self {
            Self::HmacSha256 => SecretOperation::HmacSha256,
            Self::Jwt(_) => SecretOperation::Jwt,
            Self::Pbkdf2 => SecretOperation::Pbkdf2,
            Self::Sign(_) => SecretOperation::Sign,
            Self::Sigv4(_) => SecretOperation::Sigv4,
        }
    }
}

impl Sigv4Grant {
    /// A grant for these services and regions, compared letter by letter.
    ///
    /// # Errors
    /// If one of the two is empty.
    pub fn new(services: Vec<String>, regions: Vec<String>) -> Result<Self, SecretGrantError> {
        if services.is_empty() {
            return Err(SecretGrantError::Empty("services"));
        }
        if regions.is_empty() {
            return Err(SecretGrantError::Empty("regions"));
        }
        Ok(Self { services: services.into_iter().collect(), regions: regions.into_iter().collect() })
    }

    /// The services, in order.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.services.iter().map(String::as_str)
    }

    /// The regions, in order.
    pub fn regions(&self) -> impl Iterator<Item = &str> {
        self.regions.iter().map(String::as_str)
    }
}

impl JwtGrant {
    /// A grant for these algorithms, issuers and audiences, and for a time from `iat` to `exp` of at most `max_lifetime`.
    ///
    /// # Errors
    /// If one of them is empty.
    pub fn new(
        algorithms: Vec<SignatureAlgorithm>,
        issuers: Vec<String>,
        audiences: Vec<String>,
        max_lifetime: Span,
    ) -> Result<Self, SecretGrantError> {
        for (empty, key) in [
            (algorithms.is_empty(), "algorithms"),
            (issuers.is_empty(), "issuers"),
            (audiences.is_empty(), "audiences"),
        ] {
            if empty {
                return Err(SecretGrantError::Empty(key));
            }
        }
        Ok(Self {
            algorithms: algorithms.into_iter().collect(),
            issuers: issuers.into_iter().collect(),
            audiences: audiences.into_iter().collect(),
            max_lifetime,
        })
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

    /// The longest time from `iat` to `exp`.
    pub fn max_lifetime(&self) -> Span {
        self.max_lifetime
    }
}

/// A text is no SigV4 string to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a SigV4 string to sign: four lines, AWS4-HMAC-SHA256, YYYYMMDD'T'HHMMSS'Z', YYYYMMDD/region/service/aws4_request, \
     and 64 lower-case hexadecimal digits"
)]
pub struct StringToSignError;

impl FromStr for StringToSign {
    type Err = StringToSignError;

    /// Reads the four lines of AWS's "Create a string to sign"; chunked and presigned forms have others and are refused.
    fn from_str(text: &str) -> Result<Self, StringToSignError> {
        let mut lines = text.split('\n');
        let (Some("AWS4-HMAC-SHA256"), Some(time), Some(scope), Some(hash), None) =
            (lines.next(), lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(StringToSignError);
        };
        let mut parts = scope.split('/');
        let (Some(day), Some(region), Some(service), Some("aws4_request"), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(StringToSignError);
        };
        let word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let hex = hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
        let clock = time.strip_prefix(day).and_then(|t| t.strip_prefix('T')).and_then(|t| t.strip_suffix('Z'));
        if hex && digits(day, 8) && clock.is_some_and(|c| digits(c, 6)) && word(region) && word(service) {
            Ok(Self {
                text: text.to_owned(),
                day: day.to_owned(),
                region: region.to_owned(),
                service: service.to_owned(),
            })
        } else {
            Err(StringToSignError)
        }
    }
}

impl Sigv4Permit {
    /// What is signed.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The day of the scope, `YYYYMMDD`.
    pub fn day(&self) -> &str {
        &self.0.day
    }

    /// The region of the scope.
    pub fn region(&self) -> &str {
        &self.0.region
    }

    /// The service of the scope.
    pub fn service(&self) -> &str {
        &self.0.service
    }
}

impl JwtPermit {
    /// The algorithm to sign with.
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.0
    }
}

/// Whether `YYYYMMDD` is today, yesterday or tomorrow: a signature for another day could be kept for it.
fn near(day: &str, now: Timestamp) -> bool {
    const DAY: u64 = 86_400_000;
    let millis = now.as_millis();
    [millis.saturating_sub(DAY), millis, millis.saturating_add(DAY)].into_iter().any(|at| {
        let CivilDate { year, month, day: date } = Timestamp::from_millis(at).date();
        format!("{year:04}{month:02}{date:02}") == day
    })
}

impl SecretOperation {
    /// The key that grants it.
    pub fn key(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::Jwt => "jwt",
            Self::Pbkdf2 => "pbkdf2",
            Self::Reveal => "reveal",
            Self::Sign => "sign",
            Self::Sigv4 => "sigv4",
        }
    }
}

impl fmt::Display for SecretOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

/// A text is no algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a signature algorithm: write \"RS256\", \"ES256\" or \"EdDSA\"")]
pub struct AlgorithmError;

impl FromStr for SignatureAlgorithm {
    type Err = AlgorithmError;

    fn from_str(text: &str) -> Result<Self, AlgorithmError> {
        [Self::EdDsa, Self::Es256, Self::Rs256].into_iter().find(|a| a.name() == text).ok_or(AlgorithmError)
    }
}

impl SignatureAlgorithm {
    /// The JOSE name.
    pub fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
        }
    }
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests;
