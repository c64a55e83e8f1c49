//! Those who wait for one upstream with one account.

use std::collections::BTreeSet;

use crate::Span;

use super::super::budget::Budget;
use super::Place;
use super::pace::Pace;
use crate::time::MonotonicTime;

#[derive(Debug, Default)]
pub(super) struct Lane {
    places: BTreeSet<Place>,
    /// The same, those with a lease, by when that is at risk.
    at_risk: BTreeSet<(MonotonicTime, Place)>,
    paused_until: MonotonicTime,
    /// How fast it may go after it was throttled.
    pace: Option<Pace>,
    /// Where it stands in the queue's indexes.
    pub(super) stands: Stands,
}

#[derive(Debug, Clone, Default)]
pub(super) enum Stands {
    /// Nobody waits here.
    #[default]
    Nowhere,
    /// It may be called now: who first, and whose lease is at risk first.
    Ready { first: Place, at_risk: Option<(MonotonicTime, Place)> },
    /// It may not, until this time.
    Paused(MonotonicTime),
}

impl Lane {
    pub(super) fn add(&mut self, place: Place) {
        if let Some(at) = place.at_risk {
            self.at_risk.insert((at, place.clone()));
        }
        self.places.insert(place);
    }

    pub(super) fn remove(&mut self, place: &Place) {
        if let Some(at) = place.at_risk {
            self.at_risk.remove(&(at, place.clone()));
        }
        self.places.remove(place);
    }

    /// One is called.
    pub(super) fn take(&mut self, place: &Place, now: MonotonicTime) {
        self.remove(place);
        if let Some(pace) = &mut self.pace {
            pace.take(now);
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.places.len()
    }

    pub(super) fn limit(&mut self, budget: Budget, now: MonotonicTime) {
        if let Some(pace) = &mut self.pace {
            pace.limit(budget.per_minute, now);
        }
    }

    pub(super) fn throttled(&mut self, budget: Budget, began: MonotonicTime, pause: Option<Span>, now: MonotonicTime) {
        self.pace.get_or_insert_with(|| Pace::new(budget.per_minute, now)).cut(began, now);
        if let Some(pause) = pause {
            self.paused_until = self.paused_until.max(now.plus(pause));
        }
    }

    /// Whether that changed anything.
    pub(super) fn answered(&mut self, began: MonotonicTime, now: MonotonicTime) -> bool {
        self.pace.as_mut().is_some_and(|pace| pace.grow(began, now))
    }

    /// Whether forgetting the lane changes nothing.
    pub(super) fn is_idle(&self, now: MonotonicTime) -> bool {
        self.places.is_empty() && self.pace.is_none() && self.paused_until <= now
    }

    /// Where it belongs now.
    pub(super) fn standing(&mut self, now: MonotonicTime) -> Stands {
        self.pace.take_if(|pace| pace.is_over(now));
        let at_risk = self.at_risk.first().cloned();
        let Some(first) = self.places.first().cloned() else { return Stands::Nowhere };
        let free_at = self.pace.as_mut().map_or(now, |pace| pace.free_at(now));
        // Whose lease is at risk passes a pause, and not the pace.
        let passes = at_risk.as_ref().map_or(self.paused_until, |(at, _)| self.paused_until.min(*at)).max(free_at);
        if passes > now {
            return Stands::Paused(passes);
        }
        match &at_risk {
            Some((_, place)) if self.paused_until > now => Stands::Ready { first: place.clone(), at_risk },
            _ => Stands::Ready { first, at_risk },
        }
    }
}
