//! One receiver, as the machine knows it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use deputy_core::failure::FailureRecord;
use deputy_core::time::{MonotonicTime, Now};
use deputy_core::{InstanceName, LeaseVersion, Timestamp};
use deputy_link::ReceiverBinding;
use deputy_support::Backoff;

use super::event::RunId;
use crate::unit::PublishedUnit;

/// A receiver and what became of it.
#[derive(Debug, Default)]
pub(super) struct ReceiverState {
    /// What it is; nothing if it is no longer bound and has to go.
    pub(super) binding: Option<Arc<ReceiverBinding>>,
    pub(super) running: Option<RunInProgress>,
    pub(super) applied: Option<AppliedUnit>,
    pub(super) failed: Option<FailedRun>,
    pub(super) telling: HookState,
    pub(super) told: Option<(Timestamp, Result<(), String>)>,
    /// Whether the hook has succeeded since the start: then there is a workload that can be told.
    pub(super) was_told: bool,
    /// The hook failed, and is to be tried again.
    pub(super) retelling: Option<Retelling>,
}

/// The hook failed.
#[derive(Debug)]
pub(super) struct Retelling {
    pub(super) backoff: Backoff,
    /// When it is tried again, if nothing changes before.
    pub(super) next: MonotonicTime,
}

/// What a run is made with. Two runs with the same would publish the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RunInputs {
    pub(super) binding: Option<Arc<ReceiverBinding>>,
    pub(super) stamps: BTreeMap<InstanceName, LeaseVersion>,
}

#[derive(Debug)]
pub(super) struct RunInProgress {
    pub(super) number: RunId,
    pub(super) inputs: RunInputs,
    /// When its leases end.
    pub(super) ends: Vec<Timestamp>,
    pub(super) began: Now,
}

#[derive(Debug)]
pub(super) struct AppliedUnit {
    pub(super) inputs: RunInputs,
    /// When the published leases end.
    pub(super) ends: Vec<Timestamp>,
    pub(super) refused: BTreeMap<InstanceName, String>,
    pub(super) published: PublishedUnit,
}

#[derive(Debug)]
pub(super) struct FailedRun {
    pub(super) inputs: RunInputs,
    pub(super) trouble: FailureRecord,
    /// In a row.
    pub(super) count: u32,
    /// When it is tried again, if nothing changes before.
    pub(super) next: MonotonicTime,
}

/// Whether the hook runs. Never twice at a time: a change meanwhile makes it run once more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum HookState {
    #[default]
    Idle,
    Busy,
    BusyAndAgain,
}

/// How a receiver stands to a delivery.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DeliveryState {
    Applied,
    Failed(String),
    Pending,
}

impl ReceiverState {
    /// Whether the delivery is in what this receiver published, as it is bound now.
    pub(super) fn stand(&self, instance: &InstanceName, stamp: LeaseVersion) -> DeliveryState {
        let has = |inputs: &RunInputs| inputs.binding == self.binding && inputs.stamps.get(instance) == Some(&stamp);
        if let Some(applied) = self.applied.as_ref().filter(|applied| has(&applied.inputs)) {
            return applied
                .refused
                .get(instance)
                .map_or(DeliveryState::Applied, |why| DeliveryState::Failed(why.clone()));
        }
        match self.failed.as_ref().filter(|failed| has(&failed.inputs)) {
            Some(FailedRun { trouble, .. }) => DeliveryState::Failed(format!("{}: {}", trouble.kind, trouble.message)),
            None => DeliveryState::Pending,
        }
    }

    /// Whether a lease that is published is valid.
    pub(super) fn is_alive(&self, now: Timestamp) -> bool {
        self.applied.iter().flat_map(|applied| &applied.ends).any(|end| now < *end)
    }

    /// Whether a lease that is published has ended.
    pub(super) fn has_ended(&self, now: Timestamp) -> bool {
        self.applied.iter().flat_map(|applied| &applied.ends).any(|end| now >= *end)
    }

    /// Whose deliveries are published.
    pub(super) fn instances(&self) -> BTreeSet<InstanceName> {
        self.applied.iter().flat_map(|applied| applied.inputs.stamps.keys().cloned()).collect()
    }
}
