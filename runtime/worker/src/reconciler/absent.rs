//! The instances that this worker needs and has no lease of, and why.
//!
//! Needed are the instances that it wants, or all of its group if it wants no particular ones, and those that its own
//! receivers and endpoints name. Nothing is said before the coordinator has named the instances of the group.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use deputy_core::{InstanceName, ReceiverName};

use super::Reconciler;

/// Why there is no lease of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Absence {
    /// The coordinator has none at the moment.
    NoLease,
    /// It is no instance of this worker's group.
    NotDelivered(NamedBy),
}

/// Where the configuration of this worker names an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedBy {
    /// `[[endpoints.aws]]`
    Endpoint,
    /// `[receivers.NAME]`
    Receiver(ReceiverName),
    /// `[worker]`
    Worker,
}

impl Absence {
    /// For programs.
    pub fn code(&self) -> &'static str {
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
            Self::NotDelivered(named) => write!(
                f,
                "the coordinator delivers no instance of this name to the group of this worker: see {named} here, and \
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
    /// The instances that are needed and not here.
    pub fn absent(&self) -> BTreeMap<&InstanceName, Absence> {
        let mut absent = BTreeMap::new();
        let Some(delivered) = self.held.group_instances.as_ref().filter(|_| self.held.complete) else { return absent };
        let wanted = self.plans.wanted.as_ref().unwrap_or(delivered);
        let named = self.named();
        for instance in wanted.iter().chain(named.keys().copied()) {
            if self.held.deliveries.contains_key(instance) {
                continue;
            }
            let absence = match named.get(instance).filter(|_| !delivered.contains(instance)) {
                Some(named) => Absence::NotDelivered(named.clone()),
                None => Absence::NoLease,
            };
            absent.insert(instance, absence);
        }
        absent
    }

    /// The instances that the configuration names, each with one of the places where it does.
    fn named(&self) -> BTreeMap<&InstanceName, NamedBy> {
        let mut named = BTreeMap::new();
        named.extend(self.plans.endpoints.iter().map(|instance| (instance, NamedBy::Endpoint)));
        for (receiver, binding) in &self.plans.bindings {
            named.extend(binding.instances.iter().map(|instance| (instance, NamedBy::Receiver(receiver.clone()))));
        }
        named.extend(self.plans.wanted.iter().flatten().map(|instance| (instance, NamedBy::Worker)));
        named
    }

    /// Whether the coordinator has said that the group of this worker gets nothing.
    pub fn is_for_nothing(&self) -> bool {
        self.held.complete && self.held.group_instances.as_ref().is_some_and(BTreeSet::is_empty)
    }

    /// The receivers that the configuration has a table for, and that neither the coordinator nor this worker has.
    pub fn unknown_receivers(&self) -> impl Iterator<Item = &ReceiverName> {
        let is_known = |name: &ReceiverName| {
            let held = &self.held;
            held.receivers.contains_key(name)
                || held.unavailable_receivers.contains(name)
                || self.plans.bindings.contains_key(name)
        };
        self.plans.receivers.keys().filter(move |name| self.held.complete && !is_known(name))
    }
}
