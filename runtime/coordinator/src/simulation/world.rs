//! One history: what happens when, to machines, etcd, the service and workers.

use std::collections::BTreeMap;
use std::sync::Arc;

use deputy_core::retry::RetryPolicy;
use deputy_core::schedule::{Budget, ConfigFingerprint, InstancePlan, Policy, RevocationPolicy, Switch, UpstreamName};
use deputy_core::schedule::{CallRate, OptionalExports, ScheduleConfig, ScheduleEvent};
use deputy_core::{InstanceName, Span};
use deputy_store::{EtcdRequests, MasterKey, StoreKey};
use fastrand::Rng;

use super::checks::Checks;
use super::counts::Counts;
use super::etcd::{Etcd, EtcdCall};
use super::machine::{Machine, MachineEvent};
use super::service::CallInFlight;
use super::workers::{SimulatedWorker, WorkerNews};
use crate::coordinator::LOCK;

/// For how long there are faults, in milliseconds.
pub(super) const FAULTS: u64 = 60_000;

/// After this time without faults, all is well.
const CALM: u64 = 40_000;

pub(super) struct SimulatedWorld {
    pub(super) dice: Rng,
    pub(super) truth: u64,
    queue: BTreeMap<(u64, u64), WorldEvent>,
    serial: u64,
    pub(super) machines: Vec<Machine>,
    pub(super) workers: Vec<SimulatedWorker>,
    pub(super) etcd: Etcd,
    pub(super) etcd_is_down_until: Option<u64>,
    pub(super) service_fails_until: u64,
    pub(super) requests: Arc<EtcdRequests>,
    pub(super) lock: StoreKey,
    /// What the lock is called in etcd.
    pub(super) lock_key: Vec<u8>,
    pub(super) configuration: ScheduleConfig,
    /// How long the service's tokens live.
    pub(super) lives: BTreeMap<InstanceName, u64>,
    pub(super) checks: Checks,
    pub(super) counts: Counts,
    pub(super) log: HistoryLog,
}

pub(super) enum WorldEvent {
    /// For a process on a machine, not before its clock for delays shows this.
    Machine(usize, u64, u64, MachineEvent),
    Etcd {
        machine: usize,
        process: u64,
        number: u64,
        attempt: u32,
        call: EtcdCall,
    },
    Service(CallInFlight),
    SimulatedWorker(usize, WorkerNews),
    Start(usize),
    Resume(usize),
    Heal(usize),
    Fault,
}

/// Where what happens is written.
pub(super) enum HistoryLog {
    None,
    Kept(Vec<String>),
    Printed,
}

impl SimulatedWorld {
    pub(super) fn new(seed: u64, log: HistoryLog) -> Self {
        let mut dice = Rng::with_seed(seed);
        let master = MasterKey::parse(&std::array::from_fn::<u8, 32, _>(|at| at as u8)).unwrap();
        #[expect(clippy::disallowed_methods, reason = "seals need some; nothing depends on which")]
        let random = Arc::new(aws_lc_rs::rand::SystemRandom::new());
        let requests = Arc::new(EtcdRequests::new("deputy/".parse().unwrap(), master, random));
        let lock: StoreKey = LOCK.parse().unwrap();
        let configuration = configuration(&mut dice);
        let lives = configuration.plans.keys().map(|name| (name.clone(), millis(&mut dice, 10_000, 40_000))).collect();
        let machines = (0..dice.usize(2..=3)).map(|_| Machine::new(&requests, &mut dice)).collect();
        Self {
            truth: 1000,
            queue: BTreeMap::new(),
            serial: 0,
            machines,
            workers: (0..4).map(|_| SimulatedWorker::default()).collect(),
            etcd: Etcd::new(),
            etcd_is_down_until: None,
            service_fails_until: 0,
            lock_key: requests.holder(&lock).key,
            requests,
            lock,
            checks: Checks::new(&configuration),
            configuration,
            lives,
            counts: Counts::default(),
            log,
            dice,
        }
    }

    pub(super) fn run(&mut self) -> Counts {
        for machine in 0..self.machines.len() {
            let at = self.truth + self.dice.u64(..2000);
            self.at(at, WorldEvent::Start(machine));
        }
        for worker in 0..self.workers.len() {
            let at = self.truth + self.dice.u64(..2000);
            self.at(at, WorldEvent::SimulatedWorker(worker, WorkerNews::Connect));
        }
        self.at(self.truth + 5000, WorldEvent::Fault);
        while let Some(((at, _), event)) = self.queue.pop_first() {
            if at > FAULTS + CALM {
                break;
            }
            self.truth = at;
            self.counts.events += 1;
            self.happen(event);
        }
        self.check_calm();
        self.counts.clone()
    }

    pub(super) fn is_faulty(&self) -> bool {
        self.truth < FAULTS
    }

    fn happen(&mut self, event: WorldEvent) {
        match event {
            WorldEvent::Machine(machine, process, due, event) => self.machine_event(machine, process, due, event),
            WorldEvent::Etcd { machine, process, number, attempt, call } => {
                self.reach_etcd((machine, process), number, attempt, call);
            }
            WorldEvent::Service(call) => self.reach_service(call),
            WorldEvent::SimulatedWorker(worker, event) => self.worker_event(worker, event),
            WorldEvent::Start(machine) => self.start(machine),
            WorldEvent::Resume(machine) => self.resume(machine),
            WorldEvent::Heal(machine) => self.heal(machine),
            WorldEvent::Fault => {
                if self.is_faulty() {
                    self.fault();
                    let gap = millis(&mut self.dice, 50, 6000);
                    self.at(self.truth + gap, WorldEvent::Fault);
                } else {
                    self.end_faults();
                }
            }
        }
    }

    fn machine_event(&mut self, machine: usize, process: u64, due: u64, event: MachineEvent) {
        let it = &mut self.machines[machine];
        if it.number != process {
            return;
        }
        if it.paused.is_some() {
            it.backlog.push((due, event));
            return;
        }
        if it.clock.mono(self.truth) < due {
            let at = it.clock.truth_at(due);
            self.at(at, WorldEvent::Machine(machine, process, due, event));
            return;
        }
        match event {
            MachineEvent::Answer(number, attempt, answer) => self.answered(machine, number, attempt, answer),
            MachineEvent::Again(number) => self.again(machine, number),
            MachineEvent::KeepAlive => {
                if !self.keep_alive(machine) {
                    self.lose_lock(machine);
                }
            }
            MachineEvent::Poll => self.ask_for_lock(machine),
            MachineEvent::Read => self.begin_to_read(machine),
            MachineEvent::Timer => self.timer(machine),
            MachineEvent::Deadline => self.release(machine),
            MachineEvent::Exit => self.end_process(machine),
            MachineEvent::Send(id) => self.send_call(machine, id),
            MachineEvent::Ended(id, outcome) => self.end_call(machine, id, outcome),
            MachineEvent::Tell(event) => match *event {
                ScheduleEvent::Stop => self.stop(machine),
                event => self.lead(machine, event),
            },
        }
    }

    pub(super) fn at(&mut self, truth: u64, event: WorldEvent) {
        self.serial += 1;
        self.queue.insert((truth, self.serial), event);
    }

    /// After this time by the clock for delays of a machine.
    pub(super) fn later(&mut self, machine: usize, span: u64, event: MachineEvent) {
        let it = &self.machines[machine];
        let due = it.clock.mono(self.truth) + span;
        let at = it.clock.truth_at(due);
        self.at(at, WorldEvent::Machine(machine, it.number, due, event));
    }

    pub(super) fn note(&mut self, text: impl FnOnce(&Self) -> String) {
        if matches!(self.log, HistoryLog::None) {
            return;
        }
        let line = format!("{:>7} {}", self.truth, text(self));
        match &mut self.log {
            HistoryLog::None => {}
            HistoryLog::Kept(lines) => lines.push(line),
            HistoryLog::Printed => println!("{line}"),
        }
    }
}

fn configuration(dice: &mut Rng) -> ScheduleConfig {
    let upstreams: Vec<UpstreamName> = ["u", "v"].map(|name| name.parse().unwrap()).into();
    let plans = (0..dice.usize(2..=6)).map(|number| {
        let name: InstanceName = format!("i{number}").parse().unwrap();
        let upstream = upstreams[dice.usize(..2)].clone();
        (name, plan(dice, upstream))
    });
    let plans = plans.collect();
    let budget =
        |dice: &mut Rng| Budget { per_minute: [120, 240, 600][dice.usize(..3)], burst: [1, 3, 8][dice.usize(..3)] };
    let budgets = upstreams.into_iter().map(|name| (name, budget(dice))).collect();
    ScheduleConfig { plans, default_budget: Budget::DEFAULT, budgets, calls: 8 }
}

fn plan(dice: &mut Rng, upstream: UpstreamName) -> InstancePlan {
    let replaced = dice.bool().then(|| Span::millis(millis(dice, 100, 10_000)));
    let policy = Policy {
        calls: CallRate { interval: Span::millis(10), per_hour: 100_000 },
        retry: RetryPolicy { floor: Span::millis(200), most: Span::secs(5), slow: Span::secs(2) },
        revoke: RevocationPolicy { replaced, removed: None, shutdown: Switch::Expire },
        ..Policy::default()
    };
    InstancePlan {
        policy,
        upstream,
        account: None,
        service: None,
        file_kind: None,
        component: Some(OptionalExports { renews: false, revokes: replaced.is_some() }),
        fingerprint: ConfigFingerprint([1; 16]),
        keeps_state: false,
    }
}

/// Milliseconds between these, the short ones as likely as the long ones.
pub(super) fn millis(dice: &mut Rng, from: u64, to: u64) -> u64 {
    let low = (from.max(1) as f64).ln();
    let high = (to as f64).ln();
    (low + (high - low) * dice.f64()).exp() as u64
}

/// True with a probability of 1 in `times`.
pub(super) fn once_in(dice: &mut Rng, times: u64) -> bool {
    dice.u64(..times) == 0
}
