//! The instances that wait for one upstream with one account.

use std::collections::BTreeSet;

use crate::Span;

use super::QueueEntry;
use super::pace::Pace;
use crate::schedule::budget::Budget;
use crate::time::MonotonicTime;

#[derive(Debug, Default)]
pub(super) struct AccountLane {
    entries: BTreeSet<QueueEntry>,
    /// The entries with a lease, by the time at which it is at risk.
    at_risk: BTreeSet<(MonotonicTime, QueueEntry)>,
    paused_until: MonotonicTime,
    /// The pace, from the first throttled call until it has recovered.
    pace: Option<Pace>,
    /// The keys of this lane in the queue's indexes.
    pub(super) position: LanePosition,
}

#[derive(Debug, Clone, Default)]
pub(super) enum LanePosition {
    /// The lane has no entries.
    #[default]
    Nowhere,
    /// Calls are allowed now: the first entry, and the first one whose lease is at risk.
    Ready { first: QueueEntry, at_risk: Option<(MonotonicTime, QueueEntry)> },
    /// No call is allowed until this time.
    Paused(MonotonicTime),
}

impl AccountLane {
    pub(super) fn add(&mut self, entry: QueueEntry) {
        if let Some(at) = entry.at_risk {
            self.at_risk.insert((at, entry.clone()));
        }
        self.entries.insert(entry);
    }

    pub(super) fn remove(&mut self, entry: &QueueEntry) {
        if let Some(at) = entry.at_risk {
            self.at_risk.remove(&(at, entry.clone()));
        }
        self.entries.remove(entry);
    }

    /// Removes the entry for its call.
    pub(super) fn take(&mut self, entry: &QueueEntry, now: MonotonicTime) {
        self.remove(entry);
        if let Some(pace) = &mut self.pace {
            pace.take(now);
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn limit(&mut self, budget: Budget, now: MonotonicTime) {
        if let Some(pace) = &mut self.pace {
            pace.limit(budget, now);
        }
    }

    pub(super) fn throttled(&mut self, budget: Budget, began: MonotonicTime, pause: Option<Span>, now: MonotonicTime) {
        self.pace.get_or_insert_with(|| Pace::new(budget, now)).slow_down(began, now);
        if let Some(pause) = pause {
            self.pause(pause, now);
        }
    }

    pub(super) fn pause(&mut self, pause: Span, now: MonotonicTime) {
        self.paused_until = self.paused_until.max(now.plus(pause));
    }

    /// Returns whether the pace increased.
    pub(super) fn answered(&mut self, began: MonotonicTime, now: MonotonicTime) -> bool {
        self.pace.as_mut().is_some_and(|pace| pace.grow(began, now))
    }

    /// Whether the lane has no state worth keeping.
    pub(super) fn is_idle(&self, now: MonotonicTime) -> bool {
        self.entries.is_empty() && self.pace.is_none() && self.paused_until <= now
    }

    pub(super) fn position_at(&mut self, now: MonotonicTime) -> LanePosition {
        self.pace.take_if(|pace| pace.is_over(now));
        let at_risk = self.at_risk.first().cloned();
        let Some(first) = self.entries.first().cloned() else { return LanePosition::Nowhere };
        let pace = self.pace.as_mut();
        let (free_at, borrows_at) = pace.map_or((now, now), |pace| (pace.free_at(now), pace.borrows_at(now)));
        let free_at = self.paused_until.max(free_at);
        if free_at <= now {
            return LanePosition::Ready { first, at_risk };
        }
        // An instance whose lease is at risk ignores a pause, and borrows from the pace.
        let Some((at, entry)) = &at_risk else { return LanePosition::Paused(free_at) };
        let borrows_at = borrows_at.max(*at);
        if borrows_at > now {
            return LanePosition::Paused(free_at.min(borrows_at));
        }
        LanePosition::Ready { first: entry.clone(), at_risk }
    }
}
