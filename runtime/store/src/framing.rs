//! Values that consist of a head and payloads.
//!
//! Four bytes hold the length of the head, big-endian; the head holds the lengths of the payloads, which follow. So no
//! encoder of heads ever holds a copy of a payload.

use deputy_core::SecretBytes;
use zeroize::Zeroizing;

/// Joins a head and payloads.
pub fn join<'p>(head: &[u8], payloads: impl Iterator<Item = &'p SecretBytes> + Clone) -> SecretBytes {
    let length: usize = payloads.clone().map(SecretBytes::len).sum();
    // Of the final size from the start: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(4 + head.len() + length));
    bytes.extend_from_slice(&u32::try_from(head.len()).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend_from_slice(head);
    for payload in payloads {
        bytes.extend_from_slice(payload.expose());
    }
    SecretBytes::new(std::mem::take(&mut *bytes))
}

/// The head and all payloads, unless the bytes are too short for them.
pub fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

/// Splits the first payload off.
pub fn take(payloads: &mut &[u8], length: usize) -> Option<SecretBytes> {
    let (payload, rest) = payloads.split_at_checked(length)?;
    *payloads = rest;
    Some(SecretBytes::new(payload.to_vec()))
}
