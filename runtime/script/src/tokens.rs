//! The tokens that a call gets: those of the call before, or of the script.

use deputy_core::{SecretBytes, Timestamp, TokenExpiry, Tokens};

use crate::file::TokensEntry;

/// The tokens of the script.
pub(crate) fn scripted(entry: &TokensEntry, now: Timestamp) -> Tokens {
    let payload = SecretBytes::new(entry.payload.clone().into_bytes());
    let expiry = entry.expires_in.map_or(TokenExpiry::Unknown, |span| TokenExpiry::At(now.plus(span.0)));
    let handle = SecretBytes::new(entry.handle.clone().into_bytes());
    Tokens { expiry, handle, ..Tokens::new(entry.kind.0.clone(), payload) }
}

/// A copy, for the calls that follow.
pub(crate) fn copy(tokens: &Tokens) -> Tokens {
    Tokens {
        kind: tokens.kind.clone(),
        payload: SecretBytes::new(tokens.payload.expose().to_vec()),
        expiry: tokens.expiry,
        next_at: tokens.next_at,
        renewable_until: tokens.renewable_until,
        handle: SecretBytes::new(tokens.handle.expose().to_vec()),
        facts: tokens.facts.clone(),
    }
}
