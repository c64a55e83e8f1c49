//! The key that authenticates compiled code in the cache, and the keys of its files.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk};
use deputy_core::SecretBytes;
use deputy_support::hex;
use zeroize::Zeroizing;

/// Bytes of a tag.
pub(super) const TAG: usize = 16;

/// Bytes of a file's salt.
pub(super) const SALT: usize = 32;

/// Authenticates the files of the cache. With it, code can be made to run in this process.
#[derive(Clone)]
pub struct CacheKey(Prk);

/// The key of one file, which authenticates its pieces.
///
/// A tag is AES-256-GCM's, with the piece as associated data and nothing encrypted (GMAC). Its nonce holds the piece's
/// number, and whether it is the last one, as in the construction STREAM: no piece stands in for another, and none is
/// missing.
pub(super) struct FileKey(LessSafeKey);

/// A piece's place in its file.
#[derive(Debug, Clone, Copy)]
pub(super) struct PiecePlace {
    pub(super) number: u64,
    pub(super) is_last: bool,
}

impl CacheKey {
    /// From 32 random or derived bytes that are used for nothing else.
    pub fn new(secret: &SecretBytes) -> Self {
        Self(Prk::new_less_safe(HKDF_SHA256, secret.expose()))
    }

    /// A short name for the key, which says nothing about it. Files of another key, or of another format, have other names.
    pub(super) fn id(&self) -> Result<String, Unspecified> {
        let id = self.derive(&[b"deputy: name of a cache key, format 2"])?;
        Ok(hex(id.get(..4).unwrap_or_default()))
    }

    /// The key of a file with this name, so that no file stands in for another, and this salt, which no other file has.
    pub(super) fn of_file(&self, name: &str, salt: &[u8; SALT]) -> Result<FileKey, Unspecified> {
        let key = self.derive(&[b"deputy: compiled code\0", salt, name.as_bytes()])?;
        Ok(FileKey(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_slice())?)))
    }

    fn derive(&self, info: &[&[u8]]) -> Result<Zeroizing<[u8; 32]>, Unspecified> {
        let mut derived = Zeroizing::new([0; 32]);
        self.0.expand(info, HKDF_SHA256)?.fill(derived.as_mut())?;
        Ok(derived)
    }
}

impl FileKey {
    /// The tag of a piece. A place is tagged once in the life of a file's key.
    pub(super) fn tag(&self, place: PiecePlace, piece: &[u8]) -> Result<[u8; TAG], Unspecified> {
        let tag = self.0.seal_in_place_separate_tag(place.nonce(), Aad::from(piece), &mut [])?;
        tag.as_ref().try_into().map_err(|_| Unspecified)
    }

    /// Whether this is the tag of the piece. Compares in constant time.
    pub(super) fn is_tag_of(&self, place: PiecePlace, piece: &[u8], tag: &[u8]) -> bool {
        let mut sealed = tag.to_vec();
        self.0.open_in_place(place.nonce(), Aad::from(piece), &mut sealed).is_ok_and(|opened| opened.is_empty())
    }
}

impl PiecePlace {
    fn nonce(self) -> Nonce {
        let mut nonce = [0; 12];
        let (number, last) = nonce.split_at_mut(8);
        number.copy_from_slice(&self.number.to_be_bytes());
        last.fill(u8::from(self.is_last));
        Nonce::assume_unique_for_key(nonce)
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CacheKey")
    }
}
