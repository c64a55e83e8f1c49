//! One receiver: its binding, its run, and the results of its last runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use deputy_core::failure::FailureRecord;
use deputy_core::time::{MonotonicTime, Now};
use deputy_core::{InstanceName, LeaseVersion, Timestamp};
use deputy_link::ReceiverBinding;

use super::event::{Rejections, RunId};
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
    /// Of its leases.
    pub(super) expiries: Vec<Timestamp>,
    pub(super) began: Now,
}

#[derive(Debug)]
struct AppliedUnit {
    inputs: RunInputs,
    /// Of the published leases.
    expiries: Vec<Timestamp>,
    rejected: Rejections,
    unit: PublishedUnit,
}

#[derive(Debug)]
struct FailedRun {
    inputs: RunInputs,
    failure: FailureRecord,
    /// Failed runs in a row.
    count: u32,
    retry_at: MonotonicTime,
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
    pub(super) fn published(&mut self, run: RunInProgress, unit: PublishedUnit, rejected: Rejections) -> bool {
        let RunInProgress { inputs, expiries, .. } = run;
        self.applied = Some(AppliedUnit { inputs, expiries, rejected, unit });
        self.failed = None;
        unit.switch == PublishOutcome::Done || unit.told == HookNotified::NotYet
    }

    /// Records a failed run and when it is retried.
    pub(super) fn failed(&mut self, inputs: RunInputs, failure: FailureRecord, retry_at: MonotonicTime) {
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

    /// When the last failed run is retried, whatever its inputs.
    pub(super) fn retry_at(&self) -> Option<MonotonicTime> {
        self.failed.as_ref().map(|failed| failed.retry_at)
    }

    /// When a failed run with these inputs is retried.
    pub(super) fn retry_at_with(&self, inputs: &RunInputs) -> Option<MonotonicTime> {
        self.failed.as_ref().filter(|failed| failed.inputs == *inputs).map(|failed| failed.retry_at)
    }

    pub(super) fn has_applied(&self, inputs: &RunInputs) -> bool {
        self.applied.as_ref().is_some_and(|applied| applied.inputs == *inputs)
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
        let is_applied = self.applied.as_ref().is_some_and(|applied| applied.unit.unit == Some(unit));
        if is_applied {
            self.applied = None;
            self.failed = None;
        }
        is_applied
    }

    pub(super) fn unit(&self) -> Option<&PublishedUnit> {
        self.applied.as_ref().map(|applied| &applied.unit)
    }

    pub(super) fn rejected(&self) -> Option<&Rejections> {
        self.applied.as_ref().map(|applied| &applied.rejected)
    }

    /// Whether the delivery is in the published unit, under the present binding.
    pub(super) fn delivery_state(&self, instance: &InstanceName, version: LeaseVersion) -> DeliveryState {
        if let Some(applied) =
            self.applied.as_ref().filter(|applied| self.has_input(&applied.inputs, instance, version))
        {
            let rejection = applied.rejected.get(instance);
            return rejection.map_or(DeliveryState::Applied, |reason| DeliveryState::Failed(reason.clone()));
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
        self.applied.iter().flat_map(|applied| &applied.expiries).copied()
    }

    /// The instances whose leases are published.
    pub(super) fn published_instances(&self) -> BTreeSet<InstanceName> {
        self.applied.iter().flat_map(|applied| applied.inputs.versions.keys().cloned()).collect()
    }
}
