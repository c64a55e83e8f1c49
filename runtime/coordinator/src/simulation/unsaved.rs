//! Leases that a process may not have saved before it lost the lock, with the real writing and reading of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use deputy_core::InstanceName;
use deputy_core::schedule::{Lease, ScheduleEvent};
use deputy_core::time::{Clock, Now};
use deputy_store::{Store as _, StoreError, StoreKey, WriteId};
use tokio::sync::mpsc;

use super::machine::{LeavingLease, Process, Task, poll};
use super::store::SimulatedStore;
use super::world::SimulatedWorld;
use crate::command::CoordinatorCommand;
use crate::replica::{LeaveError, LeftLease, UnsavedReader, leave_lease};

/// What a leader has of the leases that others left.
pub(super) struct LeftLeases {
    reader: Arc<UnsavedReader>,
    commands: mpsc::Receiver<CoordinatorCommand>,
    taken: BTreeSet<StoreKey>,
    look: Option<Task<Result<bool, StoreError>>>,
}

/// Each look has its time.
struct NoClock;

impl Clock for NoClock {
    fn now(&self) -> Now {
        panic!("each look has its time")
    }
}

impl LeftLeases {
    pub(super) fn new(store: &Arc<SimulatedStore>) -> Self {
        let (sender, commands) = mpsc::channel(16);
        let reader = Arc::new(UnsavedReader::new(Arc::clone(store) as _, Arc::new(NoClock), sender));
        Self { reader, commands, taken: BTreeSet::new(), look: None }
    }

    /// Looks at what there is, unless it does already.
    pub(super) fn begin_to_look(&mut self, now: Now) {
        let reader = Arc::clone(&self.reader);
        self.look.get_or_insert_with(|| Box::pin(async move { reader.look(now).await }));
    }
}

impl SimulatedWorld {
    /// The process has lost the lock: what its schedule holds may not be saved.
    pub(super) fn begin_to_leave(&mut self, machine: usize) {
        let it = &mut self.machines[machine];
        let Process::Leading(leader) = &it.process else { return };
        let fencing = leader.fencing();
        let unsaved = leader.unsaved_leases().into_iter();
        it.leaving = unsaved
            .map(|(name, lease)| LeavingLease { name, lease, fencing, id: it.store.write_id().unwrap(), write: None })
            .collect();
    }

    /// Goes on with leaving what may be unsaved.
    pub(super) fn poll_leaving(&mut self, machine: usize) {
        let it = &mut self.machines[machine];
        let store = &it.store;
        let now = it.clock.now(self.truth).wall;
        it.leaving.retain_mut(|leaving| {
            let LeavingLease { name, lease, fencing, id, write } = leaving;
            let task = write
                .get_or_insert_with(|| Box::pin(leave(Arc::clone(store), name.clone(), *fencing, *id, lease.clone())));
            match poll(task) {
                Some(Ok(())) => false,
                Some(Err(_)) => {
                    *write = None;
                    lease.is_valid(now)
                }
                None => true,
            }
        });
        self.send_outgoing(machine);
    }

    /// Goes on with the look at what others left.
    pub(super) fn poll_look(&mut self, machine: usize) {
        loop {
            let Process::Leading(leader) = &mut self.machines[machine].process else { return };
            let left = leader.left();
            let Some(look) = &mut left.look else { return };
            if poll(look).is_some() {
                left.look = None;
            }
            let command = left.commands.try_recv();
            self.send_outgoing(machine);
            match command {
                Ok(CoordinatorCommand::RevokeUnsaved(left, reply)) => {
                    let is_settled = self.revoke_left(machine, *left);
                    reply.send(is_settled).ok();
                }
                Ok(_) => panic!("the reader has one command"),
                Err(_) => return,
            }
        }
    }

    /// As the coordinator does.
    fn revoke_left(&mut self, machine: usize, left: LeftLease) -> bool {
        let LeftLease { key, instance, lease } = left;
        let now = self.machines[machine].clock.now(self.truth).wall;
        let Process::Leading(leader) = &mut self.machines[machine].process else { return false };
        if !lease.is_valid(now) {
            leader.left().taken.remove(&key);
            return false;
        }
        if leader.left().taken.insert(key) {
            self.counts.left_taken += 1;
            self.lead(machine, ScheduleEvent::UnsavedLease(instance.clone(), lease));
        }
        let Process::Leading(leader) = &self.machines[machine].process else { return false };
        !leader.has_unsaved(&instance, now)
    }
}

async fn leave(
    store: Arc<SimulatedStore>,
    name: InstanceName,
    fencing: u64,
    id: WriteId,
    lease: Lease,
) -> Result<(), LeaveError> {
    leave_lease(&*store, &name, fencing, &mut Some(id), &lease).await
}
