//! The audit event of a call itself: written once, also for an abandoned call.

use std::sync::{Arc, Mutex};

use deputy_audit::{AcceptedDelivery, AuditAction, AuditOutcome, Receipt};
use deputy_support::LockUnpoisoned as _;

use crate::call_budget::CallBudget;
use crate::usage::CallUsage;
use crate::watchdog::{WatchGuard, Watchdog};

/// The called function, for the audit log.
pub(crate) enum CalledFunction {
    /// A receiver's `accept`, with its deliveries.
    Accept(Vec<AcceptedDelivery>),
    /// Any other.
    Named(&'static str),
}

/// A call whose event is not written yet. Dropping it writes the event as cancelled.
pub(crate) struct OpenCall {
    budget: Arc<CallBudget>,
    name: &'static str,
    function: Mutex<Option<CalledFunction>>,
}

impl CalledFunction {
    fn name(&self) -> &'static str {
        match self {
            Self::Accept(_) => "accept",
            Self::Named(name) => name,
        }
    }

    fn action(self, usage: CallUsage, millis: u64) -> AuditAction {
        match self {
            Self::Accept(deliveries) => {
                AuditAction::Accept { deliveries, files: usage.output_files, bytes: usage.output_bytes, millis }
            }
            Self::Named(function) => AuditAction::Call { function, millis },
        }
    }
}

impl OpenCall {
    pub(crate) fn new(budget: Arc<CallBudget>, function: CalledFunction) -> Self {
        Self { budget, name: function.name(), function: Mutex::new(Some(function)) }
    }

    /// Lets the watchdog report the call when it is overdue.
    pub(crate) fn watch(&self, watchdog: &Watchdog) -> WatchGuard {
        watchdog.watch(&self.budget, self.name)
    }

    /// Hands the event to the audit log, once.
    pub(crate) fn close(&self, outcome: AuditOutcome, code: Option<&str>) -> Receipt {
        let function = self.function.lock_unpoisoned().take();
        let Some(function) = function else { return Receipt::none() };
        let millis = u64::try_from(self.budget.time().begun().elapsed().as_millis()).unwrap_or(u64::MAX);
        self.budget.audit.close(function.action(self.budget.usage.snapshot(), millis), outcome, code)
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.close(AuditOutcome::Cancelled, None).detach();
    }
}
