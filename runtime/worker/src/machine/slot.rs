//! One receiver, as the machine knows it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use deputy_core::schedule::{Mono, Now, Trouble};
use deputy_core::{InstanceName, Stamp, Timestamp};
use deputy_link::Binding;
use deputy_support::Backoff;

use super::event::RunNumber;
use crate::unit::Published;

/// A receiver and what became of it.
#[derive(Debug, Default)]
pub(super) struct Slot {
    /// What it is; nothing if it is no longer bound and has to go.
    pub(super) binding: Option<Arc<Binding>>,
    pub(super) running: Option<Running>,
    pub(super) applied: Option<Applied>,
    pub(super) failed: Option<Failed>,
    pub(super) telling: Telling,
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
    pub(super) next: Mono,
}

/// What a run is made with. Two runs with the same would publish the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Inputs {
    pub(super) binding: Option<Arc<Binding>>,
    pub(super) stamps: BTreeMap<InstanceName, Stamp>,
}

#[derive(Debug)]
pub(super) struct Running {
    pub(super) number: RunNumber,
    pub(super) inputs: Inputs,
    /// When its leases end.
    pub(super) ends: Vec<Timestamp>,
    pub(super) began: Now,
}

#[derive(Debug)]
pub(super) struct Applied {
    pub(super) inputs: Inputs,
    /// When the published leases end.
    pub(super) ends: Vec<Timestamp>,
    pub(super) refused: BTreeMap<InstanceName, String>,
    pub(super) published: Published,
}

#[derive(Debug)]
pub(super) struct Failed {
    pub(super) inputs: Inputs,
    pub(super) trouble: Trouble,
    /// In a row.
    pub(super) count: u32,
    /// When it is tried again, if nothing changes before.
    pub(super) next: Mono,
}

/// Whether the hook runs. Never twice at a time: a change meanwhile makes it run once more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Telling {
    #[default]
    Idle,
    Busy,
    BusyAndAgain,
}

/// How a receiver stands to a delivery.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stand {
    Applied,
    Failed(String),
    Pending,
}

impl Slot {
    /// Whether the delivery is in what this receiver published, as it is bound now.
    pub(super) fn stand(&self, instance: &InstanceName, stamp: Stamp) -> Stand {
        let has = |inputs: &Inputs| inputs.binding == self.binding && inputs.stamps.get(instance) == Some(&stamp);
        if let Some(applied) = self.applied.as_ref().filter(|applied| has(&applied.inputs)) {
            return applied.refused.get(instance).map_or(Stand::Applied, |why| Stand::Failed(why.clone()));
        }
        match self.failed.as_ref().filter(|failed| has(&failed.inputs)) {
            Some(Failed { trouble, .. }) => Stand::Failed(format!("{}: {}", trouble.kind, trouble.message)),
            None => Stand::Pending,
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
