//! The deliveries that a receiver applied last, one of each instance: what it gets instead of one that it rejects.

use std::collections::{BTreeMap, BTreeSet};

use deputy_core::{Delivery, InstanceName};

/// At most one delivery of each instance that is delivered to the receiver. An expired one stays while its instance is
/// delivered: a clock that jumped may be set back.
#[derive(Debug, Default)]
pub(crate) struct AppliedDeliveries(BTreeMap<InstanceName, Delivery>);

/// What has to be written so that the cache has the same deliveries.
#[derive(Debug, Default)]
pub(crate) struct AppliedChanges {
    pub(crate) added: Vec<Delivery>,
    pub(crate) removed: Vec<InstanceName>,
}

impl AppliedDeliveries {
    pub(crate) fn new(restored: BTreeMap<InstanceName, Delivery>) -> Self {
        Self(restored)
    }

    /// What was applied last of an instance.
    pub(crate) fn last(&self, instance: &InstanceName) -> Option<&Delivery> {
        self.0.get(instance)
    }

    /// Replaces what was applied of these instances, and forgets all instances that were not delivered.
    pub(crate) fn remember(&mut self, delivered: &BTreeSet<InstanceName>, applied: &[Delivery]) -> AppliedChanges {
        let withdrawn = self.0.extract_if(.., |instance, _| !delivered.contains(instance));
        let removed = withdrawn.map(|(instance, _)| instance).collect();
        let mut added = Vec::new();
        for delivery in applied {
            if self.0.get(&delivery.instance).is_none_or(|known| known.stamp != delivery.stamp) {
                self.0.insert(delivery.instance.clone(), delivery.clone());
                added.push(delivery.clone());
            }
        }
        AppliedChanges { added, removed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::delivery;

    fn names(names: &[&str]) -> BTreeSet<InstanceName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    /// The remembered deliveries in short.
    fn known(applied: &AppliedDeliveries) -> Vec<String> {
        applied.0.values().map(|it| format!("{}:{}", it.instance, it.stamp.revision)).collect()
    }

    #[test]
    fn applied_deliveries_are_the_last_of_each_instance() {
        let mut applied = AppliedDeliveries::default();
        let (a, b) = (names(&["a"]), names(&["a", "b"]));
        let changes = applied.remember(&b, &[delivery("a", 1, 100), delivery("b", 1, 100)]);
        assert_eq!((changes.added.len(), changes.removed.len()), (2, 0));
        // The newest of b was rejected.
        let changes = applied.remember(&b, &[delivery("a", 2, 100)]);
        assert_eq!((changes.added.len(), known(&applied)), (1, vec!["a:2".to_owned(), "b:1".to_owned()]));
        let again = applied.remember(&b, &[delivery("a", 2, 100), delivery("b", 1, 100)]);
        assert!(again.added.is_empty() && again.removed.is_empty(), "nothing is written twice");
        let changes = applied.remember(&a, &[delivery("a", 2, 100)]);
        assert_eq!((changes.removed, known(&applied)), (b.into_iter().skip(1).collect(), vec!["a:2".to_owned()]));
    }

    #[test]
    fn applied_deliveries_of_a_restored_coordinator_win() {
        let mut applied = AppliedDeliveries::default();
        applied.remember(&names(&["a"]), &[delivery("a", 9, 100)]);
        applied.remember(&names(&["a"]), &[delivery("a", 1, 100)]);
        assert_eq!(known(&applied), ["a:1"]);
    }
}
