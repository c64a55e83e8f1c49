//! What the schedule wants told, as log events.

use deputy_core::schedule::{NotRevoked, OperatorEvent};

/// Writes it to the log: loudly where only a person can mend it.
pub(crate) fn log(notice: &OperatorEvent) {
    match notice {
        OperatorEvent::ClockJumped(millis) => {
            tracing::warn!(
                seconds = millis / 1000,
                "clock jump detected (clock set, or machine suspended); running everything that is due"
            );
        }
        OperatorEvent::Expired(instance, revision) => {
            tracing::error!(%instance, %revision, "lease expired before it was replaced");
        }
        OperatorEvent::ExpiryAssumed(instance, told, assumed) => match told {
            Some(told) => tracing::warn!(
                %instance, %told, %assumed,
                "the service gave an expiry in the past (is a clock wrong?): the configured lifetime counts"
            ),
            None => tracing::debug!(%instance, %assumed, "the service gave no expiry: the configured lifetime counts"),
        },
        OperatorEvent::Failed(instance, trouble, wait) if trouble.kind.is_slow() => tracing::error!(
            %instance, kind = %trouble.kind, error = %trouble.message, retry_in = %wait,
            "call failed; a configuration change is needed"
        ),
        OperatorEvent::Failed(instance, trouble, wait) => tracing::warn!(
            %instance, kind = %trouble.kind, error = %trouble.message, retry_in = %wait, "call failed"
        ),
        OperatorEvent::Orphaned(instance, until) => tracing::warn!(
            %instance, kept_until = %until,
            "an instance is not configured that holds a lease: the lease is kept sealed, and is not revoked. Configure the \
             instance again to use it"
        ),
        OperatorEvent::PublishedUnsaved(instance, revision) => tracing::error!(
            %instance, %revision,
            "a lease is given out unsaved, since the one before is about to end: a restart would lose it"
        ),
        OperatorEvent::RevokeFailed(instance, revision, trouble, wait) => tracing::warn!(
            %instance, %revision, kind = %trouble.kind, error = %trouble.message, retry_in = %wait,
            "revocation failed"
        ),
        OperatorEvent::RevokeGivenUp(instance, revision, NotRevoked::Reconfigured) => tracing::error!(
            %instance, %revision, reason = NotRevoked::Reconfigured.word(),
            "a lease was not revoked and stays valid until it ends: {}; revoke it at the service if it must end sooner",
            NotRevoked::Reconfigured
        ),
        OperatorEvent::RevokeGivenUp(instance, revision, why) => {
            tracing::warn!(%instance, %revision, reason = why.word(), "a lease was not revoked: {why}");
        }
        OperatorEvent::SaveFailed(instance, error, wait) => tracing::error!(
            %instance, %error, retry_in = %wait, "saving the lease failed; it stays unpublished"
        ),
    }
}
