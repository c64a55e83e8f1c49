//! Orders the writes of each instance, so that an older record never replaces a newer one. Instances do not wait for each
//! other.

use std::collections::{BTreeMap, VecDeque};

use deputy_core::InstanceName;
use deputy_core::schedule::{LeaseRecord, SaveId, ServicePause};

#[derive(Debug)]
pub(crate) struct PendingWrite {
    pub(crate) save: SaveId,
    pub(crate) name: InstanceName,
    pub(crate) content: WriteContent,
}

#[derive(Debug)]
pub(crate) enum WriteContent {
    Record(Box<LeaseRecord>),
    Pause(Option<ServicePause>),
    /// Deletes what is saved.
    Nothing,
}

/// The instances with a write in progress, and the writes that wait behind it.
#[derive(Debug, Default)]
pub(crate) struct WriteQueue(BTreeMap<InstanceName, VecDeque<PendingWrite>>);

impl WriteQueue {
    /// Returns the write if it may begin now.
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

    /// Ends the write in progress of an instance. Returns the one that may begin now.
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
        PendingWrite { save: SaveId(number), name: name.parse().unwrap(), content: WriteContent::Nothing }
    }

    fn id(write: Option<PendingWrite>) -> Option<u64> {
        write.map(|write| write.save.0)
    }

    #[test]
    fn write_queue_runs_one_write_of_an_instance_at_a_time() {
        let mut queue = WriteQueue::default();
        assert_eq!(id(queue.enter(write(1, "a"))), Some(1));
        assert_eq!(id(queue.enter(write(2, "a"))), None);
        assert_eq!(id(queue.enter(write(3, "a"))), None);
        assert_eq!(id(queue.enter(write(4, "b"))), Some(4), "another instance does not wait");
        let a = "a".parse().unwrap();
        assert_eq!(id(queue.leave(&a)), Some(2));
        assert_eq!(id(queue.leave(&a)), Some(3));
        assert_eq!(id(queue.leave(&a)), None);
        assert_eq!(id(queue.enter(write(5, "a"))), Some(5), "no write is in progress");
    }
}
