//! The client's side of SCRAM (RFC 5802, RFC 7677), without channel binding: four messages, read and written by one rule for
//! the program and its guests.
//!
//! ```text
//! client: n,,n=user,r=NONCE                     ClientFirst::message
//! server: r=NONCE…,s=SALT,i=4096                ClientFirst::read_answer
//! client: c=biws,r=NONCE…,p=PROOF               Challenge::answer, ClientFinal::message
//! server: v=SIGNATURE                           ClientFinal::verify
//! ```
//!
//! The server is hostile until its signature is verified: its messages have a length limit, its nonce must begin with the
//! client's and add to it, and its number of iterations must be within bounds that the caller sets, so that a server can
//! neither make a password cheap to guess nor a login dear to compute.
//!
//! The primitives are the caller's ([`Primitives`]). This crate never does I/O, draws no random number, and never puts a
//! password, a key or a message into an error.

mod challenge;
mod client_final;
mod client_first;
mod error;

use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

pub use challenge::Challenge;
pub use client_final::ClientFinal;
pub use client_first::ClientFirst;
pub use error::ScramError;

/// The longest message of a server that is read, in bytes. A real one has some 150.
pub const MAX_MESSAGE: usize = 4096;

/// A hash function's output, or a key of its size.
pub type ScramKey = Zeroizing<Vec<u8>>;

/// A mechanism, by its hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// `SCRAM-SHA-256`
    Sha256,
    /// `SCRAM-SHA-512`
    Sha512,
}

impl Mechanism {
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// The name that SASL has for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
        }
    }

    /// The hash function's output, in bytes.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Mechanism {
    type Err = ScramError;

    fn from_str(text: &str) -> Result<Self, ScramError> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name() == text).ok_or(ScramError::Mechanism)
    }
}

/// The functions that SCRAM is made of, for each mechanism's hash function.
pub trait Primitives {
    /// `Hi` of RFC 5802: one block of PBKDF2 with HMAC.
    fn derive(&self, mechanism: Mechanism, password: &[u8], salt: &[u8], iterations: u32) -> ScramKey;

    /// `HMAC`
    fn hmac(&self, mechanism: Mechanism, key: &[u8], data: &[u8]) -> ScramKey;

    /// `H`
    fn hash(&self, mechanism: Mechanism, data: &[u8]) -> ScramKey;
}

/// Whether a password is one that this crate and every server prepare in the same way: visible ASCII and spaces. SASLprep
/// (RFC 4013) leaves these alone, and servers differ in what they do to others.
#[must_use]
pub fn is_plain_password(password: &[u8]) -> bool {
    !password.is_empty() && password.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ')
}

#[cfg(test)]
mod tests;
