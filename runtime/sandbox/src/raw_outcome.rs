//! The outcome of a call, before and after its answer is checked.

use std::sync::Arc;

use deputy_audit::{AuditOutcome, CallId};
use deputy_core::{PolicyDenial, ProviderFailure, Span};

use crate::bindings::delegation::tokens::types as wit;
use crate::call::{Call, CallError, Interruption};
use crate::call_budget::CallBudget;
use crate::guest_log::GuestLog;
use crate::open_call::OpenCall;
use crate::redact::Redactor;
use crate::usage::CallUsage;

/// The longest text of a failure that is kept, in bytes.
const MAX_FAILURE_TEXT: usize = 2000;

/// The outcome of a call, as the component gave it.
pub(crate) struct RawOutcome<T> {
    pub(crate) id: CallId,
    pub(crate) budget: Arc<CallBudget>,
    pub(crate) record: Arc<OpenCall>,
    pub(crate) log: GuestLog,
    pub(crate) redactor: Arc<Redactor>,
    pub(crate) result: Result<T, CallError>,
}

impl<T> RawOutcome<T> {
    /// Converts the answer and writes the call's audit event. A result that can't be recorded is withheld.
    pub(crate) async fn finish<U>(self, convert: impl FnOnce(T, &Redactor) -> Result<U, CallError>) -> Call<U> {
        let mut result = self.result.and_then(|value| convert(value, &self.redactor));
        if self.budget.audit.is_unrecorded() {
            result = Err(Interruption::Audit.into());
        }
        let (outcome, code) = match &result {
            Ok(_) => (AuditOutcome::Done, None),
            Err(CallError::Limit(limit)) => {
                self.budget.deny(PolicyDenial::Limit(*limit));
                (AuditOutcome::Refused, Some(format!("over-limit:{limit}")))
            }
            Err(error) => (AuditOutcome::Failed, Some(audit_code(error).to_owned())),
        };
        let receipt = self.record.close(outcome, code.as_deref());
        if self.budget.audit.check_written(receipt.written().await).is_err() {
            result = Err(Interruption::Audit.into());
        }
        Call {
            id: self.id,
            result,
            denials: self.budget.findings.denials(),
            timeouts: self.budget.findings.timeouts(),
            secret_faults: self.budget.findings.faults(),
            usage: CallUsage { cpu: self.budget.time().used(), ..self.budget.usage.snapshot() },
            log_tail: self.log.tail(),
        }
    }
}

/// The code of a failed call in its audit event.
fn audit_code(error: &CallError) -> &'static str {
    match error {
        CallError::Failure(ProviderFailure::Denied(_)) => "denied",
        CallError::Failure(ProviderFailure::Misconfigured(_)) => "misconfigured",
        CallError::Failure(ProviderFailure::Throttled { .. }) => "throttled",
        CallError::Failure(ProviderFailure::Unavailable(_)) => "unavailable",
        CallError::Internal(_) => "internal",
        CallError::Interrupted(Interruption::Audit) => "audit-unavailable",
        CallError::Interrupted(Interruption::Network(_)) => "no-answer",
        CallError::Interrupted(Interruption::Stopped(_)) => "process-stopped",
        CallError::Invalid(_) => "invalid-answer",
        CallError::Limit(_) => "over-limit",
        CallError::Trap { .. } => "trap",
    }
}

/// A component's failure, bounded, on one line, and without the values of secrets.
pub(crate) fn convert_failure(failure: wit::Failure, redactor: &Redactor) -> ProviderFailure {
    match failure {
        wit::Failure::Denied(text) => ProviderFailure::Denied(redactor.clean(&text, MAX_FAILURE_TEXT)),
        wit::Failure::Misconfigured(text) => ProviderFailure::Misconfigured(redactor.clean(&text, MAX_FAILURE_TEXT)),
        wit::Failure::Throttled(throttle) => ProviderFailure::Throttled {
            message: redactor.clean(&throttle.message, MAX_FAILURE_TEXT),
            retry_after: Span::millis(throttle.retry_after_ms),
        },
        wit::Failure::Unavailable(text) => ProviderFailure::Unavailable(redactor.clean(&text, MAX_FAILURE_TEXT)),
    }
}
