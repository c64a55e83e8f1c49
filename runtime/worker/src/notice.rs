//! What the machine wants told, as log events.

use crate::machine::Notice;

/// Writes it to the log: loudly where only a person can mend it.
pub(crate) fn log(notice: &Notice) {
    match notice {
        Notice::Expired(instance, stamp) => {
            tracing::error!(%instance, revision = %stamp.revision, "a lease ended before there was another one");
        }
        Notice::Failed(receiver, trouble, wait) if trouble.kind.is_slow() => tracing::error!(
            %receiver, kind = %trouble.kind, error = %trouble.message, retry_in = %wait,
            "a receiver failed, and only a change will mend it; what was published stays"
        ),
        Notice::Failed(receiver, trouble, wait) => tracing::warn!(
            %receiver, kind = %trouble.kind, error = %trouble.message, retry_in = %wait,
            "a receiver failed; what was published stays"
        ),
        Notice::Received(instance, stamp) => {
            tracing::debug!(%instance, revision = %stamp.revision, "to be applied");
        }
        Notice::Withdrawn(instance) => tracing::info!(%instance, "is no longer for this worker"),
    }
}
