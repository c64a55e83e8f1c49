//! Ids of workers and digests of their keys.

use std::fmt;
use std::str::FromStr;

use deputy_core::excerpt;
use serde::{Deserialize, Serialize};

/// The id of an enrolled worker: 16 hexadecimal digits. The coordinator chooses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WorkerId(u64);

/// The SHA-256 of a public key, as a certificate request or a certificate has it (SubjectPublicKeyInfo).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyDigest(pub [u8; 32]);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a worker id: write its 16 hexadecimal digits, as `deputy workers` prints them")]
pub struct WorkerIdError(String);

impl WorkerId {
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(u64::from_be_bytes(bytes))
    }
}

impl FromStr for WorkerId {
    type Err = WorkerIdError;

    fn from_str(text: &str) -> Result<Self, WorkerIdError> {
        let plain = text.len() == 16 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let number = u64::from_str_radix(text, 16).ok().filter(|_| plain);
        number.map(Self).ok_or_else(|| WorkerIdError(excerpt(text, 40)))
    }
}

impl TryFrom<String> for WorkerId {
    type Error = WorkerIdError;

    fn try_from(text: String) -> Result<Self, WorkerIdError> {
        text.parse()
    }
}

impl From<WorkerId> for String {
    fn from(worker: WorkerId) -> Self {
        worker.to_string()
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worker_id_survives_the_round_trip() {
        for worker in [WorkerId(0), WorkerId(u64::MAX), WorkerId::from_bytes(*b"\0\x01abcdef")] {
            assert_eq!(worker.to_string().parse(), Ok(worker));
        }
    }

    #[test]
    fn worker_id_refuses_other_texts() {
        for text in ["", "0", "000000000000000g", "00000000000000000", "ABCDEF0123456789", "+123456789abcdef"] {
            assert!(text.parse::<WorkerId>().is_err(), "{text:?}");
        }
    }
}
