//! The payloads of one call.

use std::collections::BTreeMap;

/// By instance.
pub(crate) struct Payloads(BTreeMap<String, Vec<u8>>);

impl Payloads {
    pub(crate) fn new(payloads: impl Iterator<Item = (String, Vec<u8>)>) -> Self {
        Self(payloads.collect())
    }

    pub(crate) fn get(&self, instance: &str) -> Option<&[u8]> {
        self.0.get(instance).map(Vec::as_slice)
    }

    pub(crate) fn contain(&self, instance: &str) -> bool {
        self.0.contains_key(instance)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(instance, payload)| (instance.as_str(), payload.as_slice()))
    }
}
