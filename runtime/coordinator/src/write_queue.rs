//! Writes of one instance go one after the other, in the order in which the schedule wanted them: an older record never
//! comes to lie over a newer one, whichever task the runtime runs first. Instances do not wait for each other.

use std::collections::{BTreeMap, VecDeque};

use deputy_core::InstanceName;
use deputy_core::schedule::{LeaseRecord, SaveId};

/// What is to be written.
#[derive(Debug)]
pub(crate) struct PendingWrite {
    pub(crate) ticket: SaveId,
    pub(crate) name: InstanceName,
    /// The record to keep; `None` forgets what is kept.
    pub(crate) record: Option<LeaseRecord>,
}

/// Who waits behind a write that is under way, by instance.
#[derive(Debug, Default)]
pub(crate) struct WriteQueue(BTreeMap<InstanceName, VecDeque<PendingWrite>>);

impl WriteQueue {
    /// Gives the write back if it may begin now.
    pub(crate) fn enter(&mut self, write: PendingWrite) -> Option<PendingWrite> {
        match self.0.get_mut(&write.name) {
            Some(waiting) => {
                waiting.push_back(write);
                None
            }
            None => {
                self.0.insert(write.name.clone(), VecDeque::new());
                Some(write)
            }
        }
    }

    /// A write of this instance ended; gives the one that may begin now.
    pub(crate) fn leave(&mut self, name: &InstanceName) -> Option<PendingWrite> {
        let next = self.0.get_mut(name)?.pop_front();
        if next.is_none() {
            self.0.remove(name);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(number: u64, name: &str) -> PendingWrite {
        PendingWrite { ticket: SaveId(number), name: name.parse().unwrap(), record: None }
    }

    #[test]
    fn writes_of_one_instance_begin_in_their_order_and_one_at_a_time() {
        let mut lanes = WriteQueue::default();
        let begun = |write: Option<PendingWrite>| write.map(|write| write.ticket.0);
        assert_eq!(begun(lanes.enter(write(1, "a"))), Some(1));
        assert_eq!(begun(lanes.enter(write(2, "a"))), None);
        assert_eq!(begun(lanes.enter(write(3, "a"))), None);
        assert_eq!(begun(lanes.enter(write(4, "b"))), Some(4), "another instance does not wait");
        let a = "a".parse().unwrap();
        assert_eq!(begun(lanes.leave(&a)), Some(2));
        assert_eq!(begun(lanes.leave(&a)), Some(3));
        assert_eq!(begun(lanes.leave(&a)), None);
        assert_eq!(begun(lanes.enter(write(5, "a"))), Some(5), "the lane is free again");
    }
}
