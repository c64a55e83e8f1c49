//! What the coordinator delivers to a worker, and what the worker reports.

use std::collections::{BTreeMap, BTreeSet};

use deputy_core::{Delivery, Digest, InstanceName, LeaseVersion, LimitOverrides, ReceiverName, S3Places};

/// Everything that the coordinator delivered and did not withdraw.
#[derive(Debug, Clone, Default)]
pub struct DeliveredState {
    /// The newest lease of each instance.
    pub deliveries: BTreeMap<InstanceName, Delivery>,
    /// The receivers of the worker's group.
    pub receivers: BTreeMap<ReceiverName, ReceiverBinding>,
    /// Receivers of the group that the coordinator cannot load at the moment, and that the worker does not hold from before.
    pub unavailable_receivers: BTreeSet<ReceiverName>,
    /// All instances that the group may have, whether or not the worker requested them and whether or not they have a lease
    /// now; `None` if the coordinator sent no list.
    pub group_instances: Option<BTreeSet<InstanceName>>,
    /// Where the S3 of these instances is, as far as the coordinator's configuration says it.
    pub places: S3Places,
    /// Whether the snapshot is complete. Until then, what is missing was not withdrawn but may still arrive.
    pub complete: bool,
}

/// A receiver of the group. Its component is fetched by its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiverBinding {
    pub component: Digest,
    /// The arguments of the component. No secrets.
    pub settings: BTreeMap<String, String>,
    /// The instances whose leases it gets.
    pub instances: BTreeSet<InstanceName>,
    /// The limits that the coordinator sets.
    pub limits: LimitOverrides,
}

/// The result of applying a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryReport {
    pub instance: InstanceName,
    pub stamp: LeaseVersion,
    /// Why it could not be applied, for operators: short and without a secret.
    pub result: Result<(), String>,
}
