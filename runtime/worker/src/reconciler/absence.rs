//! The instances that this worker needs and holds no lease of.
//!
//! A worker needs the instances of `instances` in its configuration, or all of its group without such a list, and those
//! that its own receivers and endpoints name. Nothing is known before the coordinator has named the instances of the group.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use deputy_core::{InstanceName, ReceiverName};

use super::Reconciler;

/// Why no lease of an instance is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Absence {
    /// The coordinator has none at the moment.
    NoLease,
    /// The coordinator does not deliver it to this worker's group.
    NotDelivered(NamedBy),
}

/// Where the worker's configuration names an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NamedBy {
    /// `[[endpoints.aws]]`
    Endpoint,
    /// `[receivers.NAME]`
    Receiver(ReceiverName),
    /// `[worker]`
    Worker,
}

impl Absence {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NoLease => "no-lease",
            Self::NotDelivered(_) => "not-delivered",
        }
    }
}

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLease => f.write_str("the coordinator has no lease of it: `deputy status` there says why"),
            Self::NotDelivered(named_by) => write!(
                f,
                "the coordinator delivers no instance of this name to the group of this worker: see {named_by} here, and \
                 `deliver-to` at the coordinator"
            ),
        }
    }
}

impl fmt::Display for NamedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint => f.write_str("`instance` in [[endpoints.aws]]"),
            Self::Receiver(name) => write!(f, "`instances` in [receivers.{name}]"),
            Self::Worker => f.write_str("`instances` in [worker]"),
        }
    }
}

impl Reconciler {
    /// The needed instances without a lease.
    pub(crate) fn absent(&self) -> BTreeMap<&InstanceName, Absence> {
        let mut absent = BTreeMap::new();
        let Some(delivered) = self.held.group_instances.as_ref().filter(|_| self.held.complete) else { return absent };
        let wanted = self.policies.wanted.as_ref().unwrap_or(delivered);
        let named = self.named_instances();
        for instance in wanted.iter().chain(named.keys().copied()) {
            if self.held.deliveries.contains_key(instance) {
                continue;
            }
            let absence = match named.get(instance).filter(|_| !delivered.contains(instance)) {
                Some(named_by) => Absence::NotDelivered(named_by.clone()),
                None => Absence::NoLease,
            };
            absent.insert(instance, absence);
        }
        absent
    }

    /// The instances that the configuration names, each with one of the places.
    fn named_instances(&self) -> BTreeMap<&InstanceName, NamedBy> {
        let mut named = BTreeMap::new();
        named.extend(self.policies.endpoints.iter().map(|instance| (instance, NamedBy::Endpoint)));
        for (receiver, binding) in &self.policies.bindings {
            named.extend(binding.instances.iter().map(|instance| (instance, NamedBy::Receiver(receiver.clone()))));
        }
        named.extend(self.policies.wanted.iter().flatten().map(|instance| (instance, NamedBy::Worker)));
        named
    }

    /// Whether the coordinator delivers no instance to this worker's group.
    pub(crate) fn is_group_empty(&self) -> bool {
        self.held.complete && self.held.group_instances.as_ref().is_some_and(BTreeSet::is_empty)
    }

    /// The receivers that the configuration has a table for and that neither the coordinator nor this worker defines.
    pub(crate) fn unknown_receivers(&self) -> impl Iterator<Item = &ReceiverName> {
        self.policies.receivers.keys().filter(|name| self.held.complete && !self.is_known_receiver(name))
    }

    fn is_known_receiver(&self, name: &ReceiverName) -> bool {
        let held = &self.held;
        held.receivers.contains_key(name)
            || held.unavailable_receivers.contains(name)
            || self.policies.bindings.contains_key(name)
    }
}
