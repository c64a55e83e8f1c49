//! What a provider returns when it succeeds.

#![deny(missing_docs)]

use crate::SecretBytes;
use crate::time::Timestamp;

/// What a provider obtained.
#[derive(Debug)]
pub struct Tokens {
    /// For the receivers of the provider's service; opaque here.
    pub payload: SecretBytes,
    /// When the service will stop accepting them, if it said.
    pub valid_until: Option<Timestamp>,
}
