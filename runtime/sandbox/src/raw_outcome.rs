//! The outcome of a call, before and after its answer is checked.

use std::sync::Arc;

use deputy_audit::{AuditOutcome, CallId};
use deputy_core::failure::{FailureKind, FailureNext};
use deputy_core::{
    ComponentFailure, Fact, HOST_FACT_PREFIX, LONGEST_FACT_NAME, LONGEST_FACT_VALUE, MOST_FACTS, PolicyDenial, Span,
    Timestamp,
};

use crate::bindings::delegation::tokens::types as wit;
use crate::call::{Call, CallError, Interruption};
use crate::call_budget::CallBudget;
use crate::guest_log::GuestLog;
use crate::open_call::OpenCall;
use crate::redact::Redactor;
use crate::stand_in::World;
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
    pub(crate) world: World,
    pub(crate) result: Result<T, CallError>,
}

/// What the conversion of an answer needs to know about its call.
#[derive(Clone, Copy)]
pub(crate) struct AnsweredCall<'a> {
    pub(crate) redactor: &'a Redactor,
    /// When it began, by the wall clock as it is now.
    pub(crate) began: Timestamp,
}

impl<T> RawOutcome<T> {
    /// Converts the answer and writes the call's audit event. A result that can't be recorded is withheld.
    pub(crate) async fn finish<U>(self, convert: impl FnOnce(T, AnsweredCall<'_>) -> Result<U, CallError>) -> Call<U> {
        let taken = Span::millis(u64::try_from(self.budget.time().begun().elapsed().as_millis()).unwrap_or(u64::MAX));
        let answered = AnsweredCall { redactor: &self.redactor, began: self.world.began(taken) };
        let answer = self.result.and_then(|value| convert(value, answered));
        let mut result = answer.map_err(|error| redact_error(error, &self.redactor));
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
            denials: self.budget.denials(),
            timeouts: self.budget.findings.timeouts(),
            secret_faults: self.budget.faults(),
            usage: CallUsage { cpu: self.budget.time().used(), ..self.budget.usage.snapshot() },
            requests: self.budget.audit.take_requests(),
            log_tail: self.log.tail(),
        }
    }
}

/// An error without the values of secrets: what is wrong with a result may be quoted in it.
fn redact_error(error: CallError, redactor: &Redactor) -> CallError {
    match error {
        CallError::Invalid(text) => CallError::Invalid(redactor.clean(&text, MAX_FAILURE_TEXT)),
        CallError::Trap { reason } => CallError::Trap { reason: redactor.clean(&reason, MAX_FAILURE_TEXT) },
        other => other,
    }
}

/// The code of a failed call in its audit event.
fn audit_code(error: &CallError) -> &'static str {
    match error {
        CallError::Failure(failure) => FailureKind::from(failure.next).word(),
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
pub(crate) fn convert_failure(failure: wit::Failure, redactor: &Redactor) -> ComponentFailure {
    let short = |text: String| redactor.clean(&text, LONGEST_FACT_VALUE);
    ComponentFailure {
        next: convert_next(failure.next),
        message: redactor.clean(&failure.message, MAX_FAILURE_TEXT),
        code: failure.code.map(short),
        setting: failure.setting.map(short),
        retry_after: failure.retry_after_ms.map(Span::millis),
        facts: convert_facts(failure.facts, redactor),
    }
}

fn convert_next(next: wit::Next) -> FailureNext {
    match next {
        wit::Next::Attention => FailureNext::Attention,
        wit::Next::Denied => FailureNext::Denied,
        wit::Next::Ended => FailureNext::Ended,
        wit::Next::Misconfigured => FailureNext::Misconfigured,
        wit::Next::Throttled => FailureNext::Throttled,
        wit::Next::Unavailable => FailureNext::Unavailable,
    }
}

/// The facts that are kept, each on one line and without the values of secrets. The host's own names are not a
/// component's to set.
pub(crate) fn convert_facts(facts: Vec<wit::Fact>, redactor: &Redactor) -> Vec<Fact> {
    let cleaned = facts.into_iter().take(MOST_FACTS).map(|fact| Fact {
        name: redactor.clean(&fact.name, LONGEST_FACT_NAME),
        value: redactor.clean(&fact.value, LONGEST_FACT_VALUE),
    });
    cleaned.filter(|fact| !fact.name.starts_with(HOST_FACT_PREFIX)).collect()
}
