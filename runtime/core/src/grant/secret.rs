//! Grants for secrets. An operation is a purpose, and the grant restricts it.
//!
//! A secret serves one purpose: if a component could also take a bare HMAC or signature with a signing key, the key would
//! sign anything. A request is parsed into a value ([`StringToSign`], [`JwtClaims`]), the grant turns the value into a permit,
//! and only permits are signed.

mod algorithm;
mod claim;
mod jwt;
mod scram;
mod sigv4;

use std::fmt;

pub use algorithm::{AlgorithmError, SignatureAlgorithm};
pub use claim::{ClaimGrant, ClaimName, ClaimNameError, ClaimValue};
pub use jwt::{JwtClaims, JwtGrant, JwtPermit};
pub use scram::ScramGrant;
pub use sigv4::{Sigv4Grant, Sigv4Permit, StringToSign, StringToSignError};

use crate::{PolicyDenial, SecretName, Timestamp};

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
    /// SCRAM logins.
    Scram(ScramGrant),
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
    /// `scram`
    Scram,
    /// `secret.sign`
    Sign,
    /// `secret.sigv4`
    Sigv4,
}

/// Why a grant is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretGrantError {
    #[error(
        "a secret serves one purpose, not {0} and {1}: what {1} yields could be used to get around what limits {0}"
    )]
    Purposes(SecretOperation, SecretOperation),
    /// A purpose without any permitted value.
    #[error("`{0}` is empty, so nothing could be signed: name at least one")]
    Empty(&'static str),
    /// A name of no user.
    #[error("not a user name: use 1 to 255 bytes without control characters")]
    Username,
}

impl SecretGrant {
    /// A grant for one purpose, or for none: then only the host uses the secret, to add it to requests.
    pub fn new(purpose: Option<SecretPurpose>, reveal: bool) -> Self {
        Self { purpose, reveal }
    }

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

    /// The permit to sign a request.
    ///
    /// # Errors
    /// If the operation, the service, the region or the time is not granted.
    pub fn permit_sigv4(
        &self,
        name: &SecretName,
        text: StringToSign,
        now: Timestamp,
    ) -> Result<Sigv4Permit, PolicyDenial> {
        match &self.purpose {
            Some(SecretPurpose::Sigv4(grant)) => grant.permit(name, text, now),
            _ => Err(PolicyDenial::Operation { secret: name.clone(), operation: SecretOperation::Sigv4 }),
        }
    }

    /// The permit to sign a JSON Web Token.
    ///
    /// # Errors
    /// If the operation, the algorithm, one of the claims or the token's time is not granted.
    pub fn permit_jwt(
        &self,
        name: &SecretName,
        algorithm: SignatureAlgorithm,
        claims: &JwtClaims,
        now: Timestamp,
    ) -> Result<JwtPermit, PolicyDenial> {
        match &self.purpose {
            Some(SecretPurpose::Jwt(grant)) => grant.permit(name, algorithm, claims, now),
            _ => Err(PolicyDenial::Operation { secret: name.clone(), operation: SecretOperation::Jwt }),
        }
    }

    /// Leave to log in by SCRAM, as the user that the grant names.
    ///
    /// # Errors
    /// If the operation is not granted.
    pub fn permit_scram(&self, name: &SecretName) -> Result<&ScramGrant, PolicyDenial> {
        match &self.purpose {
            Some(SecretPurpose::Scram(grant)) => Ok(grant),
            _ => Err(PolicyDenial::Operation { secret: name.clone(), operation: SecretOperation::Scram }),
        }
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
            // These have a permit of their own.
            SecretOperation::Jwt | SecretOperation::Scram | SecretOperation::Sign | SecretOperation::Sigv4 => false,
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
    /// The single purpose that an operator configured.
    ///
    /// # Errors
    /// If there are two.
    pub fn only(mut purposes: Vec<Self>) -> Result<Option<Self>, SecretGrantError> {
        match purposes.as_slice() {
            [first, second, ..] => Err(SecretGrantError::Purposes(first.operation(), second.operation())),
            _ => Ok(purposes.pop()),
        }
    }

    /// The operation of this purpose.
    pub fn operation(&self) -> SecretOperation {
        match self {
            Self::HmacSha256 => SecretOperation::HmacSha256,
            Self::Jwt(_) => SecretOperation::Jwt,
            Self::Pbkdf2 => SecretOperation::Pbkdf2,
            Self::Scram(_) => SecretOperation::Scram,
            Self::Sign(_) => SecretOperation::Sign,
            Self::Sigv4(_) => SecretOperation::Sigv4,
        }
    }
}

impl SecretOperation {
    /// The configuration key that grants it.
    pub fn key(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::Jwt => "jwt",
            Self::Pbkdf2 => "pbkdf2",
            Self::Reveal => "reveal",
            Self::Scram => "scram",
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

#[cfg(test)]
mod tests;
