//! Random histories from a seed: a coordinator that delivers, withdraws and is restored from a backup, receivers that fail,
//! reject leases and hang, hooks, clocks that jump. Invariants are checked after each event. At the end faults stop, and everything is applied.

use fastrand::Rng;

use super::*;
use crate::reconciler::receiver_state::RunInputs;

const SIMULATIONS: u64 = 1000;
const STEPS: usize = 120;

struct Simulation {
    rng: Rng,
    reconciler: Reconciler,
    policies: Arc<ReceiverPolicies>,
    held: DeliveredState,
    mono: u64,
    wall: u64,
    /// The runs in progress.
    running: BTreeMap<RunId, (ReceiverName, RunInputs)>,
    /// The hooks in progress, with what was published when they began.
    hooks: BTreeMap<ReceiverName, Leases>,
    /// What is published.
    disk: BTreeMap<ReceiverName, Leases>,
    /// What was published when a hook last succeeded.
    notified: BTreeMap<ReceiverName, Leases>,
    /// What each receiver applied last of each instance that is delivered to it.
    applied: BTreeMap<ReceiverName, Leases>,
    /// The leases that all receivers reject.
    bad: BTreeSet<(InstanceName, Revision)>,
    /// The inputs with which a component failed without asking for a delay, and which have not changed since.
    stuck: BTreeMap<ReceiverName, RunInputs>,
    /// What the coordinator was sent.
    reports: BTreeMap<InstanceName, DeliveryReport>,
    revisions: u64,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    runs: u64,
    coalesced: u64,
    failures: u64,
    stuck: u64,
    rejections: u64,
    fallbacks: u64,
    hooks: u64,
    failed_hooks: u64,
    abandoned: u64,
    removals: u64,
    reports: u64,
}

type Leases = BTreeMap<InstanceName, AppliedLease>;

const INSTANCES: [&str; 5] = ["a", "b", "c", "d", "e"];
const RECEIVERS: [&str; 4] = ["p", "q", "r", "s"];

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut policies = policies(Expired::Keep);
        for name in RECEIVERS {
            let expired = if rng.bool() { Expired::Keep } else { Expired::Remove };
            policies.receivers.insert(name.parse().unwrap(), policy(expired));
        }
        if rng.bool() {
            policies.bindings.insert("p".parse().unwrap(), any_binding(&mut rng));
        }
        let policies = Arc::new(policies);
        Self {
            reconciler: Reconciler::new(Arc::clone(&policies), seed),
            policies,
            held: DeliveredState::default(),
            mono: 0,
            wall: 1_000_000,
            running: BTreeMap::new(),
            hooks: BTreeMap::new(),
            disk: BTreeMap::new(),
            notified: BTreeMap::new(),
            applied: BTreeMap::new(),
            bad: BTreeSet::new(),
            stuck: BTreeMap::new(),
            reports: BTreeMap::new(),
            revisions: 0,
            counts: Counts::default(),
            rng,
        }
    }

    fn now(&self) -> Now {
        Now { mono: MonotonicTime::from_millis(self.mono), wall: Timestamp::from_millis(self.wall) }
    }

    fn handle(&mut self, event: ReconcilerEvent) {
        self.reconciler.handle(self.now(), event);
        while let Some(action) = self.reconciler.next_action() {
            match action {
                ReconcilerAction::RunReceiver(run) => self.begin_run(run),
                ReconcilerAction::RunHook(receiver, _) => {
                    let now = self.disk.get(&receiver).cloned().unwrap_or_default();
                    assert!(self.hooks.insert(receiver.clone(), now).is_none(), "two hooks of {receiver} at once");
                    self.counts.hooks += 1;
                }
                ReconcilerAction::Report(report) => self.receive_report(report),
                ReconcilerAction::DropReceiver(receiver) => {
                    assert!(!self.disk.contains_key(&receiver), "{receiver} was dropped with a unit");
                    self.counts.removals += 1;
                }
                ReconcilerAction::Log(WorkerEvent::HookAbandoned(receiver, failures)) => {
                    assert!(failures >= 10, "the hook of {receiver} is abandoned after {failures} tries");
                    let now = self.now().wall;
                    let has_valid = |leases: &Leases| leases.values().any(|lease| now < lease.valid_until);
                    assert!(!self.disk.get(&receiver).is_some_and(has_valid), "{receiver} has a lease that is valid");
                    self.notified.remove(&receiver);
                    self.counts.abandoned += 1;
                }
                ReconcilerAction::Log(_) => {}
            }
        }
        let wake = self.reconciler.wake_at(self.now());
        assert!(wake.is_none_or(|at| at.as_millis() > self.mono), "it would loop for ever: {wake:?}");
    }

    fn begin_run(&mut self, run: ReceiverRun) {
        let busy = self.running.values().any(|(receiver, _)| *receiver == run.receiver);
        assert!(!busy, "two runs of {} at once", run.receiver);
        let inputs = match run.work {
            RunWork::Accept(binding, deliveries) => {
                for delivery in &deliveries {
                    let newest = &self.held.deliveries[&delivery.instance];
                    assert_eq!(newest.stamp, delivery.stamp, "a run begins with the newest");
                    assert!(binding.instances.contains(&delivery.instance));
                    let removes = self.policies.policy(&run.receiver).expired == Expired::Remove;
                    assert!(!removes || delivery.is_valid(self.now().wall), "it has expired");
                }
                let versions = deliveries.iter().map(|delivery| (delivery.instance.clone(), delivery.stamp)).collect();
                RunInputs { binding: Some(binding), versions }
            }
            RunWork::Withdraw => nothing(),
        };
        assert_ne!(self.stuck.get(&run.receiver), Some(&inputs), "{} would fail again", run.receiver);
        self.running.insert(run.id, (run.receiver, inputs));
        self.counts.runs += 1;
    }

    /// A report must be true.
    fn receive_report(&mut self, report: DeliveryReport) {
        self.counts.reports += 1;
        let held = &self.held.deliveries[&report.instance];
        assert_eq!(held.stamp, report.stamp);
        if report.result.is_ok() {
            for (name, binding) in self.bound() {
                let published = self.disk.get(&name).and_then(|disk| disk.get(&report.instance));
                let has = published.is_some_and(|lease| lease.version == report.stamp);
                let was = self.reports.get(&report.instance).is_some_and(|before| *before == report);
                let ended = !held.is_valid(self.now().wall);
                let bound = binding.instances.contains(&report.instance);
                assert!(!bound || has || (was && ended), "{report:?} and {name} does not have it");
            }
        }
        self.reports.insert(report.instance.clone(), report);
    }

    /// The expected bindings.
    fn bound(&self) -> BTreeMap<ReceiverName, ReceiverBinding> {
        let mut bound: BTreeMap<_, _> = self
            .reconciler
            .receivers
            .iter()
            .filter_map(|(name, receiver)| Some((name.clone(), ReceiverBinding::clone(receiver.binding()?))))
            .collect();
        if self.held.complete {
            let mut expected = self.held.receivers.clone();
            expected.extend(self.policies.bindings.clone());
            assert_eq!(bound, expected);
            bound = expected;
        }
        bound
    }

    fn finish_run(&mut self, id: RunId, succeeds: bool) {
        let (receiver, inputs) = self.running.remove(&id).unwrap();
        if !succeeds && self.rng.u8(..3) == 0 {
            self.counts.failures += 1;
            let outcome = self.fail(&receiver, inputs);
            return self.handle(ReconcilerEvent::RunFinished(id, outcome));
        }
        let (leases, rejected) = self.accept(&receiver, &inputs);
        let is_same = self.disk.get(&receiver).map_or(leases.is_empty(), |disk| *disk == leases);
        let switch = if is_same { PublishOutcome::NotNeeded } else { PublishOutcome::Done };
        let mut unit = published(self.counts.runs, switch);
        if leases.is_empty() {
            unit.unit = None;
            self.disk.remove(&receiver);
        } else {
            self.disk.insert(receiver, leases.clone());
        }
        let run = PublishedRun { unit, applied: leases, rejected, facts: Vec::new() };
        self.handle(ReconcilerEvent::RunFinished(id, RunOutcome::Published(run)));
    }

    fn fail(&mut self, receiver: &ReceiverName, inputs: RunInputs) -> RunOutcome {
        let kind = FailureKind::ALL[self.rng.usize(..FailureKind::ALL.len())];
        match self.rng.u8(..4) {
            // Only a component that is called can fail itself.
            0 if !inputs.versions.is_empty() => {
                self.counts.stuck += 1;
                // What changed during the run is what the next one begins with.
                if inputs.versions.iter().all(|(name, version)| self.newest(name) == Some(*version)) {
                    self.stuck.insert(receiver.clone(), inputs);
                }
                own_failure(kind, None)
            }
            1 if !inputs.versions.is_empty() => own_failure(kind, Some(Span::millis(self.rng.u64(..20_000)))),
            _ => failure(kind),
        }
    }

    fn newest(&self, instance: &InstanceName) -> Option<LeaseVersion> {
        self.held.deliveries.get(instance).map(|held| held.stamp)
    }

    /// What a receiver applies of these inputs, as a runner has it: bad leases are replaced.
    fn accept(&mut self, receiver: &ReceiverName, inputs: &RunInputs) -> (Leases, Rejections) {
        let now = self.now().wall;
        let last = self.applied.entry(receiver.clone()).or_default();
        last.retain(|instance, _| inputs.versions.contains_key(instance));
        let (mut leases, mut rejected) = (Leases::new(), Rejections::new());
        for (instance, version) in &inputs.versions {
            let lease = AppliedLease { version: *version, valid_until: version.obtained_at.plus(Span::millis(LIFE)) };
            if !self.bad.contains(&(instance.clone(), version.revision)) {
                leases.insert(instance.clone(), lease);
                continue;
            }
            let fallback = last.get(instance).filter(|last| last.version != *version);
            let fallback = fallback.map(|lease| FallbackLease { lease: *lease, is_applied: now < lease.valid_until });
            let used = fallback.filter(|fallback| fallback.is_applied);
            leases.extend(used.map(|fallback| (instance.clone(), fallback.lease)));
            rejected.insert(instance.clone(), Rejection { fallback, ..rejection("bad") });
            self.counts.rejections += 1;
            self.counts.fallbacks += u64::from(used.is_some());
        }
        last.extend(leases.iter().map(|(instance, lease)| (instance.clone(), *lease)));
        (leases, rejected)
    }

    fn step(&mut self) {
        match self.rng.u8(..16) {
            0..=4 => {
                let name = INSTANCES[self.rng.usize(..5)];
                let age = self.rng.u64(..LIFE * 5 / 4);
                self.revisions += 1;
                let revision = if self.rng.u8(..10) == 0 { self.rng.u64(..5) } else { self.revisions };
                let coming = delivery(name, revision, self.wall.saturating_sub(age));
                if self.rng.u8(..5) == 0 {
                    self.bad.insert((coming.instance.clone(), coming.stamp.revision));
                }
                if self.running.values().any(|(_, inputs)| inputs.versions.contains_key(&coming.instance)) {
                    self.counts.coalesced += 1;
                }
                self.held.deliveries.insert(coming.instance.clone(), coming);
                self.send_state();
            }
            5 => {
                let name = INSTANCES[self.rng.usize(..5)].parse().unwrap();
                self.held.deliveries.remove(&name);
                self.reports.remove(&name);
                self.send_state();
            }
            6 => {
                let name: ReceiverName = RECEIVERS[self.rng.usize(..4)].parse().unwrap();
                if self.rng.bool() {
                    let binding = any_binding(&mut self.rng);
                    self.held.receivers.insert(name, binding);
                } else {
                    self.held.receivers.remove(&name);
                }
                self.send_state();
            }
            7 => {
                self.held.complete = self.rng.u8(..4) != 0;
                self.send_state();
            }
            8..=11 => {
                let any = self.running.keys().nth(self.rng.usize(..4)).copied();
                any.into_iter().for_each(|number| self.finish_run(number, false));
            }
            12 => {
                let any = self.hooks.keys().nth(self.rng.usize(..2)).cloned();
                let succeeds = self.rng.u8(..4) == 0;
                any.into_iter().for_each(|receiver| self.finish_hook(receiver, succeeds));
            }
            13 => {
                // The wall clock is set, and what had expired may be valid again.
                self.stuck.clear();
                self.wall = (self.wall + self.rng.u64(..LIFE)).saturating_sub(self.rng.u64(..LIFE)).max(1);
                self.handle(ReconcilerEvent::TimerFired);
            }
            _ => {
                let wake = self.reconciler.wake_at(self.now()).map_or(1000, |at| at.as_millis() - self.mono);
                let millis = if self.rng.bool() { wake } else { self.rng.u64(..5000) };
                self.advance(millis);
            }
        }
    }

    fn send_state(&mut self) {
        self.stuck.clear();
        self.handle(ReconcilerEvent::StateChanged(Arc::new(self.held.clone())));
    }

    fn advance(&mut self, millis: u64) {
        self.mono += millis;
        self.wall += millis;
        self.handle(ReconcilerEvent::TimerFired);
    }

    fn finish_hook(&mut self, receiver: ReceiverName, succeeds: bool) {
        let inputs = self.hooks.remove(&receiver).unwrap();
        let result = if succeeds { Ok(()) } else { Err("it failed".to_owned()) };
        if result.is_ok() {
            self.notified.insert(receiver.clone(), inputs);
        } else {
            self.counts.failed_hooks += 1;
        }
        self.handle(ReconcilerEvent::HookFinished(receiver, result));
    }

    /// Completes the snapshot, sends new leases, and ends the faults, except for one receiver that hangs, one hook that
    /// fails, and bad leases.
    fn recover(&mut self) {
        self.held.complete = true;
        for held in self.held.deliveries.values_mut() {
            let was_bad = self.bad.contains(&(held.instance.clone(), held.stamp.revision));
            self.revisions += 1;
            held.stamp.revision = Revision(self.revisions);
            if was_bad {
                self.bad.insert((held.instance.clone(), held.stamp.revision));
            }
        }
        self.send_state();
        let hanging =
            self.running.iter().next().filter(|_| self.rng.bool()).map(|(number, (name, _))| (*number, name.clone()));
        let failing_hook = (self.rng.u8(..8) == 0).then(|| RECEIVERS[0].parse::<ReceiverName>().unwrap());
        for _ in 0..200 {
            while let Some(number) =
                self.running.keys().copied().find(|number| hanging.as_ref().is_none_or(|(it, _)| it != number))
            {
                self.finish_run(number, true);
            }
            while let Some(receiver) = self.hooks.keys().next().cloned() {
                self.finish_hook(receiver.clone(), failing_hook.as_ref() != Some(&receiver));
            }
            let retrying = self
                .reconciler
                .receivers(self.now())
                .any(|receiver| receiver.failures > 0 || receiver.hook.retry.is_some());
            if !retrying && self.running.len() == usize::from(hanging.is_some()) {
                break;
            }
            let wake = self.reconciler.wake_at(self.now()).map_or(1000, |at| at.as_millis() - self.mono);
            self.advance(wake);
        }
        let hangs = |name: &ReceiverName| hanging.as_ref().is_some_and(|(_, it)| it == name);
        let bound = self.bound();
        for (name, binding) in &bound {
            let removes = self.policies.policy(name).expired == Expired::Remove;
            let current = self.held.deliveries.values().filter(|it| binding.instances.contains(&it.instance));
            let current = current.filter(|it| !removes || it.is_valid(self.now().wall));
            let versions: BTreeMap<_, _> = current.filter_map(|it| self.expected(name, it)).collect();
            if !hangs(name) {
                assert_eq!(versions_of(self.disk.get(name)), versions, "{name}");
                if let Some(notified) = self.notified.get(name) {
                    let notified = versions_of(Some(notified));
                    assert_eq!(notified, versions, "the hook of {name} did not run for the last unit");
                }
            }
        }
        assert!(self.disk.keys().all(|name| bound.contains_key(name) || hangs(name)), "{:?} of {bound:?}", self.disk);
        for (name, delivery) in &self.held.deliveries {
            let waits = bound.iter().any(|(receiver, binding)| hangs(receiver) && binding.instances.contains(name));
            let report = self.reports.get(name).filter(|report| report.stamp == delivery.stamp);
            assert!(waits || report.is_some(), "{name} was not reported");
            let is_removed = bound.iter().any(|(receiver, binding)| {
                binding.instances.contains(name) && self.policies.policy(receiver).expired == Expired::Remove
            });
            let ended = is_removed && !delivery.is_valid(self.now().wall);
            let is_bound = bound.values().any(|binding| binding.instances.contains(name));
            let is_good = !is_bound || !self.bad.contains(&(name.clone(), delivery.stamp.revision));
            assert!(waits || ended || report.is_some_and(|report| report.result.is_ok() == is_good), "{report:?}");
        }
    }

    /// The lease of an instance that a receiver should have in the end: what it applied last if the newest is bad.
    fn expected(&self, receiver: &ReceiverName, newest: &Delivery) -> Option<(InstanceName, LeaseVersion)> {
        let instance = newest.instance.clone();
        if !self.bad.contains(&(instance.clone(), newest.stamp.revision)) {
            return Some((instance, newest.stamp));
        }
        let last = self.applied.get(receiver)?.get(&instance)?;
        (self.now().wall < last.valid_until).then_some((instance, last.version))
    }
}

fn versions_of(leases: Option<&Leases>) -> BTreeMap<InstanceName, LeaseVersion> {
    leases.into_iter().flatten().map(|(instance, lease)| (instance.clone(), lease.version)).collect()
}

fn nothing() -> RunInputs {
    RunInputs { binding: None, versions: BTreeMap::new() }
}

fn any_binding(rng: &mut Rng) -> ReceiverBinding {
    let instances: Vec<&str> = INSTANCES.into_iter().filter(|_| rng.u8(..3) == 0).collect();
    binding(rng.u8(..2), &instances)
}

#[test]
fn simulation_of_random_histories_keeps_the_invariants() {
    let mut total = Counts::default();
    for seed in 0..SIMULATIONS {
        let run = std::panic::catch_unwind(|| {
            let mut simulation = Simulation::new(seed);
            for _ in 0..STEPS {
                simulation.step();
            }
            simulation.recover();
            simulation.counts
        });
        let counts = run.unwrap_or_else(|_| panic!("simulation {seed} failed"));
        total.runs += counts.runs;
        total.coalesced += counts.coalesced;
        total.failures += counts.failures;
        total.stuck += counts.stuck;
        total.rejections += counts.rejections;
        total.fallbacks += counts.fallbacks;
        total.hooks += counts.hooks;
        total.failed_hooks += counts.failed_hooks;
        total.abandoned += counts.abandoned;
        total.removals += counts.removals;
        total.reports += counts.reports;
    }
    // A simulation in which nothing happens tests nothing.
    let Counts { failures, stuck, rejections, fallbacks, hooks, failed_hooks, abandoned, removals, .. } = total;
    let Counts { runs, coalesced, reports, .. } = total;
    let all = [
        runs / 8,
        coalesced / 5,
        failures / 2,
        stuck * 2,
        rejections / 2,
        fallbacks * 4,
        hooks / 4,
        failed_hooks / 2,
        abandoned * 50,
        removals * 2,
        reports / 20,
    ];
    assert!(all.iter().all(|count| *count >= SIMULATIONS), "{total:?}");
}
