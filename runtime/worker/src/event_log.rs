//! What the machine wants told, as log events.

use crate::reconciler::WorkerEvent;

/// Writes it to the log: loudly where only a person can mend it.
pub(crate) fn log(notice: &WorkerEvent) {
    match notice {
        WorkerEvent::Expired(instance, stamp) => {
            tracing::error!(%instance, revision = %stamp.revision, "lease expired before the coordinator sent its replacement");
        }
        WorkerEvent::Failed(receiver, trouble, wait) if trouble.kind.is_slow() => tracing::error!(
            %receiver, kind = %trouble.kind, error = %trouble.message, retry_in = %wait,
            "receiver failed; a configuration change is needed; the published unit stays"
        ),
        WorkerEvent::Failed(receiver, trouble, wait) => tracing::warn!(
            %receiver, kind = %trouble.kind, error = %trouble.message, retry_in = %wait,
            "receiver failed; the published unit stays"
        ),
        WorkerEvent::NotDelivered(instance, named) => tracing::warn!(
            %instance, named_by = %named,
            "the coordinator delivers no instance of this name to this worker's group"
        ),
        WorkerEvent::NotTold(receiver, failures) => tracing::error!(
            %receiver, failures,
            "a hook is given up until something else is published: nothing that is published is valid any more"
        ),
        WorkerEvent::UnknownReceiver(receiver) => tracing::warn!(
            %receiver,
            "a [receivers.NAME] table has no effect: neither the coordinator nor this worker has a receiver of this name"
        ),
        WorkerEvent::Vanished(receiver, why) => {
            tracing::warn!(%receiver, why, "a published unit is gone: it is published again");
        }
        WorkerEvent::Received(instance, stamp) => {
            tracing::debug!(%instance, revision = %stamp.revision, "lease received; applying it");
        }
        WorkerEvent::Withdrawn(instance) => tracing::info!(%instance, "instance withdrawn from this worker"),
    }
}
