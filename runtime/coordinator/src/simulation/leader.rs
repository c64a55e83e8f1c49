//! The loop of a leader, as the coordinator's: an event, the look at the lock, and what follows.

use std::collections::BTreeMap;
use std::sync::Arc;

use deputy_core::schedule::{
    Lease, LeaseRecord, OperatorEvent, ProviderCall, SaveId, Schedule, ScheduleAction, ScheduleEvent, ScheduledCallId,
};
use deputy_core::{InstanceName, Timestamp};
use deputy_store::{StoreKey, StoreLock};

use super::machine::{MachineEvent, Process, Task, poll};
use super::service::CallInFlight;
use super::unsaved::LeftLeases;
use super::world::{SimulatedWorld, WorldEvent, millis, once_in};
use crate::coordinator::new_schedule;
use crate::lease_store::{LeaseStore, LeaseStoreError, RestoredLeases};
use crate::write_queue::{PendingWrite, WriteContent, WriteQueue};

/// The longest wait between two looks at the clocks.
const CLOCK_CHECK: u64 = 1000;

/// How long calls in progress may go on at a stop.
const SHUTDOWN: u64 = 8000;

type WriteTask = Task<Result<(), LeaseStoreError>>;

pub(super) struct LeadingProcess {
    schedule: Schedule,
    lock: Arc<StoreLock>,
    lease_store: Arc<LeaseStore>,
    write_queue: WriteQueue,
    writes: Vec<(SaveId, InstanceName, WriteTask)>,
    /// With the time at which each began.
    calls: BTreeMap<ScheduledCallId, (InstanceName, ProviderCall, u64)>,
    /// Whether a write found the lock in other hands.
    is_lock_lost: bool,
    is_stopping: bool,
    /// Removes leases that no record names.
    cleanup: Option<Task<()>>,
    left: LeftLeases,
}

impl SimulatedWorld {
    /// What was saved is read: the process leads.
    pub(super) fn begin_to_lead(
        &mut self,
        machine: usize,
        (lock, lease_store): (Arc<StoreLock>, Arc<LeaseStore>),
        restored: RestoredLeases,
    ) {
        let seed = self.dice.u64(..);
        let it = &mut self.machines[machine];
        let leader = LeadingProcess {
            schedule: new_schedule(true, &lock, seed),
            lock,
            lease_store: Arc::clone(&lease_store),
            write_queue: WriteQueue::default(),
            writes: Vec::new(),
            calls: BTreeMap::new(),
            is_lock_lost: false,
            is_stopping: false,
            cleanup: Some(Box::pin(clear(lease_store, restored.leftovers))),
            left: LeftLeases::new(&it.store),
        };
        it.process = Process::Leading(Box::new(leader));
        self.counts.leaders += 1;
        self.note(|_| format!("{machine} leads with {} records", restored.records.len()));
        self.withdraw_unsaved(machine, &restored.records);
        for (name, record) in restored.records {
            let now = self.machines[machine].clock.now(self.truth).wall;
            self.counts.paused_takeovers += u64::from(record.pause.is_some_and(|pause| pause.until > now));
            self.handle(machine, ScheduleEvent::Restored(name, record));
        }
        self.lead(machine, ScheduleEvent::Configured(self.configuration.clone()));
        self.later(machine, 1, MachineEvent::Timer);
    }

    /// What the process served while it followed, and is no longer there.
    fn withdraw_unsaved(&mut self, machine: usize, restored: &[(InstanceName, LeaseRecord)]) {
        let it = &self.machines[machine];
        let now = it.clock.now(self.truth).wall;
        let is_saved = |name: &InstanceName| {
            let record = restored.iter().find(|(other, _)| other == name);
            record.is_some_and(|(_, record)| record.lease.as_ref().is_some_and(|lease| lease.is_valid(now)))
        };
        let unsaved = it.served.board.instances().into_iter().filter(|name| !is_saved(name));
        unsaved.for_each(|name| it.served.board.withdraw(&name));
        it.served.board.mark_read();
        self.push_changes(machine);
    }

    fn leader(&mut self, machine: usize) -> Option<&mut LeadingProcess> {
        match &mut self.machines[machine].process {
            Process::Leading(leader) => Some(leader),
            _ => None,
        }
    }

    fn handle(&mut self, machine: usize, event: ScheduleEvent) {
        self.note(|_| format!("{machine} > {}", shown(&event)));
        let now = self.machines[machine].clock.now(self.truth);
        if let Some(leader) = self.leader(machine) {
            leader.schedule.handle(now, event);
        }
    }

    /// One turn of the loop.
    pub(super) fn lead(&mut self, machine: usize, event: ScheduleEvent) {
        self.handle(machine, event);
        let is_lost = self.machines[machine].is_lock_lost(self.truth);
        let Some(leader) = self.leader(machine) else { return };
        if leader.is_lock_lost || is_lost {
            self.lose_lock(machine);
            return;
        }
        while let Some(leader) = self.leader(machine)
            && let Some(action) = leader.schedule.next_action()
        {
            self.act(machine, action);
            if self.is_faulty() && once_in(&mut self.dice, 100) {
                // Between this and the next thing that it does.
                self.pause(machine, 500);
            }
            if self.machines[machine].paused.is_some() {
                break;
            }
        }
        self.send_outgoing(machine);
        if self.leader(machine).is_some_and(|leader| leader.schedule.is_stopped() && leader.writes.is_empty()) {
            self.note(|_| format!("{machine} hands over"));
            self.release(machine);
        }
    }

    /// The time has come to look at the schedule, and for the next look.
    pub(super) fn timer(&mut self, machine: usize) {
        self.lead(machine, ScheduleEvent::TimerFired);
        let now = self.machines[machine].clock.now(self.truth);
        let Some(leader) = self.leader(machine) else { return };
        leader.left.begin_to_look(now);
        let due = leader.schedule.wake_at(now).map_or(CLOCK_CHECK, |at| at.since(now.mono).as_millis());
        self.later(machine, due.clamp(1, CLOCK_CHECK), MachineEvent::Timer);
        self.poll_look(machine);
    }

    pub(super) fn stop(&mut self, machine: usize) {
        let Some(leader) = self.leader(machine) else { return };
        if !std::mem::replace(&mut leader.is_stopping, true) {
            self.counts.stops += 1;
            self.later(machine, SHUTDOWN, MachineEvent::Deadline);
            self.lead(machine, ScheduleEvent::Stop);
        }
    }

    fn act(&mut self, machine: usize, action: ScheduleAction) {
        self.note(|_| format!("{machine}     {}", shown(&action)));
        match action {
            ScheduleAction::Call(id, name, work) => {
                self.check_call(machine, &name, &work);
                let (now, truth) = (self.machines[machine].clock.now(self.truth), self.truth);
                let Some(leader) = self.leader(machine) else { return };
                // The process may have been stopped since.
                let began = leader.schedule.call_times(id).map_or(now.wall, |times| times.began);
                let began = truth - now.wall.since(began).as_millis();
                leader.calls.insert(id, (name, work, began));
                let delay = self.dice.u64(..4);
                self.later(machine, delay, MachineEvent::Send(id));
                if self.is_faulty() && once_in(&mut self.dice, 60) {
                    // Before the request has left, and for longer than the lock lasts.
                    self.pause(machine, 5500);
                }
            }
            ScheduleAction::Cancel(id) => {
                self.leader(machine).and_then(|leader| leader.calls.remove(&id));
            }
            ScheduleAction::Detach(_) => {}
            ScheduleAction::Forget(id, name) => {
                self.write(machine, PendingWrite { save: id, name, content: WriteContent::Nothing })
            }
            ScheduleAction::Save(id, name, record) => {
                self.write(machine, PendingWrite { save: id, name, content: WriteContent::Record(Box::new(record)) });
            }
            ScheduleAction::SavePause(id, name, pause) => {
                self.write(machine, PendingWrite { save: id, name, content: WriteContent::Pause(pause) });
            }
            ScheduleAction::Publish(name, lease) => {
                self.checks.publish(&name, &lease);
                self.counts.published += 1;
                self.machines[machine].served.board.publish(name, lease);
                self.push_changes(machine);
            }
            ScheduleAction::Withdraw(name) => {
                self.machines[machine].served.board.withdraw(&name);
                self.push_changes(machine);
            }
            ScheduleAction::Notify(OperatorEvent::Expired(..)) => self.counts.expired += 1,
            ScheduleAction::Notify(_) => {}
        }
    }

    /// The task of a call begins: the request leaves.
    pub(super) fn send_call(&mut self, machine: usize, id: ScheduledCallId) {
        let process = self.machines[machine].number;
        let Some(leader) = self.leader(machine) else { return };
        let fencing = leader.lock.fencing();
        let Some((name, work, began)) = leader.calls.get(&id).cloned() else { return };
        let delay = if self.is_faulty() && once_in(&mut self.dice, 10) { 3000 } else { 100 };
        let delay = millis(&mut self.dice, 1, delay);
        let call = CallInFlight { machine, process, fencing, id, began, name, work };
        self.at(self.truth + delay, WorldEvent::Service(call));
    }

    pub(super) fn end_call(
        &mut self,
        machine: usize,
        id: ScheduledCallId,
        outcome: deputy_core::schedule::CallOutcome,
    ) {
        if self.leader(machine).is_some_and(|leader| leader.calls.remove(&id).is_some()) {
            self.lead(machine, ScheduleEvent::Finished(id, outcome));
        }
    }

    fn write(&mut self, machine: usize, write: PendingWrite) {
        let Some(leader) = self.leader(machine) else { return };
        if let Some(write) = leader.write_queue.enter(write) {
            leader.begin_write(write);
        }
        self.poll_writes(machine);
    }

    /// Goes on with the writes in progress.
    pub(super) fn poll_writes(&mut self, machine: usize) {
        let Some(leader) = self.leader(machine) else { return };
        let mut ended = Vec::new();
        leader.cleanup = leader.cleanup.take().and_then(|mut task| poll(&mut task).is_none().then_some(task));
        leader.writes.retain_mut(|(save, name, task)| match poll(task) {
            Some(written) => {
                ended.push((*save, name.clone(), written));
                false
            }
            None => true,
        });
        self.send_outgoing(machine);
        for (save, name, written) in ended {
            let Some(leader) = self.leader(machine) else { return };
            if let Some(next) = leader.write_queue.leave(&name) {
                leader.begin_write(next);
            }
            let event = match written {
                Ok(()) => ScheduleEvent::Saved(save),
                Err(error) => {
                    leader.is_lock_lost |= matches!(&error, LeaseStoreError::Store(error) if error.is_lock_lost());
                    self.counts.save_failures += 1;
                    ScheduleEvent::SaveFailed(save, error.to_string())
                }
            };
            self.lead(machine, event);
            self.poll_writes(machine);
        }
    }
}

impl LeadingProcess {
    pub(super) fn fencing(&self) -> u64 {
        self.lock.fencing()
    }

    pub(super) fn left(&mut self) -> &mut LeftLeases {
        &mut self.left
    }

    pub(super) fn unsaved_leases(&self) -> Vec<(InstanceName, Lease)> {
        self.schedule.unsaved_leases().map(|(name, lease)| (name.clone(), lease.clone())).collect()
    }

    pub(super) fn has_unsaved(&self, name: &InstanceName, now: Timestamp) -> bool {
        self.schedule.has_unsaved(name, now)
    }

    fn begin_write(&mut self, PendingWrite { save, name, content }: PendingWrite) {
        let task = write(Arc::clone(&self.lease_store), name.clone(), content);
        self.writes.push((save, name, Box::pin(task)));
    }
}

async fn clear(lease_store: Arc<LeaseStore>, leftovers: Vec<StoreKey>) {
    lease_store.clear(leftovers).await;
}

async fn write(lease_store: Arc<LeaseStore>, name: InstanceName, content: WriteContent) -> Result<(), LeaseStoreError> {
    match content {
        WriteContent::Record(record) => lease_store.save(&name, &record).await,
        WriteContent::Pause(pause) => lease_store.save_pause(&name, pause.as_ref()).await,
        WriteContent::Nothing => lease_store.forget(&name).await,
    }
}

/// As short as a line of a log has to be.
fn shown(it: &impl std::fmt::Debug) -> String {
    let mut text = format!("{it:?}");
    if let Some((end, _)) = text.char_indices().nth(240) {
        text.truncate(end);
    }
    text
}
