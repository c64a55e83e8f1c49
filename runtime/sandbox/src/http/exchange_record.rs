//! The audit record of one request, and the counters of its two bodies.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use deputy_audit::{AuditAction, AuditSubject};
use deputy_core::PolicyDenial;
use deputy_core::grant::{HttpPattern, HttpTarget};
use deputy_support::wall_nanos;

use crate::audit_record::AuditRecord;
use crate::call_budget::CallBudget;
use crate::made_request::{MadeRequest, usual_method};
use crate::secret_fault::SecretFault;

/// The audit record of one request, written with the final counts when it is dropped.
pub(crate) struct ExchangeRecord {
    budget: Arc<CallBudget>,
    record: AuditRecord,
    meter: Arc<BodyMeter>,
    /// Nanoseconds since 1970.
    began: u64,
    /// What the rule allows that permitted it.
    allowed: Option<HttpPattern>,
}

/// The bytes of both bodies of one request, and the failure of the component's.
#[derive(Default)]
pub(crate) struct BodyMeter {
    sent: AtomicU64,
    received: AtomicU64,
    failure: OnceLock<BodyFailure>,
}

/// Why a component's body is incomplete.
#[derive(Debug, Clone)]
pub(crate) enum BodyFailure {
    /// The component aborted it.
    Aborted,
    /// It exceeded a limit.
    Denied(PolicyDenial),
}

impl ExchangeRecord {
    pub(crate) fn begin(budget: &Arc<CallBudget>, action: AuditAction) -> Self {
        let record = AuditRecord::begin(budget, action);
        Self { budget: Arc::clone(budget), record, meter: Arc::default(), began: wall_nanos(), allowed: None }
    }

    pub(crate) fn subject(&self) -> &AuditSubject {
        self.budget.audit.subject()
    }

    pub(crate) fn note_fault(&self, fault: SecretFault) -> SecretFault {
        self.budget.note_fault(fault)
    }

    pub(crate) fn meter(&self) -> Arc<BodyMeter> {
        Arc::clone(&self.meter)
    }

    pub(crate) fn audit(&mut self) -> &mut AuditRecord {
        &mut self.record
    }

    /// Notes the canonical target: host in lower case, port written out.
    pub(crate) fn note_target(&mut self, closed: &HttpTarget) {
        if let Some(AuditAction::Http { target, path, .. }) = self.record.action() {
            *target = closed.target().to_string();
            *path = closed.path().to_owned();
        }
    }

    /// Notes the rule that permitted it. Without one it is in no trace.
    pub(crate) fn note_allowed(&mut self, allowed: Option<&HttpPattern>) {
        self.allowed = allowed.cloned();
    }

    /// Keeps what traces show of it.
    fn note_request(&mut self) {
        let Some(allowed) = self.allowed.take() else { return };
        let failure = self.record.failure().map(str::to_owned);
        let Some(AuditAction::Http { method, status, .. }) = self.record.action() else { return };
        let (method, status) = (usual_method(method), *status);
        let request = MadeRequest { method, allowed, status, began: self.began, ended: wall_nanos(), failure };
        self.budget.audit.note_request(request);
    }

    pub(crate) fn note_address(&mut self, at: IpAddr) {
        if let Some(AuditAction::Http { address, .. }) = self.record.action() {
            *address = Some(at);
        }
    }

    pub(crate) fn note_status(&mut self, code: u16) {
        if let Some(AuditAction::Http { status, .. }) = self.record.action() {
            *status = Some(code);
        }
    }

    pub(crate) fn note_injected(&mut self, secret: String) {
        if let Some(AuditAction::Http { injected, .. }) = self.record.action() {
            injected.push(secret);
        }
    }
}

impl Drop for ExchangeRecord {
    fn drop(&mut self) {
        if let Some(AuditAction::Http { sent, received, .. }) = self.record.action() {
            *sent = self.meter.sent.load(Ordering::Relaxed);
            *received = self.meter.received.load(Ordering::Relaxed);
        }
        self.note_request();
    }
}

impl BodyMeter {
    pub(crate) fn add_sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn add_received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Notes the first failure; later ones follow from it.
    pub(crate) fn fail(&self, failure: BodyFailure) {
        self.failure.get_or_init(|| failure);
    }

    pub(crate) fn failure(&self) -> Option<&BodyFailure> {
        self.failure.get()
    }
}
