//! The key that all others are derived from.
//!
//! An operator names where it is: a file, a systemd credential, a variable or a program. Who names nothing gets one in
//! the state directory itself. Such a key keeps the state secret from nobody who can copy the whole directory; sealing
//! then finds damage and mix-ups, and protects copies that leave the key out. Only a key from elsewhere (best: a systemd
//! credential bound to the machine's TPM) protects a stolen disk or backup.

use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{Algorithm, LessSafeKey, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use deputy_core::{ByteSize, SecretBytes, SecretSource};
use deputy_sources::{SourceContext, SourceError, ValueShape};
use zeroize::Zeroizing;

use crate::directory::has_state;
use crate::{Random, StoreError};

const SIZE: usize = 32;

/// The name of the key's file in a state directory.
const FILE: &str = "key";

/// 32 bytes that nobody can guess.
pub struct MasterKey(SecretBytes);

/// There is no master key to be had.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// The file can't be made.
    #[error("cannot create the key file {}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The library fails.
    #[error("a key can't be derived from the master key: this is a bug, please report it")]
    Derive,
    /// There is one already.
    #[error("the key file {} exists already: use it, or move it away to create a new key", .0.display())]
    Exists(PathBuf),
    /// Not 32 bytes.
    #[error(
        "the master key is not 32 bytes long, nor 64 hexadecimal or 44 base64 digits: make one with \
         `openssl rand -base64 32`"
    )]
    Form,
    /// The key is gone and the state is not.
    #[error(
        "the key file {} is gone, but the directory has state that was sealed with it: put it back, or move the \
         directory away to begin with an empty one",
        .0.display()
    )]
    Gone(PathBuf),
    /// No chance to be had from the system.
    #[error("the system's random number generator failed")]
    Random,
    /// It can't be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The state directory can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Text, or one byte again and again.
    #[error("the master key can be guessed: it must be random bytes, as `openssl rand -base64 32` makes them")]
    Weak,
}

impl MasterKey {
    /// The key in 32 bytes, or in their hexadecimal or base64 digits with or without a newline.
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

    /// The key from where the operator put it.
    pub async fn read(source: &SecretSource, here: &SourceContext) -> Result<Self, MasterKeyError> {
        // The bytes as they are: a raw key may end with a newline.
        let value = deputy_sources::read(source, ValueShape::bytes(ByteSize::bytes(256)), here).await?;
        Self::parse(value.expose())
    }

    /// The key in the state directory itself, made now if neither it nor any state is there. See the module on what
    /// such a key is good for.
    pub async fn of_state(state: &Path, here: &SourceContext, random: Random) -> Result<Self, MasterKeyError> {
        let path = state.join(FILE);
        // Whoever changed the key may have been killed before its file had its name.
        let has_state = has_state(state).await?;
        if !is_there(&path)? {
            if has_state {
                return Err(MasterKeyError::Gone(path));
            }
            match Self::generate_file(path.clone(), random).await {
                // Another process made it in the meantime.
                Err(MasterKeyError::Exists(_)) => {}
                made => return made,
            }
        }
        Self::read(&SecretSource::File(path), here).await
    }

    /// Makes a new key and a file of it, in base64, for this user alone. The file is there whole or not at all.
    #[expect(
        clippy::disallowed_methods,
        reason = "it can't be cancelled; it writes one line, and ends soon unless the file system hangs"
    )]
    pub async fn generate_file(path: PathBuf, random: Random) -> Result<Self, MasterKeyError> {
        let failed = |path, error| MasterKeyError::Create { path, source: io::Error::other(error) };
        let shown = path.clone();
        let made = tokio::task::spawn_blocking(move || Self::generate_now(&path, &random)).await;
        made.unwrap_or_else(|lost| Err(failed(shown, lost)))
    }

    /// A new key that is nowhere yet, and the text of a file of it.
    ///
    /// # Errors
    /// If there is no random number.
    pub fn generate(random: &Random) -> Result<(Self, SecretBytes), MasterKeyError> {
        let mut key = Zeroizing::new([0; SIZE]);
        random.fill(key.as_mut()).map_err(|_| MasterKeyError::Random)?;
        let mut line = Zeroizing::new(String::with_capacity(2 * SIZE));
        STANDARD.encode_string(key.as_ref(), &mut line);
        line.push('\n');
        Ok((Self(SecretBytes::new(key.to_vec())), SecretBytes::new(line.as_bytes().to_vec())))
    }

    fn generate_now(path: &Path, random: &Random) -> Result<Self, MasterKeyError> {
        let failed = |source| MasterKeyError::Create { path: path.to_owned(), source };
        let (key, line) = Self::generate(random)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new().prefix(".key-").tempfile_in(folder).map_err(failed)?;
        file.write_all(line.expose()).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist_noclobber(path).map_err(|error| match error.error.kind() {
            io::ErrorKind::AlreadyExists => MasterKeyError::Exists(path.to_owned()),
            _ => failed(error.error),
        })?;
        std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        Ok(key)
    }

    /// Another key of 32 bytes, for one purpose that is not sealing. Who has it learns nothing about this one.
    ///
    /// # Errors
    /// If the library fails, which it does not for this length.
    pub fn derive(&self, purpose: &str) -> Result<SecretBytes, MasterKeyError> {
        // Sealing has salts of 32 bytes, and so no key in common with this.
        let derived = Salt::new(HKDF_SHA256, b"deputy: derived keys").extract(self.0.expose());
        let mut key = Zeroizing::new([0; SIZE]);
        let info = [purpose.as_bytes()];
        let filled = derived.expand(&info, HKDF_SHA256).and_then(|expanded| expanded.fill(key.as_mut()));
        filled.map_err(|_| MasterKeyError::Derive)?;
        Ok(SecretBytes::new(key.to_vec()))
    }

    /// A key for one file.
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

fn is_there(path: &Path) -> Result<bool, MasterKeyError> {
    match std::fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StoreError::of_io("look at", path, error).into()),
    }
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
    let mut room = Zeroizing::new([0; SIZE + 4]);
    for engine in [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD] {
        if let Ok(SIZE) = engine.decode_slice(text, room.as_mut()) {
            let mut key = Zeroizing::new([0; SIZE]);
            key.copy_from_slice(room.get(..SIZE)?);
            return Some(key);
        }
    }
    None
}

#[cfg(test)]
#[path = "master_tests.rs"]
mod tests;
