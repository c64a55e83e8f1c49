//! The record of a worker.

use deputy_core::GroupName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AdmissionDenied;
use crate::join::TokenId;
use crate::name::{KeyDigest, WorkerId};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolledWorker {
    pub id: WorkerId,
    #[serde(with = "crate::text")]
    pub group: GroupName,
    /// The join token that it enrolled with.
    pub token: TokenId,
    /// When it enrolled, in milliseconds since 1970.
    pub joined_ms: u64,
    /// The key of its newest certificate.
    pub key: KeyDigest,
    /// The key of the certificate before, which is valid until the newest is used.
    pub previous: Option<KeyDigest>,
    pub sequence: RenewalCount,
    /// The end of the last of its certificates, in milliseconds since 1970.
    pub ends_ms: u64,
    #[serde(rename = "standing")]
    pub status: EnrolmentStatus,
}

/// How often a worker renewed its certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct RenewalCount(pub u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EnrolmentStatus {
    /// The worker is admitted.
    Active,
    /// An operator banned its keys.
    Banned,
    /// Its identity was used twice.
    Locked,
    /// An operator removed it. It may enrol again.
    Removed,
}

impl EnrolmentStatus {
    /// How much it takes from a worker. Of two decisions about one worker, the more severe one stands.
    pub(super) fn severity(self) -> u8 {
        match self {
            Self::Active => 0,
            Self::Locked => 1,
            Self::Removed => 2,
            Self::Banned => 3,
        }
    }
}

impl RenewalCount {
    /// Of a worker that renewed while a state was in use that is lost.
    pub(super) const UNKNOWN: Self = Self(u64::MAX);
}

impl EnrolledWorker {
    /// How often it renewed, if that is known.
    pub fn renewals(&self) -> Option<u64> {
        (self.sequence != RenewalCount::UNKNOWN).then_some(self.sequence.0)
    }

    pub(super) fn check_active(&self) -> Result<(), AdmissionDenied> {
        match self.status {
            EnrolmentStatus::Active => Ok(()),
            EnrolmentStatus::Banned => Err(AdmissionDenied::Banned(self.id)),
            EnrolmentStatus::Locked => Err(AdmissionDenied::Locked(self.id)),
            EnrolmentStatus::Removed => Err(AdmissionDenied::Removed(self.id)),
        }
    }
}
