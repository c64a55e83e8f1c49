//! The capability `kerberos`: security contexts with services that the grant names, as the principal of its login.
//!
//! The component sees tokens and messages; the keys and tickets are in the login's own process (`deputy-kerberos`). What a
//! KDC or the library said goes to the operator and never to the component. Before the first token of a context exists, an
//! event records that it begins; another one has its totals when it ends, also if the call is aborted.

pub(crate) mod context;
mod logins;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex};

use deputy_core::PolicyDenial;
use deputy_core::grant::{Grant, Host};
use deputy_kerberos::{Fault, FaultKind, Login};
use deputy_support::LockUnpoisoned as _;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable, ResourceTableError};

use context::ContextHandle;
pub(crate) use context::action as context_action;
pub(crate) use logins::Logins;

use crate::audit_record::AuditRecord;
use crate::bindings::delegation::tokens::kerberos::{self, KerberosError, Stepped, Unwrapped};
use crate::call_budget::CallBudget;
use crate::secret_fault::SecretFault;

/// Bytes of a target that are read: more than any principal has.
const MAX_TARGET: usize = 1024;

/// The hosts to which a TCP rule has permitted a connection of this call.
#[derive(Clone, Default)]
pub(crate) struct ConnectedHosts(Arc<Mutex<Vec<Host>>>);

/// What one call may do with Kerberos.
pub(crate) struct CallKerberos {
    grant: Arc<Grant>,
    login: Option<Arc<Login>>,
    budget: Arc<CallBudget>,
    connected: ConnectedHosts,
    /// Whether the limit on contexts was exceeded. Later attempts are denied without another audit event.
    spent: bool,
}

/// The capability's host side for the time of one host call.
pub(crate) struct KerberosView<'a> {
    pub(crate) kerberos: &'a mut CallKerberos,
    pub(crate) table: &'a mut ResourceTable,
}

/// Why a context was not opened or not used. The bindings turn it into the contract's `kerberos-error`, or into a trap.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the generated bindings name it")]
pub enum KerberosUseError {
    /// Not granted, or over a limit.
    Denied(PolicyDenial),
    /// The login, the KDC, the library or the peer's token; the text is for the operator alone.
    Failed(Fault),
    /// Not recorded, and so not done.
    Unrecorded,
    /// A handle that does not exist, or no room for another one: ends the call.
    Trap(ResourceTableError),
}

impl From<ResourceTableError> for KerberosUseError {
    fn from(error: ResourceTableError) -> Self {
        Self::Trap(error)
    }
}

impl ConnectedHosts {
    /// Bounded by the connections of a call.
    pub(crate) fn note(&self, host: &Host) {
        let mut hosts = self.0.lock_unpoisoned();
        if !hosts.contains(host) {
            hosts.push(host.clone());
        }
    }

    fn list(&self) -> Vec<Host> {
        self.0.lock_unpoisoned().clone()
    }
}

impl CallKerberos {
    pub(crate) fn new(
        grant: Arc<Grant>,
        login: Option<Arc<Login>>,
        budget: Arc<CallBudget>,
        connected: ConnectedHosts,
    ) -> Self {
        Self { grant, login, budget, connected, spent: false }
    }

    /// The login, if one is granted.
    fn login(&self) -> Result<Arc<Login>, PolicyDenial> {
        self.login.clone().ok_or(PolicyDenial::Kerberos)
    }

    /// Counts a context and asks the grant. Each denial is recorded, up to the limit on contexts.
    fn open(&mut self, mut target: String) -> Result<ContextHandle, KerberosUseError> {
        target.truncate(self.budget.audit.excerpt(&target, MAX_TARGET).len());
        let counted = self.budget.usage.take_kerberos_context();
        if let (Err(denial), true) = (&counted, self.spent) {
            return Err(KerberosUseError::Denied(denial.clone()));
        }
        self.spent = counted.is_err();
        let judged = counted.and_then(|()| {
            let permit = self.grant.permit_context(&target, &self.connected.list())?;
            Ok((permit, self.login()?))
        });
        match judged {
            Ok((permit, login)) => Ok(ContextHandle::new(&self.budget, &permit, login)),
            Err(denial) => {
                let record = AuditRecord::begin(&self.budget, context::action(&target));
                Err(self.denied(record, denial))
            }
        }
    }

    fn denied(&self, mut record: AuditRecord, denial: PolicyDenial) -> KerberosUseError {
        KerberosUseError::Denied(record.denied(denial))
    }

    /// Tells the operator why a login or a context failed: a peer's bad token is its own matter.
    fn report(&self, error: KerberosUseError) -> KerberosUseError {
        if let KerberosUseError::Failed(fault) = &error
            && let Some(reported) = secret_fault(fault)
        {
            self.budget.note_fault(reported);
        }
        error
    }
}

/// What the operator sees of a fault, if it is the login's or a KDC's.
pub(crate) fn secret_fault(fault: &Fault) -> Option<SecretFault> {
    let text = format!("Kerberos: {fault}; {}", fault.cause.fix());
    match fault.cause.kind() {
        FaultKind::Refused => Some(SecretFault::Value(text)),
        FaultKind::Unavailable => Some(SecretFault::Source(text)),
        FaultKind::BadToken | FaultKind::WrongState => None,
    }
}

impl kerberos::Host for KerberosView<'_> {
    fn principal(&mut self) -> Result<String, KerberosUseError> {
        match self.kerberos.login() {
            Ok(login) => Ok(login.principal().to_string()),
            Err(denial) => {
                let record = AuditRecord::begin(&self.kerberos.budget, context::action(""));
                Err(self.kerberos.denied(record, denial))
            }
        }
    }

    /// The only place that knows the contract's error variants.
    fn convert_kerberos_error(&mut self, error: KerberosUseError) -> wasmtime::Result<KerberosError> {
        match error {
            KerberosUseError::Denied(denial) => Ok(KerberosError::Denied(denial.guest())),
            KerberosUseError::Failed(fault) => Ok(match fault.cause.kind() {
                FaultKind::Unavailable => KerberosError::Unavailable("no ticket can be had now".to_owned()),
                FaultKind::Refused => KerberosError::Refused("the login or its KDC refuses".to_owned()),
                FaultKind::BadToken => KerberosError::BadToken("the token is not valid here".to_owned()),
                FaultKind::WrongState => KerberosError::WrongState,
            }),
            KerberosUseError::Unrecorded => Ok(KerberosError::Unavailable("it cannot be recorded now".to_owned())),
            KerberosUseError::Trap(error) => Err(error.into()),
        }
    }
}

impl kerberos::HostContext for KerberosView<'_> {
    fn open(&mut self, target: String) -> Result<Resource<ContextHandle>, KerberosUseError> {
        let handle = self.kerberos.open(target)?;
        Ok(self.table.push(handle)?)
    }

    async fn step(&mut self, this: Resource<ContextHandle>, token: Vec<u8>) -> Result<Stepped, KerberosUseError> {
        let result = self.table.get_mut(&this)?.step(&self.kerberos.budget, token).await;
        let stepped = result.map_err(|error| self.kerberos.report(error))?;
        Ok(Stepped { token: stepped.token, established: stepped.established })
    }

    async fn wrap(
        &mut self,
        this: Resource<ContextHandle>,
        message: Vec<u8>,
        confidential: bool,
    ) -> Result<Vec<u8>, KerberosUseError> {
        let result = self.table.get_mut(&this)?.wrap(&self.kerberos.budget, message, confidential).await;
        result.map_err(|error| self.kerberos.report(error))
    }

    async fn unwrap(&mut self, this: Resource<ContextHandle>, token: Vec<u8>) -> Result<Unwrapped, KerberosUseError> {
        let result = self.table.get_mut(&this)?.unwrap(&self.kerberos.budget, token).await;
        let opened = result.map_err(|error| self.kerberos.report(error))?;
        Ok(Unwrapped { message: opened.message, encrypted: opened.sealed })
    }

    fn drop(&mut self, this: Resource<ContextHandle>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

struct HasKerberos;

impl HasData for HasKerberos {
    type Data<'a> = KerberosView<'a>;
}

/// Adds the interface to a linker.
pub(crate) fn link<T: Send>(linker: &mut Linker<T>, get: fn(&mut T) -> KerberosView<'_>) -> wasmtime::Result<()> {
    kerberos::add_to_linker::<T, HasKerberos>(linker, get)
}
