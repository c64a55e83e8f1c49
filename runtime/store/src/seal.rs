//! What a sealed file holds.
//!
//! | bytes | contents |
//! |---|---|
//! | 0–6 | `deputyS` |
//! | 7 | the format, 1 |
//! | 8–15 | the version of the value, big-endian |
//! | 16–47 | a salt, random for each write |
//! | 48– | the value, encrypted with AES-256-GCM, and the tag of 16 bytes |
//!
//! The file's key is HKDF-SHA-256 of the master key with the salt and, as the info, the format and the name of what is
//! sealed. Since no two files have the same key, the nonce is zero. The header and the name are authenticated with the
//! value: a file that is changed, truncated, given another name or another version does not open. An older file of the
//! same name does open: only a caller that remembers a value's version notices that it was rolled back.

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce};
use aws_lc_rs::rand::SecureRandom;
use deputy_core::SecretBytes;
use zeroize::{Zeroize as _, Zeroizing};

use crate::{Corruption, MasterKey, StoreError, StoreKey, Version};

const MAGIC: &[u8; 7] = b"deputyS";
const FORMAT: u8 = 1;
const HEADER: usize = 48;
const TAG: usize = 16;

/// Bytes that sealing adds to a value.
pub(crate) const OVERHEAD: usize = HEADER + TAG;

/// The name of what is sealed, as it goes into the key and under the tag.
pub(crate) struct SealLabel(Vec<u8>);

/// A value before its version is known. It is copied once, to the place where it will be encrypted.
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
        version: Version,
        master: &MasterKey,
        random: &dyn SecureRandom,
    ) -> Result<Vec<u8>, SealError> {
        let (header, value) = self.0.split_at_mut_checked(HEADER).ok_or(SealError)?;
        if let Some(field) = header.get_mut(8..16) {
            field.copy_from_slice(&version.as_u64().to_be_bytes());
        }
        let salt = header.get_mut(16..).ok_or(SealError)?;
        random.fill(salt).map_err(|_| SealError)?;
        let key = master.file_key(&AES_256_GCM, salt, &[MAGIC, &[FORMAT], &label.0]).ok_or(SealError)?;
        let associated = [&*header, &label.0].concat();
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        let tag = key.seal_in_place_separate_tag(nonce, Aad::from(associated), value).map_err(|_| SealError)?;
        self.0.extend_from_slice(tag.as_ref());
        Ok(std::mem::take(&mut *self.0))
    }
}

/// The value in a sealed file, and its version.
pub(crate) fn open(
    mut file: Vec<u8>,
    label: &SealLabel,
    master: &MasterKey,
) -> Result<(Version, SecretBytes), Corruption> {
    let version = check(&file)?;
    let (header, sealed) = file.split_at_mut_checked(HEADER).ok_or(Corruption::Cut)?;
    let salt = header.get(16..).ok_or(Corruption::Cut)?;
    let key = master.file_key(&AES_256_GCM, salt, &[MAGIC, &[FORMAT], &label.0]).ok_or(Corruption::Unsealed)?;
    let associated = [&*header, &label.0].concat();
    let nonce = Nonce::assume_unique_for_key([0; 12]);
    let value = key.open_in_place(nonce, Aad::from(associated), sealed).map_err(|_| Corruption::Unsealed)?;
    let secret = SecretBytes::new(value.to_vec());
    value.zeroize();
    Ok((version, secret))
}

/// The version that a file claims to have, if it looks like a sealed file.
fn check(file: &[u8]) -> Result<Version, Corruption> {
    let known = file.len().min(MAGIC.len());
    if file.get(..known) != MAGIC.get(..known) {
        return Err(Corruption::Foreign);
    }
    match file.get(7) {
        Some(&FORMAT) if file.len() >= OVERHEAD => {}
        Some(&FORMAT) | None => return Err(Corruption::Cut),
        Some(&other) => return Err(Corruption::Format(other)),
    }
    let version: [u8; 8] = file.get(8..16).and_then(|bytes| bytes.try_into().ok()).ok_or(Corruption::Cut)?;
    Ok(Version::new(u64::from_be_bytes(version)))
}

#[cfg(test)]
mod tests;
