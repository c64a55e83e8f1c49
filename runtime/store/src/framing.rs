//! Values of a head and payloads: four bytes say how long the head is, big end first; the head names the payloads'
//! lengths, and they follow as they are. So no encoder of heads ever holds a copy of a payload.

use deputy_core::SecretBytes;
use zeroize::Zeroizing;

/// A head and what follows it, in one.
pub fn join<'p>(head: &[u8], payloads: impl Iterator<Item = &'p SecretBytes> + Clone) -> SecretBytes {
    let length: usize = payloads.clone().map(SecretBytes::len).sum();
    // Of the right size from the start: what grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(4 + head.len() + length));
    bytes.extend_from_slice(&u32::try_from(head.len()).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend_from_slice(head);
    for payload in payloads {
        bytes.extend_from_slice(payload.expose());
    }
    SecretBytes::new(std::mem::take(&mut *bytes))
}

/// The head, and all payloads; nothing if it was not joined here.
pub fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

/// Takes one payload off the beginning of those that are left.
pub fn take(payloads: &mut &[u8], length: usize) -> Option<SecretBytes> {
    let (payload, rest) = payloads.split_at_checked(length)?;
    *payloads = rest;
    Some(SecretBytes::new(payload.to_vec()))
}
