//! The faults end: every instance gets a valid lease and keeps it.

use std::collections::BTreeSet;

use deputy_core::schedule::{
    ASSUMED_LIFETIME, InstanceActivity, InstancePlan, InstanceSnapshot, LeaseOrigin, ObtainMode, Readiness,
    ScheduleEvent,
};
use deputy_core::{InstanceName, Revision, Span};

use crate::budget::pace;
use crate::history::{Disk, History, Process, Weather};
use crate::rates;
use crate::service::{LONGEST_CALL, Mood, StatedExpiry, file};

/// The longest delays that a failed write leaves behind, and a configuration that changed often.
const LONGEST_PAUSE: u64 = 45_000;

/// The longest time from the beginning of a call to the lease on the disk, in calm.
const SLOWEST: u64 = 2100;

/// More events than any calm takes.
const MOST_EVENTS: u64 = 100_000;

impl History {
    pub(crate) fn calm(&mut self) {
        self.note(|_| "the faults end".to_owned());
        self.weather = Weather::Calm;
        if matches!(self.process, Process::Stopping(_)) {
            self.crash();
        }
        self.disk = Disk::Good;
        self.clocks.drift = 0;
        // With a clock that is ahead, every expiry lies in the past, and no instance gets a lease.
        self.clocks.correct();
        self.checks.excuse_all(&self.configuration);
        for instance in self.instances.values_mut() {
            instance.mood = Mood::Good;
            instance.stated = StatedExpiry::Life;
            instance.rotation = None;
            instance.prolongs = None;
        }
        while self.process == Process::Down {
            self.happen(u64::MAX);
        }
        self.tell(ScheduleEvent::TimerFired);
        let files: Vec<InstanceName> = self.wanted(|plan| plan.component.is_none());
        for name in files {
            let found = loop {
                let serial = self.serial();
                let found = file(&mut self.dice, self.clocks.now().wall, serial);
                if found.as_ref().is_some_and(|found| found.valid_until > self.clocks.now().wall.plus(Span::secs(7000)))
                {
                    break found;
                }
            };
            self.instances.get_mut(&name).expect("all names are there").file = found.clone();
            self.tell(ScheduleEvent::FileObserved(name, found));
        }
        let old: Vec<_> = self.running.keys().copied().collect();
        self.recover();
        while old.iter().any(|call| self.running.contains_key(call)) {
            self.happen(u64::MAX); // what hangs since before ends, too
        }
        self.settle();
        self.revoke();
    }

    /// The instances that `which` selects and that need a lease.
    fn wanted(&self, which: impl Fn(&InstancePlan) -> bool) -> Vec<InstanceName> {
        let plans = self.configuration.plans.iter().filter(|(name, plan)| {
            which(plan) && (plan.policy.mode == ObtainMode::Always || self.instances[*name].users > 0)
        });
        plans.map(|(name, _)| name.clone()).collect()
    }

    /// A person does what was asked for, and asks for another lease.
    fn attend(&mut self) {
        let now = self.clocks.now();
        let mut waiting = self.wanted(|plan| plan.component.is_some());
        let waits = |view: InstanceSnapshot<'_>| view.failure.is_some_and(|record| record.failure.kind.needs_person());
        waiting.retain(|name| self.schedule.instance(name, now).is_some_and(waits));
        for name in waiting {
            self.tell(ScheduleEvent::Renew(name));
            self.counts.attended += 1;
        }
    }

    /// Every instance gets a lease in time: after the retry delays, which the checks bound by the policy and by the usual
    /// lifetime of a lease, and a time that follows from the budgets and the limit.
    fn recover(&mut self) {
        let mut missing = self.wanted(|_| true);
        let mut deadline = None;
        loop {
            self.attend();
            let now = self.clocks.now();
            missing
                .retain(|name| self.schedule.instance(name, now).is_none_or(|view| view.readiness != Readiness::Ready));
            if missing.is_empty() {
                break;
            }
            let until = *deadline.get_or_insert_with(|| self.deadline(&missing));
            let failed = self.counts.fruitless;
            let goes_on = self.happen(until) && self.step < MOST_EVENTS;
            let activities = missing.iter().map(|name| self.schedule.instance(name, now).map(|view| view.activity));
            let idle: Vec<_> = missing.iter().zip(activities).collect();
            assert!(goes_on, "the faults ended long ago, and these have no lease: {idle:?}");
            // What began before the faults ended may still fail, and is waited for once more.
            deadline = deadline.filter(|_| failed == self.counts.fruitless);
        }
        self.counts.settled += 1;
    }

    /// Until when all of these have a lease, if nothing fails.
    fn deadline(&mut self, missing: &[InstanceName]) -> u64 {
        let now = self.clocks.now().mono;
        let (waits, checks, configuration) = (&self.waits, &mut self.checks, &self.configuration);
        let longest = missing.iter().map(|name| {
            let longest = waits.longest_of(&configuration.plans[name], configuration, now);
            checks.promised(name, now).as_millis() + 2 * longest.as_millis()
        });
        self.clocks.truth + longest.max().unwrap_or_default() + LONGEST_PAUSE + 2 * LONGEST_CALL
    }

    /// What is due to be revoked is, where the upstream bears it: soon, or soon after the delay since it failed last.
    fn revoke(&mut self) {
        let all = self.checks.settled.clone();
        let mut left: Vec<_> =
            all.into_iter().map(|name| (self.overdue(&name), self.waits_to_revoke(&name), name)).collect();
        left.retain(|(revisions, ..)| !revisions.is_empty());
        let began = self.clocks.truth;
        while !left.is_empty() {
            let until = left.iter().map(|(_, wait, _)| began + wait).min().unwrap_or_default();
            let goes_on = self.happen(until) && self.step < MOST_EVENTS;
            left.retain(|(revisions, _, name)| self.overdue(name).iter().any(|revision| revisions.contains(revision)));
            assert!(goes_on || left.is_empty(), "these were to be revoked long ago, and are not: {left:?}");
        }
        self.counts.revocations_done += 1;
    }

    fn overdue(&self, name: &InstanceName) -> Vec<Revision> {
        self.checks.leases.overdue(name, self.clocks.now().wall)
    }

    /// In what time all revocations of an instance that are due are done, in milliseconds.
    fn waits_to_revoke(&self, name: &InstanceName) -> u64 {
        let now = self.clocks.now().mono;
        let plan = &self.configuration.plans[name];
        let turns = self.overdue(name).len() as u64 + 1;
        let turn =
            self.waits.longest_of(plan, &self.configuration, now).as_millis() + plan.policy.retry.floor.as_millis();
        let failed = self.checks.leases.revokes_again_in(name, now).as_millis();
        failed + turns * 2 * turn + LONGEST_PAUSE + 2 * LONGEST_CALL
    }

    /// Whose upstream bears it keeps a good lease from now on.
    fn settle(&mut self) {
        let now = self.clocks.now();
        let able: Vec<InstanceName> = self.wanted(|plan| plan.component.is_some());
        let holds = |name: &InstanceName| {
            let view = self.schedule.instance(name, now).expect("it is configured");
            // What has nothing newer before its end is replaced at its end.
            let obtained =
                view.lease.is_some_and(|lease| lease.origin == LeaseOrigin::Component && lease.next_at.is_none());
            obtained
                && view.activity == InstanceActivity::Holding
                && view.readiness == Readiness::Ready
                && view.failures == 0
        };
        let settled = able.into_iter().filter(|name| holds(name) && self.is_feasible(name)).collect();
        self.checks.settled = settled;
        self.counts.feasible += self.checks.settled.len() as u64;
        self.go_on(self.clocks.truth + 3_600_000, self.step + 40);
    }

    /// How long a lease of an instance lives by the clock on the wall, the one that is held and those to come.
    fn life(&self, name: &InstanceName, plan: &InstancePlan) -> u64 {
        let held = self.published.get(name).map(|lease| lease.valid_until.since(lease.obtained_at));
        let (right, wall) = (self.clocks.right(), self.clocks.now().wall);
        let stated = right.plus(Span::millis(self.instances[name].life)).since(wall);
        let stated = if stated == Span::millis(0) { ASSUMED_LIFETIME } else { stated };
        let shortest = [Some(stated), held, plan.policy.lifetime].into_iter().flatten().min();
        shortest.unwrap_or(stated).as_millis()
    }

    /// Whether all instances of the upstream can be called twice before this one's lease expires.
    fn is_feasible(&self, name: &InstanceName) -> bool {
        let plan = &self.configuration.plans[name];
        let (mut here, mut calls_here, mut calls_everywhere) = (0, 0.0, 0.0);
        for (other, its) in &self.configuration.plans {
            let earliest = earliest_of(its, self.life(other, its));
            let calls = 2.0 / earliest.max(its.policy.retry.floor).as_millis().max(1) as f64;
            calls_everywhere += calls;
            if its.upstream == plan.upstream {
                here += 1;
                calls_here += calls;
            }
        }
        let pace = pace(&self.configuration, &plan.upstream);
        let limit = self.configuration.calls.max(1);
        // Where several upstreams share the calls, each has this many at least, if it needs them.
        let upstreams: BTreeSet<_> = self.configuration.plans.values().map(|plan| &plan.upstream).collect();
        let share = if upstreams.len() > 1 { (limit / (upstreams.len() + 1)).max(1) } else { limit };
        let rounds = (self.configuration.plans.len() / share + 2) as u64;
        let wait = 2 * (here + 2) * pace + rounds * 2 * SLOWEST;
        let life = self.life(name, plan);
        let slack = life - plan.policy.ratio.apply(Span::millis(life)).as_millis();
        let bears = calls_here * pace as f64 <= 0.5 && calls_everywhere * SLOWEST as f64 <= 0.5 * share as f64;
        let bears = bears && self.waits.is_at_full_pace(plan, self.clocks.now().mono);
        let twice = Span::millis(2 * rates::gap(plan.policy.calls).as_millis());
        let rest = plan.policy.retry.floor.max(plan.policy.calls.interval).max(twice);
        // A renewal that gains nothing is followed by an obtain after the rest.
        bears && slack > wait + rest.as_millis() && life > rest.as_millis() + wait
    }
}

/// The earliest replacement of a lease with a lifetime of `life` milliseconds, counted from its obtain.
fn earliest_of(plan: &InstancePlan, life: u64) -> Span {
    plan.policy.jitter.complement().apply(plan.policy.ratio.apply(Span::millis(life)))
}
