//! The first message, and what the server makes of it.

use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::{Challenge, MAX_MESSAGE, Mechanism, ScramError};

/// The header of a client that does not do channel binding.
pub(crate) const HEADER: &str = "n,,";
/// The longest name of a user, in bytes.
const MAX_USERNAME: usize = 255;
/// The largest salt that is accepted, in bytes.
const MAX_SALT: usize = 512;

/// A login that begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFirst {
    mechanism: Mechanism,
    nonce: String,
    bare: String,
}

impl ClientFirst {
    /// Begins a login. `random` is the nonce before it is encoded, at least 18 bytes that no one can foresee.
    ///
    /// # Errors
    /// If no message can carry the name.
    pub fn new(mechanism: Mechanism, username: &str, random: &[u8]) -> Result<Self, ScramError> {
        Self::with_nonce(mechanism, username, STANDARD.encode(random), "")
    }

    /// The same for a delegation token of Kafka, whose id is the name: the extension `tokenauth=true`.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn with_kafka_token(mechanism: Mechanism, token_id: &str, random: &[u8]) -> Result<Self, ScramError> {
        Self::with_nonce(mechanism, token_id, STANDARD.encode(random), ",tokenauth=true")
    }

    pub(crate) fn with_nonce(
        mechanism: Mechanism,
        username: &str,
        nonce: String,
        extensions: &str,
    ) -> Result<Self, ScramError> {
        if !(1..=MAX_USERNAME).contains(&username.len()) || username.contains(char::is_control) {
            return Err(ScramError::Username);
        }
        let name = username.replace('=', "=3D").replace(',', "=2C");
        let bare = format!("n={name},r={nonce}{extensions}");
        Ok(Self { mechanism, nonce, bare })
    }

    #[must_use]
    pub fn message(&self) -> String {
        format!("{HEADER}{}", self.bare)
    }

    /// Reads the server's answer.
    ///
    /// # Errors
    /// If it is malformed or too long, its nonce is not an extension of this one's, or its number of iterations is not among
    /// those that are accepted.
    pub fn read_answer(&self, answer: &str, accepted: RangeInclusive<u32>) -> Result<Challenge, ScramError> {
        if answer.len() > MAX_MESSAGE {
            return Err(ScramError::Challenge("it is too long"));
        }
        let mut fields = answer.split(',');
        let mut field = |name: &str, missing| {
            let value = fields.next().and_then(|field| field.strip_prefix(name));
            value.ok_or(ScramError::Challenge(missing))
        };
        // A mandatory extension, `m=`, fails here, as RFC 5802 wants it.
        let nonce = field("r=", "it does not begin with a nonce")?;
        let salt = field("s=", "it has no salt behind the nonce")?;
        let iterations = field("i=", "it has no number of iterations behind the salt")?;
        // Behind them is room for extensions, which are signed and not understood.
        if !nonce.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ScramError::Challenge("its nonce is not printable"));
        }
        if nonce.len() <= self.nonce.len() || !nonce.starts_with(&self.nonce) {
            return Err(ScramError::Nonce);
        }
        let salt = STANDARD.decode(salt).map_err(|_| ScramError::Challenge("its salt is not base64"))?;
        if !(1..=MAX_SALT).contains(&salt.len()) {
            return Err(ScramError::Challenge("its salt is empty or too long"));
        }
        let iterations = number(iterations)?;
        if !accepted.contains(&iterations) {
            return Err(ScramError::Iterations(iterations, *accepted.start(), *accepted.end()));
        }
        Ok(Challenge::new(self.mechanism, &self.bare, answer, nonce, salt, iterations))
    }
}

/// A number as RFC 5802 writes it: digits that do not begin with zero.
fn number(text: &str) -> Result<u32, ScramError> {
    let wrong = ScramError::Challenge("its number of iterations is not a number");
    if text.starts_with('0') || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong);
    }
    match text.parse() {
        Ok(number) => Ok(number),
        // More digits than the largest number has.
        Err(_) if text.len() > 9 => Ok(u32::MAX),
        Err(_) => Err(wrong),
    }
}
