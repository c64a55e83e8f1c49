//! The loop that owns all state of the coordinator.

mod actions;
mod lease_traces;
mod open;
mod queries;
mod reconfigure;
mod tasks;
#[cfg(test)]
mod tests;
mod unsaved;

#[cfg(test)]
pub(crate) use open::new_schedule;

use deputy_core::failure::FailureKind;
use deputy_core::time::{MonotonicTime, Now};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use deputy_core::schedule::{CallOutcome, Schedule, ScheduleEvent, ScheduledCallId};
use deputy_core::{CallFailure, InstanceName, Span};
use deputy_store::{StoreKey, StoreLock};
use deputy_support::{TrackedTasks, pause};
use tokio::task::JoinSet;

use crate::command::CoordinatorCommand;
use crate::file_watcher::FileObservation;
use crate::handle::Performer;
use crate::leader::announce;
use crate::lease_store::LeaseStore;
use crate::pending_instances::PendingInstances;
use crate::provider::Providers;
use crate::replica::{Replica, RequestReader, UnsavedReader};
use crate::users::InstanceUsers;
use crate::write_queue::WriteQueue;
use lease_traces::LeaseTraces;
use tasks::{ActiveCall, TaskOutcome, TaskSubject};

pub use open::{CoordinatorError, CoordinatorOptions, LOCK, RestoredState};

/// The longest wait between two looks at the clocks: timers do not count the time that a machine sleeps.
const CLOCK_CHECK: Span = Span::secs(1);

/// How long writes may go on after the last call ended.
const FINAL_WRITES: Span = Span::secs(3);

/// Keeps the leases of all instances alive: a replica that leads.
pub struct Coordinator {
    replica: Replica,
    schedule: Schedule,
    lease_store: Arc<LeaseStore>,
    providers: Providers,
    tasks: TrackedTasks<TaskSubject, TaskOutcome>,
    calls: BTreeMap<ScheduledCallId, ActiveCall>,
    write_queue: WriteQueue,
    traces: LeaseTraces,
    file_observations: BTreeMap<InstanceName, FileObservation>,
    file_watches: JoinSet<()>,
    /// Keys of the store to clear once the coordinator runs.
    leftovers: Vec<StoreKey>,
    pending: PendingInstances,
    users: InstanceUsers,
    /// The leases that another coordinator left and that were taken in.
    left: BTreeSet<StoreKey>,
    stop_at: Option<MonotonicTime>,
    lock: Arc<StoreLock>,
    /// Whether a write found the lock in other hands.
    is_lock_lost: bool,
}

/// Another process may have taken the coordinator's lock.
#[derive(Debug, thiserror::Error)]
#[error(
    "lost the lock on the state: another coordinator may use it. This one writes nothing more: run one coordinator for each state \
     directory"
)]
pub struct LockLostError;

impl Coordinator {
    /// Runs until it is [stopped](crate::CoordinatorHandle::stop). Answers from the start; calls nothing before there is
    /// a [configuration](crate::CoordinatorHandle::configure).
    ///
    /// # Errors
    /// If the lock on the state is lost. Then it ends at once, since it can no longer save anything: calls in progress
    /// are cancelled.
    pub async fn run(self) -> Result<(), LockLostError> {
        self.run_term().await.1
    }

    /// Runs as [`run`](Self::run) does, and returns what can follow another coordinator afterwards.
    pub async fn run_term(mut self) -> (Replica, Result<(), LockLostError>) {
        let mut tasks = JoinSet::new();
        let lease_store = Arc::clone(&self.lease_store);
        let leftovers = std::mem::take(&mut self.leftovers);
        tasks.spawn(async move { lease_store.clear(leftovers).await });
        let options = &self.replica.options;
        let (store, clock) = (Arc::clone(&options.store), Arc::clone(&options.clock));
        tasks.spawn(UnsavedReader::new(store, clock, self.replica.command_sender.clone()).run());
        if options.is_shared {
            tasks.spawn(RequestReader::new(&self.replica).run());
            let (name, store) = (options.name.clone(), Arc::clone(&options.store));
            tasks.spawn(announce(name, store, Arc::clone(&self.lock), self.replica.digest()));
        }
        let ended = self.run_until_stopped().await;
        drop(tasks);
        if ended.is_err() && self.replica.options.is_shared {
            self.leave_unsaved();
        }
        // Calls that were cancelled may still try to save.
        drop(self.tasks);
        self.replica.state_keeper.close().await;
        // Others may still have the lock's handle.
        self.lock.release().await;
        self.replica.set_leading(None);
        (self.replica, ended)
    }

    async fn run_until_stopped(&mut self) -> Result<(), LockLostError> {
        loop {
            if self.is_lock_lost || self.lock.is_lost() {
                return Err(LockLostError);
            }
            self.run_actions();
            if self.schedule.is_stopped() {
                break;
            }
            let now = self.replica.options.clock.now();
            if self.stop_at.is_some_and(|at| at <= now.mono) && self.pass_shutdown_deadline(now) {
                break;
            }
            let wait = self.time_until_due(now);
            tokio::select! {
                () = self.lock.lost() => self.is_lock_lost = true,
                () = self.replica.state_keeper.lock_lost() => self.is_lock_lost = true,
                Some((subject, result)) = self.tasks.join_next() => self.finish_task(subject, result),
                Some(command) = self.replica.commands.recv() => self.run_command(command),
                () = pause(wait) => self.handle(ScheduleEvent::TimerFired),
            }
        }
        tracing::info!("coordinator stopped");
        Ok(())
    }

    fn handle(&mut self, event: ScheduleEvent) {
        self.schedule.handle(self.replica.options.clock.now(), event);
    }

    fn time_until_due(&self, now: Now) -> Duration {
        let due = self.schedule.wake_at(now).map_or(CLOCK_CHECK, |at| at.since(now.mono));
        let stop = self.stop_at.map_or(CLOCK_CHECK, |at| at.since(now.mono));
        due.min(stop).min(CLOCK_CHECK).duration()
    }

    /// A reply that its caller no longer waits for is discarded.
    fn run_command(&mut self, command: CoordinatorCommand) {
        match command {
            CoordinatorCommand::Event(event) => self.take(*event),
            CoordinatorCommand::Request(event, reply) => {
                self.take(*event);
                reply.send(Ok(Performer::Own)).ok();
            }
            CoordinatorCommand::Configure { config, files, reply } => {
                reply.send(self.configure(*config, files)).ok();
            }
            CoordinatorCommand::Loaded { generation, loaded, reply } => {
                reply.send(self.add_loaded(generation, *loaded)).ok();
            }
            CoordinatorCommand::FileObserved { generation, instance, observation } => {
                // An observation for an earlier configuration may be about another file.
                if generation == self.replica.generation {
                    self.observe_file(instance, observation);
                }
            }
            CoordinatorCommand::UsedElsewhere(name, is_used) => {
                let users = self.users.note_others(&name, is_used);
                self.handle(ScheduleEvent::Used(name, users));
            }
            CoordinatorCommand::RevokeUnsaved(left, reply) => {
                reply.send(self.revoke_left(*left)).ok();
            }
            CoordinatorCommand::Instance(name, reply) => {
                reply.send(self.instance_status(&name)).ok();
            }
            CoordinatorCommand::Alive(reply) => {
                reply.send(()).ok();
            }
            CoordinatorCommand::Metrics(reply) => {
                reply.send(self.held_metrics()).ok();
            }
            CoordinatorCommand::Status(query, reply) => {
                reply.send(self.status(&query)).ok();
            }
        }
    }

    /// Takes an event that came as a command.
    fn take(&mut self, event: ScheduleEvent) {
        match event {
            ScheduleEvent::Stop => self.stop(),
            ScheduleEvent::Used(name, count) => {
                let users = self.users.count_own(&name, count);
                self.handle(ScheduleEvent::Used(name, users));
            }
            ScheduleEvent::LeaseRequested(name) if self.pending.contains(&name) => self.pending.request_lease(name),
            event => self.handle(event),
        }
    }

    fn observe_file(&mut self, name: InstanceName, observation: FileObservation) {
        let payload = observation.as_ref().ok().cloned();
        self.file_observations.insert(name.clone(), observation);
        self.handle(ScheduleEvent::FileObserved(name, payload));
    }

    fn stop(&mut self) {
        if self.stop_at.is_none() {
            let now = self.replica.options.clock.now();
            tracing::info!(calls = self.calls.len(), "coordinator stopping");
            self.stop_at = Some(now.mono.plus(self.replica.options.shutdown));
            self.file_watches = JoinSet::new();
            self.handle(ScheduleEvent::Stop);
        }
    }

    /// Cancels the calls in progress and leaves some time for the last writes. Returns true if that has passed, too.
    fn pass_shutdown_deadline(&mut self, now: Now) -> bool {
        if self.calls.is_empty() {
            tracing::warn!("shutdown deadline passed before all state was saved");
            return true;
        }
        for (id, call) in std::mem::take(&mut self.calls) {
            call.abort.abort();
            self.traces.cancel_call(id);
            tracing::warn!(instance = %call.instance, function = call.function, "call cancelled by shutdown");
            let outcome = CallOutcome::Failed(CallFailure::new(FailureKind::Unavailable, "the coordinator stopped"));
            self.handle(ScheduleEvent::Finished(id, outcome));
        }
        self.stop_at = Some(now.mono.plus(FINAL_WRITES));
        false
    }
}
