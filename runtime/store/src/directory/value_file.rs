//! The file of one value: the sealed record, and behind it the version in eight bytes, big-endian. The version is part of
//! the label, so that a file with another version does not open.

use crate::seal::{self, OVERHEAD, Plaintext, SealLabel, WriteStamp};
use crate::{Corruption, MAX_VALUE, MasterKey, Random, StoreError, StoreKey, StoredValue, Version};

const VERSION: usize = 8;

/// The size of the largest.
pub(super) fn max_size() -> usize {
    MAX_VALUE.as_usize() + OVERHEAD + VERSION
}

pub(super) fn seal(
    plaintext: Plaintext,
    key: &StoreKey,
    version: Version,
    stamp: WriteStamp,
    master: &MasterKey,
    random: &Random,
) -> Result<Vec<u8>, StoreError> {
    let mut file = plaintext.seal(&SealLabel::of_version(key, version), stamp, master, &**random)?;
    file.extend_from_slice(&version.as_u64().to_be_bytes());
    Ok(file)
}

pub(super) fn open(mut file: Vec<u8>, key: &StoreKey, master: &MasterKey) -> Result<StoredValue, Corruption> {
    let version = file.split_last_chunk::<VERSION>().map(|(_, bytes)| Version::new(u64::from_be_bytes(*bytes)));
    if version.is_some() {
        file.truncate(file.len() - VERSION);
    }
    let label = SealLabel::of_version(key, version.unwrap_or(Version::new(0)));
    let (stamp, value) = seal::open(file, &label, master)?;
    Ok(StoredValue { value, version: version.ok_or(Corruption::Cut)?, write: stamp.write })
}
