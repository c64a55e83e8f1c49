//! The reconciler's events as lines of the log: errors are what only a person can fix.

use crate::reconciler::WorkerEvent;
use deputy_core::failure::FailureRecord;

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
        WorkerEvent::RunFailed(receiver, FailureRecord { failure, .. }, wait) if failure.kind.is_slow() => {
            tracing::error!(
                %receiver, kind = %failure.kind, error = %failure.message, retry_in = %wait,
                "receiver failed; a configuration change is needed; the published unit stays"
            )
        }
        WorkerEvent::RunFailed(receiver, FailureRecord { failure, .. }, wait) => tracing::warn!(
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
