//! Which keys changed since a reader last looked.

use std::collections::BTreeMap;

/// Keys in the order of their last change. Each has one place, so that nothing queues up for a slow reader, and the cost of
/// an answer depends on what changed.
#[derive(Debug)]
pub struct ChangeOrder<K> {
    last: u64,
    change_of: BTreeMap<K, u64>,
    key_of: BTreeMap<u64, K>,
}

impl<K: Ord + Clone> ChangeOrder<K> {
    /// The number of the last change: the cursor of a reader that saw everything.
    pub fn last(&self) -> u64 {
        self.last
    }

    pub fn record(&mut self, key: K) {
        self.last += 1;
        self.key_of.insert(self.last, key.clone());
        if let Some(previous) = self.change_of.insert(key, self.last) {
            self.key_of.remove(&previous);
        }
    }

    /// Removes a key without a change: readers do not notice.
    pub fn forget(&mut self, key: &K) {
        if let Some(change) = self.change_of.remove(key) {
            self.key_of.remove(&change);
        }
    }

    /// The keys that changed after a cursor.
    pub fn since(&self, cursor: u64) -> impl Iterator<Item = &K> {
        self.key_of.range(cursor.saturating_add(1)..).map(|(_, key)| key)
    }
}

impl<K> Default for ChangeOrder<K> {
    fn default() -> Self {
        Self { last: 0, change_of: BTreeMap::new(), key_of: BTreeMap::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn change_order_has_each_key_once_at_its_last_change() {
        let mut order = ChangeOrder::default();
        for key in ["a", "b", "a", "c"] {
            order.record(key);
        }
        assert_eq!(order.since(0).copied().collect::<Vec<_>>(), ["b", "a", "c"]);
        assert_eq!(order.since(2).copied().collect::<Vec<_>>(), ["a", "c"]);
        assert_eq!(order.since(order.last()).count(), 0);
        order.forget(&"a");
        assert_eq!(order.since(0).copied().collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!((order.last(), order.since(u64::MAX).count()), (4, 0));
    }
}
