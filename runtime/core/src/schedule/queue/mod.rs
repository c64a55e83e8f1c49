//! The instances that wait for each upstream, in order of due time, within each upstream's budget and share of the calls.
//!
//! An upstream has a lane for each account, because a service that throttles one account may still serve another. Lanes
//! that may be called now are in their upstream's `ready`, ordered by their first entry; the others are in `paused`,
//! ordered by the end of the pause. Upstreams with an exhausted budget are in `dry`. So the cost of a dispatch does not
//! depend on the number of entries that a budget or a pause blocks.
//!
//! The rules, in the order in which they apply:
//! 1. A lane that the service paused waits, and then continues at a slower [pace](pace). Instances whose lease is at risk
//!    ignore the pause, and borrow from the pace: those that have waited for a third of its remaining lifetime.
//! 2. The lanes of an upstream share its budget.
//! 3. No upstream has more running calls than there are free places, and a part of the places is [reserved](shares) for
//!    instances whose lease is at risk.

mod lane;
mod pace;
mod shares;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::{InstanceName, Span};

pub(super) use self::shares::{Admission, Shares};

use self::lane::{AccountLane, LanePosition};
use super::budget::{Budget, BudgetLevel, InitialBudget, UpstreamName};
use super::policy::UpstreamAccount;
use crate::time::MonotonicTime;

/// An instance in the queue. Calls for tokens come before revocations, however long a revocation has waited.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct QueueEntry {
    pub(super) purpose: CallPurpose,
    pub(super) due: MonotonicTime,
    pub(super) name: InstanceName,
    pub(super) account: Option<UpstreamAccount>,
    /// When its lease is at risk, if it has a valid one.
    pub(super) at_risk: Option<MonotonicTime>,
}

/// The purpose of a call, the more urgent one first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CallPurpose {
    Tokens,
    Revocation,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NextCall {
    pub(super) upstream: UpstreamName,
    pub(super) entry: QueueEntry,
    /// The kind of place that the call takes.
    pub(super) admission: Admission,
}

#[derive(Debug)]
pub(super) struct CallQueue {
    begin: InitialBudget,
    /// The time from which this queue has applied these budgets.
    began: Option<MonotonicTime>,
    default: Budget,
    budgets: BTreeMap<UpstreamName, Budget>,
    upstreams: BTreeMap<UpstreamName, Upstream>,
    /// Upstreams that may be called now, by their first entry.
    heads: BTreeSet<(QueueEntry, UpstreamName)>,
    /// The same upstreams, by the time at which their first lease is at risk.
    at_risk: BTreeSet<(MonotonicTime, UpstreamName)>,
    /// Upstreams with an exhausted budget, by the time at which it allows a call.
    dry: BTreeSet<(MonotonicTime, UpstreamName)>,
    /// Paused lanes, by the end of the pause.
    paused: BTreeSet<(MonotonicTime, UpstreamName, Option<UpstreamAccount>)>,
}

#[derive(Debug)]
struct Upstream {
    bucket: BudgetLevel,
    lanes: BTreeMap<Option<UpstreamAccount>, AccountLane>,
    /// The first entry of each lane that may be called now.
    ready: BTreeSet<QueueEntry>,
    /// For each of these lanes, the entry whose lease is at risk first.
    at_risk: BTreeSet<(MonotonicTime, QueueEntry)>,
    dry_until: Option<MonotonicTime>,
    /// Calls that had to wait for the budget.
    waits: u64,
    position: QueuePosition,
}

/// The keys of an upstream in the queue's indexes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct QueuePosition {
    head: Option<QueueEntry>,
    at_risk: Option<MonotonicTime>,
    dry: Option<MonotonicTime>,
}

impl CallQueue {
    pub(super) fn new(begin: InitialBudget) -> Self {
        Self {
            begin,
            began: None,
            default: Budget::DEFAULT,
            budgets: BTreeMap::new(),
            upstreams: BTreeMap::new(),
            heads: BTreeSet::new(),
            at_risk: BTreeSet::new(),
            dry: BTreeSet::new(),
            paused: BTreeSet::new(),
        }
    }

    pub(super) fn configure(&mut self, default: Budget, budgets: BTreeMap<UpstreamName, Budget>, now: MonotonicTime) {
        if self.began.is_none() || (self.default, &self.budgets) != (default, &budgets) {
            // Upstreams without a bucket accrue calls from here: their use under the previous budget is unknown.
            self.began = Some(now);
        }
        self.default = default;
        self.budgets = budgets;
        let names: Vec<UpstreamName> = self.upstreams.keys().cloned().collect();
        for name in names {
            let budget = self.budget(&name);
            let Some(upstream) = self.upstreams.get_mut(&name) else { continue };
            upstream.bucket.resize(budget, now);
            // An instance that waits for a small budget may be called at once under a greater one.
            upstream.dry_until = None;
            upstream.lanes.values_mut().for_each(|lane| lane.limit(budget, now));
            let accounts: Vec<Option<UpstreamAccount>> = upstream.lanes.keys().copied().collect();
            for account in accounts {
                self.place_lane(&name, account, now);
            }
            self.place_upstream(&name, now);
        }
    }

    pub(super) fn add(&mut self, upstream: &UpstreamName, entry: QueueEntry, now: MonotonicTime) {
        let account = entry.account;
        self.lane(upstream, account, now).add(entry);
        self.place_lane(upstream, account, now);
    }

    pub(super) fn remove(&mut self, upstream: &UpstreamName, entry: &QueueEntry, now: MonotonicTime) {
        if let Some(lane) = self.upstreams.get_mut(upstream).and_then(|found| found.lanes.get_mut(&entry.account)) {
            lane.remove(entry);
            self.place_lane(upstream, entry.account, now);
        }
    }

    /// The service throttled a call that began at `began`. The account continues at a slower pace, after a pause if the
    /// service stated one.
    pub(super) fn throttled(
        &mut self,
        upstream: &UpstreamName,
        account: Option<UpstreamAccount>,
        began: MonotonicTime,
        pause: Option<Span>,
        now: MonotonicTime,
    ) {
        let budget = self.budget(upstream);
        self.lane(upstream, account, now).throttled(budget, began, pause, now);
        self.place_lane(upstream, account, now);
    }

    /// The service asked for no calls of an account for a time.
    pub(super) fn pause(
        &mut self,
        upstream: &UpstreamName,
        account: Option<UpstreamAccount>,
        pause: Span,
        now: MonotonicTime,
    ) {
        self.lane(upstream, account, now).pause(pause, now);
        self.place_lane(upstream, account, now);
    }

    /// The service answered a call that began at `began` without throttling it.
    pub(super) fn answered(
        &mut self,
        upstream: &UpstreamName,
        account: Option<UpstreamAccount>,
        began: MonotonicTime,
        now: MonotonicTime,
    ) {
        let lane = self.upstreams.get_mut(upstream).and_then(|found| found.lanes.get_mut(&account));
        if lane.is_some_and(|lane| lane.answered(began, now)) {
            self.place_lane(upstream, account, now);
        }
    }

    /// Takes the next call that may be made and counts it against its budget.
    pub(super) fn next(&mut self, shares: &Shares, now: MonotonicTime) -> Option<NextCall> {
        self.release(now);
        loop {
            let (name, admission) = self.choose(shares, now)?;
            let upstream = self.upstreams.get_mut(&name)?;
            let entry = match admission {
                Admission::General => upstream.ready.first().cloned(),
                Admission::Reserved => upstream.at_risk.first().map(|(_, entry)| entry.clone()),
            }?;
            match upstream.bucket.take(now) {
                Ok(()) => {
                    let lane = upstream.lanes.get_mut(&entry.account)?;
                    lane.take(&entry, now);
                    self.place_lane(&name, entry.account, now);
                    return Some(NextCall { upstream: name, entry, admission });
                }
                Err(later) => {
                    // Every waiting entry reaches the head once, so each is counted once.
                    upstream.waits += 1;
                    upstream.dry_until = Some(later);
                    self.place_upstream(&name, now);
                }
            }
        }
    }

    /// The time of the next possible call, unless a running call ends before.
    pub(super) fn wake_at(&self, now: MonotonicTime) -> Option<MonotonicTime> {
        let dry = self.dry.first().map(|(at, _)| *at);
        let paused = self.paused.first().map(|(at, ..)| *at);
        // An entry of an upstream that may be called waits for a place. Once at risk, it may get a reserved one.
        let at_risk = self.at_risk.iter().map(|(at, _)| *at).find(|at| *at > now);
        [dry, paused, at_risk].into_iter().flatten().min()
    }

    /// The end of the pause or of the exhausted budget that blocks calls to this upstream with this account.
    pub(super) fn blocked_until(
        &self,
        upstream: &UpstreamName,
        account: Option<UpstreamAccount>,
    ) -> Option<MonotonicTime> {
        let upstream = self.upstreams.get(upstream)?;
        let paused = upstream.lanes.get(&account).and_then(|lane| match lane.position {
            LanePosition::Paused(until) => Some(until),
            LanePosition::Nowhere | LanePosition::Ready { .. } => None,
        });
        paused.max(upstream.position.dry)
    }

    /// All upstreams that have had an entry: waiting entries, calls that had to wait so far, and the end of the block.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (&UpstreamName, usize, u64, Option<MonotonicTime>)> {
        self.upstreams.iter().map(|(name, upstream)| {
            let waiting = upstream.lanes.values().map(AccountLane::waiting).sum();
            let paused = upstream.lanes.values().filter_map(|lane| match lane.position {
                LanePosition::Paused(until) => Some(until),
                LanePosition::Nowhere | LanePosition::Ready { .. } => None,
            });
            let blocked = if upstream.ready.is_empty() { paused.min() } else { None };
            (name, waiting, upstream.waits, upstream.position.dry.or(blocked))
        })
    }

    /// The upstream of the next call, and the kind of place that the call takes.
    fn choose(&self, shares: &Shares, now: MonotonicTime) -> Option<(UpstreamName, Admission)> {
        let general = shares.has_place(Admission::General).then_some(&self.heads).into_iter().flatten();
        let general = general.map(|(_, name)| name).find(|name| shares.admits(name, Admission::General));
        if let Some(name) = general {
            return Some((name.clone(), Admission::General));
        }
        let reserved = shares.has_place(Admission::Reserved).then_some(&self.at_risk).into_iter().flatten();
        let mut reserved = reserved.take_while(|(at, _)| *at <= now).map(|(_, name)| name);
        reserved.find(|name| shares.admits(name, Admission::Reserved)).map(|name| (name.clone(), Admission::Reserved))
    }

    /// Moves the lanes and upstreams whose pause or exhausted budget has ended.
    fn release(&mut self, now: MonotonicTime) {
        while let Some((_, name, account)) = self.paused.first().filter(|(at, ..)| *at <= now).cloned() {
            self.place_lane(&name, account, now);
        }
        while let Some((_, name)) = self.dry.first().filter(|(at, _)| *at <= now).cloned() {
            self.place_upstream(&name, now);
        }
    }

    fn budget(&self, name: &UpstreamName) -> Budget {
        self.budgets.get(name).copied().unwrap_or(self.default)
    }

    /// A new upstream has accrued calls since `began`.
    fn lane(&mut self, name: &UpstreamName, account: Option<UpstreamAccount>, now: MonotonicTime) -> &mut AccountLane {
        let budget = self.budget(name);
        let begin = self.begin;
        let began = self.began.unwrap_or(now);
        let upstream = self.upstreams.entry(name.clone()).or_insert_with(|| Upstream {
            bucket: BudgetLevel::new(budget, begin, began),
            lanes: BTreeMap::new(),
            ready: BTreeSet::new(),
            at_risk: BTreeSet::new(),
            dry_until: None,
            waits: 0,
            position: QueuePosition::default(),
        });
        upstream.lanes.entry(account).or_default()
    }

    /// Updates the position of a lane in the indexes. An idle lane is dropped.
    fn place_lane(&mut self, name: &UpstreamName, account: Option<UpstreamAccount>, now: MonotonicTime) {
        let Some(upstream) = self.upstreams.get_mut(name) else { return };
        let Some(lane) = upstream.lanes.get_mut(&account) else { return };
        let position = lane.position_at(now);
        match std::mem::replace(&mut lane.position, position.clone()) {
            LanePosition::Nowhere => {}
            LanePosition::Ready { first, at_risk } => {
                upstream.ready.remove(&first);
                if let Some(at_risk) = at_risk {
                    upstream.at_risk.remove(&at_risk);
                }
            }
            LanePosition::Paused(until) => {
                self.paused.remove(&(until, name.clone(), account));
            }
        }
        match position {
            LanePosition::Nowhere if lane.is_idle(now) => {
                upstream.lanes.remove(&account);
            }
            LanePosition::Nowhere => {}
            LanePosition::Ready { first, at_risk } => {
                upstream.ready.insert(first);
                upstream.at_risk.extend(at_risk);
            }
            LanePosition::Paused(until) => {
                self.paused.insert((until, name.clone(), account));
            }
        }
        self.place_upstream(name, now);
    }

    /// Updates the position of an upstream in the indexes.
    fn place_upstream(&mut self, name: &UpstreamName, now: MonotonicTime) {
        let Some(upstream) = self.upstreams.get_mut(name) else { return };
        upstream.dry_until = upstream.dry_until.filter(|until| *until > now);
        let position = match (upstream.ready.first(), upstream.dry_until) {
            (None, _) => QueuePosition::default(),
            (Some(_), Some(until)) => QueuePosition { dry: Some(until), ..QueuePosition::default() },
            (Some(first), None) => {
                let at_risk = upstream.at_risk.first().map(|(at, _)| *at);
                QueuePosition { head: Some(first.clone()), at_risk, dry: None }
            }
        };
        let before = std::mem::replace(&mut upstream.position, position.clone());
        if before == position {
            return;
        }
        if let Some(head) = before.head {
            self.heads.remove(&(head, name.clone()));
        }
        if let Some(at) = before.at_risk {
            self.at_risk.remove(&(at, name.clone()));
        }
        if let Some(until) = before.dry {
            self.dry.remove(&(until, name.clone()));
        }
        self.heads.extend(position.head.map(|head| (head, name.clone())));
        self.at_risk.extend(position.at_risk.map(|at| (at, name.clone())));
        self.dry.extend(position.dry.map(|until| (until, name.clone())));
    }
}
