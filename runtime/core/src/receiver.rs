//! A receiver as it is called: which component, with which settings and limits.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    ComponentFailure, ComponentRef, Digest, Fact, InstanceName, Limits, Outputs, PayloadKind, ReceiverName, ServiceName,
};

/// A receiver's component and what it is called with. There is no grant in it: a receiver reaches no network and no
/// secret, it gets deliveries and leaves files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiverPlan {
    pub name: ReceiverName,
    pub component: ComponentRef,
    /// What the component's file must have as its SHA-256.
    pub sha256: Option<Digest>,
    /// The component's arguments. No secrets.
    pub settings: BTreeMap<String, String>,
    /// What a call may use.
    pub limits: Limits,
    /// The host's own, which go with each delivery.
    pub host_facts: Vec<Fact>,
}

/// An instance whose tokens are delivered to a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundInstance {
    pub instance: InstanceName,
    /// The service that its provider names, if that is known.
    pub service: Option<ServiceName>,
    /// The kinds of payload that its provider can obtain; empty if they are not known.
    pub kinds: BTreeSet<PayloadKind>,
}

/// What a receiver returns when it applied deliveries.
#[derive(Debug)]
pub struct Accepted {
    /// The files that it left. They are published only if it rejected nothing.
    pub outputs: Outputs,
    /// The deliveries that it cannot use, and why.
    pub rejected: BTreeMap<InstanceName, ComponentFailure>,
    /// The component's words, for people.
    pub facts: Vec<Fact>,
}
