//! Values in one sealed file: a backup, which opens whole or not at all.
//!
//! It is sealed with the state's own master key, so it can lie where a copy of the state may, and is useless without the
//! key. See [`framing`]: the head is JSON and holds the keys and the length of each value.

use deputy_core::{ByteSize, SecretBytes};
use serde::{Deserialize, Serialize};

use crate::seal::{self, Plaintext, SealLabel, WriteStamp};
use crate::{Corruption, MasterKey, Random, StoreKey, WriteId, framing};

/// The format of the head.
const FORMAT: u32 = 1;

pub const MAX_ARCHIVE: ByteSize = ByteSize::mib(256);

#[derive(Debug, Default)]
pub struct Archive {
    /// When the values were read, in milliseconds since 1970.
    pub made_ms: u64,
    pub values: Vec<(StoreKey, SecretBytes)>,
}

#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("the backup does not open: {0}")]
    Damaged(#[from] Corruption),
    #[error("the backup was sealed with this key, but not by `deputy state backup`")]
    Malformed,
    #[error(
        "the backup has format {0}, which this version of deputy does not support: use the version that wrote it, or a newer one"
    )]
    Format(u32),
    #[error("cannot encode the backup")]
    Encode(#[from] serde_json::Error),
    #[error("the system's random number generator failed")]
    Random,
}

#[derive(Serialize, Deserialize)]
struct ArchiveHead {
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
    pub fn seal(&self, master: &MasterKey, random: &Random) -> Result<Vec<u8>, ArchiveError> {
        let heads = self.values.iter().map(|(key, value)| ValueHead { key: key.to_string(), length: value.len() });
        let head = serde_json::to_vec(&ArchiveHead { format: FORMAT, made_ms: self.made_ms, values: heads.collect() })?;
        let whole = framing::join(&head, self.values.iter().map(|(_, value)| value));
        let plaintext = Plaintext::new(whole.expose());
        let write = WriteId::random(random).map_err(|_| ArchiveError::Random)?;
        let stamp = WriteStamp { write, replaced: None };
        plaintext.seal(&SealLabel::of_archive(), stamp, master, &**random).map_err(|_| ArchiveError::Random)
    }

    pub fn open(bytes: Vec<u8>, master: &MasterKey) -> Result<Self, ArchiveError> {
        let (_, whole) = seal::open(bytes, &SealLabel::of_archive(), master)?;
        let (head, mut rest) = framing::split(whole.expose()).ok_or(ArchiveError::Malformed)?;
        let head: ArchiveHead = serde_json::from_slice(head).map_err(|_| ArchiveError::Malformed)?;
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

    #[expect(clippy::disallowed_methods, reason = "a test's own random numbers")]
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
    fn backup_that_was_changed_or_has_another_key_does_not_open() {
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
