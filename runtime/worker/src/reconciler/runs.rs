//! Runs: with which inputs a receiver should have run, and when it runs.

use std::collections::BTreeMap;

use deputy_core::failure::FailureRecord;
use deputy_core::time::{MonotonicTime, Now};
use deputy_core::{Delivery, Expired, ReceiverName};

use super::receiver_state::{ReceiverState, RunInProgress, RunInputs};
use super::{PublishedRun, ReceiverRun, Reconciler, ReconcilerAction, RunId, RunOutcome, RunWork, WorkerEvent};
use crate::receiver::{AcceptError, FailureOrigin};
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

    /// When an idle receiver runs again although nothing arrives.
    pub(super) fn next_run_at(&self, name: &ReceiverName, receiver: &ReceiverState, now: Now) -> Option<MonotonicTime> {
        if receiver.running().is_some() {
            return None;
        }
        receiver.next_run_with(&self.wanted_inputs(name, receiver, now)?, now)
    }

    pub(super) fn start_due_run(&mut self, name: &ReceiverName, now: Now) {
        let Some(receiver) = self.receivers.get(name).filter(|receiver| receiver.running().is_none()) else { return };
        let Some(wanted) = self.wanted_inputs(name, receiver, now) else { return };
        if receiver.has_applied(&wanted, now) {
            self.settle(name);
            return;
        }
        if receiver.waits_with(&wanted, now.mono) {
            return;
        }
        let id = RunId(self.last_run.0 + 1);
        self.last_run = id;
        let deliveries: Vec<Delivery> =
            wanted.versions.keys().filter_map(|instance| self.held.deliveries.get(instance)).cloned().collect();
        let work = match &wanted.binding {
            Some(binding) if !deliveries.is_empty() => RunWork::Accept(binding.clone(), deliveries),
            _ => RunWork::Withdraw,
        };
        if let Some(receiver) = self.receivers.get_mut(name) {
            receiver.start(RunInProgress { id, inputs: wanted, began: now });
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
            RunOutcome::Published(published) => self.run_published(&name, run.inputs, published, now),
            RunOutcome::Failed(error) => self.run_failed(&name, run.inputs, error, now),
        }
    }

    fn run_published(&mut self, name: &ReceiverName, inputs: RunInputs, published: PublishedRun, now: Now) {
        let random = self.rng.u16(..);
        let Some(receiver) = self.receivers.get_mut(name) else { return };
        let runs = receiver.rejecting_runs_with(&inputs).saturating_add(1);
        let rejections = published.rejected.clone();
        let failures = rejections.values().map(|rejection| &rejection.failure);
        let asked = failures.filter(|failure| failure.retry_after.is_some());
        let wait = asked.map(|failure| self.policies.retry.delay(failure, runs, None, random)).min();
        let is_workload_outdated = receiver.published(inputs, published, wait.map(|wait| now.mono.plus(wait)));
        for (instance, rejection) in rejections {
            self.log(WorkerEvent::Rejected(name.clone(), instance, rejection));
        }
        if is_workload_outdated && self.policies.policy(name).hook.is_some() {
            self.request_hook(name);
        }
    }

    /// A failure of the host's is retried with backoff. One that the component returned waits for other inputs, or for the
    /// delay that it asked for.
    fn run_failed(&mut self, name: &ReceiverName, inputs: RunInputs, error: AcceptError, now: Now) {
        let random = self.rng.u16(..);
        let Some(receiver) = self.receivers.get_mut(name) else { return };
        let AcceptError { failure, origin } = error;
        let is_retried = origin == FailureOrigin::Host || failure.retry_after.is_some();
        let failures = receiver.failures().saturating_add(1);
        let wait = is_retried.then(|| self.policies.retry.delay(&failure, failures, None, random));
        let record = FailureRecord { failure, at: now.wall };
        receiver.failed(inputs, record.clone(), wait.map(|wait| now.mono.plus(wait)));
        self.log(WorkerEvent::RunFailed(name.clone(), record, wait));
    }

    /// Publishes a unit again, unless it was replaced or withdrawn since it was found missing.
    pub(super) fn unit_vanished(&mut self, name: &ReceiverName, unit: UnitName, reason: String) {
        let idle = self.receivers.get_mut(name).filter(|receiver| receiver.running().is_none());
        if idle.is_some_and(|receiver| receiver.forget_unit(unit)) {
            self.log(WorkerEvent::UnitVanished(name.clone(), reason));
        }
    }
}
