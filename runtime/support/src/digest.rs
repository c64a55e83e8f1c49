//! SHA-256.

use aws_lc_rs::digest::{SHA256, digest};
use deputy_core::Digest;

/// The SHA-256 of some bytes. `Display` of the result is lower-case hex.
pub fn sha256(bytes: &[u8]) -> Digest {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    Digest::new(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_of_no_bytes_is_the_published_one() {
        let published = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(sha256(b"").to_string(), published);
    }
}
