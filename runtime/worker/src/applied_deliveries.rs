//! The deliveries that a receiver applied last, one of each instance: what it gets instead of one that it rejects.

use std::collections::BTreeMap;

use deputy_core::{ComponentFailure, Delivery, InstanceName, Timestamp};

use crate::reconciler::Rejections;

#[derive(Debug, Default)]
pub(crate) struct AppliedDeliveries(BTreeMap<InstanceName, Delivery>);

impl AppliedDeliveries {
    /// What to apply instead: each rejected delivery is replaced by the one of its instance that was applied last, if that
    /// is valid and was not rejected itself, and otherwise left out. Each call leaves fewer to be rejected: an instance's
    /// second rejection leaves it out.
    pub(crate) fn instead_of(
        &self,
        deliveries: Vec<Delivery>,
        failures: &BTreeMap<InstanceName, ComponentFailure>,
        rejected: &mut Rejections,
        now: Timestamp,
    ) -> Vec<Delivery> {
        let mut instead = Vec::new();
        for delivery in deliveries {
            let Some(failure) = failures.get(&delivery.instance) else {
                instead.push(delivery);
                continue;
            };
            let is_first = !rejected.contains_key(&delivery.instance);
            let applied = self
                .0
                .get(&delivery.instance)
                .filter(|applied| is_first && applied.is_valid(now) && applied.stamp != delivery.stamp);
            instead.extend(applied.cloned());
            rejected.entry(delivery.instance).or_insert_with(|| failure.message.clone());
        }
        instead
    }

    /// Keeps what was applied, and nothing else.
    pub(crate) fn remember(&mut self, applied: &[Delivery]) {
        self.0 = applied.iter().map(|delivery| (delivery.instance.clone(), delivery.clone())).collect();
    }
}
