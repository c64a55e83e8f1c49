//! The budget of one call: its limits, what it has used, and the findings about it.
//!
//! One budget is shared by all capabilities of a call.

use std::sync::Arc;

use deputy_audit::{Audit, AuditSubject, CallId};
use deputy_core::{Limits, PolicyDenial};

use crate::call_audit::CallAudit;
use crate::denial_budget::DenialBudget;
use crate::findings::CallFindings;
use crate::network_wait::{NetworkWait, NetworkWaits};
use crate::secret_fault::SecretFault;
use crate::time_budget::TimeBudget;
use crate::usage::UsageCounters;

/// The budget of one call.
pub(crate) struct CallBudget {
    pub(crate) audit: CallAudit,
    pub(crate) findings: CallFindings,
    pub(crate) usage: UsageCounters,
    limits: Limits,
    time: Arc<TimeBudget>,
    waits: NetworkWaits,
}

impl CallBudget {
    #[cfg(test)]
    pub(crate) fn new(subject: AuditSubject, call: CallId, limits: Limits, audit: Arc<Audit>) -> Self {
        Self::sharing(Arc::default(), subject, call, limits, audit)
    }

    /// For a call that begins now, with the hourly budget of recorded denials that it shares with other calls.
    pub(crate) fn sharing(
        denials: Arc<DenialBudget>,
        subject: AuditSubject,
        call: CallId,
        limits: Limits,
        audit: Arc<Audit>,
    ) -> Self {
        Self {
            audit: CallAudit::new(subject, call, audit, denials),
            findings: CallFindings::default(),
            usage: UsageCounters::new(limits.clone()),
            time: Arc::new(TimeBudget::new(&limits)),
            waits: NetworkWaits::default(),
            limits,
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The time that the call may take.
    pub(crate) fn time(&self) -> &Arc<TimeBudget> {
        &self.time
    }

    /// Marks a part of the call as waiting for the network.
    pub(crate) fn wait_for_network(&self) -> NetworkWait {
        self.waits.begin()
    }

    /// Whether the call waits for the network now.
    pub(crate) fn awaits_network(&self) -> bool {
        self.waits.any()
    }

    /// Notes that using a secret or a login failed, and returns what of it the log may show.
    pub(crate) fn note_fault(&self, fault: SecretFault) -> SecretFault {
        let shown = self.audit.redact_fault(fault);
        self.findings.note_fault(shown.clone());
        shown
    }

    /// The denials, without what the call knows to be secret by now.
    pub(crate) fn denials(&self) -> Vec<PolicyDenial> {
        self.findings.denials().into_iter().map(|denial| self.audit.redact_denial(denial)).collect()
    }

    /// The faults of secrets, likewise.
    pub(crate) fn faults(&self) -> Vec<SecretFault> {
        self.findings.faults().into_iter().map(|fault| self.audit.redact_fault(fault)).collect()
    }

    /// Notes a denial for the operator's report and hands it back. Writes no audit event: the capability's own event says
    /// that the use was denied.
    pub(crate) fn deny(&self, denial: PolicyDenial) -> PolicyDenial {
        self.findings.note_denial(self.audit.redact_denial(denial.clone()));
        denial
    }
}
