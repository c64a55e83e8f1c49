//! What kind of failure a failed call is. The kind decides when the call is repeated, and with which code a command ends.

use deputy_core::failure::{FailureKind, FailureNext};
use deputy_core::{CallFailure, PolicyDenial};
use deputy_sandbox::{Call, CallError, SecretFault};

/// The kind of a call's failure; `None` if the call succeeded.
///
/// A service that asked to wait is believed first. Then a denial says more than what the component made of it: a component
/// that may not reach its service reports the service as unavailable. The same holds for a secret that could not be used,
/// and for a component that broke off because its service did not answer.
pub fn failure_kind<T>(call: &Call<T>) -> Option<FailureKind> {
    let error = call.result.as_ref().err()?;
    Some(match error {
        CallError::Internal(_) => FailureKind::Internal,
        CallError::Interrupted(_) => FailureKind::Unavailable,
        CallError::Limit(_) => FailureKind::OverLimit,
        CallError::Failure(failure) if failure.next == FailureNext::Throttled => FailureKind::Throttled,
        _ if call.denials.iter().any(|denial| !matches!(denial, PolicyDenial::Limit(_))) => FailureKind::Refused,
        _ if !call.denials.is_empty() => FailureKind::OverLimit,
        // Only another value mends a wrong one; a source that failed may work later.
        _ if call.secret_faults.iter().any(|fault| matches!(fault, SecretFault::Value(_))) => {
            FailureKind::Misconfigured
        }
        _ if !call.secret_faults.is_empty() => FailureKind::Unavailable,
        CallError::Failure(failure) => failure.next.into(),
        CallError::Invalid(_) | CallError::Trap { .. } if !call.timeouts.is_empty() => FailureKind::Unavailable,
        CallError::Invalid(_) | CallError::Trap { .. } => FailureKind::Broken,
    })
}

/// The failure of a call for the schedule; `None` if the call succeeded.
pub(crate) fn call_failure<T>(call: &Call<T>) -> Option<CallFailure> {
    let error = call.result.as_ref().err()?;
    let message = failure_message(error);
    let message = match secret_fault_text(&call.secret_faults) {
        Some(faults) => format!("{faults}; the component said: {message}"),
        None => message,
    };
    let failure = CallFailure::new(failure_kind(call)?, message);
    Some(match error {
        CallError::Failure(own) => CallFailure {
            code: own.code.clone(),
            // A delay belongs to the component's own account of the failure.
            retry_after: own.retry_after.filter(|_| failure.kind == own.next.into()),
            facts: own.facts.clone(),
            ..failure
        },
        _ => failure,
    })
}

/// A failure's message without its kind, which is shown beside it.
pub(crate) fn failure_message(error: &CallError) -> String {
    match error {
        CallError::Failure(failure) => failure.message.clone(),
        error => error.to_string(),
    }
}

/// What went wrong with a call's secrets. It belongs before the component's own message, which it explains.
pub fn secret_fault_text(faults: &[SecretFault]) -> Option<String> {
    let texts: Vec<_> = faults.iter().map(ToString::to_string).collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

/// Logs what a failed call's component wrote to its standard error.
pub(crate) fn log_stderr<T>(call: &Call<T>) {
    let stderr = call.log_tail.trim();
    if !stderr.is_empty() {
        tracing::warn!(call = %call.id, stderr, "call failed; last lines of the component's stderr");
    }
}

#[cfg(test)]
mod tests;
