//! One receiver: its binding, its run, and the results of its last runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use deputy_core::failure::FailureRecord;
use deputy_core::time::{MonotonicTime, Now};
use deputy_core::{Fact, InstanceName, LeaseVersion, Timestamp};
use deputy_link::ReceiverBinding;

use super::event::{PublishedRun, Rejections, RunId};
use super::hooks::HookTracker;
use crate::unit::{HookNotified, PublishOutcome, PublishedUnit, UnitName};

#[derive(Debug, Default)]
pub(super) struct ReceiverState {
    /// `None` if it is unbound and what it published has to be withdrawn.
    binding: Option<Arc<ReceiverBinding>>,
    running: Option<RunInProgress>,
    applied: Option<AppliedUnit>,
    failed: Option<FailedRun>,
    hook: HookTracker,
}

/// Two runs with equal inputs publish the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RunInputs {
    pub(super) binding: Option<Arc<ReceiverBinding>>,
    pub(super) versions: BTreeMap<InstanceName, LeaseVersion>,
}

#[derive(Debug)]
pub(super) struct RunInProgress {
    pub(super) id: RunId,
    pub(super) inputs: RunInputs,
    pub(super) began: Now,
}

#[derive(Debug)]
struct AppliedUnit {
    inputs: RunInputs,
    published: PublishedRun,
    /// Runs with these inputs in a row that rejected something.
    rejecting_runs: u32,
    /// When a rejection asked for another run.
    retry_at: Option<MonotonicTime>,
}

#[derive(Debug)]
struct FailedRun {
    inputs: RunInputs,
    failure: FailureRecord,
    /// Failed runs in a row.
    count: u32,
    /// `None` if it waits for other inputs.
    retry_at: Option<MonotonicTime>,
}

/// Whether a receiver has applied a delivery.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DeliveryState {
    Applied,
    Failed(String),
    Pending,
}

impl ReceiverState {
    /// Sets the binding. A changed one resets the backoff: the operator may have fixed it.
    pub(super) fn bind(&mut self, binding: ReceiverBinding) {
        if self.binding.as_deref() != Some(&binding) {
            self.binding = Some(Arc::new(binding));
            if let Some(failed) = &mut self.failed {
                failed.count = 0;
            }
        }
    }

    pub(super) fn unbind(&mut self) {
        self.binding = None;
    }

    pub(super) fn binding(&self) -> Option<&Arc<ReceiverBinding>> {
        self.binding.as_ref()
    }

    pub(super) fn is_bound_to(&self, instance: &InstanceName) -> bool {
        self.binding.as_ref().is_some_and(|binding| binding.instances.contains(instance))
    }

    pub(super) fn hook(&self) -> &HookTracker {
        &self.hook
    }

    pub(super) fn hook_mut(&mut self) -> &mut HookTracker {
        &mut self.hook
    }

    pub(super) fn running(&self) -> Option<&RunInProgress> {
        self.running.as_ref()
    }

    pub(super) fn start(&mut self, run: RunInProgress) {
        self.running = Some(run);
    }

    /// Takes the run in progress if it is this one.
    pub(super) fn finish(&mut self, id: RunId) -> Option<RunInProgress> {
        self.running.take_if(|running| running.id == id)
    }

    /// Records a successful run. Returns whether the workload has to be notified.
    pub(super) fn published(
        &mut self,
        inputs: RunInputs,
        published: PublishedRun,
        retry_at: Option<MonotonicTime>,
    ) -> bool {
        let PublishedUnit { switch, notified, .. } = published.unit;
        let rejecting_runs =
            if published.rejected.is_empty() { 0 } else { self.rejecting_runs_with(&inputs).saturating_add(1) };
        self.applied = Some(AppliedUnit { inputs, published, rejecting_runs, retry_at });
        self.failed = None;
        switch == PublishOutcome::Done || notified == HookNotified::NotYet
    }

    /// Runs with these inputs in a row that rejected something.
    pub(super) fn rejecting_runs_with(&self, inputs: &RunInputs) -> u32 {
        self.applied.as_ref().filter(|applied| applied.inputs == *inputs).map_or(0, |applied| applied.rejecting_runs)
    }

    /// Records a failed run and when it is retried, whatever its inputs are then.
    pub(super) fn failed(&mut self, inputs: RunInputs, failure: FailureRecord, retry_at: Option<MonotonicTime>) {
        let count = self.failures().saturating_add(1);
        self.failed = Some(FailedRun { inputs, failure, count, retry_at });
    }

    /// Failed runs in a row.
    pub(super) fn failures(&self) -> u32 {
        self.failed.as_ref().map_or(0, |failed| failed.count)
    }

    pub(super) fn last_failure(&self) -> Option<&FailureRecord> {
        self.failed.as_ref().map(|failed| &failed.failure)
    }

    /// When the last failed run is retried.
    pub(super) fn retry_at(&self) -> Option<MonotonicTime> {
        self.failed.as_ref().and_then(|failed| failed.retry_at)
    }

    /// When another run with these inputs is due, if they stay as they are.
    pub(super) fn next_run_with(&self, inputs: &RunInputs, now: Now) -> Option<MonotonicTime> {
        if let Some(failed) = self.failed.as_ref().filter(|failed| failed.inputs == *inputs) {
            return failed.retry_at;
        }
        let applied = self.applied.as_ref().filter(|applied| applied.inputs == *inputs)?;
        let fallbacks = applied.published.rejected.values().filter_map(|rejection| rejection.fallback);
        let expiries = fallbacks.map(|fallback| fallback.lease.valid_until).filter(|expiry| now.wall < *expiry);
        expiries.map(|expiry| now.mono_at(expiry)).chain(applied.retry_at).min()
    }

    /// Whether a run with these inputs failed and is not due again.
    pub(super) fn waits_with(&self, inputs: &RunInputs, now: MonotonicTime) -> bool {
        let failed = self.failed.as_ref().filter(|failed| failed.inputs == *inputs);
        failed.is_some_and(|failed| failed.retry_at.is_none_or(|retry_at| now < retry_at))
    }

    /// Whether what these inputs lead to at this time is published.
    pub(super) fn has_applied(&self, inputs: &RunInputs, now: Now) -> bool {
        self.applied.as_ref().is_some_and(|applied| {
            applied.inputs == *inputs
                && applied.published.rejected.values().all(|rejection| rejection.is_settled(now.wall))
                && applied.retry_at.is_none_or(|retry_at| now.mono < retry_at)
        })
    }

    /// The receiver is up to date: a failure with other inputs no longer matters.
    pub(super) fn clear_failure(&mut self) {
        self.failed = None;
    }

    /// Whether nothing is left to do for an unbound receiver.
    pub(super) fn is_finished(&self) -> bool {
        self.binding.is_none() && self.hook.is_settled()
    }

    /// Forgets the applied unit if it is this one, so that the next run publishes it again.
    pub(super) fn forget_unit(&mut self, unit: UnitName) -> bool {
        let is_applied = self.applied.as_ref().is_some_and(|applied| applied.published.unit.unit == Some(unit));
        if is_applied {
            self.applied = None;
            self.failed = None;
        }
        is_applied
    }

    pub(super) fn unit(&self) -> Option<&PublishedUnit> {
        self.applied.as_ref().map(|applied| &applied.published.unit)
    }

    pub(super) fn rejected(&self) -> Option<&Rejections> {
        self.applied.as_ref().map(|applied| &applied.published.rejected)
    }

    /// What the component said when it last succeeded.
    pub(super) fn facts(&self) -> &[Fact] {
        self.applied.as_ref().map_or(&[], |applied| &applied.published.facts)
    }

    /// Whether the delivery is in the published unit, under the present binding.
    pub(super) fn delivery_state(&self, instance: &InstanceName, version: LeaseVersion) -> DeliveryState {
        if let Some(applied) =
            self.applied.as_ref().filter(|applied| self.has_input(&applied.inputs, instance, version))
        {
            let rejection = applied.published.rejected.get(instance);
            return rejection.map_or(DeliveryState::Applied, |rejection| DeliveryState::Failed(rejection.to_string()));
        }
        match self.failed.as_ref().filter(|failed| self.has_input(&failed.inputs, instance, version)) {
            Some(FailedRun { failure: FailureRecord { failure, .. }, .. }) => {
                DeliveryState::Failed(format!("{}: {}", failure.kind, failure.message))
            }
            None => DeliveryState::Pending,
        }
    }

    fn has_input(&self, inputs: &RunInputs, instance: &InstanceName, version: LeaseVersion) -> bool {
        inputs.binding == self.binding && inputs.versions.get(instance) == Some(&version)
    }

    pub(super) fn has_valid_lease(&self, now: Timestamp) -> bool {
        self.published_expiries().any(|expiry| now < expiry)
    }

    pub(super) fn has_expired_lease(&self, now: Timestamp) -> bool {
        self.published_expiries().any(|expiry| now >= expiry)
    }

    fn published_expiries(&self) -> impl Iterator<Item = Timestamp> {
        self.applied.iter().flat_map(|applied| applied.published.applied.values()).map(|lease| lease.valid_until)
    }

    /// The instances whose leases are published.
    pub(super) fn published_instances(&self) -> BTreeSet<InstanceName> {
        self.applied.iter().flat_map(|applied| applied.published.applied.keys().cloned()).collect()
    }
}
