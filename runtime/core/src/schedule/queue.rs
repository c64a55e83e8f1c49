//! Who waits for which upstream: first due, first called, as far as each upstream's budget goes.
//!
//! Upstreams that may be called now stand in `ready`, by their longest waiter; those that may not stand in `blocked`, by
//! the time at which they may. So a dispatch looks at no upstream that it can't call, however many wait there.

use std::collections::{BTreeMap, BTreeSet};

use crate::{InstanceName, Span};

use super::budget::{Begin, Bucket, Budget, UpstreamName};
use super::clock::Mono;

/// A place in the queue: what for, since when, and who. Tokens come before revocations, whoever waits longer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) task: Task,
    pub(super) due: Mono,
    pub(super) name: InstanceName,
}

/// What to wait and be called for, the more urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Task {
    Tokens,
    Revocation,
}

#[derive(Debug)]
pub(super) struct Queue {
    begin: Begin,
    /// Since when nobody but this queue calls, under these budgets.
    began: Option<Mono>,
    default: Budget,
    budgets: BTreeMap<UpstreamName, Budget>,
    upstreams: BTreeMap<UpstreamName, Upstream>,
    ready: BTreeSet<(Place, UpstreamName)>,
    blocked: BTreeSet<(Mono, UpstreamName)>,
}

#[derive(Debug)]
struct Upstream {
    bucket: Bucket,
    waiting: BTreeSet<Place>,
    /// How many calls had to wait for the budget.
    waits: u64,
    stands: Stands,
}

#[derive(Debug, Clone)]
enum Stands {
    Nowhere,
    Ready(Place),
    Blocked(Mono),
}

impl Queue {
    pub(super) fn new(begin: Begin) -> Self {
        Self {
            begin,
            began: None,
            default: Budget::DEFAULT,
            budgets: BTreeMap::new(),
            upstreams: BTreeMap::new(),
            ready: BTreeSet::new(),
            blocked: BTreeSet::new(),
        }
    }

    pub(super) fn configure(&mut self, default: Budget, budgets: BTreeMap<UpstreamName, Budget>, now: Mono) {
        if self.began.is_none() || (self.default, &self.budgets) != (default, &budgets) {
            // What was saved up under another budget is not known of an upstream that nobody waited for.
            self.began = Some(now);
        }
        (self.default, self.budgets) = (default, budgets);
        for (name, upstream) in &mut self.upstreams {
            upstream.bucket.resize(self.budgets.get(name).copied().unwrap_or(self.default), now);
        }
        // Who waits for a small budget may be called at once under a greater one; a pause is in the bucket itself.
        for (_, name) in std::mem::take(&mut self.blocked) {
            self.unblock(&name);
        }
    }

    pub(super) fn add(&mut self, upstream: &UpstreamName, place: Place, now: Mono) {
        self.upstream(upstream, now).waiting.insert(place);
        self.stand(upstream);
    }

    pub(super) fn remove(&mut self, upstream: &UpstreamName, place: &Place) {
        if let Some(found) = self.upstreams.get_mut(upstream) {
            found.waiting.remove(place);
            self.stand(upstream);
        }
    }

    /// Lets an upstream alone for a while, and then goes on at its steady pace.
    pub(super) fn pause(&mut self, upstream: &UpstreamName, span: Span, now: Mono) {
        let until = now.plus(span);
        self.upstream(upstream, now).bucket.empty(until);
        self.block(upstream, until);
    }

    /// The next who may be called, if anybody may; the call is counted.
    pub(super) fn next(&mut self, now: Mono) -> Option<InstanceName> {
        while let Some((at, name)) = self.blocked.first().filter(|(at, _)| *at <= now).cloned() {
            self.blocked.remove(&(at, name.clone()));
            self.unblock(&name);
        }
        while let Some((place, name)) = self.ready.first().cloned() {
            let Some(upstream) = self.upstreams.get_mut(&name) else {
                self.ready.remove(&(place, name));
                continue;
            };
            match upstream.bucket.take(now) {
                Ok(()) => {
                    upstream.waiting.remove(&place);
                    self.stand(&name);
                    return Some(place.name);
                }
                Err(later) => {
                    // Each of those who wait stands first once.
                    upstream.waits += 1;
                    self.block(&name, later);
                }
            }
        }
        None
    }

    /// When the next upstream may be called for which somebody waits.
    pub(super) fn wake_at(&self) -> Option<Mono> {
        self.blocked.first().map(|(at, _)| *at)
    }

    /// Until when nobody who waits for this upstream is called.
    pub(super) fn blocked_until(&self, upstream: &UpstreamName) -> Option<Mono> {
        match self.upstreams.get(upstream)?.stands {
            Stands::Blocked(until) => Some(until),
            Stands::Nowhere | Stands::Ready(_) => None,
        }
    }

    /// All upstreams that were ever waited for, with how many wait now, and how many had to.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (&UpstreamName, usize, u64)> {
        self.upstreams.iter().map(|(name, upstream)| (name, upstream.waiting.len(), upstream.waits))
    }

    /// An upstream that nobody waited for has saved up its calls since the beginning.
    fn upstream(&mut self, name: &UpstreamName, now: Mono) -> &mut Upstream {
        let budget = self.budgets.get(name).copied().unwrap_or(self.default);
        let (begin, began) = (self.begin, self.began.unwrap_or(now));
        let new = || Upstream {
            bucket: Bucket::new(budget, begin, began),
            waiting: BTreeSet::new(),
            waits: 0,
            stands: Stands::Nowhere,
        };
        self.upstreams.entry(name.clone()).or_insert_with(new)
    }

    fn unblock(&mut self, name: &UpstreamName) {
        if let Some(upstream) = self.upstreams.get_mut(name) {
            upstream.stands = Stands::Nowhere;
        }
        self.stand(name);
    }

    fn block(&mut self, name: &UpstreamName, until: Mono) {
        let Some(upstream) = self.upstreams.get_mut(name) else { return };
        match std::mem::replace(&mut upstream.stands, Stands::Blocked(until)) {
            Stands::Nowhere => {}
            Stands::Ready(place) => {
                self.ready.remove(&(place, name.clone()));
            }
            Stands::Blocked(at) => {
                self.blocked.remove(&(at, name.clone()));
                if at > until {
                    upstream.stands = Stands::Blocked(at);
                }
            }
        }
        if let Stands::Blocked(at) = upstream.stands {
            self.blocked.insert((at, name.clone()));
        }
    }

    /// Puts an upstream where it belongs after its waiters changed.
    fn stand(&mut self, name: &UpstreamName) {
        let Some(upstream) = self.upstreams.get_mut(name) else { return };
        if let Stands::Blocked(_) = upstream.stands {
            return;
        }
        let stands = upstream.waiting.first().cloned().map_or(Stands::Nowhere, Stands::Ready);
        if let Stands::Ready(place) = std::mem::replace(&mut upstream.stands, stands) {
            self.ready.remove(&(place, name.clone()));
        }
        if let Stands::Ready(place) = &upstream.stands {
            self.ready.insert((place.clone(), name.clone()));
        }
    }
}
