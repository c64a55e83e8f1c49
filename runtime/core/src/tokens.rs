//! What a provider returns when it succeeds.

use crate::time::Timestamp;
use crate::{Fact, PayloadKind, SecretBytes};

/// What a provider obtained.
#[derive(Debug)]
pub struct Tokens {
    /// The format of the payload.
    pub kind: PayloadKind,
    /// Opaque here.
    pub payload: SecretBytes,
    /// Until when the service accepts them.
    pub expiry: TokenExpiry,
    /// Nothing newer can be obtained before this time, and something newer can at it.
    pub next_at: Option<Timestamp>,
    /// Until when a renewal can prolong them, if the service said.
    pub renewable_until: Option<Timestamp>,
    /// What renewal and revocation need and no worker may have.
    pub handle: SecretBytes,
    /// The component's words, for people.
    pub facts: Vec<Fact>,
}

/// Until when a service accepts tokens, in its own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TokenExpiry {
    /// It did not say.
    #[default]
    Unknown,
    /// They do not expire.
    Never,
    /// Until this time.
    At(Timestamp),
}

impl Tokens {
    /// Tokens with a payload and nothing else.
    pub fn new(kind: PayloadKind, payload: SecretBytes) -> Self {
        Self {
            kind,
            payload,
            expiry: TokenExpiry::Unknown,
            next_at: None,
            renewable_until: None,
            handle: SecretBytes::new(Vec::new()),
            facts: Vec::new(),
        }
    }
}
