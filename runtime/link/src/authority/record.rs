//! The authority as the state holds it.

use deputy_core::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::signing::{SigningAuthority, TrustedAuthority};
use super::{Authority, AuthorityError, CertificateLifetimes};

const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
pub(super) struct AuthorityRecord {
    format: u32,
    signing: SigningAuthorityRecord,
    next: Option<SigningAuthorityRecord>,
    past: Vec<TrustedAuthorityRecord>,
    #[serde(default)]
    provisional: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first_dates: Option<TrustedAuthorityRecord>,
}

#[derive(Serialize, Deserialize)]
struct SigningAuthorityRecord {
    #[serde(flatten)]
    trusted: TrustedAuthorityRecord,
    key: Zeroizing<Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
struct TrustedAuthorityRecord {
    certificate: Vec<u8>,
    begins_ms: u64,
    ends_ms: u64,
}

impl AuthorityRecord {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, AuthorityError> {
        let record: Self = serde_json::from_slice(bytes).map_err(|error| AuthorityError::Record(error.into()))?;
        if record.format != FORMAT {
            let text = format!(
                "it has format {}, and this version supports {FORMAT}: use the version that wrote it",
                record.format
            );
            return Err(AuthorityError::Record(text.into()));
        }
        Ok(record)
    }

    pub(super) fn into_authority(self, lifetimes: CertificateLifetimes) -> Authority {
        Authority {
            lifetimes,
            signing: self.signing.into(),
            next: self.next.map(SigningAuthority::from),
            past: self.past.into_iter().map(TrustedAuthority::from).collect(),
            provisional: self.provisional,
            first_dates: self.first_dates.map(TrustedAuthority::from),
        }
    }
}

impl From<&Authority> for AuthorityRecord {
    fn from(authority: &Authority) -> Self {
        Self {
            format: FORMAT,
            signing: (&authority.signing).into(),
            next: authority.next.as_ref().map(SigningAuthorityRecord::from),
            past: authority.past.iter().map(TrustedAuthorityRecord::from).collect(),
            provisional: authority.provisional,
            first_dates: authority.first_dates.as_ref().map(TrustedAuthorityRecord::from),
        }
    }
}

impl From<&SigningAuthority> for SigningAuthorityRecord {
    fn from(authority: &SigningAuthority) -> Self {
        Self { trusted: (&authority.trusted).into(), key: authority.key.clone() }
    }
}

impl From<SigningAuthorityRecord> for SigningAuthority {
    fn from(record: SigningAuthorityRecord) -> Self {
        Self { trusted: record.trusted.into(), key: record.key }
    }
}

impl From<&TrustedAuthority> for TrustedAuthorityRecord {
    fn from(authority: &TrustedAuthority) -> Self {
        Self {
            certificate: authority.certificate.to_vec(),
            begins_ms: authority.begins.as_millis(),
            ends_ms: authority.ends.as_millis(),
        }
    }
}

impl From<TrustedAuthorityRecord> for TrustedAuthority {
    fn from(record: TrustedAuthorityRecord) -> Self {
        Self {
            certificate: record.certificate.into(),
            begins: Timestamp::from_millis(record.begins_ms),
            ends: Timestamp::from_millis(record.ends_ms),
        }
    }
}
