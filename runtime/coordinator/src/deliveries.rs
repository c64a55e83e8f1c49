//! What each group of workers gets.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use deputy_core::schedule::ConfigFingerprint;
use deputy_core::{Digest, GroupName, InstanceName, ReceiverName, S3Places, Timestamp};
use deputy_link::ReceiverBinding;
use deputy_support::sha256;

/// Of a digest: enough to tell the few configurations of one operator apart.
const DIGITS: usize = 16;

#[derive(Debug, Clone, Default)]
pub struct Deliveries {
    pub groups: BTreeMap<GroupName, GroupDeliveries>,
    /// The configuration of each instance. A lease of another configuration reaches only the groups that had it.
    pub fingerprints: BTreeMap<InstanceName, ConfigFingerprint>,
    /// Instances whose component is being loaded.
    pub loading: BTreeSet<InstanceName>,
    /// Where the S3 of instances is, for programs of workers that get credentials and nothing else.
    pub places: S3Places,
    /// What each group got from earlier processes.
    pub before: BTreeMap<GroupName, EarlierDeliveries>,
}

#[derive(Debug, Clone, Default)]
pub struct GroupDeliveries {
    pub instances: BTreeSet<InstanceName>,
    /// `None` for a receiver whose component cannot be loaded now: workers keep what they have of it.
    pub receivers: BTreeMap<ReceiverName, Option<ReceiverBinding>>,
    /// The components of the receivers.
    pub components: BTreeMap<Digest, Bytes>,
}

/// What a group got under an earlier configuration.
#[derive(Debug, Clone, Default)]
pub struct EarlierDeliveries {
    /// Since when each instance is delivered to the group without a break.
    pub instances: BTreeMap<InstanceName, Timestamp>,
    pub receivers: BTreeMap<ReceiverName, EarlierReceiver>,
}

/// A receiver's binding under an earlier configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EarlierReceiver {
    pub component: Digest,
    /// Since when the receiver has this component without a break.
    pub since: Timestamp,
}

impl Deliveries {
    /// Identifies what the configuration obtains and delivers, but not its limits, so that coordinators can compare theirs. `None`
    /// while components are being loaded.
    pub fn digest(&self) -> Option<String> {
        let are_loaded = self.fingerprints.values().all(|fingerprint| fingerprint.is_known());
        let are_bound = self.groups.values().all(|group| group.receivers.values().all(Option::is_some));
        if !(are_loaded && are_bound && self.loading.is_empty()) {
            return None;
        }
        let mut text = String::new();
        for (instance, fingerprint) in &self.fingerprints {
            text.push_str(&format!("instance {instance} {:02x?}\n", fingerprint.0));
        }
        for (name, group) in &self.groups {
            for instance in &group.instances {
                text.push_str(&format!("group {name} gets {instance}\n"));
            }
            for (receiver, binding) in &group.receivers {
                let Some(binding) = binding else { continue };
                text.push_str(&format!("group {name} has {receiver}: {}\n", binding.component));
                for instance in &binding.instances {
                    text.push_str(&format!("{receiver} gets {instance}\n"));
                }
                for (setting, value) in &binding.settings {
                    text.push_str(&format!("{receiver} {setting:?} = {value:?}\n"));
                }
            }
        }
        let mut digest = sha256(text.as_bytes()).to_string();
        digest.truncate(DIGITS);
        Some(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deliveries_digest_differs_with_what_is_obtained() {
        let name: InstanceName = "s3".parse().unwrap();
        let group: GroupName = "etl".parse().unwrap();
        let mut deliveries = Deliveries::default();
        let mut seen = BTreeSet::from([deliveries.digest().unwrap()]);
        deliveries.fingerprints.insert(name.clone(), ConfigFingerprint([1; 16]));
        assert!(seen.insert(deliveries.digest().unwrap()), "another instance");
        deliveries.groups.entry(group).or_default().instances.insert(name.clone());
        assert!(seen.insert(deliveries.digest().unwrap()), "another delivery");
        assert_eq!(deliveries.digest(), deliveries.clone().digest());
        deliveries.fingerprints.insert(name, ConfigFingerprint::UNKNOWN);
        assert_eq!(deliveries.digest(), None);
    }
}
