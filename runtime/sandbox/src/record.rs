//! The audit record of one use of a capability.

use std::sync::Arc;

use deputy_core::{Limit, PolicyDenial};
use deputy_observe::{AuditAction, AuditOutcome};

use crate::call_budget::{CallBudget, Unrecorded};

/// An audit event that is written when it is dropped, as cancelled unless something better is known: what a killed call
/// was about to do is recorded too.
pub(crate) struct Record {
    account: Arc<CallBudget>,
    what: Option<AuditAction>,
    outcome: AuditOutcome,
    code: Option<String>,
}

impl Record {
    pub(crate) fn begin(account: &Arc<CallBudget>, what: AuditAction) -> Self {
        account.begin_record();
        Self { account: Arc::clone(account), what: Some(what), outcome: AuditOutcome::Cancelled, code: None }
    }

    /// What will be written, to add what became known.
    pub(crate) fn what(&mut self) -> Option<&mut AuditAction> {
        self.what.as_mut()
    }

    /// Records that the use begins, before anything leaves this process. What can't be recorded may not go.
    pub(crate) async fn announce(&self) -> Result<(), Unrecorded> {
        match &self.what {
            Some(what) => self.account.recorded(what.clone(), AuditOutcome::Begun, None).await,
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

    /// The network did not answer within this limit: a failure, and no refusal.
    pub(crate) fn timed_out(&mut self, code: &'static str, limit: Limit) {
        self.account.timed_out(limit);
        self.failed(code);
    }

    /// Notes the refusal in the account, too, and hands it back.
    pub(crate) fn refused(&mut self, refusal: PolicyDenial) -> PolicyDenial {
        self.outcome = AuditOutcome::Refused;
        self.code = Some(match &refusal {
            PolicyDenial::Limit(limit) => format!("over-limit:{limit}"),
            other => other.code().to_owned(),
        });
        self.account.refuse(refusal)
    }

    /// Writes the event now, for whoever may only go on when it is written.
    pub(crate) fn close(mut self) -> Result<(), Unrecorded> {
        match self.what.take() {
            Some(what) => self.account.record(what, self.outcome, self.code.as_deref()),
            None => Ok(()),
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if let Some(what) = self.what.take() {
            self.account.note(what, self.outcome, self.code.as_deref());
        }
        self.account.end_record();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Book;
    use deputy_core::Limits;

    fn udp() -> AuditAction {
        AuditAction::Wasi { operation: "udp" }
    }

    #[test]
    fn a_record_that_is_dropped_is_written_as_cancelled() {
        let book = Book::new(Limits::default());
        drop(Record::begin(&book.account, udp()));
        assert_eq!(book.ending(), (AuditOutcome::Cancelled, None));
    }

    #[tokio::test]
    async fn record_is_announced_before_and_written_once_after() {
        let book = Book::new(Limits::default());
        let mut record = Record::begin(&book.account, udp());
        record.announce().await.unwrap();
        assert_eq!(book.all_events().iter().map(|event| event.outcome).collect::<Vec<_>>(), [AuditOutcome::Begun]);
        record.done();
        record.close().unwrap();
        assert_eq!(book.all_events().iter().map(|event| event.outcome).collect::<Vec<_>>(), [AuditOutcome::Done]);
    }
}
