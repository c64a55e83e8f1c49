//! When to look at each instance again, by both clocks.

use std::collections::{BTreeMap, BTreeSet};

use crate::InstanceName;
use crate::time::{MonotonicTime, Now, Timestamp};

/// The first time of each clock at which to look at something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct WakeTime {
    pub(super) mono: Option<MonotonicTime>,
    pub(super) wall: Option<Timestamp>,
}

/// Instances or orphans, ordered by when to look at them.
#[derive(Debug, Default)]
pub(super) struct WakeIndex {
    times: BTreeMap<InstanceName, WakeTime>,
    by_mono: BTreeSet<(MonotonicTime, InstanceName)>,
    by_wall: BTreeSet<(Timestamp, InstanceName)>,
}

impl WakeTime {
    /// Wakes at this time too, if it comes.
    pub(super) fn extend_mono(&mut self, at: Option<MonotonicTime>) {
        let at = at.filter(|at| *at != MonotonicTime::NEVER);
        self.mono = self.mono.into_iter().chain(at).min();
    }

    /// Wakes at this time too, if it comes.
    pub(super) fn extend_wall(&mut self, at: Option<Timestamp>) {
        let at = at.filter(|at| *at != Timestamp::FOREVER);
        self.wall = self.wall.into_iter().chain(at).min();
    }
}

impl WakeIndex {
    pub(super) fn set(&mut self, name: &InstanceName, wake: WakeTime) {
        self.remove(name);
        self.by_mono.extend(wake.mono.map(|at| (at, name.clone())));
        self.by_wall.extend(wake.wall.map(|at| (at, name.clone())));
        self.times.insert(name.clone(), wake);
    }

    pub(super) fn remove(&mut self, name: &InstanceName) {
        let Some(wake) = self.times.remove(name) else { return };
        if let Some(at) = wake.mono {
            self.by_mono.remove(&(at, name.clone()));
        }
        if let Some(at) = wake.wall {
            self.by_wall.remove(&(at, name.clone()));
        }
    }

    /// Those whose time has come, by name.
    pub(super) fn due(&self, now: Now) -> BTreeSet<InstanceName> {
        let by_mono = self.by_mono.iter().take_while(|(at, _)| *at <= now.mono).map(|(_, name)| name);
        let by_wall = self.by_wall.iter().take_while(|(at, _)| *at <= now.wall).map(|(_, name)| name);
        by_mono.chain(by_wall).cloned().collect()
    }

    /// When the first of them is due, if no clock jumps.
    pub(super) fn first(&self, now: Now) -> Option<MonotonicTime> {
        let mono = self.by_mono.first().map(|(at, _)| *at);
        let wall = self.by_wall.first().map(|(at, _)| now.mono_at(*at));
        mono.into_iter().chain(wall).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(mono: u64, wall: u64) -> Now {
        Now { mono: MonotonicTime::from_millis(mono), wall: Timestamp::from_millis(wall) }
    }

    fn wake(mono: Option<u64>, wall: Option<u64>) -> WakeTime {
        WakeTime { mono: mono.map(MonotonicTime::from_millis), wall: wall.map(Timestamp::from_millis) }
    }

    #[test]
    fn wake_index_finds_what_is_due_by_either_clock() {
        let [first, second, third] = ["a", "b", "c"].map(|text| text.parse::<InstanceName>().unwrap());
        let mut index = WakeIndex::default();
        index.set(&first, wake(Some(10), None));
        index.set(&second, wake(None, Some(1020)));
        index.set(&third, wake(Some(90), Some(1090)));
        assert_eq!(index.first(at(0, 1000)), Some(MonotonicTime::from_millis(10)));
        assert!(index.due(at(9, 1019)).is_empty());
        assert_eq!(index.due(at(10, 1020)), [first.clone(), second.clone()].into());
        index.set(&first, wake(Some(50), None));
        index.remove(&second);
        assert_eq!(index.first(at(0, 1000)), Some(MonotonicTime::from_millis(50)));
        assert_eq!(index.due(at(0, 1090)), [third].into());
    }
}
