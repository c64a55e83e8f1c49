//! The key that authenticates compiled code in the cache.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use deputy_core::SecretBytes;

/// Bytes of a tag.
pub(super) const TAG: usize = 32;

/// Authenticates the files of the cache. With it, code can be made to run in this process.
#[derive(Clone)]
pub struct CacheKey(hmac::Key);

/// The tag of one file, being computed.
pub(super) struct Tagger(hmac::Context);

impl CacheKey {
    /// From 32 random or derived bytes that are used for nothing else.
    pub fn new(secret: &SecretBytes) -> Self {
        Self(hmac::Key::new(HMAC_SHA256, secret.expose()))
    }

    /// A short name for the key, which says nothing about it. Files of another key have other names.
    pub(super) fn id(&self) -> String {
        let tag = hmac::sign(&self.0, b"deputy: name of a cache key");
        tag.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Starts a tag over a file's name, so that no file stands in for another, and its content.
    pub(super) fn tagger(&self, name: &str) -> Tagger {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(b"deputy: compiled code\0");
        context.update(name.as_bytes());
        context.update(b"\0"); // no name has one
        Tagger(context)
    }
}

impl Tagger {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0.sign().as_ref().to_vec()
    }

    /// Compares in constant time.
    pub(super) fn matches(self, tag: &[u8]) -> bool {
        verify_slices_are_equal(self.0.sign().as_ref(), tag).is_ok()
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CacheKey")
    }
}
