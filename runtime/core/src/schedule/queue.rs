//! Who waits for which upstream: first due, first called, as far as each upstream's budget goes.
//!
//! Upstreams that may be called now stand in `ready`, by their longest waiter; those that may not stand in `blocked`, by
//! the time at which they may. So a dispatch looks at no upstream that it can't call, however many wait there.

use std::collections::{BTreeMap, BTreeSet};

use crate::{InstanceName, Span};

use super::budget::{Begin, Bucket, Budget, UpstreamName};
use super::clock::Mono;

/// A place in the queue: since when, and who.
pub(super) type Place = (Mono, InstanceName);

#[derive(Debug)]
pub(super) struct Queue {
    begin: Begin,
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
            default: Budget::DEFAULT,
            budgets: BTreeMap::new(),
            upstreams: BTreeMap::new(),
            ready: BTreeSet::new(),
            blocked: BTreeSet::new(),
        }
    }

    pub(super) fn configure(&mut self, default: Budget, budgets: BTreeMap<UpstreamName, Budget>, now: Mono) {
        (self.default, self.budgets) = (default, budgets);
        for (name, upstream) in &mut self.upstreams {
            upstream.bucket.resize(self.budgets.get(name).copied().unwrap_or(self.default), now);
        }
    }

    pub(super) fn add(&mut self, upstream: &UpstreamName, place: Place, now: Mono) {
        let budget = self.budgets.get(upstream).copied().unwrap_or(self.default);
        let begin = self.begin;
        let new =
            || Upstream { bucket: Bucket::new(budget, begin, now), waiting: BTreeSet::new(), stands: Stands::Nowhere };
        self.upstreams.entry(upstream.clone()).or_insert_with(new).waiting.insert(place);
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
        if let Some(found) = self.upstreams.get_mut(upstream) {
            found.bucket.empty(until);
            self.block(upstream, until);
        }
    }

    /// The next who may be called, if anybody may; the call is counted.
    pub(super) fn next(&mut self, now: Mono) -> Option<InstanceName> {
        while let Some((at, name)) = self.blocked.first().filter(|(at, _)| *at <= now).cloned() {
            self.blocked.remove(&(at, name.clone()));
            if let Some(upstream) = self.upstreams.get_mut(&name) {
                upstream.stands = Stands::Nowhere;
            }
            self.stand(&name);
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
                    return Some(place.1);
                }
                Err(later) => self.block(&name, later),
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

    /// All upstreams that were ever waited for, with how many wait now.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (&UpstreamName, usize)> {
        self.upstreams.iter().map(|(name, upstream)| (name, upstream.waiting.len()))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> InstanceName {
        text.parse().unwrap()
    }

    fn upstream(text: &str) -> UpstreamName {
        text.parse().unwrap()
    }

    fn at(millis: u64) -> Mono {
        Mono::from_millis(millis)
    }

    fn queue(per_minute: u32, burst: u32) -> Queue {
        let mut queue = Queue::new(Begin::Full);
        queue.configure(Budget { per_minute, burst }, BTreeMap::new(), at(0));
        queue
    }

    #[test]
    fn who_is_due_first_is_called_first_whatever_the_upstream() {
        let mut queue = queue(60, 5);
        queue.add(&upstream("u"), (at(3), name("c")), at(3));
        queue.add(&upstream("v"), (at(2), name("b")), at(3));
        queue.add(&upstream("u"), (at(1), name("a")), at(3));
        let order: Vec<_> = std::iter::from_fn(|| queue.next(at(3))).map(|name| name.to_string()).collect();
        assert_eq!(order, ["a", "b", "c"]);
    }

    #[test]
    fn an_upstream_without_budget_keeps_nobody_else_waiting() {
        let mut queue = queue(60, 1);
        for waiter in ["a", "b"] {
            queue.add(&upstream("u"), (at(0), name(waiter)), at(0));
        }
        queue.add(&upstream("v"), (at(5), name("z")), at(5));
        assert_eq!(queue.next(at(5)), Some(name("a")));
        assert_eq!(queue.next(at(5)), Some(name("z")));
        assert_eq!(queue.next(at(5)), None);
        assert_eq!(queue.wake_at(), Some(at(1000)));
        assert_eq!(queue.next(at(999)), None);
        assert_eq!(queue.next(at(1000)), Some(name("b")));
    }

    #[test]
    fn a_pause_is_kept_and_followed_by_the_steady_pace() {
        let mut queue = queue(60, 10);
        for waiter in ["a", "b"] {
            queue.add(&upstream("u"), (at(0), name(waiter)), at(0));
        }
        queue.pause(&upstream("u"), Span::secs(30), at(0));
        assert_eq!(queue.blocked_until(&upstream("u")), Some(at(30_000)));
        queue.pause(&upstream("u"), Span::secs(5), at(0)); // a shorter one does not shorten it
        assert_eq!(queue.next(at(29_999)), None);
        assert_eq!(queue.next(at(30_000)), None);
        assert_eq!(queue.wake_at(), Some(at(31_000)));
        assert_eq!(queue.next(at(31_000)), Some(name("a")));
        assert_eq!(queue.next(at(31_500)), None);
        assert_eq!(queue.next(at(32_000)), Some(name("b")));
    }

    #[test]
    fn who_no_longer_waits_is_not_called() {
        let mut queue = queue(60, 10);
        queue.add(&upstream("u"), (at(0), name("a")), at(0));
        queue.add(&upstream("u"), (at(1), name("b")), at(1));
        queue.remove(&upstream("u"), &(at(0), name("a")));
        assert_eq!(queue.next(at(1)), Some(name("b")));
        queue.add(&upstream("u"), (at(2), name("c")), at(2));
        queue.remove(&upstream("u"), &(at(2), name("c")));
        assert_eq!((queue.next(at(2)), queue.wake_at()), (None, None));
    }
}
