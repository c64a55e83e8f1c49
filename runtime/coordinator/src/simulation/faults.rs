//! What goes wrong, and what people do.

use deputy_core::InstanceName;
use deputy_core::schedule::ScheduleEvent;

use super::machine::{MachineEvent, Pause, Process};
use super::network::NetworkWeather;
use super::world::{SimulatedWorld, WorldEvent, millis, once_in};

impl SimulatedWorld {
    /// One thing that makes life hard, mostly for the leader.
    pub(super) fn fault(&mut self) {
        let leader = (0..self.machines.len()).find(|machine| self.leader_of(*machine).is_some());
        let any = self.dice.usize(..self.machines.len());
        let machine = leader.filter(|_| !once_in(&mut self.dice, 3)).unwrap_or(any);
        match self.dice.u8(..100) {
            0..=24 => self.pause(machine, 500),
            25..=31 => self.kill(machine),
            32..=37 => self.tell(machine, ScheduleEvent::Stop),
            38..=59 => self.disturb_network(machine),
            60..=64 => {
                let span = millis(&mut self.dice, 300, 9000);
                self.note(|_| format!("etcd has no quorum for {span} ms"));
                self.etcd_is_down_until = Some(self.truth + span);
            }
            65..=69 => {
                let drift = self.dice.i64(-10_000..=10_000);
                let truth = self.truth;
                let it = &mut self.machines[machine];
                if it.paused.is_none() {
                    it.clock.set_drift(truth, drift);
                }
            }
            70..=79 => {
                let worker = self.dice.usize(..self.workers.len());
                self.leave(worker);
            }
            80..=89 => self.service_fails_until = self.truth + millis(&mut self.dice, 100, 10_000),
            kind => {
                let names: Vec<InstanceName> = self.configuration.plans.keys().cloned().collect();
                let name = names[self.dice.usize(..names.len())].clone();
                self.counts.requested += 1;
                self.checks.excuse(&name, self.truth);
                let event = if kind < 95 { ScheduleEvent::Renew(name) } else { ScheduleEvent::Revoke(name) };
                self.tell(machine, event);
            }
        }
    }

    fn tell(&mut self, machine: usize, event: ScheduleEvent) {
        self.later(machine, 0, MachineEvent::Tell(Box::new(event)));
    }

    fn kill(&mut self, machine: usize) {
        if matches!(self.machines[machine].process, Process::Down) {
            return;
        }
        self.note(|_| format!("{machine} is killed"));
        self.counts.kills += 1;
        self.machines[machine].paused = None;
        self.exit(machine);
    }

    /// Nothing on the machine runs for a while, at times for longer than its lock lasts.
    pub(super) fn pause(&mut self, machine: usize, least: u64) {
        let it = &mut self.machines[machine];
        if it.paused.is_some() || matches!(it.process, Process::Down) {
            return;
        }
        let is_suspended = once_in(&mut self.dice, 3);
        it.paused = Some(Pause { since: self.truth, is_suspended });
        self.counts.pauses += 1;
        self.counts.suspensions += u64::from(is_suspended);
        let span = millis(&mut self.dice, least, 20_000);
        let how = if is_suspended { "suspended" } else { "stopped" };
        self.note(|_| format!("{machine} is {how} for {span} ms"));
        self.fall_silent(machine);
        self.at(self.truth + span, WorldEvent::Resume(machine));
    }

    /// The machine goes on where it was. What happened meanwhile is found in any order.
    pub(super) fn resume(&mut self, machine: usize) {
        let truth = self.truth;
        let it = &mut self.machines[machine];
        let Some(pause) = it.paused.take() else { return };
        self.note(|_| format!("{machine} goes on"));
        let it = &mut self.machines[machine];
        let number = it.number;
        if pause.is_suspended {
            it.clock.suspend(truth, truth - pause.since);
            // The wall clock jumped, which may end a call.
            for name in self.configuration.plans.keys() {
                self.checks.excuse(name, truth);
            }
        }
        let mut backlog = std::mem::take(&mut it.backlog);
        self.dice.shuffle(&mut backlog);
        for (due, event) in backlog {
            self.at(truth, WorldEvent::Machine(machine, number, due, event));
        }
    }

    pub(super) fn heal(&mut self, machine: usize) {
        self.machines[machine].network = NetworkWeather::Good;
    }

    pub(super) fn end_faults(&mut self) {
        self.note(|_| "the faults end".to_owned());
        self.etcd_is_down_until = None;
        for machine in 0..self.machines.len() {
            self.heal(machine);
            self.resume(machine);
        }
    }
}
