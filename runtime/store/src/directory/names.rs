//! The names of files.
//!
//! A key's halves hold no dot and no key's file begins with one, so each file has one meaning; other files are left alone.

use crate::StoreKey;

const SEALED: &str = ".sealed";

pub(super) fn file(key: &StoreKey) -> String {
    format!("{}.{}{SEALED}", key.namespace(), key.name())
}

/// The key whose value a file holds.
pub(super) fn key(file: &str) -> Option<StoreKey> {
    let (namespace, name) = file.strip_suffix(SEALED)?.split_once('.')?;
    StoreKey::new(&namespace.parse().ok()?, name).ok()
}

/// The file of a quarantined value.
pub(super) fn damaged(key: &StoreKey, number: u8) -> String {
    format!("{}.damaged-{number}", file(key))
}

pub(super) fn lock(key: &StoreKey) -> String {
    format!(".lock.{}.{}", key.namespace(), key.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_name_maps_back_to_its_key_and_no_other_name_does() {
        let key: StoreKey = "lease/s3-prod".parse().unwrap();
        assert_eq!(file(&key), "lease.s3-prod.sealed");
        assert_eq!(super::key(&file(&key)), Some(key.clone()));
        for other in [
            damaged(&key, 1),
            lock(&key),
            ".store".into(),
            ".guard".into(),
            ".staged-00".into(),
            "key".into(),
            "a.b".into(),
            "a.b.c.sealed".into(),
            ".sealed".into(),
            "a.sealed".into(),
        ] {
            assert_eq!(super::key(&other), None, "{other}");
        }
    }
}
