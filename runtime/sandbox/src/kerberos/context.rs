//! One context of a component: opened, then begun, then established.

use std::sync::Arc;

use deputy_audit::AuditAction;
use deputy_core::KerberosPrincipal;
use deputy_core::grant::KerberosPermit;
use deputy_kerberos::{Fault, FaultCause, KerberosContext, Login, Stepped, Unwrapped};

use super::KerberosUseError;
use crate::audit_record::AuditRecord;
use crate::call_budget::CallBudget;

/// A component's context. Dropping it records its totals.
#[expect(unreachable_pub, reason = "the generated bindings name it")]
pub struct ContextHandle {
    target: KerberosPrincipal,
    login: Arc<Login>,
    begun: Option<KerberosContext>,
    /// Whether the first step was tried. Each try is an audit event, and may ask a KDC.
    tried: bool,
    record: Option<AuditRecord>,
    totals: Totals,
}

/// What went through a context.
#[derive(Clone, Copy, Default)]
struct Totals {
    wrapped: u64,
    unwrapped: u64,
}

/// The audit action of a context for this target.
pub(crate) fn action(target: &str) -> AuditAction {
    AuditAction::Kerberos { target: target.to_owned(), wrapped: 0, unwrapped: 0 }
}

impl ContextHandle {
    /// Contacts no one.
    pub(super) fn new(budget: &Arc<CallBudget>, permit: &KerberosPermit, login: Arc<Login>) -> Self {
        let target = permit.target().clone();
        let record = Some(AuditRecord::begin(budget, action(target.as_str())));
        Self { target, login, begun: None, tried: false, record, totals: Totals::default() }
    }

    /// The first step gets a ticket; the others take the peer's token.
    pub(super) async fn step(&mut self, budget: &CallBudget, token: Vec<u8>) -> Result<Stepped, KerberosUseError> {
        let _waiting = budget.wait_for_network();
        if self.begun.is_none() && self.tried {
            // Not noted: the record keeps why the first step failed.
            return Err(KerberosUseError::Failed(Fault::plain(FaultCause::WrongState)));
        }
        let result = match &mut self.begun {
            Some(context) => context.step(token).await.map_err(KerberosUseError::Failed),
            None if !token.is_empty() => Err(KerberosUseError::Failed(Fault::new(
                FaultCause::BadToken,
                "the first token is the component's own",
            ))),
            None => self.begin().await,
        };
        self.note(result)
    }

    async fn begin(&mut self) -> Result<Stepped, KerberosUseError> {
        self.tried = true;
        if let Some(record) = &self.record {
            record.announce().await.map_err(|_| KerberosUseError::Unrecorded)?;
        }
        let (context, stepped) = self.login.begin(&self.target).await.map_err(KerberosUseError::Failed)?;
        self.begun = Some(context);
        Ok(stepped)
    }

    pub(super) async fn wrap(
        &mut self,
        budget: &CallBudget,
        message: Vec<u8>,
        confidential: bool,
    ) -> Result<Vec<u8>, KerberosUseError> {
        self.take(budget, message.len())?;
        self.totals.wrapped += message.len() as u64;
        let result = match &mut self.begun {
            Some(context) => context.wrap(message, confidential).await,
            None => Err(Fault::plain(FaultCause::WrongState)),
        };
        self.note(result.map_err(KerberosUseError::Failed))
    }

    pub(super) async fn unwrap(&mut self, budget: &CallBudget, token: Vec<u8>) -> Result<Unwrapped, KerberosUseError> {
        self.take(budget, token.len())?;
        self.totals.unwrapped += token.len() as u64;
        let result = match &mut self.begun {
            Some(context) => context.unwrap(token).await,
            None => Err(Fault::plain(FaultCause::WrongState)),
        };
        self.note(result.map_err(KerberosUseError::Failed))
    }

    /// Takes these bytes from the call's budget.
    fn take(&mut self, budget: &CallBudget, bytes: usize) -> Result<(), KerberosUseError> {
        budget.usage.take_kerberos(bytes).map_err(|denial| {
            let denial = match &mut self.record {
                Some(record) => record.denied(denial),
                None => denial,
            };
            KerberosUseError::Denied(denial)
        })
    }

    /// Notes the outcome for the record: the latest one.
    fn note<T>(&mut self, result: Result<T, KerberosUseError>) -> Result<T, KerberosUseError> {
        let is_established = self.begun.as_ref().is_some_and(KerberosContext::is_established);
        if let Some(record) = &mut self.record {
            match &result {
                Ok(_) if is_established => record.done(),
                Err(KerberosUseError::Failed(fault)) => record.failed(fault.cause.code()),
                _ => {}
            }
        }
        result
    }
}

impl Drop for ContextHandle {
    fn drop(&mut self) {
        let totals = self.totals;
        if let Some(AuditAction::Kerberos { wrapped, unwrapped, .. }) =
            self.record.as_mut().and_then(AuditRecord::action)
        {
            *wrapped = totals.wrapped;
            *unwrapped = totals.unwrapped;
        }
    }
}
