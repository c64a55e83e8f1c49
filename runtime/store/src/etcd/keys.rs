//! The names of keys in etcd.

use std::fmt;
use std::str::FromStr;

use crate::{KeyPrefix, StoreKey};

/// What the names of all keys of one state begin with. It ends with a slash, so that no state is inside another one's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdPrefix(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a prefix of keys: use letters, digits, `-`, `_`, `.` and `/`, with a slash at the end, such as \"deputy/\""
)]
pub struct EtcdPrefixError(String);

const MAX_PREFIX: usize = 200;

impl EtcdPrefix {
    pub(super) fn value(&self, key: &StoreKey) -> Vec<u8> {
        format!("{self}value/{key}").into_bytes()
    }

    pub(super) fn lock(&self, name: &StoreKey) -> Vec<u8> {
        format!("{self}lock/{name}").into_bytes()
    }

    pub(super) fn damaged(&self, key: &StoreKey, number: u8) -> Vec<u8> {
        format!("{self}damaged/{key}/{number}").into_bytes()
    }

    pub(super) fn record(&self) -> Vec<u8> {
        format!("{self}record").into_bytes()
    }

    /// The first key of a set, and the first one behind it.
    pub(super) fn range(&self, keys: &KeyPrefix) -> (Vec<u8>, Vec<u8>) {
        let begin = match keys {
            KeyPrefix::All => format!("{self}value/"),
            KeyPrefix::Namespace(namespace) => format!("{self}value/{namespace}/"),
        };
        // The byte behind the slash.
        let end = format!("{}0", begin.trim_end_matches('/'));
        (begin.into_bytes(), end.into_bytes())
    }

    /// The key whose value this is.
    pub(super) fn parse(&self, key: &[u8]) -> Option<StoreKey> {
        std::str::from_utf8(key).ok()?.strip_prefix(&self.0)?.strip_prefix("value/")?.parse().ok()
    }
}

impl FromStr for EtcdPrefix {
    type Err = EtcdPrefixError;

    fn from_str(text: &str) -> Result<Self, EtcdPrefixError> {
        let is_known = |letter: char| letter.is_ascii_alphanumeric() || "-_./".contains(letter);
        match text.ends_with('/') && text.len() <= MAX_PREFIX && text.chars().all(is_known) {
            true => Ok(Self(text.to_owned())),
            false => Err(EtcdPrefixError(text.chars().take(MAX_PREFIX).collect())),
        }
    }
}

impl fmt::Display for EtcdPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Namespace;

    #[test]
    fn etcd_key_maps_back_to_its_value_and_no_other_does() {
        let prefix: EtcdPrefix = "deputy/a/".parse().unwrap();
        let key: StoreKey = "lease/s3-prod".parse().unwrap();
        assert_eq!(prefix.value(&key), b"deputy/a/value/lease/s3-prod");
        assert_eq!(prefix.parse(&prefix.value(&key)), Some(key.clone()));
        for other in [prefix.lock(&key), prefix.damaged(&key, 1), prefix.record(), b"deputy/value/lease/x".to_vec()] {
            assert_eq!(prefix.parse(&other), None, "{other:?}");
        }
    }

    #[test]
    fn etcd_range_has_the_keys_of_a_namespace_alone() {
        let prefix: EtcdPrefix = "deputy/".parse().unwrap();
        let (begin, end) = prefix.range(&KeyPrefix::Namespace(Namespace::new("lease")));
        for (key, is_inside) in
            [("lease/a", true), ("lease/zzz", true), ("leases/a", false), ("lease-x/a", false), ("worker/a", false)]
        {
            let name = prefix.value(&key.parse().unwrap());
            assert_eq!(begin <= name && name < end, is_inside, "{key}");
        }
    }

    #[test]
    fn etcd_prefix_ends_with_a_slash() {
        assert!("deputy/prod-1/".parse::<EtcdPrefix>().is_ok());
        for wrong in ["", "deputy", "deputy /", "däputy/", &format!("{}/", "x".repeat(200))] {
            assert!(wrong.parse::<EtcdPrefix>().is_err(), "{wrong}");
        }
    }
}
