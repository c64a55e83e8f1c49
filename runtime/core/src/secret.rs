//! Bytes that are wiped when they are dropped and cannot be printed.

#![deny(missing_docs)]

use std::fmt;

use secrecy::{ExposeSecret, SecretBox};

/// A secret's value or a payload. `Debug` shows its length alone; there is no `Display`, no `Clone` and no `PartialEq`.
pub struct SecretBytes(SecretBox<[u8]>);

impl SecretBytes {
    /// Takes the bytes over. The vector's spare capacity is given back first, wiped, so that nothing is left behind.
    pub fn new(mut bytes: Vec<u8>) -> Self {
        if bytes.capacity() > bytes.len() {
            // Shrinking may move the bytes and leave the old ones: copy to a box of the right size, wipe the vector.
            let boxed: Box<[u8]> = bytes.as_slice().into();
            zeroize::Zeroize::zeroize(&mut bytes);
            return Self(SecretBox::new(boxed));
        }
        Self(SecretBox::new(bytes.into_boxed_slice()))
    }

    /// The bytes, for the one use that needs them.
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.expose().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} bytes]", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_debug_output_shows_only_the_length() {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend_from_slice(b"hunter2");
        let secret = SecretBytes::new(bytes);
        assert_eq!(format!("{secret:?}"), "[7 bytes]");
        assert_eq!(secret.expose(), b"hunter2");
    }

    #[test]
    fn secret_is_empty_only_without_bytes() {
        assert!(SecretBytes::new(Vec::new()).is_empty());
        assert!(!SecretBytes::new(vec![0]).is_empty());
    }
}
