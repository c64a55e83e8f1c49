//! Whom a lease may still reach that was obtained under an earlier configuration.
//!
//! A payload is for the groups in `deliver-to` and the receivers that were bound when it was obtained. A reload may give an
//! instance another component, another account and other groups at once: until it has a lease of its new configuration, the
//! old one goes to those who had it, and a receiver that is bound to it stays as it is.

use std::collections::BTreeMap;

use deputy_core::schedule::Lease;
use deputy_core::{GroupName, InstanceName, ReceiverName};
use deputy_link::{GroupFeed, ReceiverBinding};

use super::{Deliveries, EarlierDeliveries};

/// What was given to whom.
#[derive(Default)]
pub(super) struct Audience {
    /// Which groups had an instance under the last configuration, also of an earlier process.
    had: BTreeMap<GroupName, EarlierDeliveries>,
    /// The receivers as they are bound; of an earlier process, nothing but their names is known.
    bound: BTreeMap<(GroupName, ReceiverName), ReceiverBinding>,
}

impl Audience {
    /// Takes over another configuration.
    pub(super) fn replan(&mut self, plan: &Deliveries) {
        if self.had.is_empty() {
            self.had = plan.before.clone();
        }
        for (group, had) in &mut self.had {
            let given = plan.groups.get(group);
            had.instances.retain(|instance, _| given.is_some_and(|given| given.instances.contains(instance)));
            had.receivers.retain(|receiver| given.is_some_and(|given| given.receivers.contains_key(receiver)));
        }
        self.bound.retain(|(group, receiver), _| {
            plan.groups.get(group).is_some_and(|given| given.receivers.contains_key(receiver))
        });
    }

    /// Whether a group may be given a lease.
    pub(super) fn may_have(
        &self,
        plan: &Deliveries,
        (name, group): (&GroupName, &GroupFeed),
        instance: &InstanceName,
        lease: &Lease,
    ) -> bool {
        // The names are kept before there is a lease of a new configuration: one from before then is not for this group.
        let had = self.had.get(name).and_then(|had| had.instances.get(instance));
        let had = had.is_some_and(|since| lease.obtained_at >= *since);
        had || is_current(plan, instance, lease) || group.leases().contains_key(instance)
    }

    /// Whether a receiver may be bound so, and if it may, that it is.
    pub(super) fn may_bind(
        &mut self,
        of: (GroupName, ReceiverName),
        binding: &ReceiverBinding,
        has_stale: bool,
    ) -> bool {
        let (group, receiver) = &of;
        let may = match self.bound.get(&of) {
            Some(bound) => !has_stale || bound == binding,
            None => !has_stale || self.had.get(group).is_some_and(|had| had.receivers.contains(receiver)),
        };
        if may {
            self.bound.insert(of, binding.clone());
        }
        may
    }
}

/// Whether a lease was obtained under the configuration that is in use, as far as that is known: while a component is being
/// loaded, it is not.
pub(super) fn is_current(plan: &Deliveries, instance: &InstanceName, lease: &Lease) -> bool {
    plan.fingerprints.get(instance).is_none_or(|current| *current == lease.fingerprint)
}
