//! Some values in one sealed file: a backup, which opens whole or not at all.
//!
//! It is sealed with the state's own master key, so it can lie where a copy of the state may, and is of no use without the
//! key. An [`envelope`]: the head is JSON and has the keys, and how long each value is.

use deputy_core::{ByteSize, SecretBytes};
use serde::{Deserialize, Serialize};

use crate::seal::{self, Plaintext, SealLabel};
use crate::{Corruption, MasterKey, Random, StoreKey, Version, framing};

/// The version of the head.
const FORMAT: u32 = 1;

/// The largest archive that is read.
pub const MAX_ARCHIVE: ByteSize = ByteSize::mib(256);

/// Values with their keys.
#[derive(Debug, Default)]
pub struct Archive {
    /// When they were read, in milliseconds since 1970.
    pub made_ms: u64,
    /// Each with its key.
    pub values: Vec<(StoreKey, SecretBytes)>,
}

/// Bytes are no archive, or none is made.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It does not open.
    #[error("the backup does not open: {0}")]
    Damaged(#[from] Corruption),
    /// It opens, and is something else.
    #[error("the backup opens, and is not what deputy writes")]
    Malformed,
    /// Of a later version.
    #[error("the backup has format {0}, which this version of deputy does not know: use the newer one")]
    Format(u32),
    /// It can't be encoded.
    #[error("the backup can't be encoded")]
    Encode(#[from] serde_json::Error),
    /// The random number generator failed.
    #[error("the system's random number generator failed")]
    Random,
}

#[derive(Serialize, Deserialize)]
struct Head {
    format: u32,
    made_ms: u64,
    values: Vec<ValueHead>,
}

#[derive(Serialize, Deserialize)]
struct ValueHead {
    key: String,
    length: usize,
}

impl Archive {
    /// The sealed bytes of these values.
    ///
    /// # Errors
    /// If there is no random number, or the names can't be encoded.
    pub fn seal(&self, master: &MasterKey, random: &Random) -> Result<Vec<u8>, ArchiveError> {
        let heads = self.values.iter().map(|(key, value)| ValueHead { key: key.to_string(), length: value.len() });
        let head = serde_json::to_vec(&Head { format: FORMAT, made_ms: self.made_ms, values: heads.collect() })?;
        let whole = framing::join(&head, self.values.iter().map(|(_, value)| value));
        let draft = Plaintext::new(whole.expose());
        draft.seal(&SealLabel::of_archive(), Version::new(0), master, &**random).map_err(|_| ArchiveError::Random)
    }

    /// The values of these sealed bytes.
    ///
    /// # Errors
    /// If they were changed or cut, or sealed with another key, or are no archive.
    pub fn open(bytes: Vec<u8>, master: &MasterKey) -> Result<Self, ArchiveError> {
        let (_, whole) = seal::open(bytes, &SealLabel::of_archive(), master)?;
        let (head, mut rest) = framing::split(whole.expose()).ok_or(ArchiveError::Malformed)?;
        let head: Head = serde_json::from_slice(head).map_err(|_| ArchiveError::Malformed)?;
        if head.format != FORMAT {
            return Err(ArchiveError::Format(head.format));
        }
        let mut values = Vec::new();
        for ValueHead { key, length } in head.values {
            let key = key.parse().map_err(|_| ArchiveError::Malformed)?;
            values.push((key, framing::take(&mut rest, length).ok_or(ArchiveError::Malformed)?));
        }
        if !rest.is_empty() {
            return Err(ArchiveError::Malformed);
        }
        Ok(Self { made_ms: head.made_ms, values })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a test's own chance")]
    fn random() -> Random {
        Arc::new(aws_lc_rs::rand::SystemRandom::new())
    }

    fn master(first: u8) -> MasterKey {
        MasterKey::parse(&std::array::from_fn::<u8, 32, _>(|at| at as u8 ^ first)).unwrap()
    }

    fn archive() -> Archive {
        let value = |key: &str, text: &str| (key.parse().unwrap(), SecretBytes::new(text.as_bytes().to_vec()));
        Archive { made_ms: 7, values: vec![value("authority/workers", "the key"), value("worker/a", "")] }
    }

    #[test]
    fn backup_survives_the_round_trip() {
        let bytes = archive().seal(&master(0), &random()).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("the key"));
        let read = Archive::open(bytes, &master(0)).unwrap();
        let plain = |archive: &Archive| {
            archive.values.iter().map(|(key, value)| (key.to_string(), value.expose().to_vec())).collect::<Vec<_>>()
        };
        assert_eq!((read.made_ms, plain(&read)), (7, plain(&archive())));
    }

    #[test]
    fn backup_that_was_changed_or_is_anothers_does_not_open() {
        let bytes = archive().seal(&master(0), &random()).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(Archive::open(changed, &master(0)).is_err(), "byte {at}");
            assert!(Archive::open(bytes[..at].to_vec(), &master(0)).is_err(), "cut at {at}");
        }
        assert!(matches!(Archive::open(bytes, &master(1)), Err(ArchiveError::Damaged(Corruption::Unsealed))));
    }
}
