//! What a program has to show before it gets credentials over loopback: every user of the machine can connect there.
//!
//! The token lies in a file that only those can read who may have the credentials. AWS's libraries send the file as it
//! is, so it has no line break. The process keeps a hash: two hashes are compared, so that the time it takes tells nothing
//! of the token.

use std::fmt;
use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Digest, SHA256, digest};
use aws_lc_rs::rand::SecureRandom;
use deputy_core::ByteSize;
use deputy_sources::{SourceContext, SourceError, ValueShape, read_file};
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

/// A token, as a hash.
pub struct EndpointToken(Digest);

/// There is no token.
#[derive(Debug, thiserror::Error)]
pub enum EndpointTokenError {
    /// The file can't be used.
    #[error("cannot use the endpoint's token")]
    Read(#[source] SourceError),
    /// What is in the file can't be sent as a header.
    #[error(
        "the token in {} can't be sent: it must be visible ASCII without a line break, at least {LEAST} characters; \
         remove the file, and a good one is made",
        path.display()
    )]
    Unsound {
        /// The file.
        path: PathBuf,
    },
    /// The file can't be made.
    #[error("cannot create the token file {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system has no random numbers.
    #[error("the system's random number generator failed")]
    Random,
}

/// Shorter ones could be guessed.
const LEAST: usize = 16;

/// Longer ones may not go into a header.
const MOST: ByteSize = ByteSize::kib(4);

impl EndpointToken {
    /// Reads a token's file. One that is not there is made, with a token of 32 random bytes in hexadecimal digits, for its
    /// owner alone.
    ///
    /// # Errors
    /// If others can read the file or change it, or it can't be made.
    pub async fn open(
        path: &Path,
        random: &dyn SecureRandom,
        here: &SourceContext,
    ) -> Result<Self, EndpointTokenError> {
        if !path.exists() {
            make(path, random)?;
        }
        Self::read(path, here).await
    }

    /// Reads a token's file.
    pub(super) async fn read(path: &Path, here: &SourceContext) -> Result<Self, EndpointTokenError> {
        let (token, _) = read_file(path, ValueShape::bytes(MOST), here).await.map_err(EndpointTokenError::Read)?;
        Self::of(token.expose()).ok_or_else(|| EndpointTokenError::Unsound { path: path.to_owned() })
    }

    /// Of a text that can be sent as a header and is long enough.
    pub fn of(token: &[u8]) -> Option<Self> {
        let sound = token.len() >= LEAST && token.iter().all(u8::is_ascii_graphic);
        sound.then(|| Self(digest(&SHA256, token)))
    }

    /// Whether this is it.
    pub fn is(&self, shown: &[u8]) -> bool {
        self.0.as_ref() == digest(&SHA256, shown).as_ref()
    }
}

/// Makes a token's file, whole or not at all. If another process was faster, its file stays.
fn make(path: &Path, random: &dyn SecureRandom) -> Result<(), EndpointTokenError> {
    let failed = |source| EndpointTokenError::Write { path: path.to_owned(), source };
    let mut bytes = Zeroizing::new([0; 32]);
    random.fill(bytes.as_mut()).map_err(|_| EndpointTokenError::Random)?;
    let mut text = Zeroizing::new(String::with_capacity(64));
    for byte in bytes.iter() {
        text.extend([byte >> 4, byte & 15].into_iter().filter_map(|digit| char::from_digit(digit.into(), 16)));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mode = Permissions::from_mode(0o600);
    let mut file = tempfile::Builder::new().prefix(".token.").permissions(mode).tempfile_in(folder).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    placed(file, path).map_err(failed)
}

fn placed(file: NamedTempFile, path: &Path) -> io::Result<()> {
    match file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.error),
    }
}

impl fmt::Debug for EndpointToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[token]")
    }
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
