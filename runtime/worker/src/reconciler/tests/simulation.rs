//! Whole histories from a seed: a coordinator that sends, takes back and is set back, receivers that fail and hang, hooks,
//! clocks that jump. What must hold is checked after each event; in the end all is calm, and everything is applied.

use fastrand::Rng;

use super::*;

const HISTORIES: u64 = 1000;
const STEPS: usize = 120;

struct History {
    dice: Rng,
    machine: Reconciler,
    plans: Arc<ReceiverPolicies>,
    held: DeliveredState,
    mono: u64,
    wall: u64,
    /// What runs: with which stamps.
    running: BTreeMap<RunId, (ReceiverName, RunInputs)>,
    /// The hooks that run: with what was published when they began.
    hooks: BTreeMap<ReceiverName, RunInputs>,
    /// What the disk has.
    disk: BTreeMap<ReceiverName, RunInputs>,
    /// Of which the workload was told.
    told: BTreeMap<ReceiverName, RunInputs>,
    /// What the coordinator knows.
    reports: BTreeMap<InstanceName, DeliveryReport>,
    revisions: u64,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    runs: u64,
    coalesced: u64,
    failures: u64,
    hooks: u64,
    untold: u64,
    given_up: u64,
    removals: u64,
    reports: u64,
}

const INSTANCES: [&str; 5] = ["a", "b", "c", "d", "e"];
const RECEIVERS: [&str; 4] = ["p", "q", "r", "s"];

impl History {
    fn new(seed: u64) -> Self {
        let mut dice = Rng::with_seed(seed);
        let mut plans = plans(Expired::Keep);
        for name in RECEIVERS {
            let expired = if dice.bool() { Expired::Keep } else { Expired::Remove };
            plans.receivers.insert(name.parse().unwrap(), plan(expired));
        }
        if dice.bool() {
            plans.bindings.insert("p".parse().unwrap(), any_binding(&mut dice));
        }
        let plans = Arc::new(plans);
        Self {
            machine: Reconciler::new(Arc::clone(&plans), seed),
            plans,
            held: DeliveredState::default(),
            mono: 0,
            wall: 1_000_000,
            running: BTreeMap::new(),
            hooks: BTreeMap::new(),
            disk: BTreeMap::new(),
            told: BTreeMap::new(),
            reports: BTreeMap::new(),
            revisions: 0,
            counts: Counts::default(),
            dice,
        }
    }

    fn now(&self) -> Now {
        Now { mono: MonotonicTime::from_millis(self.mono), wall: Timestamp::from_millis(self.wall) }
    }

    fn tell(&mut self, event: ReconcilerEvent) {
        self.machine.handle(self.now(), event);
        while let Some(action) = self.machine.next_action() {
            match action {
                ReconcilerAction::Run(run) => self.begin(run),
                ReconcilerAction::Hook(receiver, _) => {
                    let now = self.disk.get(&receiver).cloned().unwrap_or_else(nothing);
                    assert!(self.hooks.insert(receiver.clone(), now).is_none(), "two hooks of {receiver} at once");
                    self.counts.hooks += 1;
                }
                ReconcilerAction::Report(report) => self.hear(report),
                ReconcilerAction::Forget(receiver) => {
                    assert!(!self.disk.contains_key(&receiver), "{receiver} went and left something");
                    self.counts.removals += 1;
                }
                ReconcilerAction::Notice(WorkerEvent::NotTold(receiver, failures)) => {
                    assert!(failures >= 10, "{receiver} is given up after {failures} tries");
                    let is_alive = |inputs: &RunInputs| inputs.stamps.keys().any(|it| self.is_alive(it, inputs));
                    assert!(!self.disk.get(&receiver).is_some_and(is_alive), "{receiver} has a lease that is valid");
                    self.told.remove(&receiver);
                    self.counts.given_up += 1;
                }
                ReconcilerAction::Notice(_) => {}
            }
        }
        let wake = self.machine.wake_at(self.now());
        assert!(wake.is_none_or(|at| at.as_millis() > self.mono), "it would go round for ever: {wake:?}");
    }

    /// Whether what is published of an instance is held and valid.
    fn is_alive(&self, instance: &InstanceName, inputs: &RunInputs) -> bool {
        let held = self.held.deliveries.get(instance).filter(|held| inputs.stamps.get(instance) == Some(&held.stamp));
        held.is_some_and(|held| held.is_valid(self.now().wall))
    }

    fn begin(&mut self, run: ReceiverRun) {
        let busy = self.running.values().any(|(receiver, _)| *receiver == run.receiver);
        assert!(!busy, "two runs of {} at once", run.receiver);
        let inputs = match run.work {
            Some((binding, deliveries)) => {
                for delivery in &deliveries {
                    let newest = &self.held.deliveries[&delivery.instance];
                    assert_eq!(newest.stamp, delivery.stamp, "the newest is what a run begins with");
                    assert!(binding.instances.contains(&delivery.instance));
                    let removes = self.plans.plan(&run.receiver).expired == Expired::Remove;
                    assert!(!removes || delivery.is_valid(self.now().wall), "it has ended");
                }
                let stamps = deliveries.iter().map(|delivery| (delivery.instance.clone(), delivery.stamp)).collect();
                RunInputs { binding: Some(binding), stamps }
            }
            None => nothing(),
        };
        self.running.insert(run.number, (run.receiver, inputs));
        self.counts.runs += 1;
    }

    /// What is reported must be so.
    fn hear(&mut self, report: DeliveryReport) {
        self.counts.reports += 1;
        let held = &self.held.deliveries[&report.instance];
        assert_eq!(held.stamp, report.stamp);
        if report.result.is_ok() {
            for (name, binding) in self.bound() {
                let has =
                    self.disk.get(&name).and_then(|disk| disk.stamps.get(&report.instance)) == Some(&report.stamp);
                let was = self.reports.get(&report.instance).is_some_and(|before| *before == report);
                let ended = !held.is_valid(self.now().wall);
                let bound = binding.instances.contains(&report.instance);
                assert!(!bound || has || (was && ended), "{report:?} and {name} does not have it");
            }
        }
        self.reports.insert(report.instance.clone(), report);
    }

    /// Who should run on what.
    fn bound(&self) -> BTreeMap<ReceiverName, ReceiverBinding> {
        let mut bound: BTreeMap<_, _> = self
            .machine
            .slots
            .iter()
            .filter_map(|(name, slot)| Some((name.clone(), slot.binding.as_deref()?.clone())))
            .collect();
        if self.held.complete {
            let mut expected = self.held.receivers.clone();
            expected.extend(self.plans.bindings.clone());
            assert_eq!(bound, expected);
            bound = expected;
        }
        bound
    }

    fn end_run(&mut self, number: RunId, calm: bool) {
        let (receiver, inputs) = self.running.remove(&number).unwrap();
        if !calm && self.dice.u8(..3) == 0 {
            self.counts.failures += 1;
            let kind = FailureKind::ALL[self.dice.usize(..FailureKind::ALL.len())];
            return self.tell(ReconcilerEvent::Ran(number, failure(kind)));
        }
        let is_same = self.disk.get(&receiver).map(|disk| &disk.stamps) == Some(&inputs.stamps)
            || (inputs.stamps.is_empty() && !self.disk.contains_key(&receiver));
        let switch = if is_same { PublishOutcome::NotNeeded } else { PublishOutcome::Done };
        let mut published = published(self.counts.runs, switch);
        if inputs.stamps.is_empty() {
            published.unit = None;
            self.disk.remove(&receiver);
        } else {
            self.disk.insert(receiver.clone(), inputs);
        }
        self.tell(ReconcilerEvent::Ran(number, RunOutcome::Applied { published, refused: BTreeMap::new() }));
    }

    fn step(&mut self) {
        match self.dice.u8(..16) {
            0..=4 => {
                let name = INSTANCES[self.dice.usize(..5)];
                let age = self.dice.u64(..LIFE * 5 / 4);
                self.revisions += 1;
                let revision = if self.dice.u8(..10) == 0 { self.dice.u64(..5) } else { self.revisions };
                let coming = delivery(name, revision, self.wall.saturating_sub(age));
                if self.running.values().any(|(_, inputs)| inputs.stamps.contains_key(&coming.instance)) {
                    self.counts.coalesced += 1;
                }
                self.held.deliveries.insert(coming.instance.clone(), coming);
                self.send();
            }
            5 => {
                let name = INSTANCES[self.dice.usize(..5)].parse().unwrap();
                self.held.deliveries.remove(&name);
                self.reports.remove(&name);
                self.send();
            }
            6 => {
                let name: ReceiverName = RECEIVERS[self.dice.usize(..4)].parse().unwrap();
                if self.dice.bool() {
                    let binding = any_binding(&mut self.dice);
                    self.held.receivers.insert(name, binding);
                } else {
                    self.held.receivers.remove(&name);
                }
                self.send();
            }
            7 => {
                self.held.complete = self.dice.u8(..4) != 0;
                self.send();
            }
            8..=11 => {
                let any = self.running.keys().nth(self.dice.usize(..4)).copied();
                any.into_iter().for_each(|number| self.end_run(number, false));
            }
            12 => {
                let any = self.hooks.keys().nth(self.dice.usize(..2)).cloned();
                let succeeds = self.dice.u8(..4) == 0;
                any.into_iter().for_each(|receiver| self.end_hook(receiver, succeeds));
            }
            13 => {
                // A clock is set.
                self.wall = (self.wall + self.dice.u64(..LIFE)).saturating_sub(self.dice.u64(..LIFE)).max(1);
                self.tell(ReconcilerEvent::Woke);
            }
            _ => {
                let wake = self.machine.wake_at(self.now()).map_or(1000, |at| at.as_millis() - self.mono);
                let millis = if self.dice.bool() { wake } else { self.dice.u64(..5000) };
                self.pass(millis);
            }
        }
    }

    fn send(&mut self) {
        self.tell(ReconcilerEvent::Held(Arc::new(self.held.clone())));
    }

    fn pass(&mut self, millis: u64) {
        (self.mono, self.wall) = (self.mono + millis, self.wall + millis);
        self.tell(ReconcilerEvent::Woke);
    }

    fn end_hook(&mut self, receiver: ReceiverName, succeeds: bool) {
        let inputs = self.hooks.remove(&receiver).unwrap();
        let result = if succeeds { Ok(()) } else { Err("it failed".to_owned()) };
        if result.is_ok() {
            self.told.insert(receiver.clone(), inputs);
        } else {
            self.counts.untold += 1;
        }
        self.tell(ReconcilerEvent::Told(receiver, result));
    }

    /// All that is there is sent, nothing fails any more but one receiver, which hangs, and the hook of one.
    fn calm(&mut self) {
        self.held.complete = true;
        self.send();
        let hanging =
            self.running.iter().next().filter(|_| self.dice.bool()).map(|(number, (name, _))| (*number, name.clone()));
        let untold = (self.dice.u8(..8) == 0).then(|| RECEIVERS[0].parse::<ReceiverName>().unwrap());
        for _ in 0..200 {
            while let Some(number) =
                self.running.keys().copied().find(|number| hanging.as_ref().is_none_or(|(it, _)| it != number))
            {
                self.end_run(number, true);
            }
            while let Some(receiver) = self.hooks.keys().next().cloned() {
                self.end_hook(receiver.clone(), untold.as_ref() != Some(&receiver));
            }
            let waits = |view: ReceiverSnapshot<'_>| view.failures > 0 || view.retelling.is_some();
            let retrying = self.machine.receivers(self.now()).any(waits);
            if !retrying && self.running.len() == usize::from(hanging.is_some()) {
                break;
            }
            let wake = self.machine.wake_at(self.now()).map_or(1000, |at| at.as_millis() - self.mono);
            self.pass(wake);
        }
        let hangs = |name: &ReceiverName| hanging.as_ref().is_some_and(|(_, it)| it == name);
        let bound = self.bound();
        for (name, binding) in &bound {
            let removes = self.plans.plan(name).expired == Expired::Remove;
            let current = self.held.deliveries.values().filter(|it| binding.instances.contains(&it.instance));
            let current = current.filter(|it| !removes || it.is_valid(self.now().wall));
            let stamps: BTreeMap<_, _> = current.map(|it| (it.instance.clone(), it.stamp)).collect();
            if !hangs(name) {
                assert_eq!(self.disk.get(name).map(|disk| disk.stamps.clone()).unwrap_or_default(), stamps, "{name}");
                if let Some(told) = self.told.get(name) {
                    assert_eq!(told.stamps, stamps, "the workload of {name} was not told of the last switch");
                }
            }
        }
        assert!(self.disk.keys().all(|name| bound.contains_key(name) || hangs(name)), "{:?} of {bound:?}", self.disk);
        for (name, delivery) in &self.held.deliveries {
            let waits = bound.iter().any(|(receiver, binding)| hangs(receiver) && binding.instances.contains(name));
            let report = self.reports.get(name).filter(|report| report.stamp == delivery.stamp);
            assert!(waits || report.is_some(), "nobody was told of {name}");
            let removed = bound.iter().any(|(receiver, binding)| {
                binding.instances.contains(name) && self.plans.plan(receiver).expired == Expired::Remove
            });
            let ended = removed && !delivery.is_valid(self.now().wall);
            assert!(waits || ended || report.is_some_and(|report| report.result.is_ok()), "{report:?}");
        }
    }
}

fn nothing() -> RunInputs {
    RunInputs { binding: None, stamps: BTreeMap::new() }
}

fn any_binding(dice: &mut Rng) -> ReceiverBinding {
    let instances: Vec<&str> = INSTANCES.into_iter().filter(|_| dice.u8(..3) == 0).collect();
    binding(dice.u8(..2), &instances)
}

#[test]
fn whatever_happens_runs_do_not_overlap_the_newest_wins_and_nothing_is_reported_that_is_not_so() {
    let mut total = Counts::default();
    for seed in 0..HISTORIES {
        let run = std::panic::catch_unwind(|| {
            let mut history = History::new(seed);
            for _ in 0..STEPS {
                history.step();
            }
            history.calm();
            history.counts
        });
        let counts = run.unwrap_or_else(|_| panic!("history {seed} broke"));
        total.runs += counts.runs;
        total.coalesced += counts.coalesced;
        total.failures += counts.failures;
        total.hooks += counts.hooks;
        total.untold += counts.untold;
        total.given_up += counts.given_up;
        total.removals += counts.removals;
        total.reports += counts.reports;
    }
    // A run in which nothing happens shows nothing.
    let Counts { runs, coalesced, failures, hooks, untold, given_up, removals, reports } = total;
    let all = [runs / 8, coalesced / 5, failures / 2, hooks / 4, untold / 2, given_up * 50, removals * 2, reports / 20];
    assert!(all.iter().all(|count| *count >= HISTORIES), "{total:?}");
}
