//! Types of Kerberos keys (RFC 3961, 3962, 4757, 6803, 8009).

use std::fmt;

/// A type by its number in the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyType(pub u16);

/// Numbers and names.
const NAMES: [(u16, &str); 12] = [
    (1, "des-cbc-crc"),
    (2, "des-cbc-md4"),
    (3, "des-cbc-md5"),
    (16, "des3-cbc-sha1"),
    (17, "aes128-cts-hmac-sha1-96"),
    (18, "aes256-cts-hmac-sha1-96"),
    (19, "aes128-cts-hmac-sha256-128"),
    (20, "aes256-cts-hmac-sha384-192"),
    (23, "arcfour-hmac"),
    (24, "arcfour-hmac-exp"),
    (25, "camellia128-cts-cmac"),
    (26, "camellia256-cts-cmac"),
];

/// Types that no current library uses: single DES is gone since MIT Kerberos 1.18.
const GONE: [u16; 3] = [1, 2, 3];

impl KeyType {
    /// Whether current libraries and KDCs know no such keys any more.
    pub fn is_gone(self) -> bool {
        GONE.contains(&self.0)
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(number, _)| *number == self.0) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "type {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_type_shows_its_name_or_number() {
        assert_eq!(KeyType(18).to_string(), "aes256-cts-hmac-sha1-96");
        assert_eq!(KeyType(99).to_string(), "type 99");
        assert!(KeyType(3).is_gone() && !KeyType(17).is_gone() && !KeyType(23).is_gone());
    }
}
