//! The names of keys in etcd.

use deputy_core::EtcdPrefix;

use crate::{KeyPrefix, StoreKey};

/// Names keys below a prefix.
#[derive(Debug, Clone)]
pub(super) struct EtcdKeys(pub(super) EtcdPrefix);

impl EtcdKeys {
    pub(super) fn value(&self, key: &StoreKey) -> Vec<u8> {
        format!("{}value/{key}", self.0).into_bytes()
    }

    pub(super) fn lock(&self, name: &StoreKey) -> Vec<u8> {
        format!("{}lock/{name}", self.0).into_bytes()
    }

    pub(super) fn damaged(&self, key: &StoreKey, number: u8) -> Vec<u8> {
        format!("{}damaged/{key}/{number}", self.0).into_bytes()
    }

    pub(super) fn record(&self) -> Vec<u8> {
        format!("{}record", self.0).into_bytes()
    }

    /// The first key of a set, and the first one behind it.
    pub(super) fn range(&self, keys: &KeyPrefix) -> (Vec<u8>, Vec<u8>) {
        let begin = match keys {
            KeyPrefix::All => format!("{}value/", self.0),
            KeyPrefix::Namespace(namespace) => format!("{}value/{namespace}/", self.0),
        };
        // The byte behind the slash.
        let end = format!("{}0", begin.trim_end_matches('/'));
        (begin.into_bytes(), end.into_bytes())
    }

    /// The key whose value this is.
    pub(super) fn parse(&self, key: &[u8]) -> Option<StoreKey> {
        std::str::from_utf8(key).ok()?.strip_prefix(self.0.as_str())?.strip_prefix("value/")?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Namespace;

    #[test]
    fn etcd_key_maps_back_to_its_value_and_no_other_does() {
        let prefix = EtcdKeys("deputy/a/".parse().unwrap());
        let key: StoreKey = "lease/s3-prod".parse().unwrap();
        assert_eq!(prefix.value(&key), b"deputy/a/value/lease/s3-prod");
        assert_eq!(prefix.parse(&prefix.value(&key)), Some(key.clone()));
        for other in [prefix.lock(&key), prefix.damaged(&key, 1), prefix.record(), b"deputy/value/lease/x".to_vec()] {
            assert_eq!(prefix.parse(&other), None, "{other:?}");
        }
    }

    #[test]
    fn etcd_range_has_the_keys_of_a_namespace_alone() {
        let prefix = EtcdKeys("deputy/".parse().unwrap());
        let (begin, end) = prefix.range(&KeyPrefix::Namespace(Namespace::new("lease")));
        for (key, is_inside) in
            [("lease/a", true), ("lease/zzz", true), ("leases/a", false), ("lease-x/a", false), ("worker/a", false)]
        {
            let name = prefix.value(&key.parse().unwrap());
            assert_eq!(begin <= name && name < end, is_inside, "{key}");
        }
    }
}
