//! The key that all others are derived from.
//!
//! The operator configures its source: a file, a systemd credential, a variable or a program. Without one, it is generated
//! in the state directory itself. Such a key does not keep the state secret from a thief who copies the whole directory;
//! sealing then finds damage and mix-ups, and protects copies that leave the key out. Only a key from elsewhere (best: a
//! systemd credential bound to the machine's TPM) protects a stolen disk or backup.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{Algorithm, LessSafeKey, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use deputy_core::{ByteSize, SecretBytes, SecretSource};
use deputy_files::{FileError, ambient};
use deputy_sources::{SourceContext, SourceError, ValueShape};
use deputy_support::try_blocking;
use zeroize::Zeroizing;

use crate::directory::has_state;
use crate::{Random, StoreError};

const SIZE: usize = 32;

/// In a state directory.
const FILE: &str = "key";

/// 32 random bytes.
pub struct MasterKey(SecretBytes);

#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    #[error("cannot create the key file {}", path.display())]
    Create { path: PathBuf, source: io::Error },
    #[error("cannot derive a key from the master key: this is a bug, please report it")]
    Derive,
    #[error("the key file {} exists already: use it, or move it away to create a new key", .0.display())]
    Exists(PathBuf),
    #[error(
        "the master key must be 32 bytes, or 64 hexadecimal or 44 base64 digits: create one with \
         `openssl rand -base64 32`"
    )]
    Form,
    #[error(
        "the key file {} is missing, but the directory has state that was sealed with it: put it back, or move the \
         directory away to start with an empty one",
        .0.display()
    )]
    Gone(PathBuf),
    #[error("the system's random number generator failed")]
    Random,
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Text, or one byte repeated.
    #[error("the master key can be guessed: it must be random bytes, as `openssl rand -base64 32` prints them")]
    Weak,
}

impl MasterKeyError {
    /// Whether the state directory belongs to another user than this process, which may run for an operator.
    pub fn is_state_of_another_user(&self) -> bool {
        matches!(self, Self::Store(StoreError::File(FileError::Denied { .. } | FileError::Owner { .. })))
    }
}

impl MasterKey {
    /// Parses 32 bytes, or their hexadecimal or base64 digits with or without a newline.
    pub fn parse(bytes: &[u8]) -> Result<Self, MasterKeyError> {
        let key = match <[u8; SIZE]>::try_from(bytes) {
            // Sixteen bytes in hexadecimal digits, or a passphrase.
            Ok(_) if bytes.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') => {
                return Err(MasterKeyError::Weak);
            }
            Ok(key) => Zeroizing::new(key),
            Err(_) => {
                let text = bytes.trim_ascii_end();
                hexadecimal(text).or_else(|| base64(text)).ok_or(MasterKeyError::Form)?
            }
        };
        if key.iter().all(|byte| key.first() == Some(byte)) {
            return Err(MasterKeyError::Weak);
        }
        Ok(Self(SecretBytes::new(key.to_vec())))
    }

    pub async fn read(source: &SecretSource, context: &SourceContext) -> Result<Self, MasterKeyError> {
        // The bytes as they are: a raw key may end with a newline.
        let value = deputy_sources::read(source, ValueShape::bytes(ByteSize::bytes(256)), context).await?;
        Self::parse(value.expose())
    }

    /// The key in the state directory itself, generated if the directory has neither a key nor state. See the module on
    /// what such a key protects.
    pub async fn of_state(state: &Path, context: &SourceContext, random: Random) -> Result<Self, MasterKeyError> {
        let path = state.join(FILE);
        // Before the key's file is looked for: this finishes a change of the key, which may rename that file.
        let has_state = has_state(state).await?;
        if !exists(&path)? {
            if has_state {
                return Err(MasterKeyError::Gone(path));
            }
            match Self::generate_file(path.clone(), random).await {
                // Another process was faster.
                Err(MasterKeyError::Exists(_)) => {}
                generated => return generated,
            }
        }
        Self::read(&SecretSource::File(path), context).await
    }

    /// Generates a key and its file, in base64, for this user alone. The file appears whole or not at all.
    pub async fn generate_file(path: PathBuf, random: Random) -> Result<Self, MasterKeyError> {
        let owned = path.clone();
        let generated = try_blocking(move || Self::generate_now(&owned, &random)).await;
        generated.map_err(|source| MasterKeyError::Create { path, source })?
    }

    /// Generates a key, and the text of its file.
    pub fn generate(random: &Random) -> Result<(Self, SecretBytes), MasterKeyError> {
        let mut key = Zeroizing::new([0; SIZE]);
        random.fill(key.as_mut()).map_err(|_| MasterKeyError::Random)?;
        let mut line = Zeroizing::new(String::with_capacity(2 * SIZE));
        STANDARD.encode_string(key.as_ref(), &mut line);
        line.push('\n');
        Ok((Self(SecretBytes::new(key.to_vec())), SecretBytes::new(line.as_bytes().to_vec())))
    }

    fn generate_now(path: &Path, random: &Random) -> Result<Self, MasterKeyError> {
        let (key, line) = Self::generate(random)?;
        ambient::create_file(path, ".key-", line.expose()).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => MasterKeyError::Exists(path.to_owned()),
            _ => MasterKeyError::Create { path: path.to_owned(), source },
        })?;
        Ok(key)
    }

    /// Derives another key of 32 bytes, for one purpose that is not sealing. It reveals nothing about this one.
    pub fn derive(&self, purpose: &str) -> Result<SecretBytes, MasterKeyError> {
        // Sealing has salts of 32 bytes, and so no key in common with this.
        let derived = Salt::new(HKDF_SHA256, b"deputy: derived keys").extract(self.0.expose());
        let mut key = Zeroizing::new([0; SIZE]);
        let info = [purpose.as_bytes()];
        let filled = derived.expand(&info, HKDF_SHA256).and_then(|expanded| expanded.fill(key.as_mut()));
        filled.map_err(|_| MasterKeyError::Derive)?;
        Ok(SecretBytes::new(key.to_vec()))
    }

    pub(crate) fn file_key(&self, algorithm: &'static Algorithm, salt: &[u8], info: &[&[u8]]) -> Option<LessSafeKey> {
        let derived = Salt::new(HKDF_SHA256, salt).extract(self.0.expose());
        let key = derived.expand(info, algorithm).ok()?;
        Some(LessSafeKey::new(UnboundKey::from(key)))
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey")
    }
}

fn exists(path: &Path) -> Result<bool, StoreError> {
    ambient::exists(path).map_err(|error| FileError::new("inspect", path, error).into())
}

fn hexadecimal(text: &[u8]) -> Option<Zeroizing<[u8; SIZE]>> {
    let mut key = Zeroizing::new([0; SIZE]);
    if text.len() != 2 * SIZE {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(text.chunks_exact(2)) {
        for digit in pair {
            let value = char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok())?;
            *byte = *byte << 4 | value;
        }
    }
    Some(key)
}

fn base64(text: &[u8]) -> Option<Zeroizing<[u8; SIZE]>> {
    let mut decoded = Zeroizing::new([0; SIZE + 4]);
    for engine in [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD] {
        if let Ok(SIZE) = engine.decode_slice(text, decoded.as_mut()) {
            let mut key = Zeroizing::new([0; SIZE]);
            key.copy_from_slice(decoded.get(..SIZE)?);
            return Some(key);
        }
    }
    None
}

#[cfg(test)]
mod tests;
