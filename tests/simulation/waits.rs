//! Whether every instance is called in time: how long an instance waits at most follows from the budget, from how many may be
//! called before it, and from how long calls take. And whether an account with a stated delay is left alone, but for
//! instances whose lease is at risk.

use std::collections::{BTreeMap, BTreeSet};

use deputy_core::schedule::{
    InstanceActivity, InstancePlan, InstanceSnapshot, Lease, ProviderCall, ScheduleConfig, UpstreamAccount,
    UpstreamName,
};
use deputy_core::time::{MonotonicTime, Now};
use deputy_core::{InstanceName, Span};

use crate::budget::{pace, slowest_pace};
use crate::counts::Counts;
use crate::pace::BORROWED;
use crate::service::LONGEST_CALL;

/// Without another throttled call, an account goes as fast as its budget allows after this time.
const RECOVERED: Span = Span::secs(360);

/// Whose calls a service counts together.
type Caller = (UpstreamName, Option<UpstreamAccount>);

#[derive(Default)]
pub(crate) struct Waits {
    waiting: BTreeMap<InstanceName, Waiting>,
    /// When the leases of those are at risk that waited already before the last configuration.
    at_risk: BTreeMap<InstanceName, MonotonicTime>,
    /// The end of the delays that services stated.
    paused: BTreeMap<Caller, MonotonicTime>,
    /// When an account was throttled last.
    throttled: BTreeMap<Caller, MonotonicTime>,
    /// Calls for leases at risk that passed a pause.
    pub(crate) passed: u64,
    /// As whom an instance was called last.
    called: BTreeMap<InstanceName, Caller>,
}

#[derive(Debug)]
struct Waiting {
    caller: Caller,
    since: MonotonicTime,
    /// A third of what was left of its lease then, if it had one.
    third: Option<Span>,
    /// Until when its turn must have come.
    until: MonotonicTime,
}

fn caller(plan: &InstancePlan) -> Caller {
    (plan.upstream.clone(), plan.account)
}

impl Waits {
    /// Another configuration: other budgets, upstreams and limits. Or another time, by which leases last longer or less.
    pub(crate) fn restart(&mut self) {
        for (name, waiting) in std::mem::take(&mut self.waiting) {
            let Some(at) = waiting.third.map(|third| waiting.since.plus(third)) else { continue };
            self.at_risk.entry(name).and_modify(|first| *first = at.min(*first)).or_insert(at);
        }
    }

    /// The last call of this instance was throttled.
    pub(crate) fn throttled(
        &mut self,
        name: &InstanceName,
        pause: Span,
        now: MonotonicTime,
        configuration: &ScheduleConfig,
    ) {
        let caller = self.called[name].clone();
        let until = self.paused.entry(caller.clone()).or_default();
        *until = (*until).max(now.plus(pause));
        self.throttled.insert(caller.clone(), now);
        let paused = self.paused(&caller, now);
        let longest = self.longest(&caller, configuration, now);
        for waiting in self.waiting.values_mut().filter(|waiting| waiting.caller == caller) {
            // An instance with a lease waits for a third of its remaining lifetime.
            let third = waiting.third.map(|third| waiting.since.plus(third).since(now));
            let paused = third.map_or(paused, |third| third.min(paused));
            waiting.until = waiting.until.max(now.plus(longest).plus(paused));
        }
    }

    /// A process begins, and an earlier one saved that the service asked it to leave the account of this plan alone.
    pub(crate) fn resumes(&mut self, plan: &InstancePlan, rest: Span, now: MonotonicTime) {
        let until = self.paused.entry(caller(plan)).or_default();
        *until = (*until).max(now.plus(rest));
    }

    /// Whether an account goes as fast as its budget allows.
    pub(crate) fn is_at_full_pace(&self, plan: &InstancePlan, now: MonotonicTime) -> bool {
        self.throttled.get(&caller(plan)).is_none_or(|at| now.since(*at) > RECOVERED)
    }

    /// A call begins: the account has no stated delay, or the lease is at risk.
    /// Returns whether it is.
    pub(crate) fn called(
        &mut self,
        name: &InstanceName,
        plan: &InstancePlan,
        work: &ProviderCall,
        now: MonotonicTime,
    ) -> bool {
        self.called.insert(name.clone(), caller(plan));
        let until = self.paused.get(&caller(plan)).copied().unwrap_or_default();
        if matches!(work, ProviderCall::Revoke(_)) {
            let mut others = self.waiting.iter().filter(|(_, waiting)| waiting.caller == caller(plan));
            let other = others.find(|(_, waiting)| waiting.since < now);
            assert!(other.is_none(), "{name}'s lease is revoked, and {other:?} waits for tokens");
        }
        let Some(waiting) = self.waiting.remove(name) else { return false };
        let before = self.at_risk.remove(name);
        let at_risk =
            before.is_some_and(|at| at <= now) || waiting.third.is_some_and(|third| waiting.since.plus(third) <= now);
        let paused = until > now && !at_risk;
        assert!(!paused, "{name} is called, and its service asked to be left alone until {until:?}");
        self.passed += u64::from(until > now);
        at_risk
    }

    pub(crate) fn look<'a>(
        &mut self,
        views: impl Iterator<Item = InstanceSnapshot<'a>>,
        held: impl Fn(&InstanceName) -> Option<&'a Lease>,
        configuration: &ScheduleConfig,
        now: Now,
        counts: &mut Counts,
    ) {
        for view in views {
            if !matches!(view.activity, InstanceActivity::Waiting(_)) {
                self.waiting.remove(view.name);
                self.at_risk.remove(view.name);
            } else if let Some(waiting) = self.waiting.get(view.name) {
                let until = waiting.until;
                assert!(now.mono <= until, "{} starves: its turn should have come at {until:?}", view.name);
            } else {
                counts.waits += 1;
                let caller = caller(view.plan);
                let left = held(view.name).map(|lease| lease.valid_until.since(now.wall));
                let third = left.filter(|left| *left > Span::millis(0)).map(|left| Span::millis(left.as_millis() / 3));
                let paused = self.paused(&caller, now.mono);
                let paused = third.map_or(paused, |third| third.min(paused));
                let until = now.mono.plus(self.longest(&caller, configuration, now.mono)).plus(paused);
                self.waiting.insert(view.name.clone(), Waiting { caller, since: now.mono, third, until });
            }
        }
    }

    /// When the first lease is at risk whose instance waits for this caller.
    pub(crate) fn first_at_risk(&self, caller: &Caller) -> Option<MonotonicTime> {
        let own = self.waiting.values().filter(|waiting| waiting.caller == *caller);
        own.filter_map(|waiting| Some(waiting.since.plus(waiting.third?))).min()
    }

    /// Whether an instance has waited for a third of what was left of its lease.
    pub(crate) fn is_at_risk(&self, name: &InstanceName, now: MonotonicTime) -> bool {
        let waiting = self.waiting.get(name);
        waiting.is_some_and(|waiting| waiting.third.is_some_and(|third| waiting.since.plus(third) <= now))
    }

    /// For how long a caller leaves its service alone.
    fn paused(&self, caller: &Caller, now: MonotonicTime) -> Span {
        self.paused.get(caller).map_or(Span::millis(0), |until| until.since(now))
    }

    /// How long an instance waits at most that is due now.
    pub(crate) fn longest_of(&self, plan: &InstancePlan, configuration: &ScheduleConfig, now: MonotonicTime) -> Span {
        let caller = caller(plan);
        let longest = self.longest(&caller, configuration, now);
        let paused = self.paused(&caller, now);
        Span::millis(longest.as_millis() + paused.as_millis())
    }

    /// Every other instance may be called before it once: by the budget of its upstream, by the pace of its account, and by the
    /// share that its upstream has of all calls.
    fn longest(&self, caller: &Caller, configuration: &ScheduleConfig, now: MonotonicTime) -> Span {
        let (upstream, _) = caller;
        let here = configuration.plans.values().filter(|plan| plan.upstream == *upstream).count() as u64;
        let upstreams: BTreeSet<_> = configuration.plans.values().map(|plan| &plan.upstream).collect();
        let share = (configuration.calls.max(1) / (upstreams.len() + 1)).max(1);
        let rounds = (configuration.plans.len() / share) as u64 + 2;
        let throttled = self.throttled.get(caller).is_some_and(|at| now.since(*at) <= RECOVERED);
        let pace = if throttled { slowest_pace(configuration, upstream) } else { pace(configuration, upstream) };
        let borrowed = if throttled { BORROWED } else { 0 };
        Span::millis((here + 1) * pace + borrowed + rounds * LONGEST_CALL)
    }
}
