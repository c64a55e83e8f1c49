//! The reconciler's events as lines of the log: errors are what only a person can fix.

use deputy_core::failure::FailureRecord;
use deputy_core::{Fact, ReceiverName};

use crate::reconciler::WorkerEvent;

/// What a component said of its success, in its own words.
pub(crate) fn log_facts(receiver: &ReceiverName, facts: &[Fact]) {
    for Fact { name, value } in facts {
        tracing::debug!(%receiver, name, value, "fact of the receiver");
    }
}

pub(crate) fn log(event: &WorkerEvent) {
    match event {
        WorkerEvent::Expired(instance, version) => tracing::error!(
            %instance, revision = %version.revision,
            "lease expired before the coordinator sent its replacement"
        ),
        WorkerEvent::HookAbandoned(receiver, failures) => tracing::error!(
            %receiver, failures,
            "hook abandoned until the unit changes: no valid lease is published"
        ),
        WorkerEvent::NotDelivered(instance, named_by) => tracing::warn!(
            %instance, %named_by,
            "the coordinator delivers no instance of this name to this worker's group"
        ),
        WorkerEvent::Received(instance, version) => {
            tracing::debug!(%instance, revision = %version.revision, "lease received; applying it");
        }
        WorkerEvent::Rejected(receiver, instance, rejection) => tracing::error!(
            %receiver, %instance, kept = rejection.applied_revision().map(|revision| revision.0),
            kind = %rejection.failure.kind, error = %rejection.failure.message,
            "receiver rejected a lease; its other instances are published"
        ),
        WorkerEvent::RunFailed(receiver, FailureRecord { failure, .. }, None) => tracing::error!(
            %receiver, kind = %failure.kind, error = %failure.message,
            "receiver failed; it waits for another lease or other settings; the published unit stays"
        ),
        WorkerEvent::RunFailed(receiver, FailureRecord { failure, .. }, Some(wait)) if failure.kind.is_slow() => {
            tracing::error!(
                %receiver, kind = %failure.kind, error = %failure.message, retry_in = %wait,
                "receiver failed; a configuration change is needed; the published unit stays"
            )
        }
        WorkerEvent::RunFailed(receiver, FailureRecord { failure, .. }, Some(wait)) => tracing::warn!(
            %receiver, kind = %failure.kind, error = %failure.message, retry_in = %wait,
            "receiver failed; the published unit stays"
        ),
        WorkerEvent::UnitVanished(receiver, reason) => {
            tracing::warn!(%receiver, reason, "published unit is missing; publishing it again");
        }
        WorkerEvent::UnknownReceiver(receiver) => tracing::warn!(
            %receiver,
            "a [receivers.NAME] table has no effect: neither the coordinator nor this worker has a receiver of this name"
        ),
        WorkerEvent::Withdrawn(instance) => tracing::info!(%instance, "instance withdrawn from this worker"),
    }
}
