//! The link to the coordinator, as the worker's status shows it.

use deputy_link::WorkerIdentity;
use deputy_link::client::{LinkPhase, LinkState};
use deputy_worker::{ConnectionPhase, ConnectionSnapshot};

/// What does not change while the process runs.
pub(crate) struct LinkStatus {
    worker: String,
    group: String,
    coordinator: String,
}

impl LinkStatus {
    pub(crate) fn new(identity: &WorkerIdentity) -> Self {
        Self {
            worker: identity.worker.to_string(),
            group: identity.group.to_string(),
            coordinator: identity.address.clone(),
        }
    }

    pub(crate) fn snapshot(&self, state: &LinkState) -> ConnectionSnapshot {
        ConnectionSnapshot {
            worker: self.worker.clone(),
            group: self.group.clone(),
            coordinator: self.coordinator.clone(),
            phase: match state.phase {
                LinkPhase::Connecting => ConnectionPhase::Connecting,
                LinkPhase::Connected => ConnectionPhase::Connected,
                LinkPhase::Rejected => ConnectionPhase::Out,
            },
            since: state.since,
            heard: state.last_message,
            error: state.error.clone(),
            certificate_ends: Some(state.certificate_ends),
            refused: state.refusals.iter().map(ToString::to_string).collect(),
        }
    }
}
