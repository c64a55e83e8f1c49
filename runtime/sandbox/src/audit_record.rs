//! The audit record of one use of a capability.

use std::sync::Arc;

use deputy_audit::{AuditAction, AuditOutcome};
use deputy_core::{Limit, PolicyDenial};

use crate::call_audit::Unrecorded;
use crate::call_budget::CallBudget;

/// An audit event that is written when this is dropped, as cancelled unless an outcome was set: the last action of a killed
/// call is recorded too.
pub(crate) struct AuditRecord {
    budget: Arc<CallBudget>,
    action: Option<AuditAction>,
    outcome: AuditOutcome,
    code: Option<String>,
}

impl AuditRecord {
    pub(crate) fn begin(budget: &Arc<CallBudget>, action: AuditAction) -> Self {
        budget.audit.begin_record();
        Self { budget: Arc::clone(budget), action: Some(action), outcome: AuditOutcome::Cancelled, code: None }
    }

    /// The action to be written, to add what became known meanwhile.
    pub(crate) fn action(&mut self) -> Option<&mut AuditAction> {
        self.action.as_mut()
    }

    /// Why it failed so far: the code, or that it was cut off.
    pub(crate) fn failure(&self) -> Option<&str> {
        let cancelled = (self.outcome == AuditOutcome::Cancelled).then_some("cancelled");
        self.code.as_deref().or(cancelled)
    }

    /// Records that the use begins, before anything leaves this process. What can't be recorded must not be sent.
    pub(crate) async fn announce(&self) -> Result<(), Unrecorded> {
        match &self.action {
            Some(action) => self.budget.audit.record_async(action.clone(), AuditOutcome::Begun, None).await,
            None => Ok(()),
        }
    }

    pub(crate) fn done(&mut self) {
        self.outcome = AuditOutcome::Done;
    }

    pub(crate) fn failed(&mut self, code: impl Into<String>) {
        self.outcome = AuditOutcome::Failed;
        self.code = Some(code.into());
    }

    /// The network did not answer within this limit: a failure, and no denial.
    pub(crate) fn timed_out(&mut self, code: &'static str, limit: Limit) {
        self.budget.findings.note_timeout(limit);
        self.failed(code);
    }

    /// Notes the denial in the budget, too, and hands it back.
    pub(crate) fn denied(&mut self, denial: PolicyDenial) -> PolicyDenial {
        self.outcome = AuditOutcome::Refused;
        self.code = Some(match &denial {
            PolicyDenial::Limit(limit) => format!("over-limit:{limit}"),
            other => other.code().to_owned(),
        });
        self.budget.deny(denial)
    }

    /// Writes the event now, and blocks until it is written, for a caller that may only go on then.
    pub(crate) fn close(mut self) -> Result<(), Unrecorded> {
        match self.action.take() {
            Some(action) => self.budget.audit.record(action, self.outcome, self.code.as_deref()),
            None => Ok(()),
        }
    }

    /// The same without blocking the thread. The event is also written if this future is dropped.
    pub(crate) async fn close_async(mut self) -> Result<(), Unrecorded> {
        match self.action.take() {
            Some(action) => self.budget.audit.record_async(action, self.outcome, self.code.as_deref()).await,
            None => Ok(()),
        }
    }
}

impl Drop for AuditRecord {
    fn drop(&mut self) {
        if let Some(action) = self.action.take() {
            self.budget.audit.note(action, self.outcome, self.code.as_deref());
        }
        self.budget.audit.end_record();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::AuditedBudget;
    use deputy_core::Limits;

    fn udp() -> AuditAction {
        AuditAction::Wasi { operation: "udp" }
    }

    #[test]
    fn record_that_is_dropped_is_written_as_cancelled() {
        let audited = AuditedBudget::new(Limits::default());
        drop(AuditRecord::begin(&audited.budget, udp()));
        assert_eq!(audited.only_outcome(), (AuditOutcome::Cancelled, None));
    }

    #[tokio::test]
    async fn record_is_announced_before_and_written_once_after() {
        let audited = AuditedBudget::new(Limits::default());
        let mut record = AuditRecord::begin(&audited.budget, udp());
        record.announce().await.unwrap();
        assert_eq!(audited.all_events().iter().map(|event| event.outcome).collect::<Vec<_>>(), [AuditOutcome::Begun]);
        record.done();
        record.close().unwrap();
        assert_eq!(audited.all_events().iter().map(|event| event.outcome).collect::<Vec<_>>(), [AuditOutcome::Done]);
    }
}
