//! Decides which receivers run and when: a state machine without I/O, clock or task, so that every rule has a test.
//!
//! [`Reconciler::handle`] takes one [`ReconcilerEvent`] and a reading of the clocks, [`Reconciler::next_action`] returns
//! what to do, [`Reconciler::wake_at`] when to call again. The rules:
//!
//! - A receiver runs when its inputs differ from those that it last applied. One run at a time; changes during a run cause
//!   one more run, with the newest inputs. Receivers are independent, so one that hangs delays no other.
//! - Its inputs are all current deliveries of its instances. It runs from the first delivery on, and again for each that
//!   follows. Until the snapshot is complete, a receiver that lacks a delivery waits for it.
//! - A run that the host failed is retried with backoff. One that the component failed waits for the delay that it asked
//!   for, if there is one. Both run at once if their inputs change.
//! - A run that rejected deliveries is up to date. It runs again when what it has instead expires, and after a delay that a
//!   rejection asked for.
//! - A unit that was removed from the disk is published again.
//! - A failed hook is retried with backoff for as long as a published lease is valid, and a few times otherwise.
//! - The coordinator's state wins, whatever its revisions: a coordinator that was restored from a backup is followed.
//! - A delivery is reported when all receivers that are bound to it have published it, or when one of them could not. A
//!   delivery without a receiver is applied as soon as it is held: local endpoints serve it.

mod absence;
mod bindings;
mod deliveries;
mod event;
mod hooks;
mod receiver_state;
mod runs;
mod snapshot;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use deputy_core::time::{MonotonicTime, Now};
use deputy_core::{InstanceName, ReceiverName};
use deputy_link::DeliveredState;

use crate::receiver_policy::ReceiverPolicies;

pub(crate) use absence::{Absence, NamedBy};
pub(crate) use deliveries::Arrival;
pub(crate) use event::{
    AppliedLease, FallbackLease, PublishedRun, ReceiverRun, ReconcilerAction, ReconcilerEvent, Rejection, Rejections,
    RunId, RunOutcome, RunWork, WorkerEvent,
};
pub(crate) use snapshot::{ReceiverActivity, ReceiverSnapshot};

use receiver_state::ReceiverState;

/// The receivers of a worker, and the deliveries that it holds.
#[derive(Debug)]
pub(crate) struct Reconciler {
    policies: Arc<ReceiverPolicies>,
    held: Arc<DeliveredState>,
    receivers: BTreeMap<ReceiverName, ReceiverState>,
    arrivals: BTreeMap<InstanceName, Arrival>,
    actions: VecDeque<ReconcilerAction>,
    rng: fastrand::Rng,
    last_run: RunId,
    /// The warnings about the configuration that were logged and still hold.
    warnings: Vec<WorkerEvent>,
}

impl Reconciler {
    pub(crate) fn new(policies: Arc<ReceiverPolicies>, seed: u64) -> Self {
        let mut reconciler = Self {
            policies,
            held: Arc::default(),
            receivers: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            actions: VecDeque::new(),
            rng: fastrand::Rng::with_seed(seed),
            last_run: RunId(0),
            warnings: Vec::new(),
        };
        reconciler.bind_receivers();
        reconciler
    }

    /// Handles one event. The actions that follow from it are in [`next_action`](Self::next_action).
    pub(crate) fn handle(&mut self, now: Now, event: ReconcilerEvent) {
        match event {
            ReconcilerEvent::HookFinished(receiver, result) => self.hook_finished(&receiver, result, now),
            ReconcilerEvent::RunFinished(run, outcome) => self.run_finished(run, outcome, now),
            ReconcilerEvent::StateChanged(state) => self.state_changed(state, now),
            ReconcilerEvent::TimerFired => {}
            ReconcilerEvent::UnitVanished(receiver, unit, reason) => self.unit_vanished(&receiver, unit, reason),
        }
        self.expire_deliveries(now);
        let names: Vec<ReceiverName> = self.receivers.keys().cloned().collect();
        for name in &names {
            self.retry_hook(name, now);
            self.start_due_run(name, now);
        }
        self.report_deliveries(now);
    }

    pub(crate) fn next_action(&mut self) -> Option<ReconcilerAction> {
        self.actions.pop_front()
    }

    /// When to call again with [`ReconcilerEvent::TimerFired`] if nothing happens before. A wall clock that was set is
    /// noticed at the next event, so the caller must also call now and then although nothing is due.
    pub(crate) fn wake_at(&self, now: Now) -> Option<MonotonicTime> {
        let runs = self.receivers.iter().filter_map(|(name, receiver)| self.next_run_at(name, receiver, now));
        let hooks = self.receivers.values().filter_map(|receiver| receiver.hook().retry_at());
        let valid = self.held.deliveries.values().filter(|delivery| delivery.is_valid(now.wall));
        let expiries = valid.map(|delivery| now.mono_at(delivery.valid_until));
        runs.chain(hooks).chain(expiries).min()
    }

    fn state_changed(&mut self, state: Arc<DeliveredState>, now: Now) {
        self.held = state;
        self.track_arrivals(now);
        self.bind_receivers();
        self.warn_of_configuration();
    }

    fn log(&mut self, event: WorkerEvent) {
        self.actions.push_back(ReconcilerAction::Log(event));
    }
}
