//! Runs: with which inputs a receiver should have run, and when it runs.

use std::collections::BTreeMap;

use deputy_core::failure::{FailureKind, FailureRecord};
use deputy_core::time::{MonotonicTime, Now};
use deputy_core::{Delivery, Expired, ReceiverName};

use super::receiver_state::{ReceiverState, RunInProgress, RunInputs};
use super::{ReceiverRun, Reconciler, ReconcilerAction, RunId, RunOutcome, RunWork, WorkerEvent};
use crate::receiver::AcceptError;
use crate::unit::UnitName;

impl Reconciler {
    /// The inputs that a receiver should have applied. `None` if it waits for the rest of the snapshot.
    pub(super) fn wanted_inputs(&self, name: &ReceiverName, receiver: &ReceiverState, now: Now) -> Option<RunInputs> {
        let Some(binding) = receiver.binding() else {
            return Some(RunInputs { binding: None, versions: BTreeMap::new() });
        };
        let mut versions = BTreeMap::new();
        for instance in &binding.instances {
            match self.held.deliveries.get(instance) {
                Some(delivery) if self.is_left_out(name, delivery, now) => {}
                Some(delivery) => {
                    versions.insert(instance.clone(), delivery.stamp);
                }
                None if self.held.complete => {}
                None => return None,
            }
        }
        Some(RunInputs { binding: Some(binding.clone()), versions })
    }

    /// Whether a delivery has expired and its receiver's policy removes such ones.
    pub(super) fn is_left_out(&self, name: &ReceiverName, delivery: &Delivery, now: Now) -> bool {
        self.policies.policy(name).expired == Expired::Remove && !delivery.is_valid(now.wall)
    }

    /// When the failed run of an idle receiver is retried.
    pub(super) fn retry_run_at(
        &self,
        name: &ReceiverName,
        receiver: &ReceiverState,
        now: Now,
    ) -> Option<MonotonicTime> {
        if receiver.running().is_some() {
            return None;
        }
        receiver.retry_at_with(&self.wanted_inputs(name, receiver, now)?)
    }

    pub(super) fn start_due_run(&mut self, name: &ReceiverName, now: Now) {
        let Some(receiver) = self.receivers.get(name).filter(|receiver| receiver.running().is_none()) else { return };
        let Some(wanted) = self.wanted_inputs(name, receiver, now) else { return };
        if receiver.has_applied(&wanted) {
            self.settle(name);
            return;
        }
        if receiver.retry_at_with(&wanted).is_some_and(|retry_at| now.mono < retry_at) {
            return;
        }
        let id = RunId(self.last_run.0 + 1);
        self.last_run = id;
        let deliveries: Vec<Delivery> =
            wanted.versions.keys().filter_map(|instance| self.held.deliveries.get(instance)).cloned().collect();
        let expiries = deliveries.iter().map(|delivery| delivery.valid_until).collect();
        let work = match &wanted.binding {
            Some(binding) if !deliveries.is_empty() => RunWork::Accept(binding.clone(), deliveries),
            _ => RunWork::Withdraw,
        };
        if let Some(receiver) = self.receivers.get_mut(name) {
            receiver.start(RunInProgress { id, inputs: wanted, expiries, began: now });
        }
        self.actions.push_back(ReconcilerAction::RunReceiver(ReceiverRun { id, receiver: name.clone(), work }));
    }

    /// The receiver is up to date. An unbound one with nothing published is dropped.
    fn settle(&mut self, name: &ReceiverName) {
        let Some(receiver) = self.receivers.get_mut(name) else { return };
        receiver.clear_failure();
        if receiver.is_finished() {
            self.receivers.remove(name);
            self.actions.push_back(ReconcilerAction::DropReceiver(name.clone()));
        }
    }

    pub(super) fn run_finished(&mut self, id: RunId, outcome: RunOutcome, now: Now) {
        let finished =
            self.receivers.iter_mut().find_map(|(name, receiver)| Some((name.clone(), receiver.finish(id)?)));
        let Some((name, run)) = finished else { return };
        match outcome {
            RunOutcome::Published(unit, rejected) => {
                let Some(receiver) = self.receivers.get_mut(&name) else { return };
                if receiver.published(run, unit, rejected) && self.policies.policy(&name).hook.is_some() {
                    self.request_hook(&name);
                }
            }
            RunOutcome::Failed(error) => self.run_failed(&name, run.inputs, error, now),
        }
    }

    fn run_failed(&mut self, name: &ReceiverName, inputs: RunInputs, error: AcceptError, now: Now) {
        let random = self.rng.u16(..);
        let Some(receiver) = self.receivers.get_mut(name) else { return };
        let failure = FailureRecord { failure: error.0, at: now.wall };
        let failures = receiver.failures().saturating_add(1);
        let mut wait = self.policies.retry.delay(&failure.failure, failures, None, random);
        if failure.failure.kind == FailureKind::Throttled {
            // A receiver calls no service that could ask for a longer delay.
            wait = wait.min(self.policies.retry.most);
        }
        receiver.failed(inputs, failure.clone(), now.mono.plus(wait));
        self.log(WorkerEvent::RunFailed(name.clone(), failure, wait));
    }

    /// Publishes a unit again, unless it was replaced or withdrawn since it was found missing.
    pub(super) fn unit_vanished(&mut self, name: &ReceiverName, unit: UnitName, reason: String) {
        let idle = self.receivers.get_mut(name).filter(|receiver| receiver.running().is_none());
        if idle.is_some_and(|receiver| receiver.forget_unit(unit)) {
            self.log(WorkerEvent::UnitVanished(name.clone(), reason));
        }
    }
}
