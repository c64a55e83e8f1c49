//! The schedule's events as log lines. An error is something that only a person can fix.

use deputy_core::failure::FailureRecord;
use deputy_core::schedule::{NotRevoked, OperatorEvent};
use deputy_core::{CallFailure, Fact, InstanceName, Span};

pub(crate) fn log(event: &OperatorEvent) {
    match event {
        OperatorEvent::ClockJumped(millis) => {
            tracing::warn!(
                seconds = millis / 1000,
                "clock jump detected (clock set, or machine suspended); running everything that is due"
            );
        }
        OperatorEvent::Expired(instance, revision) => {
            tracing::error!(%instance, %revision, "lease expired before it was replaced");
        }
        OperatorEvent::ExpiryAssumed(instance, stated, assumed) => match stated {
            Some(stated) => tracing::warn!(
                %instance, %stated, %assumed,
                "service returned an expiry in the past; the configured lifetime is used. Check the clocks of both"
            ),
            None => tracing::debug!(%instance, %assumed, "service returned no expiry; the configured lifetime is used"),
        },
        OperatorEvent::Failed(instance, FailureRecord { failure, .. }, wait) => log_failure(instance, failure, *wait),
        OperatorEvent::Orphaned(instance, until) => tracing::warn!(
            %instance, kept_until = %until,
            "instance no longer configured; what it holds is kept sealed and not revoked. Configure the instance again to use it"
        ),
        OperatorEvent::PauseSaveFailed(instance, error) => tracing::warn!(
            %instance, %error,
            "saving the delay that the service asked for failed; after a restart or a takeover it may be called sooner"
        ),
        OperatorEvent::PublishedUnsaved(instance, revision) => tracing::error!(
            %instance, %revision,
            "lease published unsaved, since the previous one is about to expire: a restart would lose it"
        ),
        OperatorEvent::RevokeFailed(instance, revision, FailureRecord { failure, .. }, wait) => {
            tracing::warn!(
                %instance, %revision, kind = %failure.kind, error = %failure.message, retry_in = %wait,
                "revocation failed"
            );
            log_facts(instance, &failure.facts);
        }
        OperatorEvent::RevokeGivenUp(instance, revision, NotRevoked::Reconfigured) => tracing::error!(
            %instance, %revision, reason = NotRevoked::Reconfigured.word(),
            "lease not revoked and valid until it expires: {}; revoke it at the service if it must end sooner",
            NotRevoked::Reconfigured
        ),
        OperatorEvent::RevokeGivenUp(instance, revision, reason) => {
            tracing::warn!(%instance, %revision, reason = reason.word(), "lease not revoked: {reason}");
        }
        OperatorEvent::SaveFailed(instance, error, wait) => tracing::error!(
            %instance, %error, retry_in = %wait, "saving the lease failed; it stays unpublished"
        ),
    }
}

fn log_failure(instance: &InstanceName, failure: &CallFailure, wait: Option<Span>) {
    let CallFailure { kind, message, code, facts, .. } = failure;
    let code = code.as_deref();
    match wait {
        None => tracing::error!(
            %instance, %kind, error = %message, code,
            "call failed and a person has to act; then run `deputy renew {instance}`"
        ),
        Some(wait) if kind.is_slow() => tracing::error!(
            %instance, %kind, error = %message, code, retry_in = %wait, "call failed; a configuration change is needed"
        ),
        Some(wait) => {
            tracing::warn!(%instance, %kind, error = %message, code, retry_in = %wait, "call failed");
        }
    }
    log_facts(instance, facts);
}

/// What a component said of its tokens or its failure, in its own words.
pub(crate) fn log_facts(instance: &InstanceName, facts: &[Fact]) {
    for Fact { name, value } in facts {
        tracing::debug!(%instance, name, value, "fact of the provider");
    }
}
