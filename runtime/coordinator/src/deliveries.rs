//! What each group of workers gets.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use deputy_core::schedule::ConfigFingerprint;
use deputy_core::{Digest, GroupName, InstanceName, ReceiverName, S3Places, Timestamp};
use deputy_link::ReceiverBinding;

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
