//! What a sealed record holds.
//!
//! | bytes | contents |
//! |---|---|
//! | 0–6 | `deputyS` |
//! | 7 | the format, 2 |
//! | 8–23 | the id of the write |
//! | 24–31 | the version that the write replaced, big-endian; 0 for none |
//! | 32–63 | a salt, random for each write |
//! | 64– | the value, encrypted with AES-256-GCM, and the tag of 16 bytes |
//!
//! The record's key is HKDF-SHA-256 of the master key with the salt and, as the info, the format and the label of what is
//! sealed. Since no two records have the same key, the nonce is zero. The header and the label are authenticated with the
//! value: a record that is changed, truncated or given another name does not open. An older record of the same name does
//! open: only a caller that remembers a value's version notices that it was rolled back.
//!
//! The new version is not in the record, since a replicated store gives it only with the write. A store that knows it
//! before has it in the label.

use std::ops::Range;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce};
use aws_lc_rs::rand::SecureRandom;
use deputy_core::SecretBytes;
use zeroize::{Zeroize as _, Zeroizing};

use crate::{Corruption, MasterKey, StoreError, StoreKey, Version, WriteId};

const MAGIC: &[u8; 7] = b"deputyS";
pub(crate) const FORMAT: u8 = 2;
const WRITE: Range<usize> = 8..24;
const REPLACED: Range<usize> = 24..32;
const HEADER: usize = 64;

const TAG: usize = 16;

/// Bytes that sealing adds to a value.
pub(crate) const OVERHEAD: usize = HEADER + TAG;

/// The name of what is sealed, as it goes into the key and under the tag.
pub(crate) struct SealLabel(Vec<u8>);

/// What is authenticated with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WriteStamp {
    pub(crate) write: WriteId,
    pub(crate) replaced: Option<Version>,
}

/// A value before it is sealed. It is copied once, to the place where it will be encrypted.
pub(crate) struct Plaintext(Zeroizing<Vec<u8>>);

/// The random number generator failed, or the plaintext exceeds the limit of AES-GCM.
#[derive(Debug)]
pub(crate) struct SealError;

impl From<SealError> for StoreError {
    fn from(_: SealError) -> Self {
        Self::Random
    }
}

impl SealLabel {
    pub(crate) fn of_key(key: &StoreKey) -> Self {
        Self(format!("key {key}").into_bytes())
    }

    /// That of a key's value, in a store that knows the new version before it writes.
    pub(crate) fn of_version(key: &StoreKey, version: Version) -> Self {
        Self(format!("key {key} version {version}").into_bytes())
    }

    pub(crate) fn of_archive() -> Self {
        Self(b"archive".to_vec())
    }

    /// That of the version record.
    pub(crate) fn of_record() -> Self {
        Self(b"record".to_vec())
    }
}

impl Plaintext {
    pub(crate) fn new(value: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(value.len() + OVERHEAD);
        bytes.extend_from_slice(MAGIC);
        bytes.push(FORMAT);
        bytes.resize(HEADER, 0);
        bytes.extend_from_slice(value);
        Self(Zeroizing::new(bytes))
    }

    pub(crate) fn seal(
        mut self,
        label: &SealLabel,
        stamp: WriteStamp,
        master: &MasterKey,
        random: &dyn SecureRandom,
    ) -> Result<Vec<u8>, SealError> {
        let (header, value) = self.0.split_at_mut_checked(HEADER).ok_or(SealError)?;
        header.get_mut(WRITE).ok_or(SealError)?.copy_from_slice(stamp.write.as_bytes());
        let replaced = stamp.replaced.map_or(0, Version::as_u64).to_be_bytes();
        header.get_mut(REPLACED).ok_or(SealError)?.copy_from_slice(&replaced);
        let salt = header.get_mut(REPLACED.end..).ok_or(SealError)?;
        random.fill(salt).map_err(|_| SealError)?;
        let key = master.file_key(&AES_256_GCM, salt, &[MAGIC, &[FORMAT], &label.0]).ok_or(SealError)?;
        let associated = [&*header, &label.0].concat();
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        let tag = key.seal_in_place_separate_tag(nonce, Aad::from(associated), value).map_err(|_| SealError)?;
        self.0.extend_from_slice(tag.as_ref());
        Ok(std::mem::take(&mut *self.0))
    }
}

/// The value in a sealed record, and its stamp.
pub(crate) fn open(
    mut record: Vec<u8>,
    label: &SealLabel,
    master: &MasterKey,
) -> Result<(WriteStamp, SecretBytes), Corruption> {
    let stamp = check(&record)?;
    let (header, sealed) = record.split_at_mut_checked(HEADER).ok_or(Corruption::Cut)?;
    let salt = header.get(REPLACED.end..).ok_or(Corruption::Cut)?;
    let key = master.file_key(&AES_256_GCM, salt, &[MAGIC, &[FORMAT], &label.0]).ok_or(Corruption::Unsealed)?;
    let associated = [&*header, &label.0].concat();
    let nonce = Nonce::assume_unique_for_key([0; 12]);
    let value = key.open_in_place(nonce, Aad::from(associated), sealed).map_err(|_| Corruption::Unsealed)?;
    let secret = SecretBytes::new(value.to_vec());
    value.zeroize();
    Ok((stamp, secret))
}

/// The stamp that a record claims to have, if it looks like one.
fn check(record: &[u8]) -> Result<WriteStamp, Corruption> {
    let known = record.len().min(MAGIC.len());
    if record.get(..known) != MAGIC.get(..known) {
        return Err(Corruption::Foreign);
    }
    match record.get(7) {
        Some(&FORMAT) if record.len() >= OVERHEAD => {}
        Some(&FORMAT) | None => return Err(Corruption::Cut),
        Some(&other) => return Err(Corruption::Format(other)),
    }
    let write: [u8; WriteId::SIZE] =
        record.get(WRITE).and_then(|bytes| bytes.try_into().ok()).ok_or(Corruption::Cut)?;
    let replaced: [u8; 8] = record.get(REPLACED).and_then(|bytes| bytes.try_into().ok()).ok_or(Corruption::Cut)?;
    let replaced = u64::from_be_bytes(replaced);
    Ok(WriteStamp { write: WriteId::from_bytes(write), replaced: (replaced > 0).then(|| Version::new(replaced)) })
}

#[cfg(test)]
mod tests;
