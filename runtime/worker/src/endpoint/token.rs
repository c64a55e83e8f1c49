//! The token that a program has to send before it gets credentials over loopback, where every user of the machine can
//! connect.
//!
//! The token is in a file that only users who may have the credentials can read. AWS's libraries send the file's contents
//! unchanged, so it has no line break. The process keeps a hash: two hashes are compared, so that the time it takes reveals
//! nothing about the token.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Digest, SHA256, digest};
use aws_lc_rs::rand::SecureRandom;
use deputy_core::ByteSize;
use deputy_files::ambient;
use deputy_sources::{SourceContext, SourceError, ValueShape, read_file};
use zeroize::Zeroizing;

/// The hash of a token.
pub struct EndpointToken(Digest);

/// An endpoint has no token.
#[derive(Debug, thiserror::Error)]
pub enum EndpointTokenError {
    #[error("cannot use the endpoint's token")]
    Read(#[source] SourceError),
    /// The file's contents cannot be sent as a header.
    #[error(
        "the token in {} cannot be sent: it must be visible ASCII without a line break, at least {MIN_LENGTH} \
         characters; remove the file to have a new token generated",
        path.display()
    )]
    Unsound { path: PathBuf },
    #[error("cannot create the token file {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("the system's random number generator failed")]
    Random,
}

/// A shorter token could be guessed.
const MIN_LENGTH: usize = 16;

/// A longer token may not fit into a header.
const MAX_LENGTH: ByteSize = ByteSize::kib(4);

impl EndpointToken {
    /// Reads a token's file. If it is missing, it is created with a token of 32 random bytes in hexadecimal digits, for its
    /// owner alone.
    pub async fn open(
        path: &Path,
        random: &dyn SecureRandom,
        context: &SourceContext,
    ) -> Result<Self, EndpointTokenError> {
        if !path.exists() {
            create(path, random)?;
        }
        Self::read(path, context).await
    }

    /// Reads a token's file.
    pub(super) async fn read(path: &Path, context: &SourceContext) -> Result<Self, EndpointTokenError> {
        let (token, _) =
            read_file(path, ValueShape::bytes(MAX_LENGTH), context).await.map_err(EndpointTokenError::Read)?;
        Self::parse(token.expose()).ok_or_else(|| EndpointTokenError::Unsound { path: path.to_owned() })
    }

    /// Parses a text that can be sent as a header and is long enough.
    fn parse(token: &[u8]) -> Option<Self> {
        let is_sound = token.len() >= MIN_LENGTH && token.iter().all(u8::is_ascii_graphic);
        is_sound.then(|| Self(digest(&SHA256, token)))
    }

    pub fn matches(&self, token: &[u8]) -> bool {
        self.0.as_ref() == digest(&SHA256, token).as_ref()
    }
}

fn create(path: &Path, random: &dyn SecureRandom) -> Result<(), EndpointTokenError> {
    let mut bytes = Zeroizing::new([0; 32]);
    random.fill(bytes.as_mut()).map_err(|_| EndpointTokenError::Random)?;
    let mut text = Zeroizing::new(String::with_capacity(64));
    for byte in bytes.iter() {
        text.extend([byte >> 4, byte & 15].into_iter().filter_map(|digit| char::from_digit(digit.into(), 16)));
    }
    match ambient::create_file(path, ".token.", text.as_bytes()) {
        // Another process was faster: its file stays.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(EndpointTokenError::Write { path: path.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}

impl fmt::Debug for EndpointToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[token]")
    }
}

#[cfg(test)]
mod tests;
