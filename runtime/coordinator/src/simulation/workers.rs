//! Workers: each is connected to one coordinator at a time, and uses the newest lease that it is given.

use std::collections::BTreeMap;

use deputy_core::schedule::Lease;
use deputy_core::{InstanceName, LeaseVersion, NewestLeases};

use super::service::payload;
use super::world::{SimulatedWorld, WorldEvent, millis};
use crate::lease_board::BoardCursor;

#[derive(Default)]
pub(super) struct SimulatedWorker {
    /// The machine, and the process on it.
    to: Option<(usize, u64)>,
    /// What comes over an earlier connection is not heard.
    connection: u64,
    /// Until when the last message is under way.
    busy_until: u64,
    newest: NewestLeases,
    pub(super) held: BTreeMap<InstanceName, (LeaseVersion, u64)>,
    /// The last lease that it had of each instance.
    seen: BTreeMap<InstanceName, (LeaseVersion, u64)>,
}

pub(super) enum WorkerNews {
    Connect,
    /// Nothing was heard from the coordinator on this connection.
    Silent(u64),
    Update(u64, InstanceName, LeaseVersion, u64),
    Withdrawn(u64, InstanceName),
    /// The end of the first snapshot.
    Snapshot(u64, Vec<InstanceName>),
}

impl SimulatedWorld {
    pub(super) fn worker_event(&mut self, worker: usize, event: WorkerNews) {
        let it = &mut self.workers[worker];
        match event {
            WorkerNews::Connect => self.connect(worker),
            WorkerNews::Silent(connection) if connection == it.connection => self.leave(worker),
            WorkerNews::Update(connection, name, version, payload) if connection == it.connection => {
                self.update(worker, name, version, payload);
            }
            WorkerNews::Withdrawn(connection, name) if connection == it.connection => drop(it.held.remove(&name)),
            WorkerNews::Snapshot(connection, names) if connection == it.connection => {
                it.held.retain(|name, _| names.contains(name));
            }
            WorkerNews::Silent(_) | WorkerNews::Update(..) | WorkerNews::Withdrawn(..) | WorkerNews::Snapshot(..) => {}
        }
    }

    fn update(&mut self, worker: usize, name: InstanceName, version: LeaseVersion, payload: u64) {
        self.note(|_| format!("worker {worker} is given {name} {}", version.revision));
        let it = &mut self.workers[worker];
        if !it.newest.take(&name, version) {
            self.counts.refused_older += 1;
            return;
        }
        if let Some((before, other)) = it.seen.get(&name) {
            assert!(
                version.revision >= before.revision,
                "worker {worker} sees {name} go back from revision {} to {}",
                before.revision,
                version.revision
            );
            let is_same = version.revision == before.revision;
            assert!(!is_same || payload == *other, "worker {worker} sees two leases of {name} {}", version.revision);
        }
        it.seen.insert(name.clone(), (version, payload));
        it.held.insert(name, (version, payload));
        self.counts.delivered += 1;
    }

    fn connect(&mut self, worker: usize) {
        let machine = self.dice.usize(..self.machines.len());
        let it = &self.machines[machine];
        if !it.serves() || it.paused.is_some() {
            let delay = if it.paused.is_some() { 3000 } else { millis(&mut self.dice, 100, 1000) };
            self.at(self.truth + delay, WorldEvent::SimulatedWorker(worker, WorkerNews::Connect));
            return;
        }
        let (number, board) = (it.number, it.served.board.all(&mut BoardCursor::default()));
        self.note(|_| format!("worker {worker} connects to {machine}"));
        let it = &mut self.workers[worker];
        it.to = Some((machine, number));
        for (name, lease) in &board {
            self.send_lease(worker, name, Some(lease));
        }
        let connection = self.workers[worker].connection;
        self.send(worker, WorkerNews::Snapshot(connection, board.into_keys().collect()));
    }

    /// Ends the connection, and looks for another one.
    pub(super) fn leave(&mut self, worker: usize) {
        let it = &mut self.workers[worker];
        if it.to.take().is_some() {
            it.connection += 1;
            let delay = millis(&mut self.dice, 10, 2000);
            self.at(self.truth + delay, WorldEvent::SimulatedWorker(worker, WorkerNews::Connect));
        }
    }

    /// Gives a change to all workers of a process.
    pub(super) fn push(&mut self, machine: usize, name: &InstanceName, lease: Option<&Lease>) {
        for worker in self.workers_of(machine) {
            self.send_lease(worker, name, lease);
        }
    }

    /// The process on a machine is gone.
    pub(super) fn disconnect(&mut self, machine: usize) {
        for worker in self.workers_of(machine) {
            self.leave(worker);
        }
    }

    /// Workers whose coordinator stands still notice that after some time.
    pub(super) fn fall_silent(&mut self, machine: usize) {
        for worker in self.workers_of(machine) {
            let delay = millis(&mut self.dice, 2000, 12_000);
            let connection = self.workers[worker].connection;
            self.at(self.truth + delay, WorldEvent::SimulatedWorker(worker, WorkerNews::Silent(connection)));
        }
    }

    fn workers_of(&self, machine: usize) -> Vec<usize> {
        let to = Some((machine, self.machines[machine].number));
        (0..self.workers.len()).filter(|worker| self.workers[*worker].to == to).collect()
    }

    fn send_lease(&mut self, worker: usize, name: &InstanceName, lease: Option<&Lease>) {
        let connection = self.workers[worker].connection;
        let name = name.clone();
        let event = match lease {
            Some(lease) => {
                let version = LeaseVersion { revision: lease.revision, obtained_at: lease.obtained_at };
                WorkerNews::Update(connection, name, version, payload(lease))
            }
            None => WorkerNews::Withdrawn(connection, name),
        };
        self.send(worker, event);
    }

    /// A connection keeps the order of its messages.
    fn send(&mut self, worker: usize, event: WorkerNews) {
        let delay = millis(&mut self.dice, 1, 300);
        let it = &mut self.workers[worker];
        it.busy_until = it.busy_until.max(self.truth + delay);
        let at = it.busy_until;
        self.at(at, WorldEvent::SimulatedWorker(worker, event));
    }
}
