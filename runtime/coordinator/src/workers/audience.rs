//! Which groups and receivers may get a lease that was obtained under an earlier configuration.
//!
//! A payload is for the groups in `deliver-to` and the receivers that were bound when it was obtained. A reload may give an
//! instance another component, another account and other groups at once. Until there is a lease of the new configuration,
//! the old one goes to the groups that had it, and a receiver that gets it stays bound as it is.
//!
//! With several coordinators on one state, a lease may also belong to a configuration that this one does not have yet: the one
//! that leads was reloaded before. Which groups may get it is not known here, so none does.

use std::collections::{BTreeMap, BTreeSet};

use deputy_core::schedule::{ConfigFingerprint, Lease};
use deputy_core::{GroupName, InstanceName, ReceiverName};
use deputy_link::{GroupFeed, ReceiverBinding};

use crate::deliveries::{Deliveries, EarlierDeliveries};

pub(super) struct Audience {
    /// Whether other coordinators obtain leases by their own configurations.
    is_shared: bool,
    /// The configurations that each instance had in this process, and those of leases from before.
    known: BTreeMap<InstanceName, BTreeSet<ConfigFingerprint>>,
    /// What each group got under earlier configurations, also of earlier processes.
    earlier: BTreeMap<GroupName, EarlierDeliveries>,
    /// The receivers as this process bound them.
    bound: BTreeMap<(GroupName, ReceiverName), ReceiverBinding>,
}

impl Audience {
    pub(super) fn new(is_shared: bool) -> Self {
        Self { is_shared, known: BTreeMap::new(), earlier: BTreeMap::new(), bound: BTreeMap::new() }
    }

    /// Adopts another configuration. A group or receiver that it lacks loses its claims.
    pub(super) fn adopt(&mut self, deliveries: &Deliveries) {
        self.known.retain(|instance, _| deliveries.fingerprints.contains_key(instance));
        for (instance, fingerprint) in deliveries.fingerprints.iter().filter(|(_, fingerprint)| fingerprint.is_known())
        {
            self.known.entry(instance.clone()).or_default().insert(*fingerprint);
        }
        if self.earlier.is_empty() {
            self.earlier = deliveries.before.clone();
        }
        for (group, earlier) in &mut self.earlier {
            let current = deliveries.groups.get(group);
            earlier.instances.retain(|instance, _| current.is_some_and(|group| group.instances.contains(instance)));
            earlier.receivers.retain(|receiver, _| current.is_some_and(|group| group.receivers.contains_key(receiver)));
        }
        self.bound.retain(|(group, receiver), _| {
            deliveries.groups.get(group).is_some_and(|group| group.receivers.contains_key(receiver))
        });
    }

    /// Notes the configuration of a lease that is there when this process begins, whose groups are in the saved names: it stays
    /// known while the component of its instance cannot be loaded here.
    pub(super) fn note(&mut self, instance: &InstanceName, lease: &Lease) {
        self.known.entry(instance.clone()).or_default().insert(lease.fingerprint);
    }

    /// Whether a group may get a lease. `feed` is the group's.
    pub(super) fn may_get(
        &self,
        deliveries: &Deliveries,
        (group, feed): (&GroupName, &GroupFeed),
        instance: &InstanceName,
        lease: &Lease,
    ) -> bool {
        if is_current(deliveries, instance, lease) {
            return true;
        }
        if self.is_of_another(instance, lease) {
            return false;
        }
        // Names are saved before there is a lease of a new configuration, so a lease from before then is not for the group.
        let earlier = self.earlier.get(group).and_then(|earlier| earlier.instances.get(instance));
        earlier.is_some_and(|since| lease.obtained_at >= *since) || feed.leases().contains_key(instance)
    }

    /// Whether another coordinator obtained a lease by a configuration that this one never had.
    fn is_of_another(&self, instance: &InstanceName, lease: &Lease) -> bool {
        self.is_shared && !self.known.get(instance).is_some_and(|known| known.contains(&lease.fingerprint))
    }

    /// Whether a receiver may be bound. `stale` are the leases of earlier configurations that it would get.
    pub(super) fn may_bind(
        &self,
        group: &GroupName,
        receiver: &ReceiverName,
        binding: &ReceiverBinding,
        stale: &[Lease],
    ) -> bool {
        if stale.is_empty() {
            return true;
        }
        if let Some(bound) = self.bound.get(&(group.clone(), receiver.clone())) {
            return bound == binding;
        }
        let earlier = self.earlier.get(group).and_then(|earlier| earlier.receivers.get(receiver));
        earlier.is_some_and(|earlier| {
            earlier.component == binding.component && stale.iter().all(|lease| lease.obtained_at >= earlier.since)
        })
    }

    pub(super) fn record_bound(&mut self, group: GroupName, receiver: ReceiverName, binding: ReceiverBinding) {
        self.bound.insert((group, receiver), binding);
    }
}

/// Whether a lease was obtained under the configuration in use. While the component of its instance is being loaded, the
/// answer is no.
pub(crate) fn is_current(deliveries: &Deliveries, instance: &InstanceName, lease: &Lease) -> bool {
    deliveries.fingerprints.get(instance).is_none_or(|current| *current == lease.fingerprint)
}
