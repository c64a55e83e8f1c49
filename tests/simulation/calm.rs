//! The faults end: everybody gets a live lease, and keeps it.

use std::collections::BTreeSet;

use deputy_core::schedule::{ASSUMED_LIFETIME, Doing, Event, Mode, Origin, Plan, Readiness};
use deputy_core::{InstanceName, Span};

use crate::budget::{pace, slowest_pace};
use crate::history::{Disk, History, Process, Weather};
use crate::service::{LONGEST_CALL, Mood, Told, file};

/// The longest delay that a failure leaves behind: an hour that a service asked for, and a tenth of jitter.
const LONGEST_DELAY: u64 = 3_960_000;

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
        (self.disk, self.clocks.drift) = (Disk::Good, 0);
        // With a clock that is ahead, every expiry lies in the past, and nobody gets a lease.
        self.clocks.correct();
        self.checks.excuse_all(&self.configuration);
        for instance in self.instances.values_mut() {
            (instance.mood, instance.told) = (Mood::Good, Told::Life);
        }
        while self.process == Process::Down {
            self.happen(u64::MAX);
        }
        self.tell(Event::Woke);
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
            self.tell(Event::Found(name, found));
        }
        let old: Vec<_> = self.running.keys().copied().collect();
        self.recover();
        while old.iter().any(|call| self.running.contains_key(call)) {
            self.happen(u64::MAX); // what hangs since before ends, too
        }
        self.settle();
    }

    /// Those who are to have a lease, of these.
    fn wanted(&self, which: impl Fn(&Plan) -> bool) -> Vec<InstanceName> {
        let used = |name: &InstanceName| self.instances[name].users > 0;
        let wanted =
            |(name, plan): &(&InstanceName, &Plan)| which(plan) && (plan.policy.mode == Mode::Always || used(name));
        self.configuration.plans.iter().filter(wanted).map(|(name, _)| name.clone()).collect()
    }

    /// Within a time that follows from the delays, the budgets and the limit, everybody had one at some time.
    fn recover(&mut self) {
        let mut missing = self.wanted(|_| true);
        let paces = self.configuration.plans.values().map(|plan| slowest_pace(&self.configuration, &plan.upstream));
        let slowest = paces.max();
        let many = self.configuration.plans.len() as u64;
        let queue = (many + 2) * (2 * slowest.unwrap_or_default() + LONGEST_CALL);
        let until = self.clocks.truth + LONGEST_DELAY + queue;
        loop {
            let now = self.clocks.now();
            let ready = |name: &InstanceName| {
                self.schedule.view(name, now).is_some_and(|view| view.readiness == Readiness::Ready)
            };
            missing.retain(|name| !ready(name));
            if missing.is_empty() {
                break;
            }
            let goes_on = self.happen(until) && self.step < MOST_EVENTS;
            assert!(goes_on, "the faults ended long ago, and these have no lease: {missing:?}");
        }
        self.counts.settled += 1;
    }

    /// Whose upstream bears it keeps a good lease from now on.
    fn settle(&mut self) {
        let now = self.clocks.now();
        let able: Vec<InstanceName> = self.wanted(|plan| plan.component.is_some());
        let holds = |name: &InstanceName| {
            let view = self.schedule.view(name, now).expect("it is configured");
            let obtained = view.lease.is_some_and(|lease| lease.origin == Origin::Component);
            obtained && view.doing == Doing::Holding && view.readiness == Readiness::Ready && view.failures == 0
        };
        let settled = able.into_iter().filter(|name| holds(name) && self.is_feasible(name)).collect();
        self.checks.settled = settled;
        self.counts.feasible += self.checks.settled.len() as u64;
        self.go_on(self.clocks.truth + 3_600_000, self.step + 40);
    }

    /// How long a lease of an instance lives by the clock on the wall, the one that is held and those to come.
    fn life(&self, name: &InstanceName, plan: &Plan) -> u64 {
        let held = self.published.get(name).map(|lease| lease.valid_until.since(lease.obtained_at));
        let (right, wall) = (self.clocks.right(), self.clocks.now().wall);
        let told = right.plus(Span::millis(self.instances[name].life)).since(wall);
        let told = if told == Span::millis(0) { ASSUMED_LIFETIME } else { told };
        let shortest = [Some(told), held, plan.policy.lifetime].into_iter().flatten().min();
        shortest.unwrap_or(told).as_millis()
    }

    /// Whether all who share the upstream can be called in time, twice over, and this one's lease lasts meanwhile.
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
        let slack = life - plan.policy.ratio.of(Span::millis(life)).as_millis();
        let bears = calls_here * pace as f64 <= 0.5 && calls_everywhere * SLOWEST as f64 <= 0.5 * share as f64;
        let bears = bears && self.waits.is_at_full_pace(plan, self.clocks.now().mono);
        let rest = plan.policy.retry.floor.max(plan.policy.calls.interval);
        bears && slack > wait && life > rest.as_millis() + wait
    }
}

/// How long after it was obtained a lease that lives so many milliseconds is replaced at the earliest.
fn earliest_of(plan: &Plan, life: u64) -> Span {
    plan.policy.jitter.rest().of(plan.policy.ratio.of(Span::millis(life)))
}
