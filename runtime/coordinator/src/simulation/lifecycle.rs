//! A coordinator begins, waits for the lock, leads, and ends.

use std::sync::Arc;

use deputy_store::{LockKeeper, StoreError, StoreKey, StoreLock};

use super::leader::LeadingProcess;
use super::machine::{Keeper, MachineEvent, Process, Task, poll};
use super::store::SimulatedStore;
use super::world::{SimulatedWorld, WorldEvent, millis};
use crate::lease_store::{LeaseStore, LeaseStoreError, RestoredLeases};

/// Between two attempts to take the lock.
const WAIT_STEP: u64 = 500;

/// After a failure of etcd.
const RETRY: u64 = 1000;

impl SimulatedWorld {
    pub(super) fn start(&mut self, machine: usize) {
        if matches!(self.machines[machine].process, Process::Down) {
            self.note(|_| format!("{machine} starts"));
            self.machines[machine].process = Process::Following(None);
            self.later(machine, 1, MachineEvent::Poll);
            self.later(machine, 2, MachineEvent::Read);
        }
    }

    pub(super) fn ask_for_lock(&mut self, machine: usize) {
        let lock = self.lock.clone();
        let it = &mut self.machines[machine];
        if matches!(it.process, Process::Following(None)) {
            it.process = Process::Following(Some(Box::pin(take(Arc::clone(&it.store), lock))));
            self.poll_tasks(machine);
        }
    }

    /// Goes on with what waited for etcd.
    pub(super) fn poll_tasks(&mut self, machine: usize) {
        let it = &mut self.machines[machine];
        match &mut it.process {
            Process::Following(task) => {
                let taken = task.as_mut().and_then(poll);
                self.poll_read(machine);
                if let Some(taken) = taken {
                    self.taken(machine, taken);
                }
            }
            Process::Opening(.., task) => match poll(task) {
                Some(restored) => self.opened(machine, restored),
                None => self.send_outgoing(machine),
            },
            Process::Leading(_) => {
                self.poll_writes(machine);
                self.poll_look(machine);
            }
            Process::Ending => self.poll_leaving(machine),
            Process::Down => {}
        }
    }

    fn taken(&mut self, machine: usize, taken: Result<Option<(StoreLock, i64)>, StoreError>) {
        let it = &mut self.machines[machine];
        let Ok(Some((lock, lease))) = taken else {
            it.process = Process::Following(None);
            self.later(machine, if taken.is_ok() { WAIT_STEP } else { RETRY }, MachineEvent::Poll);
            return;
        };
        it.served.stop_reading();
        let lock = Arc::new(lock);
        it.keeper = Some(Keeper { times: LockKeeper::new(it.asked_at), lease });
        let lease_store = Arc::new(LeaseStore::new(Arc::clone(&it.store) as _, Arc::clone(&lock)));
        let task: Task<_> = Box::pin(restore(Arc::clone(&lease_store)));
        it.process = Process::Opening(lock, lease_store, task);
        if self.wait_to_keep_alive(machine) {
            self.poll_tasks(machine);
        } else {
            self.lose_lock(machine);
        }
    }

    fn opened(&mut self, machine: usize, restored: Result<RestoredLeases, LeaseStoreError>) {
        let opening = std::mem::replace(&mut self.machines[machine].process, Process::Ending);
        let Process::Opening(lock, lease_store, _) = opening else { panic!("nothing was opened") };
        match restored {
            Ok(restored) => {
                assert!(restored.damaged.is_empty(), "{:?}", restored.damaged);
                let others = self.machines.iter().filter(|it| matches!(it.process, Process::Leading(_))).count();
                self.counts.overlaps += others as u64;
                self.begin_to_lead(machine, (lock, lease_store), restored);
            }
            Err(_) => self.exit(machine),
        }
    }

    /// The process ends, since another one may have its lock. Its workers may stay for the moment that this takes.
    pub(super) fn lose_lock(&mut self, machine: usize) {
        if matches!(self.machines[machine].process, Process::Leading(_) | Process::Opening(..)) {
            self.note(|_| format!("{machine} has lost the lock"));
            self.counts.locks_lost += 1;
            self.begin_to_leave(machine);
            self.end(machine);
            self.poll_leaving(machine);
        }
    }

    /// The process gives the lock back, and ends.
    pub(super) fn release(&mut self, machine: usize) {
        if let Some(lease) = self.machines[machine].keeper.as_ref().map(|keeper| keeper.lease) {
            self.give_back(machine, lease);
            self.end(machine);
        }
    }

    fn end(&mut self, machine: usize) {
        let it = &mut self.machines[machine];
        it.process = Process::Ending;
        it.keeper = None;
        let delay = millis(&mut self.dice, 1, 3000);
        self.later(machine, delay, MachineEvent::Exit);
    }

    /// The process has nothing more to do, unless it still has leases to leave.
    pub(super) fn end_process(&mut self, machine: usize) {
        if self.machines[machine].leaving.is_empty() {
            self.exit(machine);
        } else {
            self.poll_leaving(machine);
            self.later(machine, RETRY, MachineEvent::Exit);
        }
    }

    pub(super) fn exit(&mut self, machine: usize) {
        self.note(|_| format!("{machine} has ended"));
        self.disconnect(machine);
        self.machines[machine].reset(self.truth);
        let delay = millis(&mut self.dice, 500, 5000);
        self.at(self.truth + delay, WorldEvent::Start(machine));
    }

    /// Which leadership a process has, if it has one.
    pub(super) fn leader_of(&self, machine: usize) -> Option<&LeadingProcess> {
        match &self.machines[machine].process {
            Process::Leading(leader) => Some(leader),
            _ => None,
        }
    }
}

async fn take(store: Arc<SimulatedStore>, name: StoreKey) -> Result<Option<(StoreLock, i64)>, StoreError> {
    store.take(&name).await
}

async fn restore(lease_store: Arc<LeaseStore>) -> Result<RestoredLeases, LeaseStoreError> {
    lease_store.restore().await
}
