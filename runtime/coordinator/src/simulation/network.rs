//! Between coordinators and etcd: requests and answers that are slow, late, lost or repeated.

use deputy_etcd::Repeat;
use deputy_store::KeepAliveResult;
use deputy_support::LockUnpoisoned as _;
use fastrand::Rng;

use super::etcd::{EtcdAnswer, EtcdCall};
use super::machine::MachineEvent;
use super::world::{SimulatedWorld, WorldEvent, millis, once_in};

/// How long the client waits for one member, and for all of them, in milliseconds.
const ATTEMPT: u64 = 3000;
const TOTAL: u64 = 10_000;
const PAUSE: u64 = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NetworkWeather {
    Good,
    Slow,
    Lossy,
    Cut,
}

/// A request of a process, until it is answered or given up.
pub(super) struct Ask {
    call: EtcdCall,
    attempt: u32,
    /// When it is given up, by the clock for delays.
    end: u64,
    purpose: Purpose,
}

#[derive(Clone, Copy)]
enum Purpose {
    /// What the store waits for, under this number.
    Store(u64, Repeat),
    /// To keep the lock, sent at this time since the machine started.
    KeepAlive(std::time::Duration),
}

impl NetworkWeather {
    /// How long a message takes, or `None` if it is lost.
    fn carry(self, dice: &mut Rng) -> Option<u64> {
        match self {
            Self::Good => Some(millis(dice, 1, 20)),
            Self::Slow => Some(millis(dice, 1, 6000)),
            Self::Lossy if dice.u8(..5) < 2 => None,
            Self::Lossy => Some(millis(dice, 1, 3000)),
            Self::Cut => None,
        }
    }
}

impl SimulatedWorld {
    /// Sends what the store of a process wants sent.
    pub(super) fn send_outgoing(&mut self, machine: usize) {
        let mailbox = &self.machines[machine].store.mailbox;
        let outgoing = std::mem::take(&mut mailbox.lock_unpoisoned().outgoing);
        for (id, call, repeat) in outgoing {
            let it = &mut self.machines[machine];
            if matches!(call, EtcdCall::Grant) {
                it.asked_at = it.clock.boot(self.truth);
            }
            let end = it.clock.mono(self.truth) + TOTAL;
            self.ask(machine, Ask { call, attempt: 0, end, purpose: Purpose::Store(id, repeat) }, ATTEMPT);
        }
    }

    /// Keeps the lock alive, if there is time for it. Whether there is.
    pub(super) fn keep_alive(&mut self, machine: usize) -> bool {
        let it = &self.machines[machine];
        let Some(keeper) = &it.keeper else { return true };
        let sent_at = it.clock.boot(self.truth);
        let Some(limit) = keeper.times.answer_limit(sent_at) else { return false };
        let call = EtcdCall::KeepAlive(keeper.lease);
        let limit = u64::try_from(limit.as_millis()).unwrap();
        let ask = Ask { call, attempt: 0, end: 0, purpose: Purpose::KeepAlive(sent_at) };
        self.ask(machine, ask, limit);
        true
    }

    /// Waits until the lock is to be kept alive again. Whether there is time for it.
    pub(super) fn wait_to_keep_alive(&mut self, machine: usize) -> bool {
        let it = &self.machines[machine];
        let Some(keeper) = &it.keeper else { return true };
        let Some(wait) = keeper.times.wait(it.clock.boot(self.truth)) else { return false };
        self.later(machine, u64::try_from(wait.as_millis()).unwrap(), MachineEvent::KeepAlive);
        true
    }

    fn ask(&mut self, machine: usize, ask: Ask, limit: u64) {
        let it = &mut self.machines[machine];
        it.last_ask += 1;
        let number = it.last_ask;
        it.asks.insert(number, ask);
        self.attempt(machine, number, limit);
    }

    fn attempt(&mut self, machine: usize, number: u64, limit: u64) {
        let it = &mut self.machines[machine];
        let Some(ask) = it.asks.get_mut(&number) else { return };
        ask.attempt += 1;
        self.counts.repeated += u64::from(ask.attempt > 1);
        let (attempt, call, process) = (ask.attempt, ask.call.clone(), it.number);
        match it.network.carry(&mut self.dice) {
            Some(delay) => {
                self.counts.late += u64::from(delay > limit);
                let event = WorldEvent::Etcd { machine, process, number, attempt, call };
                self.at(self.truth + delay, event);
            }
            None => self.counts.requests_lost += 1,
        }
        self.later(machine, limit, MachineEvent::Answer(number, attempt, None));
    }

    /// A request reaches etcd.
    pub(super) fn reach_etcd(&mut self, from: (usize, u64), number: u64, attempt: u32, call: EtcdCall) {
        let (machine, process) = from;
        if let Some(back) = self.etcd_is_down_until.filter(|back| *back > self.truth) {
            // It waits for a quorum, or nothing is left of it.
            if self.dice.bool() {
                let at = back + millis(&mut self.dice, 1, 500);
                self.at(at, WorldEvent::Etcd { machine, process, number, attempt, call });
            }
            return;
        }
        let late = self.dice.u64(..1000);
        let fails = self.is_faulty() && matches!(call, EtcdCall::Change(_)) && once_in(&mut self.dice, 30);
        let answer = if fails && self.dice.bool() {
            EtcdAnswer::Failed
        } else {
            let holder = self.lock_holder();
            let answer = self.etcd.carry_out(&call, self.truth, late);
            self.check_change(holder, from, &call, &answer);
            // It was carried out, and says that it failed.
            if fails { EtcdAnswer::Failed } else { answer }
        };
        match self.machines[machine].network.carry(&mut self.dice) {
            Some(delay) => {
                let answer = MachineEvent::Answer(number, attempt, Some(answer));
                self.at(self.truth + delay, WorldEvent::Machine(machine, process, 0, answer));
            }
            None => self.counts.answers_lost += 1,
        }
    }

    /// An attempt was answered, or not in time.
    pub(super) fn answered(&mut self, machine: usize, number: u64, attempt: u32, answer: Option<EtcdAnswer>) {
        let it = &mut self.machines[machine];
        // What comes over a connection that was left is not heard.
        let Some(ask) = it.asks.get(&number).filter(|ask| ask.attempt == attempt) else { return };
        let (purpose, end) = (ask.purpose, ask.end);
        if answer.is_none()
            && matches!(purpose, Purpose::Store(_, Repeat::Always))
            && it.clock.mono(self.truth) + PAUSE < end
        {
            self.later(machine, PAUSE, MachineEvent::Again(number));
            return;
        }
        it.asks.remove(&number);
        match purpose {
            Purpose::Store(id, _) => {
                it.store.mailbox.lock_unpoisoned().answer(id, answer);
                self.poll_tasks(machine);
            }
            Purpose::KeepAlive(sent_at) => {
                let Some(keeper) = &mut it.keeper else { return };
                let result = match answer {
                    Some(EtcdAnswer::Kept(true)) => KeepAliveResult::Kept,
                    Some(EtcdAnswer::Kept(false)) => KeepAliveResult::Ended,
                    _ => KeepAliveResult::Failed,
                };
                keeper.times.answered(sent_at, result);
                if !self.wait_to_keep_alive(machine) {
                    self.lose_lock(machine);
                }
            }
        }
    }

    /// Ends a lease, as a courtesy to those who wait for it.
    pub(super) fn give_back(&mut self, machine: usize, lease: i64) {
        let ask = Ask { call: EtcdCall::Revoke(lease), attempt: 0, end: 0, purpose: Purpose::Store(0, Repeat::Unsent) };
        self.ask(machine, ask, ATTEMPT);
    }

    pub(super) fn again(&mut self, machine: usize, number: u64) {
        self.attempt(machine, number, ATTEMPT);
    }

    /// Another network for a while.
    pub(super) fn disturb_network(&mut self, machine: usize) {
        let networks = [
            NetworkWeather::Slow,
            NetworkWeather::Slow,
            NetworkWeather::Lossy,
            NetworkWeather::Lossy,
            NetworkWeather::Cut,
        ];
        let network = networks[self.dice.usize(..networks.len())];
        self.machines[machine].network = network;
        let span = if once_in(&mut self.dice, 3) { 20_000 } else { 4000 };
        let span = millis(&mut self.dice, 200, span);
        self.note(|_| format!("the network of {machine} is {network:?} for {span} ms"));
        self.at(self.truth + span, WorldEvent::Heal(machine));
    }
}
