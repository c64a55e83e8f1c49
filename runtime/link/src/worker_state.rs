//! What a worker holds, and what it says of it.

use std::collections::{BTreeMap, BTreeSet};

use deputy_core::{Delivery, Digest, InstanceName, LeaseVersion, LimitOverrides, ReceiverName};

/// All that a worker was given and that was not taken back.
#[derive(Debug, Clone, Default)]
pub struct WorkerState {
    /// The newest lease of each instance.
    pub deliveries: BTreeMap<InstanceName, Delivery>,
    /// The receivers that the coordinator chose for the worker's group.
    pub receivers: BTreeMap<ReceiverName, ReceiverBinding>,
    /// Those that the coordinator can't load at the moment, and of which nothing is here from before either.
    pub missing: BTreeSet<ReceiverName>,
    /// All instances that are delivered to the worker's group, whether or not the worker wants them and whether or not
    /// there is a lease of them now; `None` if the coordinator has not said so.
    pub delivered: Option<BTreeSet<InstanceName>>,
    /// Whether this is all of it: until then, what is missing was not taken back but may still come.
    pub complete: bool,
}

/// A receiver, and what it is called with. Its component is fetched by its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiverBinding {
    /// The SHA-256 of the component.
    pub component: Digest,
    /// What the component is told. No secrets.
    pub settings: BTreeMap<String, String>,
    /// Whose leases it gets.
    pub instances: BTreeSet<InstanceName>,
    /// What a call may use, as far as the coordinator says.
    pub limits: LimitOverrides,
}

/// What became of a delivery at a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryReport {
    /// Of which instance.
    pub instance: InstanceName,
    /// Which lease.
    pub stamp: LeaseVersion,
    /// Why it is not applied, for an operator: short, and without any secret.
    pub result: Result<(), String>,
}
