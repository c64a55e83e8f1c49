//! Notices a file system that hangs: operations on it block a thread and cannot be cancelled.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use deputy_core::Span;
use deputy_core::time::MonotonicTime;
use deputy_support::LockUnpoisoned as _;

/// An operation that takes longer than this has stalled.
const STALLED_AFTER: Span = Span::secs(10);

/// The operations in progress.
#[derive(Debug, Default)]
pub(crate) struct StallDetector(Mutex<WatchedOperations>);

#[derive(Debug, Default)]
struct WatchedOperations {
    last: u64,
    began: BTreeMap<u64, MonotonicTime>,
}

/// An operation in progress. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct WatchedOperation {
    detector: Arc<StallDetector>,
    id: u64,
}

impl StallDetector {
    pub(crate) fn begin(self: &Arc<Self>, now: MonotonicTime) -> WatchedOperation {
        let mut operations = self.0.lock_unpoisoned();
        operations.last += 1;
        let id = operations.last;
        operations.began.insert(id, now);
        WatchedOperation { detector: Arc::clone(self), id }
    }

    /// For how long the oldest operation has been in progress, if that is too long.
    pub(crate) fn stalled_for(&self, now: MonotonicTime) -> Option<Span> {
        let operations = self.0.lock_unpoisoned();
        let longest = operations.began.values().min().map(|began| now.since(*began));
        longest.filter(|duration| *duration > STALLED_AFTER)
    }
}

impl Drop for WatchedOperation {
    fn drop(&mut self) {
        self.detector.0.lock_unpoisoned().began.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stall_detector_reports_the_oldest_slow_operation() {
        let detector = Arc::new(StallDetector::default());
        let at = |seconds: u64| MonotonicTime::from_millis(seconds * 1000);
        let first = detector.begin(at(0));
        let second = detector.begin(at(5));
        assert_eq!(detector.stalled_for(at(10)), None);
        assert_eq!(detector.stalled_for(at(11)), Some(Span::secs(11)));
        drop(first);
        assert_eq!(detector.stalled_for(at(15)), None);
        assert_eq!(detector.stalled_for(at(16)), Some(Span::secs(11)));
        drop(second);
        assert_eq!(detector.stalled_for(at(1000)), None);
    }
}
